"""`haproxy.enable` on a real HAProxy."""

from __future__ import annotations

import threading
import time

import pytest

from tasks.haproxy.params import Target
from tasks.haproxy.steps import drain, enable, preview_enable
from tests.integration.haproxy.conftest import Site, backend
from tests.integration.haproxy.rig import App, Haproxy, LocalContext, eventually, finish, stopping
from worker.errors import Failed
from worker.step import Done, Wait


def test_a_dead_server_is_not_enabled_and_gets_no_request(
    site: Site, context: LocalContext
) -> None:
    """With Ansible `UP 1/2` is UP: success, and DOWN three seconds later."""
    finish(drain, context, site.drain())
    site.apps[0].stop()
    before = site.haproxy.server("web1")["stot"]
    with pytest.raises(
        Failed, match=r"web_servers/web1 on lb1 is DOWN \(L4CON Connection refused\) .*taken out"
    ):
        finish(enable, context.then(), site.enable())
    web1 = site.haproxy.server("web1")
    assert (web1["status"], web1["stot"], web1["uweight"]) == ("MAINT", before, "100")


@pytest.mark.parametrize("check", ["check fall 1 rise 1", "check fall 1 rise 3"])
def test_a_single_passed_check_is_waited_for_where_one_decides(
    apps: list[App], context: LocalContext, check: str
) -> None:
    """With `fall 1` HAProxy calls a server UP on leaving maint, before any check."""
    haproxy = Haproxy(backend(apps, check=check))
    with stopping(haproxy):
        for number in (1, 2, 3):
            haproxy.wait_for(f"web{number}", "UP")
        site = Site(haproxy, apps)
        finish(drain, context, site.drain())
        apps[0].stop()
        with pytest.raises(Failed, match="is DOWN"):
            finish(enable, context.then(), site.enable(timeout=1.0))
        apps[0].start()
        assert finish(enable, context.then(), site.enable()).changed
        assert haproxy.status("web1") == "UP"


def test_up_one_of_two_is_not_up(apps: list[App], context: LocalContext) -> None:
    lines = backend(apps, check="").splitlines()
    lines[2] += " check inter 60s fastinter 60s fall 2"
    haproxy = Haproxy("\n".join(lines))
    with stopping(haproxy):
        haproxy.wait_for("web1", "UP")
        site = Site(haproxy, apps)
        finish(drain, context, site.drain())
        with pytest.raises(Failed, match=r"is DRAIN 1/2 .* after 1 s \(expected UP\)"):
            finish(enable, context.then(), site.enable(timeout=1.0))


def test_a_server_that_falls_back_within_stable_is_taken_out_again(
    site: Site, context: LocalContext
) -> None:
    finish(drain, context, site.drain())
    second = context.then()
    ends: list[BaseException] = []

    def run() -> None:
        try:
            finish(enable, second, site.enable(stable=30.0))
        except Failed as error:
            ends.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    site.haproxy.wait_for("web1", "UP")
    eventually(lambda: any("UP for" in text for text in second.said), "the window")
    site.apps[0].stop()
    thread.join(20)
    assert "within 30 s of being UP; taken out again" in str(ends[0])
    assert site.haproxy.status("web1") == "MAINT"


def test_a_flap_between_two_looks_is_noticed(site: Site, context: LocalContext) -> None:
    finish(drain, context, site.drain())
    second = context.then()
    params = site.enable(stable=30.0)
    waiting = enable(second, params)
    assert isinstance(waiting, Wait)
    assert waiting.reason == "soak"
    assert site.haproxy.status("web1") == "UP"
    site.apps[0].stop()
    site.haproxy.wait_for("web1", "DOWN")
    site.apps[0].start()
    site.haproxy.wait_for("web1", "UP")
    with pytest.raises(Failed, match="within 30 s of being UP; taken out again"):
        enable(second, params)


def test_weights_come_back_in_steps(site: Site, context: LocalContext) -> None:
    site.haproxy.say("set weight web_servers/web1 40")
    finish(drain, context, site.drain())
    second = context.then()
    params = site.enable(weights=[10, 50, 100], stable=0.1)
    assert preview_enable(second, params) == [
        "lb1: set weight web_servers/web1 4",
        "lb1: set server web_servers/web1 state drain",
        "lb1: set server web_servers/web1 state ready",
        "lb1: set weight web_servers/web1 20",
        "lb1: set weight web_servers/web1 40",
    ]
    finish(enable, second, params)
    weights = [act.split("'")[1] for act in second.acts if "set weight" in act]
    assert [int(weight.rpartition(" ")[2]) for weight in weights] == [4, 20, 40]
    assert site.haproxy.server("web1")["uweight"] == "40"


