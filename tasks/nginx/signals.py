"""What nginx can be told, one function for each meaning; each names the very process it means.

A pid may have become another process meanwhile, so the start time is compared in the same command
that gives the signal (nginx, "Controlling nginx"; proc(5)).
"""

from __future__ import annotations

from tasks.nginx.facts import Process
from worker.errors import Failed
from worker.remote import Command, Host

_OTHER = 70
_GATE_SHUT = 71
# "$1" signal, "$2" pid, "$3" start time, "$4" pid file or empty, "$5" pid that it must name
_TELL = """
signal=$1 pid=$2 start=$3 pid_file=$4 new=$5
{ IFS= read -r line <"/proc/$pid/stat"; } 2>/dev/null || exit 70
set -f
set -- ${line##*) }
[ "${20}" = "$start" ] || exit 70
if [ -n "$pid_file" ]; then
    { IFS= read -r named <"$pid_file"; } 2>/dev/null
    [ "$named" = "$new" ] && kill -0 "$new" 2>/dev/null || exit 71
fi
kill -s "$signal" "$pid"
"""


def reload(host: Host, master: Process) -> None:
    """HUP: a steady master reads its configuration; one that was told WINCH starts workers."""
    _tell(host, "HUP", master)


def upgrade_executable(host: Host, master: Process) -> None:
    """USR2: execute the binary on the disk as a second master."""
    _tell(host, "USR2", master)


def shutdown_workers(host: Host, master: Process) -> None:
    """WINCH: the workers finish what they have; the master keeps the listening sockets."""
    _tell(host, "WINCH", master)


def quit(host: Host, process: Process) -> None:  # noqa: A001
    """QUIT: a master, or an orphaned worker, finishes what it has and ends."""
    _tell(host, "QUIT", process)


def kill_starting(host: Host, process: Process) -> None:
    """KILL: end a new binary that hangs before it serves anybody.

    It inherits from the old master a mask that blocks TERM and QUIT.
    """
    _tell(host, "KILL", process)


def quit_old(host: Host, master: Process, pid_file: str, new: Process) -> None:
    """QUIT to the old master, only while the pid file names the living new one.

    When the main process of a unit ends, systemd reads `PIDFile=`; if a living process is not
    named there, it kills all that is left (systemd.service, PIDFile=).
    """
    _tell(host, "QUIT", master, pid_file, str(new.pid))


def _tell(host: Host, signal: str, process: Process, pid_file: str = "", new: str = "") -> None:
    words = (signal, str(process.pid), str(process.start), pid_file, new)
    result = host.act(Command.shell(_TELL, *words), check=False)
    if result.exit_code == _OTHER:
        raise Failed(
            f"{host.name}: process {process.pid} ended before it could be told {signal}: "
            "look with `winch nginx status`, then retry"
        )
    if result.exit_code == _GATE_SHUT:
        raise Failed(
            f"{host.name}: did not send QUIT to master {process.pid}: {pid_file} does not name the "
            f"living master {new}, and systemd would stop everything: look with "
            "`winch nginx status`, then retry or roll back"
        )
    if not result.ok:
        said = result.stderr.strip() or f"exit code {result.exit_code}"
        raise Failed(f"{host.name}: cannot send {signal} to process {process.pid}: {said}")
