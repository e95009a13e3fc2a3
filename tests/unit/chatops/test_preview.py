"""`winch plan`: previews that only look."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from chatops.looking import LookingContext, LookingHost, WouldChange
from chatops.preview import preview
from chatops.render.plans import plan_preview, plan_summary
from worker.errors import CommandFailed, Failed, Refused, Unreachable
from worker.plan import HostSpec, LaneSpec, Plan, Policy, StepSpec
from worker.remote import Command
from worker.ssh import Connections
from worker.step import REGISTRY, Context, Done, Outcome, Params, StepType


class Word(Params):
    """What the fake steps are told."""

    word: str = ""


def look(context: Context, params: Word) -> list[str]:
    return [context.host.read(Command.of("echo", params.word)).stdout.strip()]


def later(_context: Context, _params: Word) -> list[str]:
    raise Failed("web1: no such release yet")


def refuse(_context: Context, _params: Word) -> list[str]:
    raise Refused("web1: no server web1")


def silent(_context: Context, _params: Word) -> list[str]:
    raise Unreachable("web1: no connection")


def done(_context: Context, _params: Word) -> Outcome:
    return Done("well", changed=False)


def gate(_context: Context, params: Word) -> Outcome:
    if params.word:
        raise Refused(params.word)
    return Done("well", changed=False)


@pytest.fixture(autouse=True)
def steps() -> Iterator[None]:
    fakes = {
        f"fake.{each.__name__}": StepType(each.__name__, Word, done, each)
        for each in (look, later, refuse, silent)
    }
    fakes["fake.gate"] = StepType("gate", Word, gate, lambda _context, _params: [])
    REGISTRY.update(fakes)
    yield
    for name in fakes:
        del REGISTRY[name]


def a_plan(*steps: str, word: str = "hello", refused: str = "") -> Plan:
    def spec(name: str, text: str) -> StepSpec:
        return StepSpec.of(f"fake.{name}", Word(word=text), f"{name} it")

    here = HostSpec(name="web1", address="127.0.0.1", connection="local")
    check = LaneSpec(host="web1", leases=[], touches=[], steps=[spec("gate", refused)], gate=True)
    lane = LaneSpec(host="web1", leases=[], touches=[], steps=[spec(s, word) for s in steps])
    return Plan(job="roll", target="web", hosts={"web1": here}, lanes=[check, lane])


def notes(document: dict[str, Any]) -> list[str | None]:
    return [step["note"] for step in document["hosts"][0]["steps"]]


def test_each_step_says_what_it_would_run_now() -> None:
    document = preview(a_plan("look", "look", word="$(reboot); `id`"))
    assert document["exit_code"] == 0
    assert document["job"] == "roll"
    assert document["problems"] == []
    assert document["hosts"] == [
        {
            "name": "web1",
            "steps": [
                {
                    "name": "fake.look",
                    "summary": "look it",
                    "commands": ["$(reboot); `id`"],
                    "note": None,
                }
            ]
            * 2,
        }
    ]


def test_a_step_that_needs_the_one_before_does_not_break_the_preview() -> None:
    document = preview(a_plan("look", "later", "look"))
    assert document["exit_code"] == 0
    assert notes(document)[1] == (
        "known when the steps before it are done: web1: no such release yet"
    )
    assert document["hosts"][0]["steps"][2]["commands"] == ["hello"]


def test_a_refusal_of_the_first_step_is_one_of_the_job() -> None:
    document = preview(a_plan("refuse", "look"))
    assert document["exit_code"] == 3
    assert document["problems"] == ["web1: no server web1"]


def test_what_the_preflight_would_refuse_is_said_and_the_steps_are_shown_all_the_same() -> None:
    document = preview(a_plan("look", refused="too few servers"))
    assert document["exit_code"] == 3
    assert document["problems"] == ["too few servers"]
    assert document["hosts"][0]["steps"][0]["commands"] == ["hello"]


def test_a_host_that_does_not_answer_is_exit_4_and_is_not_asked_again() -> None:
    document = preview(a_plan("silent", "look"))
    assert document["exit_code"] == 4
    assert document["problems"] == ["web1: no connection"]
    assert notes(document)[1] == "not known: a host does not answer"


def test_a_preview_cannot_change_anything(tmp_path: Path) -> None:
    here = HostSpec(name="web1", address="127.0.0.1", connection="local")
    connections = Connections()
    context = LookingContext(connections, {"web1": here}, "web1")
    with pytest.raises(WouldChange):
        context.host.act(Command.of("touch", str(tmp_path / "x")))
    with pytest.raises(WouldChange):
        context.host.put(b"", str(tmp_path / "x"))
    with pytest.raises(WouldChange):
        context.remember(before=1)
    with pytest.raises(Failed, match="does not know such a host"):
        context.on("web9")
    assert list(tmp_path.iterdir()) == []
    assert context.recall("haproxy.drain") == {}
    connections.close()


def test_a_command_that_fails_names_host_command_and_what_it_said() -> None:
    here = HostSpec(name="web1", address="127.0.0.1", connection="local")
    connections = Connections()
    host = LookingHost(connections, here, {"web1": here})
    with pytest.raises(CommandFailed, match=r"web1: `.*` exited with 3: no$"):
        host.read(Command.shell("echo no >&2; exit 3"))
    assert host.read(Command.of("false"), check=False).exit_code == 1
    connections.close()


def test_the_preview_reads_well() -> None:
    document = preview(a_plan("look", "later", refused="too few servers"))
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(plan_preview(document))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert "✗ too few servers" in text
    assert "    hello\n" in text
    assert "nothing was touched" in text


def test_the_question_before_a_job_says_how_many_at_once_and_what_a_failure_does() -> None:
    plan = a_plan("look").model_copy(
        update={
            "vars": {"version": "2"},
            "policy": Policy(max_unavailable=3, stages=[1, 4], on_failure="stop", max_failures=2),
        }
    )
    text = plan_summary(plan, reason="CVE")
    assert text.splitlines()[0] == "roll web: 1 host, 1 at once"
    assert "stages     1 → 4" in text
    assert "version=2" in text
    assert "stays as it is, out, and no other host starts after more than 2" in text
    assert "reason     CVE" in text
