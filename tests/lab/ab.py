"""The load of `ab`: a new connection for every request."""

from __future__ import annotations

import re
import signal
import subprocess
from dataclasses import dataclass
from types import TracebackType

from tests.needs import needs_program


@dataclass(frozen=True)
class AbResult:
    """What `ab` counted. A 503 is no failure for it, so look at `non_2xx` too: `lost` is both."""

    complete: int
    failed: int
    non_2xx: int
    output: str

    @property
    def lost(self) -> int:
        """Requests that a user would have noticed."""
        return self.failed + self.non_2xx


def parse_ab(output: str) -> AbResult:
    """Read the summary of `ab`.

    Raises:
        ValueError: there is none; what `ab` said is in the message.
    """

    def number(label: str, default: int | None = None) -> int:
        match = re.search(rf"^{label}:\s+(\d+)", output, re.MULTILINE)
        if match is not None:
            return int(match[1])
        if default is None:
            raise ValueError(f"ab printed no {label!r}: …{output[-1000:]}")
        return default

    return AbResult(
        complete=number("Complete requests"),
        failed=number("Failed requests"),
        non_2xx=number("Non-2xx responses", default=0),
        output=output,
    )


class Ab:
    """`ab -r -c N` in the background, until it is stopped: a new connection for every request.

        with Ab("http://10.64.0.10/") as load:
        …
    assert load.result.lost == 0
    """

    def __init__(self, url: str, *, concurrency: int = 20, keepalive: bool = False) -> None:
        """Describe the load; `with` starts it."""
        needs_program("ab")
        # Without a limit of its own it must outlast the test; -n after -t, which sets it to 50,000.
        limits = ["-t", "3600", "-n", "20000000", "-s", "30"]
        keep = ["-k"] if keepalive else []
        self.url = url
        self._command = ["ab", "-r", "-l", "-q", "-c", str(concurrency), *limits, *keep, url]
        self._process: subprocess.Popen[str] | None = None
        self._result: AbResult | None = None

    def __enter__(self) -> Ab:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is None:
            return
        # On SIGINT it prints what it counted so far.
        self._process.send_signal(signal.SIGINT)
        try:
            output, _ = self._process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            output, _ = self._process.communicate()
        if error is None:
            self._result = parse_ab(output)

    @property
    def running(self) -> bool:
        """Whether it still asks: it gives up by itself when nobody listens."""
        return self._process is not None and self._process.poll() is None

    @property
    def result(self) -> AbResult:
        """What it counted, after the `with`."""
        if self._result is None:
            raise RuntimeError("the load has not ended: read its result after the with block")
        return self._result


def run_ab(url: str, *, requests: int = 10_000, concurrency: int = 20) -> AbResult:
    """Ask a fixed number of times and wait for the end."""
    needs_program("ab")
    command = ["ab", "-r", "-l", "-q", "-c", str(concurrency), "-n", str(requests), "-s", "30", url]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    return parse_ab(done.stdout + done.stderr)
