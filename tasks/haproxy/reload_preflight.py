"""`haproxy.preflight`: what must be true before a HAProxy is reloaded."""

from __future__ import annotations

import posixpath

from tasks.haproxy.client import Runtime
from tasks.haproxy.params import ReloadPreflight
from tasks.haproxy.reload_install import mend
from tasks.haproxy.reload_process import Running, observe_running, scripted
from worker.errors import Refused
from worker.remote import Host
from worker.step import Context, Done, Outcome, step

SPARE_BYTES = 1 << 20
_ROOM = 'cd "$1" && [ -w . ] && df -Pk . | tail -n 1'


def preview(_context: Context, _params: ReloadPreflight) -> list[str]:
    """Nothing is changed by it."""
    return []


@step("haproxy.preflight", preview=preview)
def preflight(context: Context, params: ReloadPreflight) -> Outcome:
    """See that the master answers, what it reads, and that there is room for a new file.

    Raises:
        Refused: it cannot be reloaded as asked; nothing was changed.
        HaproxyDown: the master or the worker does not answer.
    """
    host = context.on(params.balancer.host)
    running = observe_running(host, params.balancer)
    mended = mend(host, running) if params.mends else []
    _check_sockets(host, params)
    _check_files(host, params, running)
    if params.candidate is not None:
        _check_room(host, posixpath.dirname(params.target), params.candidate)
    worker = running.worker
    old = len(running.master.old)
    leaving = f", {old} old workers are leaving" if old else ""
    back = (
        f"; put back {', '.join(mended)}, which a killed reload had left changed" if mended else ""
    )
    return Done(
        f"HAProxy {worker.version}, worker {worker.pid}, reads {len(running.files)} files{leaving}"
        f"{back}",
        changed=bool(mended),
    )


def _check_sockets(host: Host, params: ReloadPreflight) -> None:
    for socket in params.balancer.sockets:
        runtime = Runtime(host, socket)
        level = runtime.ask("show cli level")[0]
        if level != "admin":
            raise Refused(
                f"{runtime.where}: expected a socket of level admin, it is {level}: states could "
                "not be restored; add `level admin` to this `stats socket`"
            )


def _check_files(host: Host, params: ReloadPreflight, running: Running) -> None:
    if not running.files:
        raise Refused(
            f"{host.name}: HAProxy was started with {' '.join(running.arguments) or 'no file'}, "
            "and no such configuration is there"
        )
    if params.candidate is None:
        return
    if params.target in running.arguments and running.find(params.target) is None:
        raise Refused(
            f"{host.name}: {params.target} is a directory: name the file in it that the new one "
            "replaces (--replaces)"
        )
    if running.with_candidate(params.target, params.target) is None:
        raise Refused(
            f"{host.name}: the running HAProxy does not read {params.target}, it was started with "
            f"{' '.join(running.arguments)}: correct balancers.{host.name}.config or --replaces, "
            "or restart HAProxy with it"
        )


def _check_room(host: Host, directory: str, size: int) -> None:
    result = host.read(scripted(f"df -Pk {directory}", _ROOM, directory), check=False)
    words = result.stdout.split()
    if not result.ok or len(words) < 4:  # noqa: PLR2004 (file system, size, used, available)
        raise Refused(f"{host.name}: cannot write in {directory}: is it read-only?")
    free = int(words[3]) * 1024
    if free < 3 * size + SPARE_BYTES:
        raise Refused(
            f"{host.name}: {free // 1024} KiB are free in {directory}, expected at least "
            f"{(3 * size + SPARE_BYTES) // 1024}: make room there"
        )
