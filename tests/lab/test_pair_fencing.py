"""A worker that was paused in the middle of a step wakes up, and the pair's members refuse it."""

from __future__ import annotations

import pytest

from tests.kit.stack import Stack, until
from tests.lab.edge import REDEPLOY, Edge, details, pair

pytestmark = [pytest.mark.lab, pytest.mark.chaos]

SLOW = {**REDEPLOY["command"], "run": f"echo began >> /srv/began; {REDEPLOY['command']['run']}"}


def test_a_paused_worker_whose_lane_was_taken_over_is_refused_by_the_host_when_it_wakes(
    edge: Edge, stack: Stack
) -> None:
    edge.install()
    for member in edge.members:
        member.sh("rm -f /srv/began")
    slow = {**SLOW, "run": f"{SLOW['run']}; sleep 2"}
    fleet = str(edge.fleet(redeploy={"command": slow}))
    first = stack.worker()
    asked, document = pair(stack, "upgrade", "edge", "--no-wait", "--fleet", fleet)
    assert asked.returncode == 0, asked.stderr
    run, lb2 = int(document["id"]), edge.members[1]
    until(lambda: lb2.exists("/srv/began"), what="the command runs on lb2")
    first.pause()
    stack.worker()
    until(
        lambda: stack.step(run, "lb2", "deploy.redeploy")["attempts"] == 2,
        seconds=60,
        what="the other worker takes over",
    )
    until(
        lambda: stack.step(run, "lb2", "deploy.redeploy")["status"] == "succeeded",
        seconds=60,
        what="the step is done",
    )
    first.wake()
    document = stack.ended(run, seconds=90)
    assert document["status"] == "succeeded", details(document)

    def refused() -> list[str]:
        said = stack.winch("logs", str(run), "lb2")
        assert said.returncode == 0, said.stderr
        return [line for line in said.stdout.splitlines() if "113" in line]

    print("\n".join(until(refused, what="the refusal is in the logs")))
    commands = [c for c in stack.commands(run) if c["exit_code"] == 113]
    assert {c["host"] for c in commands} == {"lb2"}
    assert "another claim has taken over; nothing was run" in commands[0]["stderr"]
    assert [m.read_file("/srv/began").split() for m in edge.members] == [["began"], ["began"]]
    assert edge.versions() == ["1.26", "1.26"]
    assert edge.holders() == [["lb1"]]
