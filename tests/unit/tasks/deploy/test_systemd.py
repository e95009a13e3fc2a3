from __future__ import annotations

import pytest

from tasks.deploy import systemd
from tasks.deploy.params import Redeploy, Systemd
from tasks.deploy.steps import preview_redeploy, preview_restore, redeploy, restore
from tests.fakes import RecordingContext, RecordingHost
from worker.errors import Failed, Refused, Unreachable
from worker.remote import Command, Result
from worker.step import Done

RESTART = Redeploy(systemd=Systemd(unit="app.service"))
RELOAD = Redeploy(systemd=Systemd(unit="app.service", action="reload"))


class Unit:
    """A unit that a recording host answers for."""

    def __init__(self, **properties: str) -> None:
        self.properties = {
            "LoadState": "loaded",
            "ActiveState": "active",
            "SubState": "running",
            "Type": "notify",
            "Result": "success",
            "CanReload": "yes",
            "InvocationID": "i0",
        } | properties
        self.starts = 0
        self.dies = False
        self.breaks = False

    def show(self, _command: Command) -> str:
        return "".join(f"{key}={value}\n" for key, value in self.properties.items())

    def restart(self, _command: Command) -> str | Result:
        self.starts += 1
        state = "failed" if self.dies else "active"
        self.properties |= {"ActiveState": state, "InvocationID": f"i{self.starts}"}
        if self.breaks:
            raise Unreachable("web1: the connection broke")
        return Result(1, "", "Job for app.service failed.", 0.0) if self.dies else ""

    def stop(self, _command: Command) -> str:
        self.properties |= {"ActiveState": "inactive", "InvocationID": ""}
        return ""

    def context(self) -> RecordingContext:
        host = RecordingHost()
        host.answers = {
            "systemctl show": self.show,
            "systemctl restart": self.restart,
            "systemctl reload": "",
            "systemctl stop": self.stop,
            "journalctl": "bind() to 0.0.0.0:80 failed\nexiting\n",
        }
        return RecordingContext(host)


def restoring(unit: Unit, redeployed: RecordingContext) -> RecordingContext:
    context = unit.context()
    context.recalled = {"deploy.redeploy": redeployed.memory}
    return context


def test_a_unit_is_restarted_and_seen_to_be_another_invocation() -> None:
    context = Unit().context()
    assert redeploy(context, RESTART) == Done("app.service restarted, active")
    assert context.host.acts == ["systemctl restart -- app.service"]
    assert context.memory["invocation"] == "i0"


def test_a_restart_that_broke_off_is_not_repeated_when_it_has_happened() -> None:
    unit = Unit()
    unit.breaks = True
    context = unit.context()
    with pytest.raises(Unreachable):
        redeploy(context, RESTART)
    again = redeploy(context, RESTART)
    assert again == Done("app.service restarted, active (by an earlier try of this step)")
    assert unit.starts == 1


def test_a_restart_that_never_reached_the_host_is_repeated() -> None:
    unit = Unit()
    context = unit.context()
    context.memory |= {"before": {"active": True}, "invocation": "i0"}
    redeploy(context, RESTART)
    assert unit.starts == 1


def test_a_unit_that_does_not_come_up_fails_with_its_journal() -> None:
    unit = Unit()
    unit.dies = True
    with pytest.raises(Failed) as caught:
        redeploy(unit.context(), RESTART)
    assert "exit code 1, expected 0: Job for app.service failed." in str(caught.value)
    assert "its journal: bind() to 0.0.0.0:80 failed | exiting" in str(caught.value)


def test_a_unit_that_dies_after_a_successful_restart_fails() -> None:
    unit = Unit(Type="simple")

    def restart(_command: Command) -> str:
        unit.properties |= {"ActiveState": "failed", "Result": "exit-code", "InvocationID": "i1"}
        return ""

    context = unit.context()
    context.host.answers["systemctl restart"] = restart
    with pytest.raises(Failed, match=r"is failed .* expected active; its journal: bind"):
        redeploy(context, RESTART)


