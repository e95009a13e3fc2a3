"""Can HAProxy listen where a configuration wants it to? `haproxy -c` does not say. No I/O here.

A port that is taken passes `-c`, and the reload then fails after HAProxy has asked the old worker
for two seconds to let go of its own ports: nobody is served meanwhile. So it is found out before.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.haproxy.reload_config import Line

_LISTEN = "0A"  # state of /proc/net/tcp
_INODE = re.compile(r"socket:\[(\d+)\]")
_INO = re.compile(r"\bino:(\d+)")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_ANY: dict[int, Address] = {4: ipaddress.IPv4Address("0.0.0.0"), 6: ipaddress.IPv6Address("::")}  # noqa: S104


@dataclass(frozen=True)
class Listener:
    """A TCP socket that listens."""

    address: Address
    port: int
    inode: str
    only_v6: bool = False


@dataclass(frozen=True)
class Network:
    """What of a host's network matters for a bind."""

    listeners: tuple[Listener, ...]
    own: frozenset[str]  # inodes of HAProxy's sockets
    local: frozenset[Address]
    nonlocal_bind: bool


@dataclass(frozen=True)
class Bind:
    """One address to listen at. `transparent`: may be one that the host does not have."""

    where: str
    address: Address
    port: int
    transparent: bool = False
    only_v6: bool = False


def parse_network(text: str) -> Network:
    """Parse what `network.sh` prints."""
    parts: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("== "):
            name = line.removeprefix("== ")
        else:
            parts.setdefault(name, []).append(line)
    only_v6 = {match[1] for line in parts.get("v6only", []) for match in _INO.finditer(line)}
    listeners = []
    for line in [*parts.get("tcp", []), *parts.get("tcp6", [])]:
        words = line.split()
        if len(words) > 9 and words[3] == _LISTEN:  # noqa: PLR2004
            host, _, port = words[1].partition(":")
            inode = words[9]
            listeners.append(
                Listener(_kernel_address(host), int(port, 16), inode, inode in only_v6)
            )
    own = frozenset(match[1] for line in parts.get("own", []) for match in _INODE.finditer(line))
    local: set[Address] = set()
    last = ""
    for line in parts.get("fib", []):
        words = line.split()
        if len(words) == 2 and words[0] in ("|--", "+--"):  # noqa: PLR2004
            last = words[1]
        elif words[:3] == ["/32", "host", "LOCAL"]:
            local.add(ipaddress.IPv4Address(last))
    for line in parts.get("inet6", []):
        local.add(ipaddress.IPv6Address(bytes.fromhex(line.split()[0])))
    return Network(
        tuple(listeners), own, frozenset(local), parts.get("nonlocal", ["0"])[0].strip() == "1"
    )


def _kernel_address(text: str) -> Address:
    """Read an address of /proc/net/tcp: 32-bit words in the machine's order."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    raw = struct.pack(f"={len(words)}I", *words)
    return ipaddress.ip_address(raw)


def binds_of(lines: Iterable[Line]) -> tuple[list[Bind], list[str]]:
    """Read TCP binds; and list those whose address only HAProxy can tell (variables, names)."""
    binds: list[Bind] = []
    unknown: list[str] = []
    for line in lines:
        where = f"{line.file}:{line.number}"
        for text in line.words[1].split(",") if len(line.words) > 1 else []:
            address = _tcp(text)
            if address is None:
                continue
            found = _addresses(address)
            if found is None:
                unknown.append(f"{text} ({where})")
                continue
            options = line.words[2:]
            binds += [
                Bind(where, one, port, "transparent" in options, "v6only" in options)
                for one, port in found
            ]
    return binds, unknown


def _tcp(text: str) -> str | None:
    """The part behind the family, or None if that is no TCP."""
    family, at, rest = text.partition("@")
    if not at:
        return None if text.startswith("/") else text
    return rest if family in ("ipv4", "ipv6", "tcp", "tcp4", "tcp6") else None


def _addresses(text: str) -> list[tuple[Address, int]] | None:
    host, _, ports = text.rpartition(":")
    first, _, last = ports.partition("-")
    if not first.isdigit() or not (last or first).isdigit():
        return None
    host = host.strip("[]")
    try:
        address: Address = _ANY[4] if host in ("", "*") else ipaddress.ip_address(host)
    except ValueError:
        return None
    return [(address, port) for port in range(int(first), int(last or first) + 1)]


@dataclass(frozen=True)
class Trouble:
    """A bind that would fail; `inode` of the socket that is in the way."""

    text: str
    inode: str | None = None


def troubles(binds: Iterable[Bind], network: Network) -> list[Trouble]:
    """List the binds that would fail: taken by others, or at an address that is not there."""
    own = {(one.address, one.port) for one in network.listeners if one.inode in network.own}
    others = [one for one in network.listeners if one.inode not in network.own]
    found: list[Trouble] = []
    for bind in binds:
        if (bind.address, bind.port) in own:
            continue
        if not (bind.transparent or network.nonlocal_bind or _is_local(bind.address, network)):
            found.append(
                Trouble(f"{bind.where}: this host does not have the address {bind.address}")
            )
            continue
        taken = next((one for one in others if one.port == bind.port and _overlap(one, bind)), None)
        if taken is not None:
            text = f"{bind.where}: {_shown(bind.address)}:{bind.port} is taken by another process"
            found.append(Trouble(text, taken.inode))
    return found


def _shown(address: Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004


def _is_local(address: Address, network: Network) -> bool:
    return address.is_unspecified or address.is_loopback or address in network.local


def _overlap(one: Listener, bind: Bind) -> bool:
    """Whether the kernel would refuse the second of two sockets; `::` takes IPv4 too."""
    if one.address.version == bind.address.version:
        return (
            one.address == bind.address or one.address.is_unspecified or bind.address.is_unspecified
        )
    six = one if one.address.version == 6 else bind  # noqa: PLR2004
    return six.address.is_unspecified and not six.only_v6
