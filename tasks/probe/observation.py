"""What one try of a probe saw, and whether that is what was expected (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.probe.params import CommandProbe, Http

EXCERPT_CHARACTERS = 200


@dataclass(frozen=True)
class Observation:
    """One try: whether it passed, and what was seen, in words."""

    passed: bool
    seen: str


def excerpt(text: str) -> str:
    """Shorten text to one printable line of at most 200 characters."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return flat if len(flat) <= EXCERPT_CHARACTERS else flat[: EXCERPT_CHARACTERS - 3] + "..."


def judge_http(probe: Http, status: int, body: str) -> Observation:
    """Compare an answer with what was expected."""
    right_status = 200 <= status < 400 if probe.status is None else status == probe.status  # noqa: PLR2004
    right_body = probe.contains is None or probe.contains in body
    seen = f"status {status}"
    if not (right_status and right_body):
        seen += f", body {excerpt(body)!r}" if body.strip() else ", empty body"
    return Observation(right_status and right_body, seen)


def judge_command(probe: CommandProbe, code: int, stdout: str, stderr: str) -> Observation:
    """Compare a command's exit code and output with what was expected."""
    passed = code == probe.exit and (probe.contains is None or probe.contains in stdout)
    seen = f"exit code {code}"
    if not passed:
        said = stdout if stdout.strip() else stderr
        seen += f", output {excerpt(said)!r}" if said.strip() else ", no output"
    return Observation(passed, seen)


def expected_http(probe: Http) -> str:
    """Say what an HTTP probe expects."""
    status = "status 200 to 399" if probe.status is None else f"status {probe.status}"
    return status if probe.contains is None else f"{status}, body with {excerpt(probe.contains)!r}"


def expected_command(probe: CommandProbe) -> str:
    """Say what a command probe expects."""
    code = f"exit code {probe.exit}"
    return code if probe.contains is None else f"{code}, output with {excerpt(probe.contains)!r}"
