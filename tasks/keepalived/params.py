"""Parameters of the VRRP steps."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated

from pydantic import AfterValidator, Field

from tasks.deploy.params import AbsolutePath
from tasks.probe.params import Check
from worker.step import Params

DEFAULT_TRACK_FILE = "/etc/keepalived/maint"


def _ip(value: str) -> str:
    return str(ip_address(value))


Ip = Annotated[str, AfterValidator(_ip)]


class Address(Params):
    """An address that the pair holds, by one VRRP instance. `home`: the member it belongs to."""

    ip: Ip
    interface: str
    router_id: int = Field(ge=1, le=255)
    home: str


class Pair(Params):
    """Two hosts that hold addresses. `advert_interval` in seconds."""

    name: str
    members: tuple[str, str]
    addresses: list[Address] = Field(min_length=1)
    advert_interval: float = Field(default=1.0, gt=0)
    track_file: AbsolutePath | None = None

    def peer(self, member: str) -> str:
        """The other member."""
        first, second = self.members
        return second if member == first else first


class AddressCheck(Params):
    """A probe of the pair's service at one of its addresses."""

    ip: Ip
    check: Check


class Preflight(Params):
    """`vrrp.preflight`: may these members be taken out, one after the other?

    `services`: by member, probes of its service on its own address. A member is taken out only
    when its peer can hold every address, and the peer's own service answers. `holding`: the members
    are meant to hold something; nobody has said which one it is.
    """

    pair: Pair
    members: list[str]
    services: dict[str, list[Check]] = {}
    holding: bool = False


class Yield(Params):
    """`vrrp.yield`: the lane's host gives up what it holds, and cannot take it back meanwhile.

    `services`: as in `Preflight`. `answers`: probes of the addresses, made when the peer holds
    them. `timeout`: seconds beyond what the pair's own timers imply.
    """

    pair: Pair
    services: dict[str, list[Check]] = {}
    answers: list[AddressCheck] = []
    timeout: float = Field(default=15.0, gt=0)


class Rejoin(Params):
    """`vrrp.rejoin`: undo the yield, and wait for the state that the preemption mode implies.

    `anyway`: also undo what another run did, or a person: a track_file that is not 0, a keepalived
    that does not run, a priority other than the configuration's.
    """

    pair: Pair
    answers: list[AddressCheck] = []
    timeout: float = Field(default=15.0, gt=0)
    anyway: bool = False


class Prepare(Params):
    """`vrrp.prepare`: let the pair's instances watch a track_file; `remove` undoes that."""

    pair: Pair
    remove: bool = False
