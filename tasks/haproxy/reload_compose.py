"""Write what HAProxy shall read for the moment of a reload, so that servers stay as they are.

Two lines in each backend with such a server: `load-server-state-from-file local` and the path of a
state file, in which only these servers stand. The files are put beside the real ones;
`reload.sh` exchanges them and puts the real ones back.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.haproxy.facts import ServerState
from tasks.haproxy.reload_check import complaint
from tasks.haproxy.reload_config import SECTIONS, Carry, Line, parse_lines, server_port
from tasks.haproxy.reload_process import TRANSIENT, Running, script, scripted
from tasks.haproxy.reload_state import Kept, port_of, state_file
from worker.errors import Refused
from worker.remote import Host

_COMPOSE = """
file=$1 state=$2 mark=$3 after=$4 out=$5
cp -aT "$file" "$file.winch-moment" || exit 1
awk -v state="$state" -v mark="$mark" -v after="$after" -v out="$out" '
BEGIN { split(after, a); for (i in a) behind[a[i]]; split(out, o); for (i in o) gone[o[i]]
        print mark }
FNR in gone { print "# " $0; next }
{ print }
FNR in behind { print "    load-server-state-from-file local"
                print "    server-state-file-name " state }' "$file" > "$file.winch-moment"
"""


def compose(
    host: Host,
    running: Running,
    found: Carry,
    kept: Sequence[Kept],
    dump: str,
    states: Sequence[ServerState],
) -> list[str]:
    """Write the state file and the stand-ins; return pairs of a file and its stand-in.

    Raises:
        Refused: a server that is out would serve for a moment.
    """
    ports = _ports(host, running, kept, states)
    kept = [one for one in kept if one.key in ports]
    if not kept or found.unclear is not None:
        return []
    real = {file.path: file.real for file in running.files}
    state = f"{real[next(iter(found.after))]}.winch-state"
    host.put(state_file(dump, kept, ports).encode(), state)
    stand_in: dict[str, str] = {}
    for path in dict.fromkeys([*found.after, *found.out]):
        after = " ".join(map(str, found.after.get(path, [])))
        out = " ".join(map(str, found.out.get(path, [])))
        stand_in[real[path]] = f"{real[path]}.winch-moment"
        words = (
            f"sed 's/^backend …/& load-server-state-from-file local/' {path} > {path}.winch-moment"
        )
        command = scripted(words, _COMPOSE, real[path], state, TRANSIENT, after, out)
        host.act(command)
    said = complaint(host, running, [stand_in.get(file.real, file.path) for file in running.files])
    if said is None:
        return [path for pair in stand_in.items() for path in pair]
    if any(one.out for one in kept):
        raise Refused(
            f"{host.name}: HAProxy refuses the configuration that would carry over "
            f"{', '.join(map(str, kept[:5]))}: {said.splitlines()[0][:200]}"
        )
    return []


def _ports(
    host: Host, running: Running, kept: Sequence[Kept], states: Sequence[ServerState]
) -> dict[tuple[str, str], int]:
    ports: dict[tuple[str, str], int] = {}
    lines = _server_lines(host, running, kept) if kept else []
    for one in kept:
        port = port_of(one, states, server_port(lines, one.backend, one.server))
        if port is not None:
            ports[one.key] = port
        elif one.out:
            raise Refused(
                f"{host.name}: a reload would let {one} serve for a moment: HAProxy cannot read "
                "back a port with a negative offset; enable the server first"
            )
    return ports


def _server_lines(host: Host, running: Running, kept: Sequence[Kept]) -> list[Line]:
    """Read the lines of those servers, and the heads of their sections."""
    names = "|".join(sorted({one.server.replace(".", r"\.") for one in kept}))
    expression = (
        rf"^[[:space:]]*(({'|'.join(SECTIONS)})([[:space:]]|$)"
        rf"|server[[:space:]]+[\"']?({names})[\"']?[[:space:]]|server-template[[:space:]])"
    )
    files = [file.path for file in running.files]
    command = scripted(
        f"grep -nE 'server ({names})' {' '.join(files)}",
        script("structure.sh"),
        expression,
        *files,
    )
    return parse_lines(host.read(command).stdout)