@pytest.mark.parametrize("algorithm", ["source", "static-rr"])
def test_a_static_algorithm_gets_its_whole_weight_at_once(
    apps: list[App], context: LocalContext, algorithm: str
) -> None:
    haproxy = Haproxy(backend(apps).replace("roundrobin", algorithm))
    with stopping(haproxy):
        for number in (1, 2, 3):
            haproxy.wait_for(f"web{number}", "UP")
        site = Site(haproxy, apps)
        finish(drain, context, site.drain())
        begun = time.monotonic()
        finish(enable, context.then(), site.enable(weights=[10, 50, 100], stable=0.5))
        assert time.monotonic() - begun < 1.9
        assert haproxy.server("web1")["uweight"] == "100"
        assert haproxy.status("web1") == "UP"


def test_enabling_what_is_enabled_is_a_no_op(site: Site, context: LocalContext) -> None:
    done = enable(context, site.enable())
    assert done == Done("web_servers/web1 is ready already on lb1", changed=False)
    assert context.acts == []


def test_a_second_enable_is_a_no_op(site: Site, context: LocalContext) -> None:
    finish(drain, context, site.drain())
    second = context.then()
    finish(enable, second, site.enable())
    acts = list(second.acts)
    assert finish(enable, second, site.enable()).changed is False
    assert second.acts == acts


def test_without_a_drain_the_weight_stays_as_it_is(site: Site, context: LocalContext) -> None:
    site.haproxy.say("set server web_servers/web1 state maint; set weight web_servers/web1 33")
    assert finish(enable, context, site.enable()).changed
    web1 = site.haproxy.server("web1")
    assert (web1["status"], web1["uweight"], web1["admin"]) == ("UP", "33", "0")


def test_a_failed_enable_can_be_retried(site: Site, context: LocalContext) -> None:
    finish(drain, context, site.drain())
    site.apps[0].stop()
    second = context.then()
    with pytest.raises(Failed):
        finish(enable, second, site.enable(timeout=0.5))
    site.apps[0].start()
    assert finish(enable, second, site.enable()).changed
    assert site.haproxy.status("web1") == "UP"


def test_a_server_without_checks_is_enabled(apps: list[App], context: LocalContext) -> None:
    haproxy = Haproxy(backend(apps, check=""))
    with stopping(haproxy):
        site = Site(haproxy, apps)
        finish(drain, context, site.drain())
        assert finish(enable, context.then(), site.enable()).changed
        assert haproxy.status("web1") == "no check"


def test_a_weight_of_zero_stays_zero(site: Site, context: LocalContext) -> None:
    site.haproxy.say("set weight web_servers/web1 0")
    finish(drain, context, site.drain())
    finish(enable, context.then(), site.enable(weights=[10, 100]))
    assert site.haproxy.server("web1")["uweight"] == "0"


def test_a_reload_in_the_window_does_not_lose_the_weight(site: Site, context: LocalContext) -> None:
    site.haproxy.say("set weight web_servers/web1 40")
    finish(drain, context, site.drain())
    second = context.then()
    params = site.enable(stable=5.0)
    assert isinstance(enable(second, params), Wait)
    site.haproxy.reload()
    eventually(lambda: site.haproxy.server("web1")["uweight"] == "100", "the new worker answers")
    finish(enable, second, params)
    assert site.haproxy.server("web1")["uweight"] == "40"


def test_every_process_of_a_balancer_is_told(site: Site, context: LocalContext) -> None:
    other = Haproxy(backend(site.apps))
    with stopping(other):
        other.wait_for("web1", "UP")
        other.wait_for("web2", "UP")
        both = site.haproxy.balancer("lb1").model_copy(
            update={"sockets": [*site.haproxy.sockets, *other.sockets]}
        )
        targets = [Target(backend="web_servers", server="web1")]
        finish(drain, context, site.drain(balancers=[both], targets=targets))
        assert [site.haproxy.status("web1"), other.status("web1")] == ["MAINT", "MAINT"]
        finish(enable, context.then(), site.enable(balancers=[both], targets=targets))
        assert [site.haproxy.status("web1"), other.status("web1")] == ["UP", "UP"]


def test_a_drain_that_was_lost_before_is_told(site: Site, context: LocalContext) -> None:
    finish(drain, context, site.drain())
    site.haproxy.reload()  # by somebody else, while the server was being redeployed, say
    eventually(lambda: site.haproxy.status("web1") == "UP", "the new worker answers")
    done = finish(enable, context.then(), site.enable())
    assert done.detail.endswith("it had been ready again on lb1 before (was HAProxy reloaded?)")
