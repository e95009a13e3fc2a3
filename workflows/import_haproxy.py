"""Write a fleet file from a live HAProxy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tasks.haproxy.discover import Found, FoundServer
from workflows.flowtext import Names, flow, scalar
from workflows.values import check_address, shown


def render_haproxy(
    found: Found,
    *,
    balancer: str,
    address: str,
    sockets: Sequence[str] = ("/run/haproxy/admin.sock",),
) -> str:
    """Write a fleet file from what a live HAProxy says of itself.

    `balancer` and `address`: the machine on which it runs; `sockets`: its Runtime API.
    """
    names = Names()
    lb = names.of(balancer, "the balancer")
    places = _places(found)
    hosts = {place: names.of(place[1], place) for place in dict.fromkeys(places.values())}
    pools: dict[tuple[tuple[str, str], ...], list[str]] = {}
    notes: list[str] = []
    for backend in found.backends:
        members = []
        for server in backend.servers:
            place = places.get((backend.name, server.name))
            if place is None:
                where = f"{backend.name}/{server.name}"
                notes.append(f"{where} left out: {shown(server.address)} is no address")
            else:
                members.append((hosts[place], server.name))
        if members:
            pools.setdefault(tuple(members), []).append(backend.name)
    notes += _shared(pools)
    lines = [
        f"# Written from HAProxy {shown(found.version)} on {lb}.",
        "# Say how to log in (ssh) and how a server gets its new version (redeploy), then run",
        "# 'winch fleet check'.",
        *(f"# Note: {note}" for note in notes),
        "",
        "hosts:",
        f"  {scalar(lb)}: {flow({'address': address})}",
        *(f"  {scalar(name)}: {flow({'address': at})}" for (at, _), name in hosts.items()),
        "",
        "balancers:",
        f"  {scalar(lb)}: {flow({'sockets': list(sockets)})}",
    ]
    pool_names = Names()
    if pools:
        lines += ["", "pools:"]
    for members_, backends in pools.items():
        servers = {host: {} if host == server else {"server": server} for host, server in members_}
        lines += [
            f"  {scalar(pool_names.of(backends[0]))}:",
            f"    balancers: {flow([lb])}",
            f"    backends: {flow(backends)}",
            "    servers:",
            *(f"      {scalar(host)}: {flow(entry)}" for host, entry in servers.items()),
            '    # redeploy: {package: {name: nginx, version: "{version}"}}',
            '    # verify: [{http: {url: "http://{address}/"}}]',
        ]
    return "\n".join(lines) + "\n"


def _places(found: Found) -> dict[tuple[str, str], tuple[str, str]]:
    """Say on which machine, and under which name, each server stands.

    An address is one host, unless a backend has several servers there: then each server is a host
    of its own, for a pool's servers are told apart by their hosts.
    """
    usable = [
        (backend.name, server)
        for backend in found.backends
        for server in backend.servers
        if _is_address(server)
    ]
    crowded = {
        address
        for backend in found.backends
        for address, count in Counter(each.address for each in backend.servers).items()
        if count > 1
    }
    first: dict[str, str] = {}
    taken: dict[str, str] = {}
    places: dict[tuple[str, str], tuple[str, str]] = {}
    for backend, server in usable:
        at = server.address
        if at in crowded:
            owner = taken.setdefault(server.name, f"{at}:{server.port}")
            name = server.name if owner == f"{at}:{server.port}" else f"{backend}-{server.name}"
        else:
            fresh = server.name if taken.setdefault(server.name, at) == at else None
            name = first.setdefault(at, fresh or f"{backend}-{server.name}")
        places[backend, server.name] = (at, name)
    return places


def _is_address(server: FoundServer) -> bool:
    try:
        check_address(server.address)
    except ValueError:
        return False
    return True


def _shared(pools: Mapping[tuple[tuple[str, str], ...], list[str]]) -> list[str]:
    """Warn of hosts in several pools: a roll of one leaves them in service in the other."""
    where: dict[str, list[str]] = {}
    for members, backends in pools.items():
        for host, _ in members:
            where.setdefault(host, []).append(backends[0])
    return [
        f"{host} stands in {' and '.join(names)}: a roll of one leaves it in service in the other"
        for host, names in where.items()
        if len(names) > 1
    ]
