"""What `winch doctor` judges: pure functions from what was seen to a finding with its remedy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Level = Literal["ok", "warning", "failed"]

CLOCK_WARNING = 1.0  # seconds; leases and waits are counted in them
CLOCK_FAILURE = 30.0
SPACE_WARNING = 200 * 1024**2  # bytes
OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True)
class Finding:
    """One check: what was seen, and what to do about it (empty when nothing)."""

    check: str
    level: Level
    seen: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        """Return it as `winch doctor --json` prints it."""
        return asdict(self)


def exit_code(findings: Sequence[Finding]) -> int:
    """Return 1 when a check failed; warnings are not errors."""
    return int(any(finding.level == "failed" for finding in findings))


def check_python(version: tuple[int, int, int]) -> Finding:
    """Judge the interpreter."""
    text = ".".join(map(str, version))
    if version < OLDEST_PYTHON:
        return Finding("python", "failed", text, "run Winch with Python 3.11 or newer")
    return Finding("python", "ok", text)


@dataclass(frozen=True)
class Directory:
    """What was seen of a directory; `uid` None: it is not there."""

    path: Path
    uid: int | None
    mode: int = 0
    writable: bool = False
    free: int = 0  # bytes


def check_state_dir(seen: Directory, our_uid: int) -> Finding:
    """Judge the state directory: ours alone, writable, with room."""
    name, path = "state directory", str(seen.path)
    if seen.uid is None:
        return Finding(name, "ok", f"{path}: not there yet, made at the first start")
    if seen.uid != our_uid:
        return Finding(
            name,
            "failed",
            f"{path}: belongs to uid {seen.uid}, we are {our_uid}",
            "run Winch as its owner, or set WINCH_STATE_DIR to a directory of your own",
        )
    if not seen.writable:
        return Finding(name, "failed", f"{path}: not writable", f"run `chmod u+rwx {path}`")
    if seen.mode & 0o077:
        return Finding(
            name,
            "warning",
            f"{path}: open to others (mode {seen.mode & 0o777:04o})",
            f"run `chmod 700 {path}`",
        )
    if seen.free < SPACE_WARNING:
        return Finding(
            name,
            "warning",
            f"{path}: {seen.free // 1024**2} MB left on its file system",
            "make room: the database and Redis write there",
        )
    return Finding(name, "ok", path)


@dataclass(frozen=True)
class RedisSeen:
    """What Redis said. `error` set: it did not answer. Settings None: it does not tell them."""

    url: str
    embedded: bool
    error: str | None = None
    version: str = ""
    policy: str | None = None
    append_only: str | None = None
    clock_offset: float = 0.0  # seconds that it is ahead of us


def check_redis(seen: RedisSeen) -> list[Finding]:
    """Judge Redis: it answers, forgets nothing under pressure, and writes what it has."""
    name = "redis"
    if seen.error is not None:
        remedy = (
            "start `winch up`, or set WINCH_REDIS_URL"
            if seen.embedded
            else "start it, or correct WINCH_REDIS_URL"
        )
        return [Finding(name, "failed", f"{seen.url}: {seen.error}", remedy)]
    kind = "embedded" if seen.embedded else seen.url
    findings = [Finding(name, "ok", f"{seen.version}, {kind}")]
    if seen.policy not in {None, "noeviction"}:
        findings.append(
            Finding(
                name,
                "failed",
                f"maxmemory-policy is {seen.policy}: queued steps may be thrown away",
                "set `maxmemory-policy noeviction` in redis.conf",
            )
        )
    if seen.append_only == "no":
        findings.append(
            Finding(
                name,
                "warning",
                "appendonly is no: a restart loses the queue, and seconds with it",
                "set `appendonly yes` and `appendfsync everysec` in redis.conf",
            )
        )
    return findings


def check_clock(name: str, offset: float) -> Finding:
    """Judge how far our clock is from another one, in seconds."""
    seen = f"{abs(offset):.1f} s {'behind' if offset > 0 else 'ahead of'} {name}"
    remedy = "let systemd-timesyncd or chrony keep the time on both machines"
    if abs(offset) > CLOCK_FAILURE:
        return Finding("clock", "failed", seen, remedy)
    if abs(offset) > CLOCK_WARNING:
        return Finding("clock", "warning", seen, remedy)
    return Finding("clock", "ok", f"agrees with {name}")


def check_database(url: str, error: str | None, revision: str | None, head: str) -> list[Finding]:
    """Judge the database, and its schema against the newest migration."""
    if error is not None:
        return [Finding("database", "failed", error, "start it, or correct WINCH_DATABASE_URL")]
    answers = Finding("database", "ok", url)
    if revision is None:
        return [answers, Finding("migrations", "ok", "empty: made when a worker or a job starts")]
    if revision == head:
        return [answers, Finding("migrations", "ok", f"at {revision}, the newest")]
    if revision < head:
        seen = f"at {revision}, this Winch brings {head}: done when a worker or a job starts"
        return [answers, Finding("migrations", "warning", seen, "restart the workers")]
    return [
        answers,
        Finding(
            "migrations",
            "failed",
            f"at {revision}, newer than this Winch, which knows {head}",
            "upgrade Winch here to the version that the workers run",
        ),
    ]


def check_workers(alive: Mapping[str, Sequence[str]], silent: int) -> Finding:
    """Judge the workers: name → the sites that it serves ([] for all)."""
    if not alive:
        gone = f"none alive ({silent} gone silent)" if silent else "none"
        return Finding("workers", "failed", gone, "start `winch up` or `winch worker`")
    words = (f"{name} ({', '.join(sites)})" if sites else name for name, sites in alive.items())
    return Finding("workers", "ok", ", ".join(words))


def check_fleet(path: Path, error: str | None, hosts: int) -> Finding:
    """Judge the fleet file; `error` None and no hosts: it is not there."""
    if error is not None:
        first, *rest = error.splitlines()
        more = f" (and {len(rest)} more)" if rest else ""
        return Finding("fleet file", "failed", first + more, f"correct {path}")
    if hosts == 0:
        return Finding(
            "fleet file",
            "warning",
            f"{path}: not there",
            "write one (`winch fleet import --haproxy HOST`, `--ansible FILE`), or set WINCH_FLEET",
        )
    return Finding("fleet file", "ok", f"{path}: {hosts} hosts; `winch fleet check` reaches them")


@dataclass(frozen=True)
class KeyFile:
    """What was seen of a private key's file; `mode` None: it is not there."""

    path: Path
    mode: int | None
    readable: bool = True


