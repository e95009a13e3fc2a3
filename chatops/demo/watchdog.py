"""What cleans up when the demo itself is killed: a process that waits for the end of a pipe.

python -m chatops.demo.watchdog DIRECTORY [PATH OUTSIDE IT…]
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

SECONDS = 10.0


def mentioning(directory: Path) -> list[int]:
    """List the processes that have the directory in their command line or environment."""
    needle = os.fsencode(directory)
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                if needle in words:
                    found.append(int(entry.name))
    return found


def sweep(directory: Path, outside: list[Path]) -> None:
    """End what still runs there, and remove what was made."""
    deadline = time.monotonic() + SECONDS
    while (pids := mentioning(directory)) and time.monotonic() < deadline + SECONDS:
        number = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        time.sleep(0.2)
    remove(directory, outside)


def remove(directory: Path, outside: list[Path]) -> None:
    """Remove the directory, and what was made outside: files, and directories if empty."""
    shutil.rmtree(directory, ignore_errors=True)
    for path in outside:
        with suppress(OSError):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()


def start(directory: Path, outside: list[Path]) -> subprocess.Popen[bytes]:
    """Start one for this process; it acts when this process is gone, however that came."""
    return subprocess.Popen(  # noqa: S603 - words of our own, no shell
        [sys.executable, __file__, str(directory), *map(str, outside)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


def main() -> None:
    """Wait until nobody holds the other end of the pipe, then sweep."""
    directory, *outside = (Path(word) for word in sys.argv[1:])
    sys.stdin.buffer.read()
    sweep(directory, outside)


if __name__ == "__main__":
    main()
