"""What changes a member: its track_file, its priority, its daemon, its configuration."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from tasks.keepalived.facts import Member
from worker.errors import CommandFailed, Refused
from worker.remote import Command, Host

_SWAP = resources.files(__package__).joinpath("swap.sh").read_text(encoding="utf-8")
REJECTED = 65  # exit code of swap.sh: keepalived does not accept the new configuration

# In place: keepalived watches the file itself.
_WRITE = 'mkdir -p "$(dirname "$1")" && printf "%s\\n" "$2" > "$1"'
# A file that somebody has changed meanwhile is left alone, and what stood before it is kept.
_PUT_BACK = """
for file do
    if [ -e "$file.winch-kept" ]; then
        to=$file
        if [ -e "$file.winch-set" ]; then
            [ "$(cksum < "$file")" = "$(cksum < "$file.winch-set")" ] || to=$file.winch-before
        fi
        mv -f "$file.winch-kept" "$to"
    fi
    rm -f "$file.winch-new" "$file.winch-set"
done
"""


def write_track_file(host: Host, path: str, value: int) -> None:
    """Write a number into a track_file."""
    host.act(write_command(path, value))


def write_command(path: str, value: int) -> Command:
    """The command that writes a number into a track_file."""
    return Command.shell(_WRITE, path, str(value))


def lower(host: Host, me: Member, names: Sequence[str], files: Sequence[str], to: int) -> None:
    """Reload with a lower priority of these instances; the files are swapped until `put_back`."""
    arguments = [str(to), ",".join(names), me.conf, *files]
    _swap(host, "priority", arguments)
    hang_up(host, me)


def swap_track_file(
    host: Host, me: Member, names: Sequence[str], files: Sequence[str], path: str
) -> None:
    """Let instances watch a track_file, in the configuration on disk. Nothing is reloaded.

    Raises:
        Refused: keepalived does not accept what came of it; the files are as they were.
    """
    _swap(host, "track", [path, ",".join(names), me.conf, *files])


def swap_untrack(host: Host, me: Member, files: Sequence[str]) -> None:
    """Remove the lines that `swap_track_file` has added.

    Raises:
        Refused: keepalived does not accept what came of it; the files are as they were.
    """
    _swap(host, "untrack", ["-", "-", me.conf, *files])


def _swap(host: Host, what: str, arguments: Sequence[str]) -> None:
    try:
        host.act(Command.shell(_SWAP, what, *arguments))
    except CommandFailed as error:
        if error.code != REJECTED:
            raise
        said = " ".join((error.stdout + error.stderr).split())[-300:]
        raise Refused(
            f"{host.name}: keepalived does not accept its configuration with the change "
            f"(`keepalived -t`: {said}); it is as it was: look at it, and run `keepalived -t`"
        ) from None


def put_back(host: Host, files: Sequence[str]) -> None:
    """Put swapped files back as they were, the very same files; unless somebody has edited them."""
    host.act(Command.shell(_PUT_BACK, *files))


def keep_swapped(host: Host, files: Sequence[str]) -> None:
    """Let the swapped files stand for good; what stood before stays beside them."""
    script = (
        'for file do if [ -e "$file.winch-kept" ]; then '
        'mv -f "$file.winch-kept" "$file.winch-before"; fi; rm -f "$file.winch-set"; done'
    )
    host.act(Command.shell(script, *files))


def hang_up(host: Host, me: Member) -> None:
    """Let keepalived read its configuration again (HUP)."""
    host.act(Command.of("kill", "-HUP", str(me.pid)))


def stop(host: Host) -> None:
    """Stop keepalived; it resigns, and the peer takes over."""
    host.act(Command.of("systemctl", "stop", "keepalived.service"))


def start(host: Host) -> None:
    """Start keepalived."""
    host.act(Command.of("systemctl", "start", "keepalived.service"))
