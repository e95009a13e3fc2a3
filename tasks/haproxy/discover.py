"""What a live HAProxy says of itself, as the beginning of a fleet file."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.haproxy.parsers import join, parse_info, parse_servers_state, parse_stat

# Proxies that HAProxy makes for itself; they have no servers of anybody's.
_INTERNAL = ("MASTER", "GLOBAL", "<", "_")


@dataclass(frozen=True)
class FoundServer:
    """A server as HAProxy names it. `port` 0 means: the client's port."""

    name: str
    address: str
    port: int
    weight: int  # as it is now, absolute
    backup: bool
    status: str


@dataclass(frozen=True)
class FoundBackend:
    """A backend with at least one server."""

    name: str
    algorithm: str  # "" if the socket's level does not show it
    servers: tuple[FoundServer, ...]


@dataclass(frozen=True)
class Found:
    """One HAProxy process."""

    version: str
    backends: tuple[FoundBackend, ...]

    @property
    def addresses(self) -> tuple[str, ...]:
        """The machines behind it, each once, in order of appearance."""
        return tuple(dict.fromkeys(s.address for b in self.backends for s in b.servers))


def fleet_from_state(servers_state: str, stat: str, info: str) -> Found:
    """Read backends and servers from `show servers state`, `show stat` and `show info`.

    Raises:
        Failed: one of them is not what that command prints.
    """
    backends = join(parse_servers_state(servers_state), parse_stat(stat))
    found = tuple(
        FoundBackend(
            backend.name,
            backend.algorithm,
            tuple(
                FoundServer(
                    server.name,
                    server.state.address,
                    server.state.port,
                    server.weight,
                    server.backup,
                    server.status,
                )
                for server in backend.servers.values()
            ),
        )
        for backend in backends.values()
        if not backend.name.startswith(_INTERNAL)
    )
    return Found(parse_info(info).version, found)
