"""Whether HAProxy could listen, from what the kernel says."""

from __future__ import annotations

import ipaddress

import pytest

from tasks.haproxy.reload_binds import (
    Bind,
    Listener,
    Network,
    binds_of,
    parse_network,
    troubles,
)
from tasks.haproxy.reload_config import Line

NETWORK = """== tcp
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0
== tcp6
   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 0 0 0 0 0 333
   1: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0 0 0 0 0 444
== v6only
LISTEN 0 128 [::]:22 [::]:* ino:444 sk:1 cgroup:/x v6only:1 <->
== own
lrwx------ 1 root root 64 Nov 21 10:00 5 -> socket:[222]
== fib
           |-- 10.0.0.5
              /32 host LOCAL
== inet6
fd000000000000000000000000000002 02 40 00 80     eth0
== nonlocal
0
"""


def test_the_kernels_tables_are_read() -> None:
    network = parse_network(NETWORK)
    assert network.listeners == (
        Listener(ipaddress.IPv4Address("127.0.0.1"), 8080, "111"),
        Listener(ipaddress.IPv4Address(0), 80, "222"),
        Listener(ipaddress.IPv6Address("::"), 443, "333"),
        Listener(ipaddress.IPv6Address("::"), 22, "444", True),
    )
    assert network.own == {"222"}
    assert network.local == {ipaddress.ip_address("10.0.0.5"), ipaddress.ip_address("fd00::2")}
    assert network.nonlocal_bind is False


BINDS = [
    (":80", "", None),  # HAProxy's own
    ("10.0.0.5:80", "", None),
    ("127.0.0.1:8080", "", "127.0.0.1:8080 is taken"),
    ("*:8080", "", "0.0.0.0:8080 is taken"),
    ("127.0.0.2:8080", "", None),
    ("10.0.0.5:443", "", "10.0.0.5:443 is taken"),  # :: takes IPv4 too
    (":22", "", None),  # unless it says otherwise
    (":::22", "", "[::]:22 is taken"),
    (":::8080", "", "[::]:8080 is taken"),
    (":::8080", "v6only", None),
    ("[fd00::2]:9000", "", None),
    ("10.0.0.6:9000", "", "does not have the address 10.0.0.6"),
    ("10.0.0.6:9000", "transparent", None),
    ("ipv4@10.0.0.6:9000", "", "does not have the address 10.0.0.6"),
    (":9000-9001,:8079-8080", "", "0.0.0.0:8080 is taken"),
    ("/run/x.sock", "", None),
    ("quic4@:443", "", None),
    ("abns@x", "", None),
]


@pytest.mark.parametrize(("address", "word", "text"), BINDS)
def test_what_cannot_be_bound_is_told(address: str, word: str, text: str | None) -> None:
    words = ("bind", address, word) if word else ("bind", address)
    binds, unknown = binds_of([Line("/a.cfg", 3, words)])
    assert unknown == []
    found = [one.text for one in troubles(binds, parse_network(NETWORK))]
    if text is None:
        assert found == []
    else:
        assert len(found) == 1
        assert text in found[0]
        assert found[0].startswith("/a.cfg:3: ")


def test_what_only_haproxy_can_tell_is_left_to_it() -> None:
    lines = [Line("/a.cfg", 3, ("bind", "${IP}:80", "ssl")), Line("/a.cfg", 4, ("bind", "www:80"))]
    assert binds_of(lines) == ([], ["${IP}:80 (/a.cfg:3)", "www:80 (/a.cfg:4)"])


def test_addresses_that_the_host_does_not_have_may_be_allowed() -> None:
    bind = Bind("/a.cfg:3", ipaddress.ip_address("192.0.2.1"), 80)
    assert troubles([bind], Network((), frozenset(), frozenset(), True)) == []
