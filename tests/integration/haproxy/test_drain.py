"""`haproxy.drain` on a real HAProxy."""

from __future__ import annotations

import select
import socket
import threading
from functools import partial

import pytest

from tasks.haproxy.params import Target
from tasks.haproxy.steps import drain, enable, preview_drain
from tests.integration.haproxy.conftest import WEB1, Site, backend
from tests.integration.haproxy.rig import (
    App,
    Haproxy,
    Load,
    LocalContext,
    eventually,
    finish,
    stopping,
)
from worker.errors import Failed, Refused
from worker.step import Done, Wait


def test_drain_and_enable_under_load_lose_no_request(site: Site, context: LocalContext) -> None:
    site.haproxy.say("set weight web_servers/web1 70")
    with Load(site.haproxy.address) as load:
        done = finish(drain, context, site.drain())
        assert site.haproxy.status("web1") == "MAINT"
        assert finish(enable, context.then(), site.enable(weights=[10, 50, 100])).changed
    assert load.failed == []
    assert load.served > 100
    assert done.detail.startswith("0 sessions after ")
    assert done.detail.endswith(" s on lb1")
    web1 = site.haproxy.server("web1")
    assert (web1["status"], web1["admin"], web1["uweight"]) == ("UP", "0", "70")


def test_a_second_drain_is_a_no_op(site: Site, context: LocalContext) -> None:
    drain(context, site.drain())
    acts = list(context.acts)
    again = drain(context, site.drain())
    assert again == Done("web_servers/web1 is out already on lb1", changed=False)
    assert context.acts == acts


def test_the_preview_lists_the_commands_and_changes_nothing(
    site: Site, context: LocalContext
) -> None:
    assert preview_drain(context, site.drain()) == [
        "lb1: set server web_servers/web1 state drain",
        "lb1: set server web_servers/web1 state maint",
    ]
    assert context.acts == []
    assert site.haproxy.status("web1") == "UP"


def test_too_few_others_are_a_refusal_that_changes_nothing(
    site: Site, context: LocalContext
) -> None:
    site.apps[2].stop()
    site.haproxy.wait_for("web3", "DOWN")
    with pytest.raises(Refused, match=r"lb1: backend web_servers: expected at least 2 .* found 1"):
        drain(context, site.drain(min_available="2"))
    assert context.acts == []
    assert site.haproxy.status("web1") == "UP"


def test_a_refused_drain_leaves_its_way_back_nothing_to_do(
    site: Site, context: LocalContext
) -> None:
    site.haproxy.say("set server web_servers/web1 state maint")
    with pytest.raises(Refused):
        drain(context, site.drain())
    back = finish(enable, context.then(), site.enable())
    assert back == Done("web_servers/web1: the drain had changed nothing", changed=False)
    assert site.haproxy.status("web1") == "MAINT"


def test_a_server_that_is_not_up_may_always_go(site: Site, context: LocalContext) -> None:
    """Ansible's drain of a DOWN server always times out."""
    site.apps[0].stop()
    site.haproxy.wait_for("web1", "DOWN")
    assert finish(drain, context, site.drain(min_available="3", timeout=2.0)).changed
    assert site.haproxy.status("web1") == "MAINT"


def test_a_neighbour_that_is_rising_is_waited_for(apps: list[App], context: LocalContext) -> None:
    haproxy = Haproxy(backend(apps[:2], check="check inter 1s rise 2 fall 3"))
    with stopping(haproxy):
        for name in ("web1", "web2"):
            haproxy.wait_for(name, "UP")
        haproxy.say("set server web_servers/web2 state maint")
        haproxy.say("set server web_servers/web2 state ready")
        assert haproxy.status("web2") == "UP 1/3"
        assert finish(drain, context, Site(haproxy, apps).drain()).changed


def test_an_unknown_server_is_refused_by_name(site: Site, context: LocalContext) -> None:
    """With Ansible it is SUCCESS, and the roll goes on undrained."""
    params = site.drain(targets=[Target(backend="web_servers", server="web11")])
    with pytest.raises(Refused, match=r"lb1: no server web11 in .* did you mean web1"):
        drain(context, params)


def test_an_unknown_backend_is_refused_by_name(site: Site, context: LocalContext) -> None:
    params = site.drain(targets=[Target(backend="web_server", server="web1")])
    with pytest.raises(Refused, match=r"no backend web_server; did you mean web_servers"):
        drain(context, params)


def test_a_live_session_is_waited_for(site: Site, context: LocalContext) -> None:
    """Ansible's drain without `wait` goes to maint with a live session."""
    client = _slow(site)
    first = drain(context, site.drain())
    assert first == Wait("sessions", "1 of 1 sessions left on lb1", 1.0)
    assert site.haproxy.status("web1") == "DRAIN"
    site.apps[0].release.set()
    assert finish(drain, context, site.drain()).changed
    assert client.recv(100).endswith(b"ok")


def test_sessions_at_the_deadline_fail_and_put_the_server_back(
    site: Site, context: LocalContext
) -> None:
    client = _slow(site)
    with pytest.raises(Failed, match=r"0 sessions after 0.5 s, found 1 on lb1; put back"):
        finish(drain, context, site.drain(timeout=0.5))
    assert site.haproxy.server("web1")["admin"] == "0"
    assert site.haproxy.status("web1") == "UP"
    site.apps[0].release.set()
    assert client.recv(100).endswith(b"ok")
    assert finish(enable, context.then(), site.enable()).changed is False
    assert finish(drain, context, site.drain(timeout=5)).changed  # a retry starts afresh


