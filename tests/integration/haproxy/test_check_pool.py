"""`haproxy.check_pool` on a real HAProxy."""

from __future__ import annotations

import pytest

from tasks.haproxy.params import CheckPool, Target
from tasks.haproxy.steps import check_pool
from tests.integration.haproxy.conftest import Site, backend
from tests.integration.haproxy.rig import App, Haproxy, LocalContext, stopping
from worker.errors import Refused
from worker.step import Done

ALL = [Target(backend="web_servers", server=f"web{number}") for number in (1, 2, 3)]


def params(site: Site, **more: object) -> CheckPool:
    balancer = site.haproxy.balancer("lb1", master=True)
    fields = {"balancers": [balancer], "targets": ALL, "hosts": ["lb1", "lb2"]}
    return CheckPool.model_validate(fields | more)


def test_a_sound_pool_passes(site: Site, context: LocalContext) -> None:
    done = check_pool(context, params(site))
    assert done == Done("2 hosts answer, 3 servers stand on lb1", changed=False)
    assert context.acts == []


def test_everything_that_is_wrong_is_said_at_once(site: Site, context: LocalContext) -> None:
    wrong = [Target(backend="web_servers", server=name) for name in ("web7", "app")]
    with pytest.raises(Refused) as caught:
        check_pool(context, params(site, targets=[*ALL, *wrong]))
    assert "no server web7 in backend web_servers; did you mean" in caught.value.message
    assert "no server app in backend web_servers (there are: web1, web2, web3)" in (
        caught.value.message
    )


def test_the_capacity_of_now_must_spare_one(site: Site, context: LocalContext) -> None:
    with pytest.raises(Refused, match=r"lb1: cannot take out web_servers/web\d: .* found 2"):
        check_pool(context, params(site, min_available="3"))
    assert check_pool(context, params(site, min_available="3", takes_out=False))
    assert check_pool(context, params(site, min_available="60%"))


def test_an_operators_maintenance_is_named(site: Site, context: LocalContext) -> None:
    site.haproxy.say("set server web_servers/web2 state maint")
    with pytest.raises(Refused, match=r"web_servers/web2 is in maintenance on lb1 already"):
        check_pool(context, params(site))
    assert check_pool(context, params(site, include_maintenance=True))
    assert check_pool(context, params(site, takes_out=False))


def test_a_socket_without_admin_level_is_refused(apps: list[App], context: LocalContext) -> None:
    haproxy = Haproxy(backend(apps), level="operator")
    with stopping(haproxy), pytest.raises(Refused, match="it is operator: add `level admin`"):
        check_pool(context, params(Site(haproxy, apps)))


def test_a_dead_haproxy_is_refused_before_anything(site: Site, context: LocalContext) -> None:
    wanted = params(site)
    site.haproxy.process.kill()
    site.haproxy.process.wait(5)
    site.haproxy.process.poll()
    with pytest.raises(Refused, match="is HAProxy running"):
        check_pool(context, wanted)


def test_a_master_socket_that_is_none_is_refused(site: Site, context: LocalContext) -> None:
    balancer = site.haproxy.balancer("lb1").model_copy(
        update={"master_socket": site.haproxy.sockets[0]}
    )
    with pytest.raises(Refused, match="expected a master's socket"):
        check_pool(context, params(site, balancers=[balancer]))


def test_a_frontend_of_the_same_name_hides_no_server(
    apps: list[App], context: LocalContext
) -> None:
    haproxy = Haproxy(backend(apps) + f"\nfrontend web_servers\n  bind {apps[0].address}:8081\n")
    with stopping(haproxy):
        for number in (1, 2, 3):
            haproxy.wait_for(f"web{number}", "UP")
        assert check_pool(context, params(Site(haproxy, apps)))
