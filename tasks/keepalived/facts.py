"""What is so on a member of a pair, and how to read it (pure)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import ip_address
from typing import Any

from tasks.keepalived.config import Config, parse_config
from tasks.keepalived.params import Address


class State(IntEnum):
    """The state of a VRRP instance, as keepalived numbers it (vrrp.h)."""

    INIT = 0
    BACKUP = 1
    MASTER = 2
    FAULT = 3


_STATES = frozenset(state.value for state in State)


@dataclass(frozen=True)
class Instance:
    """One VRRP instance, by keepalived's own word. Times in seconds; `since` is a Unix time."""

    name: str
    router_id: int
    interface: str
    state: State
    priority: int
    effective: int
    nopreempt: bool
    preempt_delay: float
    advert: float
    since: float
    ips: frozenset[str]


@dataclass(frozen=True)
class Member:
    """One member. `error`: why nothing is known of it. `instances` None: keepalived says nothing.

    `pid` 0: keepalived does not run. `values`: the content of each track_file.
    """

    name: str
    error: str | None = None
    pid: int = 0
    unit: str = ""  # ActiveState of keepalived.service; "" where there is no systemd
    now: float = 0.0
    addresses: frozenset[str] = frozenset()
    instances: tuple[Instance, ...] | None = None
    conf: str = ""
    config: Config = field(default_factory=Config)
    values: dict[str, str] = field(default_factory=dict)
    kept: tuple[str, ...] = ()  # files of the configuration that were swapped and kept aside

    @property
    def reachable(self) -> bool:
        """Whether anything is known of it."""
        return self.error is None

    @property
    def running(self) -> bool:
        """Whether keepalived runs."""
        return self.pid > 0

    def holds(self, address: Address) -> bool:
        """Whether the address really is on an interface."""
        return address.ip in self.addresses

    def instance(self, address: Address) -> Instance | None:
        """The instance that moves an address.

        A router id may be used once an interface, and once for IPv4 and IPv6 each.
        """
        same = [i for i in self.instances or () if i.router_id == address.router_id]
        return next((i for i in same if address.ip in i.ips), None)

    def state(self, address: Address) -> State | None:
        """The state of the address's instance; None: no word of it."""
        instance = self.instance(address)
        return None if instance is None else instance.state


def parse_member(name: str, text: str) -> Member:
    """Read what `observe.SCRIPT` printed: sections `@word argument`, lines prefixed by a space.

    Raises:
        ValueError: the JSON is cut off; keepalived was still writing it.
    """
    files: list[tuple[str, str]] = []
    values: dict[str, str] = {}
    kept: list[str] = []
    one: dict[str, str] = {}
    addresses: frozenset[str] = frozenset()
    instances: tuple[Instance, ...] | None = None
    for word, argument, body in _sections(text):
        match word:
            case "file":
                files.append((argument, body))
            case "track":
                values[argument] = body.strip()
            case "kept":
                kept.append(argument)
            case "addr":
                addresses = parse_addresses(body)
            case "json" if body.strip():
                instances = parse_json(body)
            case _:
                one[word] = argument
    return Member(
        name=name,
        pid=int(one.get("pid") or 0),
        unit=one.get("unit", ""),
        now=float(one.get("now") or 0),
        addresses=addresses,
        instances=instances,
        conf=one.get("conf", ""),
        config=parse_config(files),
        values=values,
        kept=tuple(kept),
    )


def _sections(text: str) -> Iterator[tuple[str, str, str]]:
    head: list[str] | None = None
    body: list[str] = []
    for line in [*text.splitlines(), "@end"]:
        if not line.startswith("@"):
            body.append(line[1:])
            continue
        if head is not None:
            yield head[0], head[1] if len(head) > 1 else "", "\n".join(body)
        head, body = line[1:].split(" ", 1), []


def parse_addresses(text: str) -> frozenset[str]:
    """Read `ip -j addr`: every address on any interface, without its prefix length."""
    return frozenset(
        str(ip_address(info["local"]))
        for link in json.loads(text or "[]")
        for info in link.get("addr_info", ())
        if "local" in info
    )


def parse_json(text: str) -> tuple[Instance, ...]:
    """Read keepalived's JSON: a list of instances, or (json_version 2) an object with `vrrp`.

    Raises:
        ValueError: it is cut off.
    """
    data = json.loads(text)
    entries = data.get("vrrp", []) if isinstance(data, dict) else data
    return tuple(_instance(entry["data"]) for entry in entries)


def _instance(data: dict[str, Any]) -> Instance:
    addresses = [*data.get("vips", ()), *data.get("evips", ())]
    return Instance(
        name=data["iname"],
        router_id=data["vrid"],
        interface=data.get("ifp_ifname") or "",
        state=State(data["state"]) if data["state"] in _STATES else State.INIT,
        priority=data["base_priority"],
        effective=data["effective_priority"],
        nopreempt=bool(data["nopreempt"]),
        preempt_delay=float(data["preempt_delay"]),
        advert=float(data["adver_int"]),
        since=float(data["last_transition"]),
        ips=frozenset(str(ip_address(text.split("/")[0].split(" ")[0])) for text in addresses),
    )
