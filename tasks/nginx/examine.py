"""May this nginx be upgraded to that binary? What has to be read for the answer."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from tasks.nginx import config, listening
from tasks.nginx.binary import Kept
from tasks.nginx.config import Build, Directive
from tasks.nginx.facts import Facts, Master
from worker.remote import Command, Host

_TEST_SECONDS = 30.0
_SPARE_KIB = 1024
_VERSIONS = '"$1" -V 2>&1 </dev/null; printf "\\n--- of the new one\\n"; "$2" -V 2>&1 </dev/null'
# Free KiB in the directories of binary and pid file ("$1", "$2"); then the sizes of the running
# and the new executable ("$3", "$4"); then the number of processors.
_SPACE = """
for path in "$1" "$2"; do
    df -Pk "$path" 2>/dev/null | awk 'END { print $4 == "" ? "-" : $4 }'
done
for path in "$3" "$4"; do set -- $(du -kL "$path" 2>/dev/null); echo "${1:--}"; done
getconf _NPROCESSORS_ONLN 2>/dev/null || nproc
"""


@dataclass(frozen=True)
class Tested:
    """How `nginx -T` of a binary ended, with the options of the running master."""

    ok: bool
    said: str
    tree: tuple[Directive, ...] | None  # None: not understood


@dataclass(frozen=True)
class Examination:
    """Everything that the answer depends on. Space in KiB; None: could not be told."""

    facts: Facts
    master: Master
    new: Kept
    old_build: Build
    new_build: Build
    tested: Tested
    old_passes: bool
    free_binary: int | None
    free_pid_file: int | None
    needed: int
    cpus: int | None
    taken: tuple[str, ...]  # where the configuration listens, and another process does


def test_configuration(host: Host, executable: str, options: tuple[str, ...]) -> Tested:
    """Let a binary test the configuration on the disk, and print it."""
    command = Command.of(executable, "-T", *options)
    result = host.read(command, timeout=_TEST_SECONDS, check=False)
    try:
        tree: tuple[Directive, ...] | None = config.parse_dump(result.stdout)
        globals_ = dict(zip(options[::2], options[1::2], strict=False)).get("-g", "")
        tree = (*config.parse_globals(globals_), *(tree or ()))
    except config.NotUnderstood:
        tree = None
    return Tested(result.ok, _complaint(result.stderr), tree)


def _complaint(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    notable = [line for line in lines if "[emerg]" in line or "[alert]" in line] or lines[-1:]
    first = notable[0] if notable else "nothing"
    at = max(first.find("[emerg]"), first.find("[alert]"), 0)
    return first[at:][:300]


def examine(host: Host, facts: Facts, master: Master, new: Kept) -> Examination:
    """Read what the answer depends on."""
    exe = f"/proc/{master.pid}/exe"
    said = host.read(Command.shell(_VERSIONS, exe, new.path), check=False).stdout
    old_said, _, new_said = said.partition("--- of the new one")
    tested = test_configuration(host, new.path, master.options)
    old_passes = tested.ok or test_configuration(host, exe, master.options).ok
    instance = facts.instance
    paths = [posixpath.dirname(path) for path in (instance.binary, instance.pid_file)]
    said = host.read(Command.shell(_SPACE, *paths, exe, new.path), check=False).stdout
    free = [int(word) if word.isdigit() else None for word in [*said.split(), *[""] * 5][:5]]
    return Examination(
        facts=facts,
        master=master,
        new=new,
        old_build=config.parse_build(old_said),
        new_build=config.parse_build(new_said),
        tested=tested,
        old_passes=old_passes,
        free_binary=free[0],
        free_pid_file=free[1],
        needed=(free[2] or 0) + (free[3] or 0) + _SPARE_KIB,
        cpus=free[4],
        taken=tuple(listening.taken(host, facts, master, tested.tree)),
    )
