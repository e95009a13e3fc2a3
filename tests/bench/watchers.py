"""What 200 watchers of one run cost its steps: `python -m tests.bench.watchers [HOSTS [WATCHERS]]`.

The same run is done with nobody watching and with all of them, by turns, on one web process and one
worker; the last line is what each step took in both cases.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import httpx

from chatops.tokens import create_token
from tests.integration.api.test_web_process import web
from tests.kit.plans import Work
from tests.kit.stack import Stack
from worker.plan import Policy

ROUNDS = 5


async def watch(client: httpx.AsyncClient, url: str, begun: asyncio.Event) -> int:
    """Watch a run to its end. Returns the number of bytes."""
    size = 0
    async with client.stream("GET", url) as answer:
        answer.raise_for_status()
        async for chunk in answer.aiter_bytes():
            size += len(chunk)
            if b"event: snapshot" in chunk:
                begun.set()
    return size


async def one_run(stack: Stack, base: str, token: str, hosts: int, watchers: int) -> list[float]:
    """Do one run. Returns how long its steps took, in seconds."""
    directory = Path(tempfile.mkdtemp(dir=stack.directory))
    plan = Work(directory).plan([f"h{n}" for n in range(hosts)], policy=Policy(max_unavailable=4))
    run = stack.engine.create_run(plan, requested_by="bench")
    limits = httpx.Limits(max_connections=None)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        headers=headers, limits=limits, timeout=120, trust_env=False
    ) as client:
        begun = [asyncio.Event() for _ in range(watchers)]
        url = f"{base}/runs/{run}/events"
        tasks = [asyncio.create_task(watch(client, url, event)) for event in begun]
        await asyncio.wait_for(asyncio.gather(*(event.wait() for event in begun)), 120)
        stack.engine.advance(run)
        document = await asyncio.to_thread(stack.ended, run, seconds=300)
        sizes = await asyncio.gather(*tasks)
    if sizes:
        print(f"  each of {watchers} watchers got {min(sizes)} bytes or more")
    return [step["seconds"] for host in document["hosts"] for step in host["steps"]]


def main(hosts: int = 100, watchers: int = 200) -> None:
    directory = Path(tempfile.mkdtemp(prefix="winch-"))
    stack = Stack(directory)
    took: dict[int, list[float]] = {0: [], watchers: []}
    try:
        stack.start()
        stack.worker()
        token = create_token(stack.store, "bench", "viewer", (), by="bench")
        with web(stack, WINCH_RATE_LIMIT="100000") as (_, base):
            for turn in range(ROUNDS * 2 + 1):
                many = watchers if turn % 2 else 0
                steps = asyncio.run(one_run(stack, base, token, hosts, many))
                if turn:  # the first one warms the worker up
                    took[many] += steps
                print(f"{many:4} watchers: {statistics.mean(steps) * 1000:.1f} ms a step", end="")
                print(f", median {statistics.median(steps) * 1000:.1f} ms")
    finally:
        stack.stop()
        shutil.rmtree(directory)
    alone, watched = statistics.median(took[0]), statistics.median(took[watchers])
    print(
        f"median step: {alone * 1000:.1f} ms alone, {watched * 1000:.1f} ms watched by {watchers}"
    )


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
