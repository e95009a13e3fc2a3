"""`haproxy.check_pool`: everything that must be true before a job touches anything."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat

from tasks.haproxy.client import Runtime
from tasks.haproxy.decide import lacking, out_already, suggest
from tasks.haproxy.errors import HaproxyDown
from tasks.haproxy.facts import Backend
from tasks.haproxy.params import Balancer, CheckPool
from tasks.haproxy.parsers import parse_proc
from tasks.haproxy.pool import Endpoint, endpoints, observe
from tasks.patience import Patience
from worker.errors import Refused, Unreachable
from worker.remote import Command, Host
from worker.step import Context, Done, Outcome, step

MOST_AT_ONCE = 16
CONNECT_TIMEOUT_SECONDS = 20.0


def preview_check_pool(_context: Context, _params: CheckPool) -> list[str]:
    """Nothing is changed by it."""
    return []


@step("haproxy.check_pool", preview=preview_check_pool)
def check_pool(context: Context, params: CheckPool) -> Outcome:
    """See that all hosts answer, all targets exist, and one of them can be spared.

    Raises:
        Unreachable: hosts that do not answer, all of them.
        Refused: everything else that is wrong, in one message.
    """
    check_hosts([context.on(name) for name in params.hosts])
    places = endpoints(params.balancers)
    runtimes = [Runtime(context.on(at.host), at.socket) for at in places]
    with ThreadPoolExecutor(min(MOST_AT_ONCE, max(1, len(places)))) as threads:
        found = list(threads.map(problems, runtimes, places, repeat(params)))
    found += [master_problems(context, balancer) for balancer in params.balancers]
    flat = [problem for some in found for problem in some]
    out = [problem for problem in flat if isinstance(problem, Out)]
    wrong = list(dict.fromkeys(problem for problem in flat if isinstance(problem, str)))
    wrong += say_out(out)
    if wrong:
        raise Refused("; ".join(wrong))
    balancers = ", ".join(balancer.host for balancer in params.balancers)
    return Done(
        f"{len(params.hosts)} hosts answer, {len(params.targets)} servers stand on {balancers}",
        changed=False,
    )


def check_hosts(hosts: list[Host]) -> None:
    """See that every host answers.

    Raises:
        Unreachable: names all that do not, and why.
    """

    def knock(host: Host) -> str | None:
        try:
            host.read(Command.of("true"), timeout=CONNECT_TIMEOUT_SECONDS)
        except Unreachable as error:
            return str(error)
        return None

    with ThreadPoolExecutor(min(MOST_AT_ONCE, max(1, len(hosts)))) as threads:
        silent = [said for said in threads.map(knock, hosts) if said is not None]
    if len(silent) > 1:
        raise Unreachable(f"{len(silent)} hosts are unreachable: {'; '.join(silent)}")
    if silent:
        raise Unreachable(silent[0])


def master_problems(context: Context, balancer: Balancer) -> list[str | Out]:
    """See that the master's socket answers, if there is one."""
    if balancer.master_socket is None:
        return []
    runtime = Runtime(context.on(balancer.host), balancer.master_socket)
    try:
        if parse_proc(runtime.read_text("show proc")):
            return []
    except (Refused, HaproxyDown) as error:
        return [str(error)]
    return [
        f"{runtime.where}: expected a master's socket that lists its workers, it lists none: is "
        "this the path given to `haproxy -S`?"
    ]


def problems(runtime: Runtime, at: Endpoint, params: CheckPool) -> list[str | Out]:
    """List what is wrong at one socket."""
    try:
        level = runtime.ask("show cli level")[0]
        backends = observe(runtime, at, sorted({target.backend for target in params.targets}))
    except (Refused, HaproxyDown) as error:
        return [str(error)]
    if level != "admin":
        return [
            f"{runtime.where}: expected a socket of level admin, it is {level}: "
            "add `level admin` to this `stats socket` in haproxy.cfg and reload HAProxy"
        ]
    wrong: list[str | Out] = [
        f"{at}: no server {target.server} in backend {target.backend}"
        f"{suggest(target.server, backends[target.backend].servers)}"
        for target in params.targets
        if target.server not in backends[target.backend].servers
    ]
    if wrong or not params.takes_out:
        return wrong
    return _taken_out(at, backends, params) or _capacity(runtime, at, backends, params)


def _taken_out(at: Endpoint, backends: dict[str, Backend], params: CheckPool) -> list[str | Out]:
    if params.include_maintenance:
        return []
    return [
        Out(str(target), str(at), state)
        for target in params.targets
        if (state := out_already(backends[target.backend].servers[target.server])) is not None
    ]


@dataclass(frozen=True)
class Out:
    """A server that somebody else has taken out: where, and how (`in maintenance`)."""

    server: str
    where: str
    state: str


def say_out(found: Iterable[Out]) -> list[str]:
    """Word the refusal of servers that somebody else has taken out, those alike together."""
    places: dict[tuple[str, str], list[str]] = {}
    for out in found:
        places.setdefault((out.server, out.state), []).append(out.where)
    alike: dict[tuple[str, str], list[str]] = {}
    for (server, state), where in places.items():
        alike.setdefault((state, ", ".join(where)), []).append(server)
    return [
        f"{', '.join(servers)} {'is' if len(servers) == 1 else 'are'} {state} on {where} already, "
        "and not by this run: enable it first (`winch enable`), leave it out (`--exclude`), or "
        "take it along and leave it as it is (`--include-maintenance`)"
        for (state, where), servers in alike.items()
    ]


def _capacity(
    runtime: Runtime, at: Endpoint, backends: dict[str, Backend], params: CheckPool
) -> list[str | Out]:
    patience = Patience()
    while True:
        wrong = {
            target.backend: f"{at}: cannot take out {target}: {why}"
            for target in params.targets
            if backends[target.backend].servers[target.server].up
            and (
                why := lacking(
                    backends[target.backend],
                    [target.server],
                    params.min_available,
                    count_backup=params.count_backup,
                )
            )
        }
        if not wrong or patience.over:
            return list(wrong.values())
        patience.pause()  # a neighbour may be `UP 1/2` for a moment
        backends = observe(runtime, at, backends)
