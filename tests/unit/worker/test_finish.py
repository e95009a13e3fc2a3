"""What comes after a step, as a table."""

from __future__ import annotations

import pytest

from worker.errors import Busy, CommandFailed, Failed, NotAllowed, Refused, StepError, Unreachable
from worker.finish import RETRY_AFTER, Standing, decide
from worker.step import Done, Outcome, Wait


def standing(**values: object) -> Standing:
    base: dict[str, object] = {
        "direction": "forward",
        "retries": 0,
        "changed": True,
        "on_failure": "rollback",
        "has_way_back": True,
        "aborted": False,
        "rolling_back": False,
    }
    return Standing(**{**base, **values})  # type: ignore[arg-type]


DONE = Done("done")
WAIT = Wait("sessions", "3 sessions left", 1.0)
LAST = len(RETRY_AFTER)


@pytest.mark.parametrize(
    ("end", "state", "expected"),
    [
        (DONE, standing(), "next"),
        (WAIT, standing(), "wait"),
        (Failed("no"), standing(), "back"),
        (CommandFailed("no"), standing(), "back"),
        (Failed("no"), standing(on_failure="stop"), "fail"),
        (Failed("no"), standing(changed=False), "fail"),
        (Failed("no"), standing(has_way_back=False), "fail"),
        (Failed("no"), standing(direction="back", has_way_back=False), "fail"),
        (Refused("no"), standing(changed=False), "fail"),
        (Refused("no"), standing(), "back"),  # an earlier step of the lane has changed something
        (Unreachable("gone"), standing(), "retry"),
        (Unreachable("gone"), standing(retries=LAST), "fail"),
        (NotAllowed("host key"), standing(), "fail"),
        (Unreachable("gone"), standing(gate=True), "retry"),
        (Busy("an earlier command runs"), standing(retries=LAST), "retry"),
        (Unreachable("gone"), standing(gate=True, retries=1), "fail"),
        (DONE, standing(aborted=True), "cancel"),
        (Failed("no"), standing(aborted=True), "cancel"),
        (DONE, standing(rolling_back=True), "back"),
        (WAIT, standing(rolling_back=True), "back"),
        (DONE, standing(rolling_back=True, changed=False, has_way_back=False), "cancel"),
        (DONE, standing(rolling_back=True, direction="back"), "next"),
        (Failed("no"), standing(rolling_back=True, on_failure="stop"), "back"),
    ],
)
def test_decide(end: Outcome | StepError, state: Standing, expected: str) -> None:
    assert decide(end, state) == expected
