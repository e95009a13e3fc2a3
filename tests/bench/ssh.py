"""Median milliseconds a command on warm connections: `python tests/bench/ssh.py [COUNT]`.

The host is an sshd of its own on 127.0.0.1. Beside our numbers stand those of a session a command
on the same transport (Paramiko) and of OpenSSH's connection sharing (a process a command).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.integration.ssh.sshd import Sshd
from tests.needs import find_program
from worker.guard import Guard
from worker.plan import HostSpec
from worker.remote import Command
from worker.ssh import Connections

TRUE = Command.of("true")


def median(call: Callable[[], object], count: int) -> float:
    times = []
    for _ in range(count):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def quiet(*words: object) -> None:
    text = [str(word) for word in words]
    subprocess.run(text, check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def shared(sshd: Sshd, directory: Path, count: int) -> float | None:
    ssh = find_program("ssh")
    if ssh is None:
        return None
    words = [ssh, "-F", "none", "-i", sshd.key, "-p", str(sshd.port), "-o", "ControlMaster=auto"]
    words += ["-o", f"UserKnownHostsFile={sshd.known_hosts}", "-o", "ControlPersist=20"]
    words += ["-o", f"ControlPath={directory / 'c'}", "127.0.0.1"]
    quiet(*words, "true")
    try:
        return median(lambda: quiet(*words, "true"), max(10, count // 10))
    finally:
        quiet(*words[:-1], "-O", "exit", words[-1])


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        sshd = Sshd(directory / "sshd")
        connections = Connections()
        number = int(time.time() * 1000)
        one = Guard((("bench:1", number),))
        three = Guard(tuple((f"bench:{i}", number) for i in range(1, 4)))
        file = str(directory / "file")
        try:
            ssh = connections.get(sshd.spec(), {})
            local = connections.get(
                HostSpec(name="here", address="127.0.0.1", connection="local"), {}
            )
            began = time.perf_counter()
            ssh.run(TRUE, timeout=10)
            first = (time.perf_counter() - began) * 1000
            transport = ssh._link.transport()  # type: ignore[union-attr]

            def session() -> None:
                channel = transport.open_session()
                channel.exec_command("true")
                channel.recv_exit_status()
                channel.close()

            def crowd() -> float:
                with ThreadPoolExecutor(16) as pool:
                    began = time.perf_counter()
                    list(pool.map(lambda _: ssh.run(TRUE, timeout=10), range(count)))
                    return (time.perf_counter() - began) * 1000 / count

            rows: list[tuple[str, float | None]] = [("first command: connect, shell, true", first)]
            for label, connection in (("ssh", ssh), ("local", local)):
                for what, guard in (("", None), (", 1 lease", one), (", 3 leases", three)):
                    run = connection.run
                    run(TRUE, timeout=10, guard=guard)
                    cost = median(lambda r=run, g=guard: r(TRUE, timeout=10, guard=g), count)
                    rows.append((f"{label}: true{what}", cost))
                cost = median(lambda c=connection: c.put(b"x" * 4096, file, guard=one), count // 4)
                rows.append((f"{label}: put 4 kB, 1 lease", cost))
            rows.append(("ssh: 16 threads, a command (throughput)", crowd()))
            rows.append(("paramiko: a session a command, no timeout", median(session, count)))
            rows.append(("OpenSSH: ControlMaster, no timeout", shared(sshd, directory, count)))
            for label, value in rows:
                print(f"{label:45} {'-' if value is None else f'{value:8.2f}'} ms")
        finally:
            connections.close()
            sshd.stop()
            for lease in Path("/run/winch").glob("bench%3A*.lease"):
                lease.unlink()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
