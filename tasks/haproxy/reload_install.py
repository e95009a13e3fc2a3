"""`haproxy.install_config` and its way back, `haproxy.restore_config`."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

from tasks.haproxy.params import InstallConfig
from tasks.haproxy.reload_check import (
    beside,
    bind_problems,
    complaint,
    find_carry,
    first_alert,
    read_structure,
    refuse_unclear,
)
from tasks.haproxy.reload_process import Running, observe_running, script, scripted
from tasks.haproxy.reload_state import kept_of
from tasks.haproxy.reload_worker import dump_states
from tasks.journal import Journal, last_page
from worker.errors import Failed, Refused
from worker.remote import Command, Host
from worker.step import Context, Done, Outcome, step

_MEND = """
for file; do
    [ -e "$file.winch-keep" ] && mv -fT "$file.winch-keep" "$file" || exit 1
done
"""
_DIGEST = '[ -e "$1" ] || { echo absent; exit 0; }; sha256sum < "$1" | cut -c1-64'
_REFUSED = (
    'if [ "$3" = move ]; then mv -fT "$1" "$2"; else ln -fT "$1" "$2" || cp -pT "$1" "$2"; fi'
)
_BACK = 'cp -aT "$1.winch-old" "$1.winch-new" && mv -fT "$1.winch-new" "$1"'
ABSENT = "absent"


def mend(host: Host, running: Running) -> list[str]:
    """Put back the files that a reload had changed for a moment when it was killed."""
    left = [file.real for file in running.files if file.transient]
    if left:
        result = host.act(
            scripted(f"mv FILE.winch-keep FILE  # {' '.join(left)}", _MEND, *left), check=False
        )
        if not result.ok:
            raise Refused(
                f"{host.name}: {', '.join(left)} is what a killed reload left, and the real file, "
                "FILE.winch-keep, is not beside it: put the right file there"
            )
    return left


def digest(host: Host, path: str) -> str:
    """The SHA-256 of a file, or `absent`."""
    return host.read(scripted(f"sha256sum {path}", _DIGEST, path)).stdout.strip()


def candidate_of(source: str) -> bytes:
    """Read the candidate on the worker's machine.

    Raises:
        Refused: it is not there.
    """
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise Refused(
            f"{source}: the worker on {socket.gethostname()} cannot read it ({error.strerror}); "
            "its text is kept nowhere else, as it may hold secrets: put the file at the same path "
            "on that machine, or ask from there (nothing was changed)"
        ) from None


def preview_install(context: Context, params: InstallConfig) -> list[str]:
    """Say what would be put where."""
    running = observe_running(context.on(params.balancer.host), params.balancer)
    lines = [f"haproxy -c -f {' -f '.join(file.path for file in running.files)}"]
    if params.source is not None:
        lines.append(f"mv {params.target}.winch-new {params.target}")
    return lines


@step("haproxy.install_config", preview=preview_install)
def install_config(context: Context, params: InstallConfig) -> Outcome:
    """Check the configuration with all files that HAProxy reads, and put the candidate in place.

    Raises:
        Refused: HAProxy does not accept it, or could not listen with it; the candidate is kept
            beside the file, with the reason, and nothing else was changed.
    """
    host = context.on(params.balancer.host)
    running = observe_running(host, params.balancer)
    return _Install(context, params, host, running).run()


class _Install:
    def __init__(
        self, context: Context, params: InstallConfig, host: Host, running: Running
    ) -> None:
        self.journal = Journal(context)
        self.params = params
        self.host = host
        self.running = running
        known = running.find(params.target)
        self.real = known.real if known is not None else params.target
        self.path = known.path if known is not None else params.target

    def run(self) -> Outcome:
        if self.params.source is None:
            present = [file.path for file in self.running.files]
            self._check(present, None)
            return Done(f"{len(present)} files are in order; nothing to install", changed=False)
        content = candidate_of(self.params.source)
        wanted = hashlib.sha256(content).hexdigest()
        if self.params.sha256 not in (None, wanted):
            raise Refused(
                f"{self.params.source}: expected checksum {self.params.sha256}, found {wanted}: it "
                "has changed since the reload was asked for, or is another one on "
                f"{socket.gethostname()}, where the worker runs; ask again (nothing was changed)"
            )
        now = digest(self.host, self.real)
        if now == wanted and self.journal.get("before") is not None:
            return Done(f"{self.real} is the new one already")
        candidate = self._upload(content)
        files = self.running.with_candidate(self.path, candidate)
        if files is None:
            raise Refused(f"{self.host.name}: the running HAProxy does not read {self.path}")
        self._check(files, candidate)
        if now == wanted:
            self.host.act(Command.of("rm", "-f", candidate))
            return Done(f"{self.real} is as wanted already", changed=False)
        if self.journal.get("before") not in (None, now):
            self.journal.close()  # of an earlier try; it has been put back and changed since
        self.journal.put(before=now, after=wanted, file=self.real)
        self._swap("", "swap", f"mv {self.real}.winch-new {self.real}")
        if digest(self.host, self.real) != wanted:
            raise Failed(f"{self.host.name}: {self.real} is not what was written: look at the disk")
        kept = f", the old one is {self.real}.winch-old" if now != ABSENT else ""
        return Done(f"{self.real} installed{kept}")

    def _upload(self, content: bytes) -> str:
        uploaded = beside(self.real, "upload")
        self.host.put(content, uploaded, mode=0o600)
        self._swap(uploaded, "prepare", f"mv {uploaded} {self.real}.winch-new")
        return beside(self.real, "new")

    def _swap(self, uploaded: str, what: str, words: str) -> None:
        self.host.act(scripted(words, script("swap.sh"), uploaded, self.real, what))

    def _check(self, files: list[str], candidate: str | None) -> None:
        said = complaint(self.host, self.running, files)
        if said is not None:
            self._refuse(candidate, said, f"HAProxy refuses it: {first_alert(said)}")
        lines = read_structure(self.host, files)
        problems = bind_problems(self.host, self.running, lines)
        if problems:
            self._refuse(candidate, "\n".join(problems), "; ".join(problems))
        kept = kept_of(dump_states(self.host, self.params.balancer, self.running.worker.pid)[1])
        refuse_unclear(self.host, find_carry(lines, kept), kept)

    def _refuse(self, candidate: str | None, whole: str, reason: str) -> None:
        name = self.host.name
        if candidate is None:
            raise Refused(f"{name}: what is on the disk cannot be loaded: {reason}; mend it first")
        keep_refused(self.host, candidate, self.real, whole, move=True)
        raise Refused(
            f"{name}: {reason}; {self.real} is untouched, the candidate and the whole error are "
            f"beside it as {self.real}.winch-refused and .winch-refused.err"
        )


def keep_refused(host: Host, source: str, real: str, reason: str, *, move: bool) -> None:
    """Keep a configuration that did not work beside the file, with the reason."""
    refused = beside(real, "refused")
    how = "move" if move else "link"
    host.act(scripted(f"mv {source} {refused}", _REFUSED, source, refused, how))
    host.put(f"{reason.rstrip()}\n".encode(), f"{refused}.err", mode=0o600)


def preview_restore(_context: Context, params: InstallConfig) -> list[str]:
    """Say what would be put back."""
    return [f"mv {params.target}.winch-old {params.target}"]


@step("haproxy.restore_config", preview=preview_restore)
def restore_config(context: Context, params: InstallConfig) -> Outcome:
    """Put the old file back; the one that did not work stays beside it, with the reason.

    Raises:
        Refused: somebody has changed the file, or removed the old one, since.
    """
    host = context.on(params.balancer.host)
    installed = context.recall("haproxy.install_config")
    before, after = last_page(installed, "before"), last_page(installed, "after")
    if before is None:
        return Done("no file was replaced", changed=False)
    real = last_page(installed, "file")
    running = observe_running(host, params.balancer)
    mend(host, running)
    now = digest(host, real)
    if now == before:
        return Done(f"{real} is the old one already", changed=False)
    old = beside(real, "old")
    if now != after or (before != ABSENT and digest(host, old) != before):
        raise Refused(
            f"{host.name}: {real} or {old} was changed since by somebody else; left as it is: "
            "put the right file there and `winch haproxy reload` it"
        )
    why = last_page(context.recall("haproxy.reload"), "error")
    reason = why or "a later step failed, or somebody asked for the way back: `winch show` says it"
    keep_refused(host, real, real, reason, move=before == ABSENT)
    if before != ABSENT:
        host.act(scripted(f"mv {old} {real}", _BACK, real))
        if digest(host, real) != before:
            raise Failed(f"{host.name}: {real} is not the old file: look at {old}")
    return Done(f"{real} is the old one again; the other is {beside(real, 'refused')}")
