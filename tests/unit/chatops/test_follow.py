"""Following a run: when it ends, what it survives, what it says meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chatops import follow as module
from chatops.follow import Follower, follow
from tests.unit.chatops.conftest import Winch
from tests.unit.chatops.documents import a_host, a_run
from worker.errors import ServiceError

Reading = dict[str, Any] | Exception


class Recorder:
    """A view that keeps what it was shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, list[str]]] = []
        self.closed = False

    def update(self, document: dict[str, Any], notes: list[str]) -> None:
        self.seen.append((document["status"], notes))

    def close(self) -> None:
        self.closed = True


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def monotonic(self) -> float:
        return self.now


Make = Callable[..., tuple[Follower, Recorder, Clock]]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    def follower(
        *readings: Reading, unserved: list[str] | None = None
    ) -> tuple[Follower, Recorder, Clock]:
        left = list(readings)

        def read(_store: object, _run: int) -> dict[str, Any]:
            reading = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(reading, Exception):
                raise reading
            return reading

        monkeypatch.setattr(module, "run_document", read)
        monkeypatch.setattr(module, "unserved", lambda _store, _run: unserved or [])
        recorder, clock = Recorder(), Clock()
        store: Any = None
        return Follower(store, 12, recorder, clock.sleep, clock.monotonic), recorder, clock

    return follower


def test_a_run_is_followed_to_its_end(make: Make) -> None:
    follower, recorder, _ = make(a_run("queued"), a_run("running"), a_run("succeeded"))
    assert follower.follow()["status"] == "succeeded"
    assert [status for status, _ in recorder.seen] == ["queued", "running", "succeeded"]


def test_following_stops_where_only_an_approval_helps(make: Make) -> None:
    waits = a_host("web1", "waiting", waiting_for="approval")
    soaks = a_host("web2", "waiting", waiting_for="soak")
    follower, recorder, _ = make(a_run("waiting", waits, soaks), a_run("waiting", waits))
    assert follower.follow()["status"] == "waiting"
    assert len(recorder.seen) == 2


def test_a_run_that_must_be_approved_before_it_begins_stops_the_following_too(make: Make) -> None:
    asked = a_run("waiting", a_host("web1", "pending"), approval={"needed": True})
    follower, recorder, _ = make(asked)
    assert follower.follow() == asked
    assert len(recorder.seen) == 1


def test_waiting_for_anything_else_goes_on(make: Make) -> None:
    soaks = a_host("web1", "waiting", waiting_for="soak")
    nobody = a_run("waiting", a_host("web1", "pending"))
    follower, recorder, _ = make(a_run("waiting", soaks), nobody, a_run("failed"))
    assert follower.follow()["exit_code"] == 2
    assert len(recorder.seen) == 3


def test_a_database_that_is_away_for_a_while_is_only_mentioned(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    away = ServiceError("database x does not answer")
    follower, _, clock = make(a_run("running"), away, away, away, a_run("succeeded"))
    assert follower.follow()["status"] == "succeeded"
    assert clock.now < 5
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "the run is not affected" in said


def test_a_database_that_stays_away_ends_the_following(make: Make) -> None:
    follower, _, clock = make(a_run("running"), ServiceError("database x does not answer"))
    with pytest.raises(ServiceError, match="database x"):
        follower.follow()
    assert 30 <= clock.now < 33


def test_that_no_worker_runs_is_said_until_one_does(make: Make) -> None:
    follower, recorder, _ = make(a_run("queued"), a_run("succeeded"), unserved=["winch"])
    follower.follow()
    assert "no worker is running" in recorder.seen[0][1][0]
    assert recorder.seen[-1][1] == []


def test_a_paused_run_says_how_it_goes_on(make: Make) -> None:
    follower, recorder, _ = make(a_run("paused"), a_run("succeeded"))
    follower.follow()
    assert recorder.seen[0][1] == ["paused: `winch resume 12` lets it go on"]


def test_large_runs_are_looked_at_less_often(make: Make) -> None:
    many = a_run("running", *(a_host(f"web{n}", "pending") for n in range(300)))
    follower, _, clock = make(many, many, many, a_run("succeeded"))
    follower.follow()
    assert clock.now == 3.0


@pytest.mark.parametrize(
    ("status", "code"), [("succeeded", 0), ("failed", 2), ("rolled_back", 8), ("aborted", 99)]
)
def test_the_exit_code_is_the_runs(
    winch: Winch, monkeypatch: pytest.MonkeyPatch, status: str, code: int
) -> None:
    monkeypatch.setattr(module, "run_document", lambda _s, _r: a_run(status, a_host("w", status)))
    assert follow(winch.store(), 12) == code


def test_ctrl_c_stops_the_following_and_says_that_the_run_goes_on(
    winch: Winch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_store: object, _run: int) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run_document", interrupted)
    assert follow(winch.store(), 12) == 99
    assert capsys.readouterr().err == "run 12 goes on; `winch watch 12` follows it again\n"


def test_waiting_for_approval_is_exit_7_and_says_the_command(
    winch: Winch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits = a_run("waiting", a_host("web1", "waiting", waiting_for="approval"))
    monkeypatch.setattr(module, "run_document", lambda _s, _r: waits)
    assert follow(winch.store(), 12) == 7
    assert "`winch approve 12` lets it go on" in capsys.readouterr().err
