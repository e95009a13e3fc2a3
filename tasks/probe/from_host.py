"""Probes made on the host, with what is installed there."""

from __future__ import annotations

import math
import re

from tasks.probe.observation import Observation, excerpt, judge_command, judge_http
from tasks.probe.params import CommandProbe, Http
from worker.errors import CommandFailed, Refused
from worker.remote import Command, Host, Result

MAX_BODY_BYTES = 1024 * 1024
GRACE_SECONDS = 2.0  # for starting the tool, beyond the probe's own timeout
TIMED_OUT = 124
_CUT_OFF = re.compile(r"curl: \((18|28)\)|wget: .*timed out")  # an answer without its end

_FIND = Command.shell(
    "for tool in curl python3 wget; do command -v $tool >/dev/null 2>&1 && echo $tool && exit; done"
)
# Python prints what curl -i prints: a status line, an empty line, the body.
_PYTHON_HTTP = """
import signal, ssl, sys, urllib.error, urllib.request
method, url, timeout, verify, limit = sys.argv[1:6]
signal.setitimer(signal.ITIMER_REAL, float(timeout))
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args): return None
tls = ssl.create_default_context()
if verify == "no":
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
opener = urllib.request.build_opener(
    urllib.request.ProxyHandler({}), Stay(), urllib.request.HTTPSHandler(context=tls))
headers = dict(line.split("\\n", 1) for line in sys.argv[6:])
try:
    answer = opener.open(urllib.request.Request(url, method=method, headers=headers))
except urllib.error.HTTPError as error:
    answer = error
except Exception as error:
    sys.exit("python3: %s" % (getattr(error, "reason", None) or error))
body = answer.read(int(limit))
sys.stdout.buffer.write(b"HTTP/1.1 %d \\r\\n\\r\\n" % answer.getcode() + body)
"""
_TCP = """
if command -v python3 >/dev/null 2>&1; then
    exec python3 -c 'import socket, sys
try: socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))
except OSError as error: sys.exit(error.strerror or str(error))' "$1" "$2" "$3"
elif command -v bash >/dev/null 2>&1; then
    exec timeout "$4" bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2"
elif command -v nc >/dev/null 2>&1; then
    exec nc -z -w "$4" "$1" "$2"
fi
echo "none of python3, bash and nc is installed" >&2
exit 127
"""
NOT_FOUND = 127


def find_http_tool(host: Host) -> str:
    """Find curl, python3 or wget on the host.

    Raises:
        Refused: it has none of them.
    """
    tool = host.read(_FIND, check=False).stdout.strip()
    if tool not in {"curl", "python3", "wget"}:
        raise Refused(
            f"{host.name}: an http probe from the host needs curl, python3 or wget there: install "
            "one, or probe from the worker"
        )
    return tool


def http_command(tool: str, probe: Http) -> Command:
    """Build one request that prints a status line, headers, an empty line and the body (GNU wget:
    the body alone; the rest is on standard error)."""
    headers = {"User-Agent": "winch"} | probe.headers
    limit = str(MAX_BODY_BYTES)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    match tool:
        case "curl":
            words = ["curl", "-q", "-sS", "-i", "--http1.1", "--noproxy", "*", "--globoff"]
            words += ["--max-time", f"{probe.timeout:g}"]
            words += ["--head"] if probe.method == "HEAD" else []
            words += [] if probe.tls_verify else ["--insecure"]
            words += [word for line in lines for word in ("--header", line)]
            words += ["--url", probe.url]
        case "python3":
            pairs = [f"{name}\n{value}" for name, value in headers.items()]
            verify = "yes" if probe.tls_verify else "no"
            timeout = f"{probe.timeout:g}"
            args = (probe.method, probe.url, timeout, verify, limit, *pairs)
            return Command.of("python3", "-c", _PYTHON_HTTP, *args)
        case _:
            words = ["wget", "-nv", "-S", "--no-config", "--content-on-error"]
            words += ["--no-proxy", "--tries=1", "--max-redirect=0", "--output-document=-"]
            words += [f"--timeout={probe.timeout:g}"]
            words += ["--method=HEAD"] if probe.method == "HEAD" else []
            words += [] if probe.tls_verify else ["--no-check-certificate"]
            words += [f"--header={line}" for line in lines] + ["--", probe.url]
    # The pipe bounds the body; what head cuts off is no error.
    script = 'limit=$1; shift; "$@" | head -c "$limit"'
    return Command.shell(script, str(MAX_BODY_BYTES + 65536), *words)


def parse_http(text: str) -> tuple[int, str] | None:
    """Parse a status line, headers and a body; interim answers (100 to 199) are passed over."""
    while match := re.match(r"\s*HTTP/[\d.]+ (\d{3})[^\n]*\n", text):
        _headers, _, body = text.replace("\r\n", "\n").partition("\n\n")
        if int(match[1]) >= 200:  # noqa: PLR2004
            return int(match[1]), body
        text = body
    return None


def _read(host: Host, command: Command, timeout: float) -> Result | None:
    """Run a probe's command; None when it took longer than it may."""
    try:
        result = host.read(command, timeout=timeout, check=False)
    except CommandFailed as error:
        if error.code == TIMED_OUT:
            return None
        raise
    return None if result.exit_code == TIMED_OUT else result


def http(host: Host, tool: str, probe: Http) -> Observation:
    """Make one HTTP request from the host."""
    result = _read(host, http_command(tool, probe), probe.timeout + GRACE_SECONDS)
    if result is None:
        return Observation(False, f"no complete answer within {probe.timeout:g} s")
    if tool == "wget":
        lines = re.findall(r"^ *HTTP/[\d.]+ (\d{3})", result.stderr, re.MULTILINE)
        answer = (int(lines[-1]), result.stdout) if lines else None
    else:
        answer = parse_http(result.stdout)
    if answer is None or _CUT_OFF.search(result.stderr):
        return Observation(False, excerpt(result.stderr) or f"no answer ({tool})")
    return judge_http(probe, answer[0], answer[1][:MAX_BODY_BYTES])


def tcp(host: Host, address: str, port: int, timeout: float) -> Observation:
    """Make one TCP connection from the host.

    Raises:
        Refused: nothing on the host can make one.
    """
    seconds = (f"{timeout:g}", str(math.ceil(timeout)))
    command = Command.shell(_TCP, address, str(port), *seconds)
    result = _read(host, command, timeout + GRACE_SECONDS)
    if result is None:
        return Observation(False, f"no connection within {timeout:g} s")
    if result.exit_code == NOT_FOUND:
        raise Refused(
            f"{host.name}: a tcp probe from the host: {result.stderr.strip()}; install one, or "
            "probe from the worker"
        )
    if result.ok:
        return Observation(True, "connected")
    return Observation(False, excerpt(result.stderr) or "connection refused or timed out")


def command(host: Host, probe: CommandProbe) -> Observation:
    """Run the command once."""
    result = _read(host, Command.of("sh", "-c", probe.run), probe.timeout)
    if result is None:
        if probe.exit == TIMED_OUT:
            return Observation(True, f"exit code {TIMED_OUT}")
        return Observation(False, f"not ended within {probe.timeout:g} s")
    return judge_command(probe, result.exit_code, result.stdout, result.stderr)
