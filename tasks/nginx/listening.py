"""Where the configuration on the disk is going to listen, against what listens now.

`nginx -t` passes when a port is taken by another process: bind(2)'s EADDRINUSE is no error for a
test (nginx, ngx_open_listening_sockets). USR2 then fails only after 2.5 s of trying.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.nginx import config
from tasks.nginx.config import Directive
from tasks.nginx.facts import Facts, Master
from tasks.nginx.observe import address_of
from worker.remote import Command, Host

_ANY = ("0.0.0.0", "[::]")  # noqa: S104 (they are compared, not bound)
# "$1" a pid: of its network. Lines of kind, address, inode; sockets that listen only.
_SOCKETS = """
for kind in tcp tcp6 udp udp6; do
    awk -v kind="$kind" '(kind ~ /tcp/ && $4 == "0A") || (kind ~ /udp/ && $4 == "07") {
        print kind "\\t" $2 "\\t" $10
    }' "/proc/$1/net/$kind" 2>/dev/null
done
awk '$4 == "00010000" && $8 != "" { print "unix\\t" $8 "\\t" $7 }' "/proc/$1/net/unix" 2>/dev/null
:
"""
# "$1" the inode of a socket. Prints the name and the pid of a process that has it.
_OWNER = """
for process in /proc/[0-9]*; do
    case $(ls -l "$process/fd" 2>/dev/null) in *"socket:[$1]"*)
        IFS= read -r name <"$process/comm" && echo "$name, pid ${process#/proc/}"
        exit
        ;;
    esac
done
"""


@dataclass(frozen=True)
class Socket:
    """A socket of another process that listens, in words as facts have them."""

    where: str
    inode: str


def taken(
    host: Host, facts: Facts, master: Master, tree: tuple[Directive, ...] | None
) -> list[str]:
    """Say which addresses the configuration wants that another process has, and which process."""
    wanted = frozenset() if tree is None else config.listens(tree) - facts.listens(master)
    if not wanted:
        return []
    lines = host.read(Command.shell(_SOCKETS, str(master.pid)), check=False).stdout.splitlines()
    rows = [line.split("\t") for line in lines if line.count("\t") == 2]  # noqa: PLR2004
    others = [
        Socket(f"{kind.rstrip('6')} {address_of(kind, where)}", inode)
        for kind, where, inode in rows
        if inode not in master.process.listens
    ]
    found = []
    for where, other in in_the_way(wanted, others):
        owner = host.read(Command.shell(_OWNER, other.inode), check=False).stdout.strip()
        found.append(f"{where} ({owner or 'unknown process'})")
    return found


def in_the_way(wanted: Iterable[str], others: Iterable[Socket]) -> list[tuple[str, Socket]]:
    """Which of the wanted addresses another socket keeps from being bound; each once.

    A socket of IPv6 may or may not have IPv4's port too; whether it has is not to be seen, so only
    addresses of one family are compared.
    """
    known = list(others)
    found = []
    for where in sorted(wanted):
        other = next((one for one in known if _same_port(where, one.where)), None)
        if other is not None:
            found.append((where, other))
    return found


def _same_port(wanted: str, other: str) -> bool:
    if wanted == other:
        return True
    mine, my_port = wanted.rpartition(":")[::2]
    theirs, their_port = other.rpartition(":")[::2]
    family, _, address = mine.partition(" ")
    their_family, _, their_address = theirs.partition(" ")
    if family == "unix" or (family, my_port) != (their_family, their_port) or address == "*":
        return False
    same_version = address.startswith("[") == their_address.startswith("[")
    return same_version and (address in _ANY or their_address in _ANY)


def sockets_closed(
    facts: Facts, master: Master, tree: tuple[Directive, ...], cpus: int | None
) -> list[str]:
    """Say where a new master would have fewer sockets than nginx has now (`reuseport`).

    With `reuseport` each worker has a socket of its own; those that are too many are closed, and
    the connections that wait in them are reset (socket(7), SO_REUSEPORT).
    """
    now = Counter(facts.addresses[inode] for inode in master.process.listens)
    workers = worker_processes(tree, cpus)
    if workers is None:
        return []
    shared = config.listens(tree, reuseport=True)
    found = []
    for where, count in sorted(now.items()):
        by_name = f"{where.partition(' ')[0]} *:{where.rpartition(':')[2]}"
        then = workers if {where, by_name} & shared else 1
        if then < count:
            found.append(f"{where} ({count} sockets now, {then} then)")
    return found


def worker_processes(tree: tuple[Directive, ...], cpus: int | None) -> int | None:
    """How many workers a configuration makes; None: it cannot be told."""
    words = config.setting(tree, "worker_processes")
    if not words:
        return 1
    if words[0] == "auto":
        return cpus
    return int(words[0]) if words[0].isdigit() else None
