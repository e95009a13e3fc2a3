"""Reloads of real HAProxy processes: what is lost, what is kept, what is refused.

With WINCH_HAPROXY_BINARIES (paths, between colons) also of other releases than the installed one.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tasks.haproxy.client import Runtime
from tasks.haproxy.reload_process import TRANSIENT
from tests.integration.haproxy.conftest import backend
from tests.integration.haproxy.reload_rig import GuardedContext, Lane, programs
from tests.integration.haproxy.rig import (
    PORT,
    App,
    Haproxy,
    eventually,
    new_address,
    stopping,
)
from tests.needs import needs_program
from worker.errors import Failed, Refused
from worker.ssh import Connections

MakeLane = Callable[..., Lane]


@pytest.fixture(params=sorted(programs()) or ["haproxy"])
def program(request: pytest.FixtureRequest) -> str:
    return programs().get(request.param) or needs_program("haproxy")


@pytest.fixture
def connections() -> Iterator[Connections]:
    made = Connections()
    yield made
    made.close()


@pytest.fixture
def haproxy(apps: list[App], program: str) -> Iterator[Haproxy]:
    made = Haproxy(backend(apps), program=program)
    with stopping(made):
        for number in range(1, len(apps) + 1):
            made.wait_for(f"web{number}", "UP")
        yield made


def worker_of(haproxy: Haproxy) -> str:
    """The worker's pid; the master may be busy for a moment."""
    eventually(lambda: haproxy.worker() != "", "the master answers")
    return haproxy.worker() or worker_of(haproxy)


def names(haproxy: Haproxy) -> set[str]:
    return {path.name for path in haproxy.directory.iterdir() if path.suffix != ".sock"}