def test_a_unit_that_is_still_starting_is_waited_for() -> None:
    unit, looks = Unit(ActiveState="activating"), iter(range(100))

    def show(command: Command) -> str:
        if next(looks) >= 4:
            unit.properties |= {"ActiveState": "active", "InvocationID": "i1"}
        return unit.show(command)

    context = unit.context()
    context.host.answers["systemctl show"] = show
    context.host.answers["systemctl restart"] = ""
    assert redeploy(context, RESTART) == Done("app.service restarted, active")


def test_a_restart_without_a_new_invocation_is_no_restart() -> None:
    context = Unit().context()
    context.host.answers["systemctl restart"] = ""
    with pytest.raises(Failed, match="expected an InvocationID other than i0"):
        redeploy(context, RESTART)


def test_a_one_shot_unit_that_ended_well_is_fine() -> None:
    unit = Unit(Type="oneshot", ActiveState="inactive", InvocationID="")
    context = unit.context()
    context.host.answers["systemctl restart"] = ""
    assert isinstance(redeploy(context, RESTART), Done)


def test_a_reload_keeps_the_invocation() -> None:
    context = Unit().context()
    assert redeploy(context, RELOAD) == Done("app.service reloaded, active")
    assert context.host.acts == ["systemctl reload -- app.service"]


@pytest.mark.parametrize(
    ("unit", "params", "said"),
    [
        (Unit(LoadState="not-found"), RESTART, "is not-found, expected loaded"),
        (Unit(LoadState="masked"), RESTART, "is masked, expected loaded"),
        (Unit(CanReload="no"), RELOAD, "cannot be reloaded: use `action: restart`"),
        (Unit(ActiveState="inactive"), RELOAD, "there is nothing to reload"),
    ],
)
def test_what_cannot_work_is_refused(unit: Unit, params: Redeploy, said: str) -> None:
    context = unit.context()
    with pytest.raises(Refused, match=said):
        redeploy(context, params)
    assert context.host.acts == []
    assert context.memory == {}


@pytest.mark.parametrize(
    ("unit", "params", "expected"),
    [
        (Unit(), RESTART, "systemctl restart -- app.service"),
        (Unit(), RELOAD, "systemctl reload -- app.service"),
        (Unit(ActiveState="inactive"), RESTART, "systemctl stop -- app.service"),
    ],
)
def test_a_restore_does_the_same_again_or_stops_what_was_stopped(
    unit: Unit, params: Redeploy, expected: str
) -> None:
    forth = unit.context()
    redeploy(forth, params)
    back = restoring(unit, forth)
    assert preview_restore(back, params) == [expected]
    assert isinstance(restore(back, params), Done)
    assert back.host.acts == [expected]


def test_a_restore_restarts_a_unit_that_has_nothing_to_reload_any_more() -> None:
    unit = Unit()
    forth = unit.context()
    redeploy(forth, RELOAD)
    unit.properties["ActiveState"] = "failed"
    back = restoring(unit, forth)
    restore(back, RELOAD)
    assert back.host.acts == ["systemctl restart -- app.service"]


def test_a_restore_without_a_redeploy_does_nothing() -> None:
    context = Unit().context()
    assert restore(context, RESTART) == Done(
        "nothing to put back: the redeploy changed nothing", changed=False
    )
    assert context.host.reads == context.host.acts == []


def test_a_preview_touches_nothing() -> None:
    context = Unit().context()
    assert preview_redeploy(context, RESTART) == ["systemctl restart -- app.service"]
    assert context.host.acts == []
    assert context.memory == {}


@pytest.mark.parametrize(
    ("invocation", "acted", "expected"),
    [
        ("i0", False, ["restart"]),
        ("i0", True, ["restart"]),
        ("i1", True, []),
        ("", True, ["restart"]),
    ],
)
def test_the_invocation_decides_whether_a_restart_is_still_needed(
    invocation: str, acted: bool, expected: list[str]
) -> None:
    facts = systemd.parse_show(Unit(InvocationID=invocation).show(Command.of("true")))
    assert systemd.decide(facts, "restart", "i0", acted=acted) == expected
