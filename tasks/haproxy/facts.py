"""What HAProxy says about its servers, as types; and what its words mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag
from typing import Literal

State = Literal["ready", "drain", "maint"]


class SrvAdminState(IntFlag):
    """`srv_admin_state` of `show servers state` (management guide, 9.3): a bit mask."""

    FMAINT = 0x01  # forced: `set server … state maint`
    IMAINT = 0x02  # inherited from the tracked server
    CMAINT = 0x04  # `disabled` in the configuration; stays, and means nothing, after `ready`
    FDRAIN = 0x08  # forced: `set server … state drain`
    IDRAIN = 0x10  # inherited from the tracked server
    RMAINT = 0x20  # its name does not resolve
    HMAINT = 0x40  # its FQDN was set by the Runtime API

    @property
    def maint(self) -> bool:
        """Whether it takes no traffic at all."""
        return bool(self & (self.FMAINT | self.IMAINT | self.RMAINT))

    @property
    def drain(self) -> bool:
        """Whether it takes no new traffic."""
        return bool(self & (self.FDRAIN | self.IDRAIN))

    @property
    def forced(self) -> State:
        """What `set server … state` was last told: ready, drain or maint."""
        if self & self.FMAINT:
            return "maint"
        return "drain" if self & self.FDRAIN else "ready"


@dataclass(frozen=True)
class ServerState:
    """One line of `show servers state`. Weights: `uweight` now, `iweight` as configured."""

    backend: str
    backend_id: int
    server: str
    address: str
    port: int
    op_state: int  # 0 stopped, 1 starting, 2 running, 3 stopping
    admin: SrvAdminState
    uweight: int
    iweight: int
    server_id: int = 0


@dataclass(frozen=True)
class Stat:
    """One line of `show stat`, by column name; a column that is absent or empty is ""."""

    fields: dict[str, str] = field(hash=False)

    def text(self, column: str) -> str:
        """A column as text."""
        return self.fields.get(column, "")

    def number(self, column: str) -> int:
        """A column as a number, 0 where it is empty."""
        value = self.text(column)
        return int(value) if value.lstrip("-").isdigit() else 0


@dataclass(frozen=True)
class Info:
    """What is of use in `show info`. `uptime` in seconds."""

    version: str
    pid: int
    uptime: int


@dataclass(frozen=True)
class Worker:
    """A worker process in the master's `show proc`; `old` ones are leaving after a reload."""

    pid: int
    version: str
    old: bool


@dataclass(frozen=True)
class Server:
    """One server in one backend, as one HAProxy process sees it."""

    state: ServerState
    stat: Stat

    @property
    def name(self) -> str:
        """Its name in HAProxy."""
        return self.state.server

    @property
    def admin(self) -> SrvAdminState:
        """Its admin state."""
        return self.state.admin

    @property
    def weight(self) -> int:
        """Its weight now, absolute."""
        return self.state.uweight

    @property
    def status(self) -> str:
        """As `show stat` words it: `UP`, `UP 1/2`, `DRAIN`, `MAINT (via be/s1)`, `no check`, …"""
        return self.stat.text("status")

    @property
    def up(self) -> bool:
        """Whether it is in full service. `UP 1/2` is not: one failed check makes it DOWN."""
        return self.status in {"UP", "no check"}

    @property
    def proven(self) -> bool:
        """Whether all its checks passed, in service or in drain."""
        return self.up or self.status == "DRAIN"

    @property
    def down(self) -> bool:
        """Whether it was found dead (also `DOWN 1/2`: on its way up, not there yet)."""
        return self.status.startswith("DOWN")

    @property
    def backup(self) -> bool:
        """Whether it takes traffic only when all others are gone."""
        return self.stat.number("bck") == 1

    @property
    def sessions(self) -> int:
        """Requests it works on, and requests that queue for it."""
        return self.stat.number("scur") + self.stat.number("qcur")

    @property
    def check(self) -> str:
        """What the last checks said, for a message: `L4CON Connection refused`."""
        words = [self.stat.text("check_status"), self.stat.text("check_code")]
        words.append(self.stat.text("last_chk") or self.stat.text("check_desc"))
        if "agent" in self.status:
            words = ["agent:", self.stat.text("agent_status"), self.stat.text("last_agt")]
        return " ".join(word for word in words if word) or "no check result"


@dataclass(frozen=True)
class Backend:
    """One backend, as one HAProxy process sees it."""

    name: str
    servers: dict[str, Server] = field(hash=False)
    algorithm: str = ""  # as `show stat` words it; "" below level operator