class NewConnections:
    """Clients that open a connection for each request; a reload may not break one."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.served = 0
        self.failed: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(3)]

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with socket.create_connection((self.address, PORT), 5) as client:
                    client.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
                    answer = client.recv(4096)
            except OSError as error:
                answer = repr(error).encode()
            if answer.startswith(b"HTTP/1.1 200"):
                self.served += 1
            else:
                self.failed.append(answer[:60].decode(errors="replace"))

    def __enter__(self) -> NewConnections:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)


def test_a_drained_server_gets_no_request_over_many_reloads_and_no_request_is_lost(
    haproxy: Haproxy, apps: list[App], connections: Connections
) -> None:
    haproxy.say("set server web_servers/web1 state drain; set weight web_servers/web2 7")
    eventually(lambda: haproxy.server("web1")["scur"] == "0", "web1 is empty")
    before = apps[0].requests
    checks = Path(haproxy.config).read_bytes()
    with NewConnections(haproxy.address) as load:
        for _ in range(8):
            done = Lane(haproxy, connections).reload()
            assert "1 servers stayed out (0 requests to them)" in done.detail
    assert load.failed == []
    assert load.served > 50
    assert apps[0].requests == before
    assert haproxy.config.read_bytes() == checks
    assert names(haproxy) == {"haproxy.cfg", "log"}
    assert haproxy.server("web1")["admin"] == "8"
    assert haproxy.server("web2")["uweight"] == "7"


def test_every_way_to_be_out_survives_and_configured_states_stay_what_they_are(
    apps: list[App], program: str, connections: Connections
) -> None:
    lines = [
        backend(apps),
        "  server off1 127.0.0.1:9 disabled",
        "  server off2 127.0.0.1:9 disabled",
    ]
    lines.append("  server nil 127.0.0.1:9 weight 5")
    made = Haproxy("\n".join(lines), program=program)
    with stopping(made):
        for number in (1, 2, 3):
            made.wait_for(f"web{number}", "UP")
        made.say(
            "set server web_servers/web1 state drain; set server web_servers/web2 state maint; "
            "set server web_servers/off1 state ready; set weight web_servers/nil 0"
        )
        before = {n: made.server(n) for n in ("web1", "web2", "web3", "off1", "off2", "nil")}
        done = Lane(made, connections).reload()
        after = {n: made.server(n) for n in before}
        for name, row in before.items():
            assert (after[name]["admin"], after[name]["uweight"]) == (row["admin"], row["uweight"])
        assert "3 servers stayed out" in done.detail


def test_the_new_configuration_decides_ports_and_weights(
    haproxy: Haproxy, apps: list[App], connections: Connections
) -> None:
    haproxy.say("set server web_servers/web1 state maint; set weight web_servers/web2 7")
    text = haproxy.config.read_text()
    new = text.replace(f"{apps[0].address}:{PORT}", f"{apps[0].address}:8081")
    new = new.replace(f"{apps[1].address}:{PORT} check rise 2 fall 3 weight 100",
                      f"{apps[1].address}:{PORT} check rise 2 fall 3 weight 60")  # fmt: skip
    lane = Lane(haproxy, connections, content=new.encode())
    lane.all()
    state = next(
        line.split() for line in haproxy.say("show servers state").splitlines() if " web1 " in line
    )
    assert state[18] == "8081"
    assert haproxy.server("web1")["admin"] == "1"
    assert haproxy.server("web2")["uweight"] == "60"
    assert haproxy.config.read_text() == new
    assert haproxy.config.with_name("haproxy.cfg.winch-old").read_text() == text
    assert names(haproxy) == {"haproxy.cfg", "haproxy.cfg.winch-old", "log"}


def test_owner_and_mode_of_the_file_are_kept(haproxy: Haproxy, connections: Connections) -> None:
    haproxy.config.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(haproxy.config, 0, 65534)
    before = haproxy.config.stat()
    text = haproxy.config.read_text() + "\n"
    Lane(haproxy, connections, content=text.encode()).all()
    after = haproxy.config.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )


def test_run_twice_the_file_is_installed_once(haproxy: Haproxy, connections: Connections) -> None:
    text = haproxy.config.read_text() + "\n"
    lane = Lane(haproxy, connections, content=text.encode())
    assert lane.install().changed
    lane.acts.clear()
    assert lane.install().detail == f"{haproxy.config} is the new one already"
    assert lane.acts == []
    other = Lane(haproxy, connections, content=text.encode())
    assert other.install().changed is False


def test_a_reload_that_was_not_heard_of_again_is_not_made_twice(
    haproxy: Haproxy, connections: Connections
) -> None:
    haproxy.say("set server web_servers/web1 state drain")
    lane = Lane(haproxy, connections)
    lane.reload()
    worker = worker_of(haproxy)
    lane.memories["haproxy.reload"].pop("done.0")  # as if the worker had died before it was written
    done = lane.reload()
    assert worker_of(haproxy) == worker
    assert f"worker {worker} took over" in done.detail


def test_a_syntax_error_is_refused_and_kept_beside_with_what_haproxy_says(
    haproxy: Haproxy, connections: Connections
) -> None:
    before, worker = haproxy.config.read_bytes(), worker_of(haproxy)
    lane = Lane(haproxy, connections, content=before + b"\nbackend broken\n  balanse roundrobin\n")
    lane.preflight()
    with pytest.raises(Refused, match=r"unknown keyword 'balanse'.*haproxy.cfg is untouched"):
        lane.install()
    assert haproxy.config.read_bytes() == before
    assert worker_of(haproxy) == worker
    refused = haproxy.directory / "haproxy.cfg.winch-refused"
    assert refused.read_bytes() == lane.content
    assert "balanse" in refused.with_name(refused.name + ".err").read_text()
    assert names(haproxy) == {"haproxy.cfg", "log", refused.name, refused.name + ".err"}


@pytest.mark.parametrize("address", ["", "*", "own"])
def test_a_port_that_is_taken_is_found_before_the_reload(
    haproxy: Haproxy, connections: Connections, address: str
) -> None:
    own = new_address()
    with socket.socket() as taken:
        taken.bind((own, 0))
        taken.listen()
        port = taken.getsockname()[1]
        bind = f"{own if address == 'own' else address}:{port}"
        text = (
            haproxy.config.read_text()
            + f"\nfrontend two\n  bind {bind}\n  default_backend web_servers\n"
        )
        lane = Lane(haproxy, connections, content=text.encode())
        with pytest.raises(Refused, match=rf":{port} is taken by another process, pytest"):
            lane.install()
        assert f":{port}" in (haproxy.directory / "haproxy.cfg.winch-refused.err").read_text()
    assert b"frontend two" not in haproxy.config.read_bytes()


def test_an_address_that_the_host_does_not_have_is_found_before_the_reload(
    haproxy: Haproxy, connections: Connections
) -> None:
    text = (
        haproxy.config.read_text()
        + "\nfrontend two\n  bind 192.0.2.77:8080\n  default_backend web_servers\n"
    )
    lane = Lane(haproxy, connections, content=text.encode())
    with pytest.raises(Refused, match=r"this host does not have the address 192\.0\.2\.77"):
        lane.install()


def test_a_reload_that_fails_goes_back_to_the_old_file_with_the_states(
    haproxy: Haproxy, connections: Connections, apps: list[App]
) -> None:
    haproxy.say("set server web_servers/web1 state drain")
    before, worker = haproxy.config.read_bytes(), worker_of(haproxy)
    with socket.socket() as taken:
        taken.bind((new_address(), 0))
        text = (
            before
            + (
                f"\nfrontend two\n  bind {taken.getsockname()[0]}:{taken.getsockname()[1]}\n"
                "  default_backend web_servers\n"
            ).encode()
        )
        lane = Lane(haproxy, connections, content=text)
        lane.preflight(), lane.save(), lane.install()
        taken.listen()  # taken in the last moment
        with pytest.raises(Failed, match=rf"the reload failed, worker {worker} goes on"):
            lane.reload()
        assert haproxy.config.read_bytes() == text  # the way back is another step
        assert "is the old one again" in lane.restore_config().detail
        lane.reload(back=True)
    assert haproxy.config.read_bytes() == before
    refused = haproxy.directory / "haproxy.cfg.winch-refused"
    assert refused.read_bytes() == text
    assert refused.with_name(refused.name + ".err").read_text()
    assert haproxy.server("web1")["admin"] == "8"
    assert worker_of(haproxy) != worker
    assert apps[0].requests == 0


def test_on_the_way_back_nothing_is_reloaded_that_was_not(
    haproxy: Haproxy, connections: Connections
) -> None:
    before = haproxy.config.read_bytes()
    lane = Lane(haproxy, connections, content=before + b"\n")
    lane.install()
    worker = worker_of(haproxy)
    assert lane.restore_config().changed
    assert lane.restore_config().changed is False
    assert lane.reload(back=True).changed is False
    assert worker_of(haproxy) == worker
    assert haproxy.config.read_bytes() == before


def test_a_file_that_somebody_changed_since_is_not_put_back(
    haproxy: Haproxy, connections: Connections
) -> None:
    lane = Lane(haproxy, connections, content=haproxy.config.read_bytes() + b"\n")
    lane.install()
    haproxy.config.write_text(haproxy.config.read_text() + "# by hand\n")
    with pytest.raises(Refused, match="was changed since by somebody else"):
        lane.restore_config()
    assert haproxy.config.read_text().endswith("# by hand\n")


def test_fragments_are_checked_together_and_replaced_one_by_one(
    apps: list[App], program: str, connections: Connections
) -> None:
    text = backend(apps) + "\n"
    other = text.replace("web_servers", "api").replace(" check rise 2 fall 3", "")
    fragments = {"10-api.cfg": other, "20-x.cfg": "", ".y.cfg": "bad", "z.bak": "bad"}
    made = Haproxy(text, program=program, fragments=fragments)
    with stopping(made):
        made.say("set server api/web1 state maint; set server web_servers/web2 state drain")
        target = made.fragments / "10-api.cfg"
        lane = Lane(made, connections, content=other.replace("weight 100", "weight 90").encode(),
                    replaces=str(target))  # fmt: skip
        assert "reads 3 files" in lane.preflight().detail
        done = [lane.save(), lane.install(), lane.reload(), lane.restore()]
        assert "2 servers stayed out (0 requests" in done[2].detail
        assert made.server("web1", "api")["admin"] == "1"
        assert made.server("web2", "api")["uweight"] == "90"
        assert made.server("web2")["admin"] == "8"
        new = made.fragments / "30-more.cfg"
        more = other.replace("backend api", "backend more").encode()
        added = Lane(made, connections, content=more, replaces=str(new))
        added.all()
        assert made.server("web1", "more")
        assert added.restore_config().changed
        assert not new.exists()
        assert (made.fragments / "30-more.cfg.winch-refused").read_bytes() == more
        added.reload(back=True)
        assert "more," not in made.say("show stat")
        wrong = Lane(made, connections, content=b"x", replaces=str(made.directory / "x.cfg"))
        with pytest.raises(Refused, match="does not read"):
            wrong.preflight()
        wrong = Lane(made, connections, content=b"x", replaces=str(made.fragments))
        with pytest.raises(Refused, match="is a directory: name the file"):
            wrong.preflight()


def test_what_a_killed_reload_left_is_put_back(haproxy: Haproxy, connections: Connections) -> None:
    before = haproxy.config.read_bytes()
    haproxy.config.rename(f"{haproxy.config}.winch-keep")
    haproxy.config.write_bytes(TRANSIENT.encode() + b"\n" + before)
    assert "put back" in Lane(haproxy, connections).preflight().detail
    assert haproxy.config.read_bytes() == before
    assert names(haproxy) == {"haproxy.cfg", "log"}


def test_commands_of_other_runs_wait_until_the_new_worker_has_the_states(
    haproxy: Haproxy, connections: Connections
) -> None:
    own = Connections()
    host = GuardedContext(own, leases=("host:web1",)).host
    runtime = Runtime(host, haproxy.sockets[0])
    stop = threading.Event()
    wrong: list[str] = []

    def toggle() -> None:
        # What was acknowledged must be so, whatever process answers by then.
        states = {"maint": "1", "drain": "8", "ready": "0"}
        while not stop.is_set():
            for state, admin in states.items():
                runtime.tell(f"set server web_servers/web3 state {state}")
                rows = runtime.ask("show servers state web_servers")[0].splitlines()
                seen = next(row.split()[6] for row in rows if " web3 " in row)
                if seen != admin:
                    wrong.append(f"{state}: {seen}")

    thread = threading.Thread(target=toggle)
    thread.start()
    try:
        for _ in range(4):
            Lane(haproxy, connections).reload()
    finally:
        stop.set()
        thread.join(20)
        own.close()
    assert wrong == []


def test_an_old_worker_with_a_long_answer_is_reported_with_its_sessions(
    haproxy: Haproxy, connections: Connections, apps: list[App]
) -> None:
    client = haproxy.get("/slow")
    eventually(
        lambda: sum(int(haproxy.server(f"web{n}")["scur"]) for n in (1, 2, 3)) == 1, "a session"
    )
    old = worker_of(haproxy)
    lane = Lane(haproxy, connections)
    lane.save(), lane.reload()
    assert f"old workers that have not left: {old} with 1 sessions" in lane.restore().detail
    for app in apps:
        app.release.set()
    assert client.recv(4096).startswith(b"HTTP/1.1 200")


def test_after_a_restart_the_saved_states_are_set_again(
    haproxy: Haproxy, connections: Connections
) -> None:
    haproxy.say("set server web_servers/web1 state maint; set weight web_servers/web2 0")
    lane = Lane(haproxy, connections)
    assert "2 of 3 servers are not as configured" in lane.save().detail
    haproxy.reload()  # by somebody else, as a package's script does: nothing is carried over
    eventually(lambda: haproxy.server("web1")["admin"] == "0", "the new worker answers")
    done = lane.restore()
    assert done.changed
    assert "set again: web_servers/web1 (maint), web_servers/web2 (weight 0)" in done.detail
    assert (haproxy.server("web1")["admin"], haproxy.server("web2")["uweight"]) == ("1", "0")
    assert lane.restore().changed is False


def test_what_others_changed_since_the_reload_is_left_alone(
    haproxy: Haproxy, connections: Connections
) -> None:
    haproxy.say("set server web_servers/web1 state maint")
    lane = Lane(haproxy, connections)
    lane.save(), lane.reload()
    haproxy.say("set server web_servers/web1 state ready")  # another run has enabled it
    assert "changed since by others" in lane.restore().detail
    assert haproxy.server("web1")["admin"] == "0"


def test_without_a_master_the_reload_is_refused(haproxy: Haproxy, connections: Connections) -> None:
    lane = Lane(haproxy, connections)
    haproxy.master_socket = haproxy.sockets[0]
    with pytest.raises(Refused, match="expected a HAProxy master that lists its processes"):
        lane.preflight()


def test_a_backend_named_by_a_variable_is_refused_only_while_a_server_is_out(
    apps: list[App], program: str, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINCH_TEST_NAME", "web_servers")
    made = Haproxy(backend(apps, name='"${WINCH_TEST_NAME}"'), program=program)
    with stopping(made):
        Lane(made, connections).all()
        made.say("set server web_servers/web1 state drain")
        worker = worker_of(made)
        with pytest.raises(Refused, match="names a section by a variable"):
            Lane(made, connections).install()
        with pytest.raises(Refused, match="names a section by a variable"):
            Lane(made, connections).reload()
        assert worker_of(made) == worker


def test_states_that_the_configuration_itself_loads_are_fresh(
    apps: list[App], program: str, connections: Connections, tmp_path: Path
) -> None:
    loading = f"\nglobal\n  server-state-file {tmp_path}/states\n"
    made = Haproxy(
        f"  load-server-state-from-file global\n{backend(apps)}{loading}", program=program
    )
    with stopping(made):
        for number in (1, 2, 3):
            made.wait_for(f"web{number}", "UP")
        made.say("set server web_servers/web1 state drain")
        (tmp_path / "states").write_text(made.say("show servers state"))
        made.say("set server web_servers/web1 state ready; set server web_servers/web2 state maint")
        Lane(made, connections).all()
        assert made.server("web1")["admin"] == "0"
        assert made.server("web2")["admin"] == "1"


def test_many_reloads_leave_no_process_behind(haproxy: Haproxy, connections: Connections) -> None:
    lane = Lane(haproxy, connections)
    for _ in range(3):
        lane.memories.clear()
        lane.all()
    deadline = time.monotonic() + 10
    while "old workers\n1" in haproxy.say("show proc", haproxy.master_socket):
        assert time.monotonic() < deadline
        time.sleep(0.02)
