"""Probes made by the worker itself. A try never takes longer than its timeout, whatever the
other side does: everything runs in one coroutine that is cancelled then."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Coroutine
from functools import cache

import httpx

from tasks.probe.observation import Observation, excerpt, judge_http
from tasks.probe.params import Http

MAX_BODY_BYTES = 1024 * 1024


def _bounded(probe: Coroutine[None, None, Observation], timeout: float) -> Observation:
    # Not asyncio.run: at its end it would wait for a name server that does not answer.
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(probe, timeout))
    except TimeoutError:
        return Observation(False, f"no complete answer within {timeout:g} s")
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@cache  # loading the system's authorities takes some 20 ms
def _tls(verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _why(error: BaseException) -> str:
    """Say what the operating system or OpenSSL said, below the wrappings of httpx and asyncio."""
    innermost = error
    while (below := innermost.__cause__ or innermost.__context__) is not None:
        innermost = below
    if isinstance(innermost, OSError) and not isinstance(innermost, ssl.SSLError):
        number = innermost.errno or 0  # that of a failed name look-up is negative
        if number > 0:
            return os.strerror(number)
    return excerpt(str(innermost) or str(error)) or type(error).__name__


def http(probe: Http) -> Observation:
    """Make one HTTP request."""
    return _bounded(_http(probe), probe.timeout)


async def _http(probe: Http) -> Observation:
    tls: ssl.SSLContext | bool = _tls(probe.tls_verify) if probe.url.startswith("https:") else False
    headers = {"User-Agent": "winch", "Accept-Encoding": "identity"} | probe.headers
    try:
        async with (
            httpx.AsyncClient(verify=tls, trust_env=False, timeout=None) as client,  # noqa: S113
            client.stream(probe.method, probe.url, headers=headers) as response,
        ):
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) >= MAX_BODY_BYTES:
                    break
            text = bytes(body[:MAX_BODY_BYTES]).decode(errors="replace")
            return judge_http(probe, response.status_code, text)
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
        return Observation(False, _why(error))


def tcp(address: str, port: int, timeout: float) -> Observation:
    """Make one TCP connection."""
    return _bounded(_tcp(address, port), timeout)


async def _tcp(address: str, port: int) -> Observation:
    try:
        _reader, writer = await asyncio.open_connection(address, port)
    except OSError as error:
        return Observation(False, _why(error))
    writer.close()
    return Observation(True, "connected")
