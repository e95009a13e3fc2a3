"""`probe.verify` with command probes on a recording host: no network, no long pauses."""

from __future__ import annotations

import pytest

from tasks.probe import steps
from tasks.probe.params import Check, CommandProbe, Http, Tcp, Verify
from tasks.probe.steps import preview, verify
from tests.fakes import RecordingContext, RecordingHost
from worker.errors import Failed, Refused, Unreachable
from worker.remote import Result
from worker.step import Done, Wait

BAD = Result(3, "inactive\n", "", 0.0)


def command(run: str = "is-active", **more: object) -> Check:
    return Check(command=CommandProbe.model_validate({"run": run, "interval": 0} | more))


def context_of(**answers: object) -> RecordingContext:
    host = RecordingHost()
    host.answers = answers  # type: ignore[assignment]
    return RecordingContext(host)


def test_all_checks_pass_in_order_and_nothing_is_changed() -> None:
    context = context_of(first="", second="")
    outcome = verify(context, Verify(checks=[command("first"), command("second")]))
    assert outcome == Done(
        "command `first`: exit code 0; command `second`: exit code 0", changed=False
    )
    assert context.host.acts == []


def test_it_tries_until_it_passes() -> None:
    context = context_of(active=[BAD, BAD, "active"])
    assert isinstance(verify(context, Verify(checks=[command()])), Done)
    assert len(context.host.reads) == 3
    assert context.said[0] == "command `is-active`: exit code 3, output 'inactive' (1 of 10)"


def test_a_failure_says_what_was_expected_and_what_was_seen() -> None:
    context = context_of(active=BAD)
    with pytest.raises(Failed) as caught:
        verify(context, Verify(checks=[command(attempts=3, contains="active")]))
    assert str(caught.value) == (
        "web1: command `is-active` failed after 3 tries: expected exit code 0, output with "
        "'active', observed exit code 3, output 'inactive'; look at the service on the host, then "
        "`winch retry`"
    )


def test_a_long_sequence_gives_its_slot_back_and_goes_on_counting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps, "INSIDE_SECONDS", 0.0)
    context = context_of(first="", active=BAD)
    params = Verify(checks=[command("first"), command(attempts=3, interval=30)])
    for tried in (1, 2):
        outcome = verify(context, params)
        assert isinstance(outcome, Wait)
        assert (outcome.reason, outcome.seconds) == ("retry", 30)
        assert outcome.detail.endswith(f"({tried} of 3)")
    with pytest.raises(Failed, match="after 3 tries"):
        verify(context, params)
    assert context.host.reads.count("sh -c first") == 1
    retried = verify(context, params)
    assert isinstance(retried, Wait)
    assert retried.detail.endswith("(1 of 3)")


def test_successes_in_a_row_survive_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "INSIDE_SECONDS", 0.0)
    context = context_of(active="active")
    params = Verify(checks=[command(consecutive=3, interval=10)])
    assert [type(verify(context, params)) for _ in range(3)] == [Wait, Wait, Done]


def test_an_unreachable_host_is_the_engines_to_wait_for() -> None:
    with pytest.raises(Unreachable):
        verify(context_of(active=Unreachable("web1: no answer")), Verify(checks=[command()]))


def test_a_host_without_a_tool_is_refused() -> None:
    context = context_of(curl=Result(1, "", "", 0.0))
    check = Check(http=Http(url="http://192.0.2.1/", source="host"))
    with pytest.raises(Refused, match="needs curl, python3 or wget"):
        verify(context, Verify(checks=[check]))
    context = context_of(python3=Result(127, "", "none of python3, bash and nc\n", 0.0))
    with pytest.raises(Refused, match="none of python3, bash and nc"):
        verify(context, Verify(checks=[Check(tcp=Tcp(port=80, source="host"))]))


def test_no_checks_are_nothing_to_check() -> None:
    assert verify(context_of(), Verify(checks=[])) == Done("nothing to check", changed=False)


def test_a_preview_lists_the_checks_without_making_them() -> None:
    context = context_of()
    checks = [
        Check(http=Http(url="http://192.0.2.1/", status=200)),
        Check(tcp=Tcp(port=80, source="host", consecutive=2)),
        command(),
    ]
    assert preview(context, Verify(checks=checks)) == [
        "GET http://192.0.2.1/ from the worker: expect status 200, 1 in a row of 10",
        "tcp 192.0.2.1:80 from the host: expect a connection, 2 in a row of 10",
        "command `is-active` from the host: expect exit code 0, 1 in a row of 10",
    ]
