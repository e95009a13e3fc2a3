"""Units of a real systemd, on a host of the lab."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.deploy.params import Redeploy, Systemd
from tasks.deploy.steps import redeploy, restore
from tests.integration.deploy.local import BreakingHost, Lane
from tests.integration.deploy.test_release import tarball, wish
from tests.lab.host import LabHost
from tests.lab.topology import Lab
from tests.needs import needs_nspawn
from worker.errors import Failed, Refused, Unreachable
from worker.remote import Command, Result
from worker.step import Done

UNIT = """[Service]
Type={type}
ExecStartPre=-/bin/rm -f /run/app.reloaded
ExecStart=/bin/sh -c '{start}'
{more}
"""
STAY = "systemd-notify --ready; exec sleep infinity"


class Booted(BreakingHost):
    """A lab's host as a step's host."""

    def __init__(self, host: LabHost, breaks_at: int = 1000) -> None:
        super().__init__(breaks_at, after=True)
        self.lab_host = host
        self.name, self.address = host.name, host.address

    def _run(self, command: Command, timeout: float, check: bool) -> Result:
        stdin = None if command.stdin is None else command.stdin.encode()
        words = ["timeout", str(timeout), *command.argv]
        done = self.lab_host.run(*words, stdin=stdin, check=check, timeout=timeout + 5)
        return Result(done.returncode, done.stdout, done.stderr, 0.0)

    def put(self, source: bytes | Path, path: str, *, mode: int = 0o644) -> None:
        data = source if isinstance(source, bytes) else source.read_bytes()
        self.lab_host.write_file(path, data, mode)


@pytest.fixture(scope="module")
def machine() -> Iterator[LabHost]:
    needs_nspawn()
    with Lab() as lab:
        yield lab.host("web1")


def install(
    machine: LabHost, start: str = STAY, kind: str = "notify", more: str = "", *, run: bool = True
) -> None:
    more = f"NotifyAccess=all\n{more}"
    unit = UNIT.format(type=kind, start=start, more=more)
    machine.write_file("/etc/systemd/system/app.service", unit)
    machine.sh("systemctl daemon-reload; systemctl stop app; systemctl reset-failed app || true")
    if run:
        machine.sh("systemctl start app")


def invocation(machine: LabHost) -> str:
    return machine.sh("systemctl show --property=InvocationID --value app")


def wish_unit(**more: object) -> Redeploy:
    return Redeploy(systemd=Systemd.model_validate({"unit": "app.service"} | more))


def test_a_restart_is_another_invocation_and_happens_once(machine: LabHost) -> None:
    install(machine)
    before, lane = invocation(machine), Lane()
    with pytest.raises(Unreachable):
        redeploy(lane.redeploying(Booted(machine, breaks_at=1)), wish_unit())
    once = invocation(machine)
    assert once != before
    outcome = redeploy(lane.redeploying(Booted(machine)), wish_unit())
    assert outcome == Done("app.service restarted, active (by an earlier try of this step)")
    assert invocation(machine) == once
    restore(lane.restoring(Booted(machine)), wish_unit())
    assert invocation(machine) != once


def test_a_unit_that_was_stopped_is_stopped_again(machine: LabHost) -> None:
    install(machine, run=False)
    lane = Lane()
    redeploy(lane.redeploying(Booted(machine)), wish_unit())
    assert machine.sh("systemctl is-active app") == "active"
    restore(lane.restoring(Booted(machine)), wish_unit())
    assert machine.sh("systemctl is-active app", check=False) == "inactive"


def test_a_reload_keeps_the_process(machine: LabHost) -> None:
    install(machine, more="ExecReload=/bin/touch /run/app.reloaded")
    before = invocation(machine)
    redeploy(Lane().redeploying(Booted(machine)), wish_unit(action="reload"))
    assert machine.exists("/run/app.reloaded")
    assert invocation(machine) == before


def test_a_reload_that_the_unit_refuses_fails(machine: LabHost) -> None:
    install(machine, more='ExecReload=/bin/sh -c "echo bad configuration; exit 1"')
    with pytest.raises(Failed, match=r"systemctl reload app\.service failed.*bad configuration"):
        redeploy(Lane().redeploying(Booted(machine)), wish_unit(action="reload"))


def test_a_unit_that_cannot_start_fails_with_its_journal(machine: LabHost) -> None:
    install(machine, "echo no such module >&2; exit 3", run=False)
    with pytest.raises(Failed, match=r"expected 0.*its journal: .*no such module"):
        redeploy(Lane().redeploying(Booted(machine)), wish_unit())


def test_a_start_that_hangs_is_given_up(machine: LabHost) -> None:
    install(machine, "exec sleep infinity", run=False)  # never says that it is ready
    with pytest.raises(Failed, match="its journal"):
        redeploy(Lane().redeploying(Booted(machine)), wish_unit(timeout=1))


def test_a_one_shot_unit_may_end(machine: LabHost) -> None:
    install(machine, "true", kind="oneshot")
    assert redeploy(Lane().redeploying(Booted(machine)), wish_unit()) == Done(
        "app.service restarted, active"
    )


def test_an_unknown_and_a_masked_unit_are_refused(machine: LabHost) -> None:
    with pytest.raises(Refused, match="is not-found, expected loaded"):
        redeploy(Lane().redeploying(Booted(machine)), wish_unit(unit="nothing.service"))
    machine.sh("systemctl mask --runtime cron-of-nobody.service")
    with pytest.raises(Refused, match="is masked, expected loaded"):
        redeploy(Lane().redeploying(Booted(machine)), wish_unit(unit="cron-of-nobody.service"))


def test_a_release_restarts_the_unit_that_runs_it(machine: LabHost, tmp_path: Path) -> None:
    machine.sh("rm -rf /srv/app")
    first = wish(tarball(tmp_path / "a.tar.gz", "1"), "1", Path("/srv/app"))
    redeploy(Lane().redeploying(Booted(machine)), first)
    install(machine, f"cp /srv/app/current/app/version /run/app.version; {STAY}")
    archive = tarball(tmp_path / "b.tar.gz", "2")
    second, lane = wish(archive, "2", Path("/srv/app"), unit="app.service"), Lane()
    redeploy(lane.redeploying(Booted(machine)), second)
    assert machine.read_file("/run/app.version") == "2"
    restore(lane.restoring(Booted(machine)), second)
    assert machine.read_file("/run/app.version") == "1"