def check_key(seen: KeyFile) -> Finding:
    """Judge a private key: there, ours to read, nobody else's."""
    if seen.mode is None:
        return Finding(
            "ssh key",
            "failed",
            f"{seen.path}: not there",
            "correct ssh.identity_file in the fleet file",
        )
    if not seen.readable:
        return Finding(
            "ssh key",
            "failed",
            f"{seen.path}: not readable for us",
            f"run `chown $USER {seen.path}`",
        )
    if seen.mode & 0o077:
        return Finding(
            "ssh key",
            "failed",
            f"{seen.path}: others may read it (mode {seen.mode & 0o777:04o})",
            f"run `chmod 600 {seen.path}`",
        )
    return Finding("ssh key", "ok", str(seen.path))


def check_ssh_login(*, keys: int, has_agent: bool) -> Finding | None:
    """Judge whether there is any key to log in with when the fleet file names none."""
    if keys or has_agent:
        return None
    return Finding(
        "ssh key",
        "warning",
        "the fleet file names none, and no agent runs (SSH_AUTH_SOCK)",
        "set ssh.identity_file, or start an agent; keys in ~/.ssh are tried as well",
    )


def check_known_hosts(unknown: Mapping[str, tuple[str, int]], files: Sequence[Path]) -> Finding:
    """Judge the host keys: `unknown` names the hosts without one, with address and port."""
    where = ", ".join(map(str, files))
    if not unknown:
        return Finding("host keys", "ok", f"all known ({where})" if where else "none needed")
    name, (address, port) = next(iter(unknown.items()))
    others = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
    return Finding(
        "host keys",
        "failed",
        f"{name}{others}: no key in {where}",
        f"run `ssh-keyscan -p {port} {address}`, compare the fingerprint on the host's console, "
        f"and add the line to {files[0] if files else '~/.ssh/known_hosts'}",
    )


def check_tools(missing: Sequence[str]) -> Finding:
    """Judge the programs that a host with `connection: local` needs here."""
    if missing:
        names = ", ".join(missing)
        return Finding(
            "programs",
            "failed",
            f"{names}: not on PATH",
            f"install {names} (Debian: util-linux, socat)",
        )
    return Finding("programs", "ok", "all there for hosts with connection: local")


def check_flower(address: str, error: str | None) -> Finding:
    """Judge where Flower listens and who may enter."""
    if error is not None:
        return Finding("flower", "failed", error, "correct the variable that it names")
    return Finding("flower", "ok", address)


def check_notify(receivers: int, error: str | None) -> Finding:
    """Judge who is told of failures."""
    if error is not None:
        return Finding("notifications", "failed", error, "see `winch notify check`")
    return Finding("notifications", "ok", f"{receivers} receivers can be told")
