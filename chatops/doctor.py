"""`winch doctor`: look at this machine, judge, and say how to mend what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import redis
from rich.console import Console
from rich.table import Table
from sqlmodel import select

from chatops import checks
from chatops.checks import Directory, Finding, KeyFile, RedisSeen
from worker.errors import ServiceError, UsageError
from worker.flowerstart import flower_options, flower_url
from worker.known_hosts import host_key_name, read_known
from worker.leases import connect_redis
from worker.mask import mask
from worker.models import WorkerRow
from worker.node import is_dead
from worker.plan import HostSpec
from worker.settings import Settings, settings
from worker.ssh_errors import known_hosts_files
from worker.store import HEAD, Store
from workflows.fleet import load_fleet
from workflows.hosts import host_specs
from workflows.model import Fleet

_ICONS = {"ok": "[green]ok[/green]", "warning": "[yellow]warning[/yellow]"}
_ICONS["failed"] = "[red]failed[/red]"


def see_directory(path: Path) -> Directory:
    """Look at the state directory."""
    try:
        status = path.stat()
        free = shutil.disk_usage(path).free
    except OSError:
        return Directory(path, None)
    return Directory(path, status.st_uid, status.st_mode, os.access(path, os.W_OK | os.X_OK), free)


def see_redis(given: Settings) -> RedisSeen:
    """Ask Redis how it is."""
    url, embedded = mask(given.broker_url), not given.redis_url
    if embedded and not given.embedded_redis_socket.exists():
        return RedisSeen(url, embedded, "not running")
    try:
        client = connect_redis(given.broker_url)
        before = time.time()
        seconds, micros = client.time()
        offset = seconds + micros / 1e6 - (before + time.time()) / 2
        version = str(client.info("server")["redis_version"])
    except (redis.RedisError, OSError, ValueError) as error:
        return RedisSeen(url, embedded, mask(str(error)))
    try:
        told = client.config_get("maxmemory-policy", "appendonly")
    except redis.RedisError:  # hosted ones often forbid CONFIG
        told = {}
    values = {_text(key): _text(value) for key, value in told.items()}
    return RedisSeen(
        url,
        embedded,
        None,
        version,
        values.get("maxmemory-policy"),
        values.get("appendonly"),
        offset,
    )


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def examine_database(given: Settings) -> list[Finding]:
    """Look at the database, without making or migrating it, and at the workers in it."""
    url = mask(given.sql_url)
    path = given.sql_url.removeprefix("sqlite:///")
    if path != given.sql_url and not Path(path).exists():
        return [
            Finding("database", "ok", f"{url}: not there yet, made at the first start"),
            checks.check_workers({}, 0),
        ]
    try:
        store = Store(given.sql_url)
    except (ServiceError, UsageError) as error:
        return checks.check_database(url, str(error), None, HEAD)
    try:
        revision = store.revision()
        store.sync_clock()
        findings = checks.check_database(url, None, revision, HEAD)
        offset = store.now() - time.time()
        findings.append(checks.check_clock("the database", offset))
        if revision is not None:
            findings.append(examine_workers(store))
    except ServiceError as error:
        return checks.check_database(url, str(error), None, HEAD)
    finally:
        store.close()
    return findings


def examine_workers(store: Store) -> Finding:
    """Look for workers that are alive."""
    with store.read() as session:
        rows = session.exec(select(WorkerRow)).all()
    now = store.now()
    living = [row for row in rows if not is_dead(row, now)]
    alive = {f"{row.node.partition('/')[0]}:{row.pid}": row.sites for row in living}
    return checks.check_workers(alive, len(rows) - len(alive))


def examine_fleet(path: Path) -> list[Finding]:
    """Look at the fleet file, and at the keys that its hosts need."""
    if not path.exists():
        return [checks.check_fleet(path, None, 0)]
    try:
        fleet = load_fleet(path)
        specs = host_specs(fleet, fleet.hosts)
    except UsageError as error:
        return [checks.check_fleet(path, str(error), 0)]
    findings = [checks.check_fleet(path, None, len(fleet.hosts))]
    findings += examine_ssh([spec for spec in specs.values() if spec.connection == "ssh"])
    if any(spec.connection == "local" for spec in specs.values()):
        findings.append(checks.check_tools(missing_tools(fleet, specs)))
    return findings


def missing_tools(fleet: Fleet, specs: dict[str, HostSpec]) -> list[str]:
    """List the programs that hosts with `connection: local` need and that are not here."""
    wanted = ["flock", "timeout"]
    if any(specs[name].connection == "local" for name in fleet.balancers):
        wanted.append("socat")
    return [name for name in wanted if shutil.which(name) is None]


def examine_ssh(hosts: list[HostSpec]) -> list[Finding]:
    """Look at the private keys and the known host keys of the hosts."""
    keys = sorted({h.ssh.identity_file for h in hosts if h.ssh.identity_file is not None})
    findings = [checks.check_key(see_key(path.expanduser())) for path in keys]
    if hosts:
        login = checks.check_ssh_login(keys=len(keys), has_agent="SSH_AUTH_SOCK" in os.environ)
        findings += [login] if login is not None else []
    unknown: dict[str, tuple[str, int]] = {}
    files: dict[Path, None] = {}
    for host in hosts:
        places = known_hosts_files(host)
        files |= dict.fromkeys(places)
        try:
            known = read_known(places, host_key_name(host.address, host.ssh.port)).keys
        except OSError as error:
            findings.append(
                Finding(
                    "host keys", "failed", f"{error.filename}: {error.strerror}", "make it readable"
                )
            )
            continue
        if not known:
            unknown[host.name] = (host.address, host.ssh.port)
    return [*findings, checks.check_known_hosts(unknown, list(files))]


def see_key(path: Path) -> KeyFile:
    """Look at a private key's file."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return KeyFile(path, None)
    return KeyFile(path, mode, os.access(path, os.R_OK))


