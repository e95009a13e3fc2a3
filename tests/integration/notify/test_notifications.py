"""People are told of what happens to runs: by a real worker, through real receivers."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.conftest import free_ports
from tests.integration.notify.receivers import Webhook, mail_server, silence, webhook
from tests.kit.fixtures import stack, work
from tests.kit.plans import Work
from tests.kit.stack import ROOT, Stack, until
from worker import control
from worker.engine import Approval

__all__ = ["stack", "work"]


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as made:
        yield made


@pytest.fixture
def notify(stack: Stack) -> Callable[..., None]:
    """Write the notify file; the URLs go to files beside it."""

    def write(routes: str, **urls: str) -> None:
        receivers = ""
        for name, url in urls.items():
            secret = stack.directory / f"{name}.url"
            secret.write_text(url)
            secret.chmod(0o600)
            receivers += f"  {name}: {{url_file: {name}.url, timeout: 2s}}\n"
        path = stack.directory / "notify.yaml"
        path.write_text(f"receivers:\n{receivers}routes:\n{routes}")
        stack.environment["WINCH_NOTIFY_FILE"] = str(path)
        stack.environment["WINCH_PUBLIC_URL"] = "https://winch.example.org"

    return write


def sender_leads(stack: Stack) -> None:
    """Wait until a sender reads the audit: what was before is no news."""

    def begun() -> bool:
        return bool(stack.store.read) and rows(stack, "SELECT 1 FROM notify_cursors") != []

    until(begun, what="a sender")


def rows(stack: Stack, query: str) -> list[Any]:
    with stack.store.engine.connect() as connection:
        return list(connection.exec_driver_sql(query))


def states(stack: Stack, receiver: str) -> list[str]:
    found = rows(stack, "SELECT receiver, state FROM notifications ORDER BY event_id")
    return [str(state) for name, state in found if name == receiver]


def test_a_failure_is_told_once_by_mail_and_webhook_while_another_receiver_is_silent(
    stack: Stack, work: Work, notify: Callable[..., None], hook: Webhook
) -> None:
    (port,) = free_ports(1)
    with ExitStack() as running:
        box = running.enter_context(mail_server(port))
        silent = running.enter_context(silence())
        mail = f"mailto://127.0.0.1:{port}?from=winch@example.org&to=ops@example.org&smtp=127.0.0.1"
        notify(
            "  - {to: [silent]}\n  - {to: [mail, hook], events: [failed, succeeded]}\n",
            mail=mail,
            hook=hook.url,
            silent=silent,
        )
        stack.worker()
        stack.worker()  # only one of them tells
        sender_leads(stack)
        broken = work.flag("broken")
        broken.touch()
        plan = work.plan(["web1"], options={"web1.two": {"fails_while": str(broken)}})
        run = stack.run(plan)
        begun = time.monotonic()
        document = stack.ended(run)
        assert document["status"] == "rolled_back"
        broken.unlink()
        control.retry(stack.engine, run, [], "cli:ops")
        stack.ended(run)
        assert time.monotonic() - begun < 20, "the silent receiver holds no step up"
        title = f"Winch: run {run} succeeded: test work"
        until(lambda: hook.titles() == [title], what="the webhook")
        until(lambda: len(box.messages) == 1, what="the mail")
        until(lambda: states(stack, "silent") == ["unknown"], what="the silent one is given up")
    (message,) = box.messages
    assert message["Subject"] == title
    assert message["To"] == "ops@example.org"
    text = message.as_string()
    assert f"https://winch.example.org/runs/{run}" in text.replace("=\n", "")
    assert states(stack, "mail") == states(stack, "hook") == ["sent"]
    told = "".join(worker.log.read_text() for worker in stack.workers)
    told += str(rows(stack, "SELECT * FROM notifications"))
    assert "hunter" not in told
    said = stack.winch("notify", "status")
    assert "silent: 1 unknown" in said.stdout, said
    assert "hunter" not in said.stdout + said.stderr


def test_approvals_broken_leases_and_dead_workers_are_told_without_any_web_process(
    stack: Stack, work: Work, notify: Callable[..., None], hook: Webhook
) -> None:
    notify("  - {to: [hook]}\n", hook=hook.url)
    first = stack.worker()
    sender_leads(stack)
    hold = work.flag("hold")
    hold.touch()
    plan = work.plan(["web1"], options={"web1.one": {"hold_before": str(hold)}})
    run = stack.engine.create_run(
        plan, requested_by="cli:ops", approval=Approval("rolls are looked at by two", "operator")
    )
    stack.engine.advance(run)
    waits = f"Winch: run {run} is waiting for approval: test work"
    until(lambda: waits in hook.titles(), what="the approval")
    control.approve(stack.engine, run, "cli:boss", person="boss")
    until(lambda: stack.step(run, "web1", "test.one")["status"] == "running", what="it begins")
    second = stack.worker()
    until(lambda: len(rows(stack, "SELECT 1 FROM workers")) == 2, what="two workers")
    first.kill()
    lost = "is gone"
    until(lambda: any(lost in t for t in hook.titles()), what="the dead worker")
    (body,) = [b["message"] for b in hook.bodies if lost in b["title"]]
    assert "web1" in body
    control.break_lease(stack.engine, work.lease("web1"), "the host burns", "cli:ops")
    until(lambda: any("was broken" in title for title in hook.titles()), what="the broken lease")
    hold.unlink()
    stack.ended(run)
    until(lambda: "sending" not in states(stack, "hook") and "queued" not in states(stack, "hook"))
    assert len(hook.titles()) == len(set(hook.titles())), hook.titles()
    second.stop()


def test_an_idle_worker_that_is_killed_is_missed_once_and_one_that_is_told_to_stop_is_not(
    stack: Stack, work: Work, notify: Callable[..., None], hook: Webhook
) -> None:
    notify("  - {to: [hook], events: [worker_lost, succeeded]}\n", hook=hook.url)
    stack.worker()
    sender_leads(stack)
    polite, killed = stack.worker(), stack.worker()
    until(lambda: len(rows(stack, "SELECT 1 FROM workers")) == 3, what="three workers")
    until(lambda: "ready" in polite.log.read_text(), what="it listens to signals")
    assert polite.stop() == 0
    killed.kill()
    until(hook.titles, what="the dead worker")
    finished(stack, work)  # told after everything that was before
    until(lambda: any("succeeded" in title for title in hook.titles()), what="the run")
    title, _ = hook.titles()
    assert f":{killed.process.pid}:" in title
    assert "it had nothing to do" in hook.bodies[0]["message"]


def test_a_sender_that_is_killed_while_the_receiver_has_the_message_does_not_send_it_again(
    stack: Stack, work: Work, notify: Callable[..., None], hook: Webhook
) -> None:
    notify("  - {to: [hook], events: [succeeded]}\n", hook=hook.url)
    hook.hold.clear()
    first = stack.worker()
    sender_leads(stack)
    one = stack.run(work.plan(["web1"]))
    stack.ended(one)
    assert hook.arrived.wait(20)
    first.kill()
    hook.hold.set()
    second = stack.worker()
    two = stack.run(work.plan(["web1"]))
    stack.ended(two)
    titles = [f"Winch: run {run} succeeded: test work" for run in (one, two)]
    until(lambda: titles[1] in hook.titles(), what="the second run is told")
    assert hook.titles() == titles
    assert states(stack, "hook")[0] == "sending"  # nobody knows; it becomes `unknown`
    assert second.stop() == 0


def test_a_sender_that_is_killed_between_claim_and_send_does_not_send_twice(
    stack: Stack, work: Work, notify: Callable[..., None], hook: Webhook
) -> None:
    notify("  - {to: [hook], events: [succeeded]}\n", hook=hook.url)
    claimed = stack.directory / "claimed"
    stuck = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.notify.stuck_sender", str(claimed)],
        env=stack.environment,
        cwd=ROOT,
    )
    try:
        sender_leads(stack)
        run = finished(stack, work)
        until(claimed.exists, what="the claim")
        assert states(stack, "hook") == ["sending"]
    finally:
        stuck.send_signal(signal.SIGKILL)
        stuck.wait()
    worker = stack.worker()
    again = finished(stack, work)
    until(lambda: hook.bodies, what="the second run is told")
    assert hook.titles() == [f"Winch: run {again} succeeded: test work"]
    assert run != again
    assert states(stack, "hook")[0] == "sending"
    assert worker.stop() == 0


def finished(stack: Stack, work: Work) -> int:
    """End a run as the engine does, with nobody at work on it."""
    from worker.audit import record  # noqa: PLC0415
    from worker.models import Run  # noqa: PLC0415

    run = stack.engine.create_run(work.plan(["web1"]), requested_by="test")
    with stack.store.write() as session:
        row = session.get_one(Run, run)
        row.status, row.ended_at, row.needs_advance = "succeeded", stack.store.now(), False
        session.add(row)
        record(session, stack.store.now(), "engine", "test", "work", run, "succeeded", None)
    return run


def test_a_freeze_is_told_when_it_is_set_overridden_and_lifted(
    stack: Stack, work: Work, notify: Callable[..., None], hook: Webhook
) -> None:
    notify("  - {to: [hook]}\n", hook=hook.url)
    stack.worker()
    sender_leads(stack)
    words = ("freeze", "--until", "2h", "--reason", "the shop's big day")
    fleet = str(write_fleet(stack))
    done = stack.winch(*words, WINCH_FLEET=fleet)
    assert done.returncode == 0, done.stderr
    stack.engine.create_run(
        work.plan(["web1"]), requested_by="cli:ops", reason="CVE-1", override_freeze=True
    )
    done = stack.winch("unfreeze", WINCH_FLEET=fleet)
    assert done.returncode == 0, done.stderr
    until(lambda: len(hook.bodies) >= 3, what="all three")
    assert hook.titles() == [
        "Winch: everything is frozen",
        "Winch: a freeze was overridden by run 1: test work",
        "Winch: everything is no longer frozen",
    ]
    assert "the shop's big day" in hook.bodies[0]["message"]


def write_fleet(stack: Stack) -> Path:
    path = stack.directory / "fleet.yaml"
    path.write_text("hosts: {web1: {address: 127.0.0.1}}\n")
    return path


def test_what_a_receiver_certainly_did_not_take_is_tried_again(
    stack: Stack, work: Work, notify: Callable[..., None], hook: Webhook
) -> None:
    notify("  - {to: [hook], events: [succeeded]}\n", hook=hook.url)
    hook.answer = 503
    stack.worker()
    sender_leads(stack)
    finished(stack, work)
    until(lambda: len(hook.bodies) == 1 and states(stack, "hook") == ["queued"], what="a try")
    hook.answer = 200
    until(lambda: states(stack, "hook") == ["sent"], what="the second try")
    assert len(hook.bodies) == 2
    (problem,) = rows(stack, "SELECT attempts FROM notifications")
    assert problem == (2,)


def test_a_receiver_that_is_mended_in_the_file_is_told_without_a_restart(
    stack: Stack, work: Work, notify: Callable[..., None], hook: Webhook
) -> None:
    notify("  - {to: [hook], events: [succeeded]}\n", hook="nonsense://hunter2")
    worker = stack.worker()
    sender_leads(stack)
    finished(stack, work)
    until(lambda: "does not know such a URL" in worker.log.read_text(), what="the complaint")
    Path(stack.directory / "hook.url").write_text(hook.url)
    path = stack.directory / "notify.yaml"
    path.write_text(path.read_text().replace("2s", "3s"))
    until(hook.titles, what="the message")
    assert "hunter" not in worker.log.read_text()
