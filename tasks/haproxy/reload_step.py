"""`haproxy.reload`: a new worker, proven; and no server serves that was out.

Between its start and the first command that could reach it, a new worker knows nothing of what was
set at run time. So it must read it with its configuration: for the moment of the reload the files
have two lines more in each backend with such a server (decision 4 in docs/decisions).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence

from tasks.haproxy.client import socat_address, talk_script
from tasks.haproxy.facts import ServerState
from tasks.haproxy.params import Reload
from tasks.haproxy.parsers import parse_stat
from tasks.haproxy.reload_check import find_carry, read_structure, refuse_unclear
from tasks.haproxy.reload_compose import compose
from tasks.haproxy.reload_config import native_file
from tasks.haproxy.reload_install import mend
from tasks.haproxy.reload_process import Running, observe_running, script, scripted
from tasks.haproxy.reload_state import (
    Kept,
    assertions,
    differences,
    fingerprint,
    gone,
    kept_of,
    read_states,
)
from tasks.haproxy.reload_worker import dump_states, master_runtime
from tasks.journal import Journal, last_page
from tasks.patience import Patience
from worker.errors import Failed, Refused
from worker.remote import Command, Result
from worker.step import Context, Done, Outcome, Wait, step

MOST_TRIES = 8  # when states change under our eyes; then again after a pause
MOST_SECONDS = 60.0
CHANGED, FAILED, NONE_IN_TIME, FORBIDDEN = 75, 76, 77, 72
LOG_SECONDS = 5.0
GRACE_SECONDS = 30.0  # beyond the time for the new worker
_ORDERS_A_LINE = 40


def preview(context: Context, params: Reload) -> list[str]:
    """Say what would be sent, and whose state would be carried over."""
    host = context.on(params.balancer.host)
    running = observe_running(host, params.balancer)
    kept = kept_of(dump_states(host, params.balancer, running.worker.pid)[1])
    lines = [f"echo reload | socat - {socat_address(str(params.balancer.master_socket))}"]
    return [*lines, *(f"keep {one}" for one in kept)]


@step("haproxy.reload", preview=preview)
def reload(context: Context, params: Reload) -> Outcome:
    """Reload, prove that a new worker serves, and that it has the states of the old one.

    Raises:
        Failed: the reload did not take, or states were lost and could not be set again.
        Refused: a server that is out would serve for a moment; nothing was done.
    """
    return _Reload(context, params).run()


class _Reload:
    def __init__(self, context: Context, params: Reload) -> None:
        self.journal = Journal(context)
        self.context = context
        self.params = params
        self.host = context.on(params.balancer.host)

    def run(self) -> Outcome:
        if self.journal.get("error") is not None or self.journal.get("done"):
            self.journal.close()  # somebody asked for another try
        before = self.journal.get("worker")
        self.journal.elapsed()
        for _ in range(MOST_TRIES):
            running = self._observe()
            if self.params.back and self._nothing_to_undo(running):
                return Done("the reload had not been made", changed=False)
            if before is not None and running.worker.pid != before and not running.master.failed:
                return self._found_done(running)
            result = self._reload_once(running)
            if result is not None:
                return self._prove(running, result)
            self.context.progress("the states of servers changed meanwhile: once more")
        if self.journal.elapsed() < MOST_SECONDS:
            return Wait("retry", "servers change their states: looking again", 1.0)
        raise Refused(
            f"{self.host.name}: servers change their states faster than a reload can carry them "
            f"over, or another reload is in progress, for {MOST_SECONDS:g} s: try again when they "
            "have settled"
        )

    def _observe(self) -> Running:
        running = observe_running(self.host, self.params.balancer)
        if mend(self.host, running):
            running = observe_running(self.host, self.params.balancer)
        return running

    def _nothing_to_undo(self, running: Running) -> bool:
        """Whether the way forward ended before anything was reloaded."""
        forward = self.context.recall("haproxy.reload")
        if last_page(forward, "done") is not None or last_page(forward, "error") is not None:
            return False
        worker = last_page(forward, "worker")
        return not running.master.failed and worker in (None, running.worker.pid)

    # --- once

    def _reload_once(self, running: Running) -> Result | None:
        """Give the one command; None: the states were others by then, nothing was done."""
        dump, states = dump_states(self.host, self.params.balancer, running.worker.pid)
        kept = self._kept(states)
        files = [file.path for file in running.files]
        lines = read_structure(self.host, files)
        found = find_carry(lines, kept)
        refuse_unclear(self.host, found, kept)
        carried = [one for one in kept if one.backend not in found.missing]
        pairs = compose(self.host, running, found, carried, dump, states)
        if self.journal.get("worker") is None:
            self.journal.put(worker=running.worker.pid, kept=[one.dump() for one in kept])
        native = native_file(lines)
        if native is not None and not native.startswith("/"):
            native = None
        stdin = "\n".join([fingerprint(states), native or "", *_orders(assertions(carried)), ""])
        result = self._act(running, pairs, stdin, carried)
        if result.exit_code == CHANGED:
            began = self.journal.elapsed()
            self.journal.close()
            self.journal.put(began=self.context.elapsed() - began)
            return None
        return result

    def _kept(self, states: Sequence[ServerState]) -> list[Kept]:
        """What has to be carried. On the way back from a reload that lost states: those too."""
        kept = kept_of(states)
        forward = self.context.recall("haproxy.reload") if self.params.back else {}
        if forward and last_page(forward, "done") is None:
            known = {one.key for one in kept}
            lost = [Kept.load(row) for row in last_page(forward, "kept") or []]
            kept += [one for one in lost if one.key not in known and one.out]
        return kept

    def _act(
        self, running: Running, pairs: Sequence[str], stdin: str, kept: Sequence[Kept]
    ) -> Result:
        socket = str(self.params.balancer.master_socket)
        words = (
            talk_script(), socket, socat_address(socket), str(running.worker.pid),
            str(running.master.reloads), str(int(self.params.timeout)), *pairs,
        )  # fmt: skip
        text = f"echo reload | socat - {socat_address(socket)}"
        if kept:
            text += f"  # keeping {', '.join(str(one) for one in kept[:20])}"
        command = scripted(text, script("reload.sh"), *words, stdin=stdin)
        timeout = self.params.timeout + GRACE_SECONDS
        return self.host.act(command, timeout=timeout, check=False)

    # --- and the proof

    def _prove(self, running: Running, result: Result) -> Done:
        parts = _parts(result.stdout)
        if result.exit_code != 0:
            raise self._failure(running, result, parts)
        kept = [Kept.load(row) for row in self.journal.get("kept")]
        after = observe_running(self.host, self.params.balancer)
        states = read_states(parts["states"])
        served = _requests(parts["stat"], kept)
        return self._done(after, kept, states, served, result.seconds)

    def _found_done(self, running: Running) -> Done:
        """An earlier try of this step, that was not heard of again, did it."""
        kept = [Kept.load(row) for row in self.journal.get("kept")]
        _, states = dump_states(self.host, self.params.balancer, running.worker.pid)
        return self._done(running, kept, states, None, None)

    def _done(
        self,
        running: Running,
        kept: Sequence[Kept],
        states: Sequence[ServerState],
        served: int | None,
        seconds: float | None,
    ) -> Done:
        states = self._mend_states(running, kept, states)
        self.journal.put(done=True)
        version = running.worker.version
        text = f"worker {running.worker.pid} took over from {self.journal.get('worker')}"
        text += f" after {seconds:.1f} s" if seconds is not None else ""
        text += f", HAProxy {version}"
        out = [one for one in kept if one.out]
        if out:
            text += f"; {len(out)} servers stayed out"
            text += f" ({served} requests to them)" if served is not None else ""
        lost = gone(kept, states)
        if lost:
            text += f"; no longer in the configuration: {', '.join(map(str, lost[:5]))}"
        return Done(text)

    def _mend_states(
        self, running: Running, kept: Sequence[Kept], states: Sequence[ServerState]
    ) -> Sequence[ServerState]:
        """Set what is not as it was; a weight, where the state file was not read."""
        wrong = differences(kept, states)
        if not wrong:
            return states
        runtime = master_runtime(self.host, self.params.balancer)
        pid = running.worker.pid
        runtime.tell(*(f"@!{pid} {one.command}" for one in wrong))
        _, states = dump_states(self.host, self.params.balancer, pid)
        wrong = differences(kept, states)
        if wrong:
            text = "; ".join(one.text for one in wrong[:5])
            self.journal.put(error=text)
            raise Failed(f"{self.host.name}: after the reload, {text}: set it by hand and look why")
        return states

    def _failure(self, running: Running, result: Result, parts: dict[str, str]) -> Exception:
        name = self.host.name
        if result.exit_code == FORBIDDEN:
            return Refused(
                f"{name} ({self.params.balancer.master_socket}): may not reload: start HAProxy "
                "with `-S PATH,level,admin`"
            )
        if result.exit_code not in (FAILED, NONE_IN_TIME):
            said = result.stderr.strip().rpartition("\n")[2] or "no output"
            return Failed(f"{name}: nothing was reloaded, exit code {result.exit_code}: {said}")
        said = parts.get("said", "").strip() or self._log(result.seconds)
        alerts = [line for line in said.splitlines() if "[ALERT]" in line] or said.splitlines()[-1:]
        why = "; ".join(" ".join(line.split()) for line in alerts[:3]) or (
            f"its log says nothing of it: `journalctl -u {self.params.unit}` (journald drops "
            "lines of a unit that logs more than its RateLimitBurst)"
        )
        what = (
            f"the reload failed, worker {running.worker.pid} goes on"
            if result.exit_code == FAILED
            else f"no new worker after {self.params.timeout:g} s"
        )
        self.journal.put(error=said or why)
        return Failed(f"{name}: {what}: {why}")

    def _log(self, seconds: float) -> str:
        """What 2.6 says of a failed reload stands only in its log, some moments later.

        Only lines since the command count, which took `seconds`: alerts of earlier reloads stand
        there too, and journald may have dropped those of this one.
        """
        began = time.monotonic() - seconds - 1.0
        patience = Patience(LOG_SECONDS)
        before = None
        while True:
            since = f"--since=-{math.ceil(time.monotonic() - began)}s"
            command = Command.of(
                "journalctl", "-q", "-o", "cat", "-n", "40", since, "-u", self.params.unit
            )
            whole = self.host.read(command, check=False, timeout=10.0).stdout.strip()
            said = whole.rpartition("Reloading HAProxy")[2].strip()
            if ("[ALERT]" in said and said == before) or patience.over:
                return said
            before = said
            patience.pause()


def _orders(commands: Iterable[str]) -> list[str]:
    """Address commands to the new worker, so many in a connection."""
    addressed = [f"@PID@ {command}" for command in commands]
    return [
        "; ".join(addressed[at : at + _ORDERS_A_LINE])
        for at in range(0, len(addressed), _ORDERS_A_LINE)
    ]


def _parts(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for piece in f"\n{text}".split("\n== ")[1:]:
        name, _, rest = piece.partition("\n")
        parts[name.strip()] = rest
    return parts


def _requests(stat: str, kept: Iterable[Kept]) -> int | None:
    """Count what the new worker has sent to servers that were out."""
    out = {one.key for one in kept if one.out}
    try:
        rows = parse_stat(stat)
    except Failed:
        return None
    return sum(
        row.number("stot") for row in rows if (row.text("pxname"), row.text("svname")) in out
    )