def examine_flower(given: Settings) -> Finding:
    """Look at Flower's options."""
    try:
        flower_options(given)
    except UsageError as error:
        return checks.check_flower("", str(error))
    return checks.check_flower(flower_url(given), None)


def examine_notify(given: Settings) -> list[Finding]:
    """Look at the notify file and its receivers' URLs; nothing is sent."""
    if given.notify_file is None:
        return []
    from chatops.notify.config import load_table, read_url  # noqa: PLC0415 - rarely needed
    from chatops.notify.receiver import AppriseReceiver  # noqa: PLC0415 - slow

    path = given.notify_file.expanduser()
    try:
        receivers = load_table(path).receivers
        for name, receiver in receivers.items():
            AppriseReceiver(name, read_url(name, receiver, path.parent), receiver.timeout)
    except UsageError as error:
        return [checks.check_notify(0, str(error).splitlines()[0])]
    return [checks.check_notify(len(receivers), None)]


def examine(given: Settings) -> list[Finding]:
    """Make every check that this machine allows."""
    seen = see_redis(given)
    findings = [
        checks.check_python(sys.version_info[:3]),
        checks.check_state_dir(see_directory(given.state_dir), os.geteuid()),
        *checks.check_redis(seen),
    ]
    if seen.error is None and not seen.embedded:
        findings.append(checks.check_clock("Redis", seen.clock_offset))
    return [
        *findings,
        *examine_database(given),
        *examine_fleet(given.fleet.expanduser()),
        examine_flower(given),
        *examine_notify(given),
    ]


def show(findings: list[Finding], console: Console) -> None:
    """Print the findings as a table, and what to do."""
    table = Table(show_edge=False, pad_edge=False, box=None)
    for title in ("check", "", "seen, and what to do"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        text = _plain(finding.seen)
        if finding.remedy:
            text += f"\n[bold]→ {_plain(finding.remedy)}[/bold]"
        table.add_row(finding.check, _ICONS[finding.level], text)
    console.print(table)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def run_doctor(*, as_json: bool = False, out: Callable[[str], None] | None = None) -> int:
    """Examine this machine and say what was found. Returns 0, or 1 when a check failed."""
    findings = examine(settings())
    code = checks.exit_code(findings)
    if as_json:
        document = {"ok": code == 0, "checks": [finding.as_json() for finding in findings]}
        (out or print)(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        show(findings, Console())
    return code
