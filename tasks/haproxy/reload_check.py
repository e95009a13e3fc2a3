"""What must be true of a configuration before HAProxy is told to read it."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Sequence

from tasks.haproxy.reload_binds import binds_of, parse_network, troubles
from tasks.haproxy.reload_config import WORDS, Carry, Line, bind_words, carry, parse_lines
from tasks.haproxy.reload_process import Running, check_options, script, scripted
from tasks.haproxy.reload_state import Kept
from worker.errors import Refused
from worker.remote import Host

_STRUCTURE = rf"^[[:space:]]*({'|'.join(WORDS)})([[:space:]]|$)"
_PREFIX = re.compile(r"^\[ALERT\]\s*\(\d+\)\s*:\s*(config\s*:\s*)?")
CHECK_TIMEOUT_SECONDS = 60.0


def complaint(host: Host, running: Running, files: Sequence[str]) -> str | None:
    """Let HAProxy check files; return what it says against them, None if nothing."""
    words = [running.argv[0], "-c", *check_options(running.argv)]
    words += [word for file in files for word in ("-f", file)]
    text = script("check.sh")
    command = scripted(shlex.join(words), text, str(running.master.pid), *words)
    result = host.read(command, timeout=CHECK_TIMEOUT_SECONDS, check=False)
    return None if result.ok else result.stdout.strip() or f"exit code {result.exit_code}"


def first_alert(said: str) -> str:
    """Choose the line that tells most."""
    lines = [line for line in said.splitlines() if line.strip()]
    alert = next((line for line in lines if "[ALERT]" in line), lines[0] if lines else "no output")
    return " ".join(_PREFIX.sub("", alert).split())


def read_structure(host: Host, files: Sequence[str]) -> list[Line]:
    """Read the heads of sections, binds, and what concerns states."""
    words = f"grep -nE 'section|bind|state' {' '.join(files)}"
    command = scripted(words, script("structure.sh"), _STRUCTURE, *files)
    return parse_lines(host.read(command).stdout)


def bind_problems(host: Host, running: Running, lines: Sequence[Line]) -> list[str]:
    """List what would keep a new worker from listening, which `haproxy -c` does not find."""
    pids = [str(running.master.pid), str(running.worker.pid)]
    pids += [str(worker.pid) for worker in running.master.old]
    listening = scripted("ss -ltnp", script("network.sh"), *pids)
    network = parse_network(host.read(listening).stdout)
    binds, _unknown = binds_of(bind_words(lines))
    problems = []
    for trouble in troubles(binds, network):
        holder = ""
        if trouble.inode is not None:
            words = f"ss -ltnp | grep ino:{trouble.inode}"
            command = scripted(words, script("holder.sh"), trouble.inode)
            found = host.read(command, check=False)
            holder = f", {found.stdout.strip()}" if found.stdout.strip() else ""
        problems.append(f"{trouble.text}{holder}")
    return problems


def find_carry(lines: Sequence[Line], kept: Sequence[Kept]) -> Carry:
    """Find how the states of servers can be carried over; see `reload_config.carry`."""
    return carry(lines, sorted({one.backend for one in kept}))


def refuse_unclear(host: Host, found: Carry, kept: Sequence[Kept]) -> None:
    """Refuse a reload after which a server that is out would serve for a moment.

    Raises:
        Refused: there is such a server, and its state cannot be carried over.
    """
    out = [one for one in kept if one.out]
    if found.unclear is not None and out:
        raise Refused(
            f"{host.name}: a reload would let {', '.join(map(str, out[:5]))} serve for a moment, "
            f"and its state cannot be carried over: {found.unclear}; write the name out, or "
            "enable the servers first"
        )


def beside(path: str, ending: str) -> str:
    """A file beside another that HAProxy does not read, also in a directory of fragments."""
    directory, name = posixpath.split(path)
    return posixpath.join(directory, f"{name}.winch-{ending}")