def test_sessions_at_the_deadline_are_shut_down_by_policy(
    site: Site, context: LocalContext
) -> None:
    client = _slow(site)
    done = finish(drain, context, site.drain(timeout=0.5, on_timeout="shutdown_sessions"))
    assert done.detail.startswith("1 sessions shut down after 0.")
    assert site.haproxy.status("web1") == "MAINT"
    assert not client.recv(100).endswith(b"ok")


@pytest.mark.parametrize("state", ["maint", "drain"])
def test_an_operators_maintenance_is_refused(site: Site, context: LocalContext, state: str) -> None:
    """Ansible has no memory of it, and enables the server at the end."""
    site.haproxy.say(f"set server web_servers/web1 state {state}")
    with pytest.raises(Refused, match=r"web_servers/web1 is .* on lb1 already.*--include-maint"):
        drain(context, site.drain())
    assert context.acts == []


@pytest.mark.parametrize(("state", "admin"), [("maint", "1"), ("drain", "8")])
def test_included_maintenance_is_kept_by_enable(
    site: Site, context: LocalContext, state: str, admin: str
) -> None:
    site.haproxy.say(f"set server web_servers/web1 state {state}; set weight web_servers/web1 7")
    finish(drain, context, site.drain(include_maintenance=True))
    assert site.haproxy.server("web1")["admin"] == "1"
    done = finish(enable, context.then(), site.enable())
    assert "as it stood before" in done.detail
    web1 = site.haproxy.server("web1")
    assert (web1["admin"], web1["uweight"]) == (admin, "7")


def test_a_reload_that_loses_the_drain_is_noticed(site: Site, context: LocalContext) -> None:
    client = _slow(site)
    params = site.drain(balancers=[site.haproxy.balancer("lb1", master=True)])
    assert isinstance(drain(context, params), Wait)
    site.haproxy.reload()
    eventually(lambda: site.haproxy.server("web1")["admin"] == "0", "the new worker answers")
    # The session is with the old worker now: `scur` of the new one is 0.
    assert drain(context, params) == Wait("sessions", "1 of 1 sessions left on lb1", 1.0)
    assert site.haproxy.server("web1")["admin"] == "8"
    site.apps[0].release.set()
    done = finish(drain, context, params)
    assert done.detail.endswith("; drain set again on lb1, it had been lost")
    assert client.recv(100).endswith(b"ok")


def test_two_balancers_drain_together(site: Site, context: LocalContext) -> None:
    other = Haproxy(backend(site.apps))
    with stopping(other):
        other.wait_for("web2", "UP")
        other.wait_for("web1", "UP")
        balancers = [site.haproxy.balancer("lb1"), other.balancer("lb2")]
        done = finish(drain, context, site.drain(balancers=balancers))
        assert done.detail.endswith("on lb1, lb2")
        assert [site.haproxy.status("web1"), other.status("web1")] == ["MAINT", "MAINT"]
        finish(enable, context.then(), site.enable(balancers=balancers))
        assert [site.haproxy.status("web1"), other.status("web1")] == ["UP", "UP"]


def test_two_drains_at_once_never_leave_too_few(site: Site) -> None:
    """What the guard saw may be out of date a moment later: it looks again behind the drain."""
    site.haproxy.say("set server web_servers/web3 state maint")
    ends: list[object] = []

    def take_out(name: str) -> None:
        context = LocalContext("lb1")
        try:
            ends.append(
                drain(context, site.drain(targets=[Target(backend="web_servers", server=name)]))
            )
        except Refused as error:
            ends.append(error)
        finally:
            context.connections.close()

    threads = [threading.Thread(target=take_out, args=(name,)) for name in ("web1", "web2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert any(isinstance(end, Refused) for end in ends)
    assert "UP" in {site.haproxy.status("web1"), site.haproxy.status("web2")}


def test_a_backup_server_counts_only_by_policy(apps: list[App], context: LocalContext) -> None:
    lines = backend(apps[:2]).splitlines()
    haproxy = Haproxy("\n".join([*lines[:-1], f"{lines[-1]} backup"]))
    with stopping(haproxy):
        for name in ("web1", "web2"):
            haproxy.wait_for(name, "UP")
        site = Site(haproxy, apps)
        with pytest.raises(Refused, match=r"found 0 \(web2 UP \(backup\)\)"):
            drain(context, site.drain())
        assert finish(drain, context, site.drain(count_backup=True)).changed


def test_a_server_that_others_track_takes_them_along(
    apps: list[App], context: LocalContext
) -> None:
    followers = "\n".join(
        f"  server web{n} {app.address}:8080 track web_servers/web{n}"
        for n, app in enumerate(apps, 1)
    )
    haproxy = Haproxy(f"{backend(apps)}\nbackend follow\n  balance leastconn\n{followers}")
    with stopping(haproxy):
        for number in (1, 2, 3):
            haproxy.wait_for(f"web{number}", "UP")
        targets = [*WEB1, Target(backend="follow", server="web1")]
        site = Site(haproxy, apps)
        finish(drain, context, site.drain(targets=targets))
        assert haproxy.status("web1", "follow").startswith("MAINT")
        finish(enable, context.then(), site.enable(targets=targets))
        assert haproxy.server("web1", "follow")["admin"] == "0"
        assert haproxy.status("web1", "follow") == "UP"


def _slow(site: Site) -> socket.socket:
    """A request that web1 works on until it is released."""
    for app in site.apps[1:]:
        app.release.set()
    while True:
        client = site.haproxy.get("/slow")
        arrived = partial(_arrived, site, client)
        eventually(arrived, "the request reached a server")
        if site.haproxy.server("web1")["scur"] == "1":
            return client


def _arrived(site: Site, client: socket.socket) -> bool:
    answered = bool(select.select([client], [], [], 0)[0])
    return answered or site.haproxy.server("web1")["scur"] == "1"
