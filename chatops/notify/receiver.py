"""One receiver, by Apprise: whether its URL can be used, and sending one message to it.

Apprise says only whether all went well, and its log says why not, with the URL in it. So its log
is caught here, read for what it means, and repeated with every part of the URL hidden.
"""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal
from urllib.parse import unquote

from worker.errors import UsageError
from worker.mask import HIDDEN, mask

# `again`: nobody was told, and may be later. `failed`: nobody was, and it would only fail again.
# `unknown`: perhaps somebody was told; trying again might tell them twice.
Result = Literal["sent", "again", "failed", "unknown"]

_CONNECT = 5.0  # seconds
_MOST = 300  # characters of what is kept of a failure
_SHORTEST = 3  # characters of what is taken for a secret
_KEY = re.compile(r"[?&][\w.-]+=")
_WORDS = re.compile(r"[^\s:/@?&=,+#;|<>\"'()\[\]]+")
_STATUS = re.compile(r"\berror=(\d{3})\b")
_LATER = ("429", "503")  # too many requests; not now
# What stands in the errors of sockets, requests and smtplib when no message has left yet.
_NOT_REACHED = re.compile(
    r"Connection refused|NewConnectionError|NameResolutionError|ConnectTimeout|No route to host|"
    r"Network is unreachable|Name or service not known|Connection to \S+ timed out|"
    r"CERTIFICATE_VERIFY_FAILED|WRONG_VERSION_NUMBER"
)
_SMTP = re.compile(r"\(([45])\d\d, b['\"]")  # 4yz: not now, 5yz: no (RFC 5321, 4.2.1)


@dataclass(frozen=True)
class Delivery:
    """How sending ended; `detail` holds no secret."""

    result: Result
    detail: str = ""


class AppriseReceiver:
    """A receiver whose URL Apprise accepts.

    Raises:
        UsageError: it does not. The URL is not in the message.
    """

    def __init__(self, name: str, url: str, timeout: float) -> None:
        self.name = name
        self._parts = _parts(url)
        self._plugin = _plugin(name, url)
        self._plugin.socket_connect_timeout = min(_CONNECT, timeout)
        self._plugin.socket_read_timeout = timeout
        self.service = str(self._plugin.service_name)

    @property
    def repeatable(self) -> bool:
        """Whether a failure means that nobody was told: it leads to one place only."""
        return len(self._plugin) == 1

    def send(self, title: str, body: str, kind: str = "info") -> Delivery:
        """Send one message, once."""
        with _catch().keeping() as said:
            try:
                # Past Apprise's own dispatcher: it would try again by itself.
                went_well = self._plugin.notify(title=title, body=body, notify_type=kind)
            except Exception as error:  # a plugin's defect is no reason to stop telling others
                return Delivery("unknown", self._hidden(f"{type(error).__name__}: {error}"))
        if went_well:
            return Delivery("sent")
        loud = [text for level, text in said if level >= logging.WARNING]
        why = self._hidden("; ".join(loud) or f"{self.service} was not reached")
        return Delivery(verdict([text for _, text in said]), why)

    def _hidden(self, text: str) -> str:
        """One line without any part of the URL."""
        line = " ".join(mask(text).split())
        for part in self._parts:
            line = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", HIDDEN, line, flags=re.IGNORECASE)
        return line if len(line) <= _MOST else f"{line[: _MOST - 1]}…"


def verdict(said: list[str]) -> Result:
    """Judge by what Apprise has logged whether anybody may have been told."""
    text = "\n".join(said)
    status = _STATUS.search(text)
    if "Socket Exception" not in text and status is not None:
        if status[1] in _LATER:
            return "again"
        return "failed" if status[1].startswith("4") else "unknown"
    if _NOT_REACHED.search(text):
        return "again"
    answer = _SMTP.search(text)
    if answer is not None:
        return "again" if answer[1] == "4" else "failed"
    return "unknown"


def _parts(url: str) -> list[str]:
    """Everything in a URL that might be a secret, the longest first."""
    _, _, rest = url.partition("://")
    values = _KEY.sub("&", rest)  # what stands before a `=` is Apprise's own word
    found = {part for text in (values, unquote(values)) for part in _WORDS.findall(text)}
    found = {part for part in found if len(part) >= _SHORTEST} | {rest, url}
    return sorted(found, key=len, reverse=True)


def _plugin(name: str, url: str) -> Any:
    with _catch().keeping():  # it would log the URL
        made = _apprise().Apprise.instantiate(url, asset=_asset(), suppress_exceptions=True)
    if made is None:
        raise UsageError(
            f"receiver {name}: Apprise does not know such a URL, or it is not complete: "
            "slack://TOKEN_A/TOKEN_B/TOKEN_C, mailtos://USER:PASSWORD@HOST?to=ADDRESS, json://HOST"
        )
    return made


@cache
def _apprise() -> Any:
    """Import Apprise with all its services."""
    try:
        with warnings.catch_warnings():
            # A service of it uses a module that Python is about to drop; it has a remedy for that.
            warnings.simplefilter("ignore", DeprecationWarning)
            import apprise  # noqa: PLC0415 - optional

            with _catch().keeping():
                apprise.Apprise.instantiate("json://localhost")  # loads all services
    except ModuleNotFoundError as error:
        raise UsageError(f"notifications need {error.name}: pip install 'winch[notify]'") from None
    return apprise


@cache
def _asset() -> Any:
    apprise = _apprise()
    return apprise.AppriseAsset(
        app_id="Winch",
        app_desc="Winch",
        app_url="",
        async_mode=False,
        storage_mode=apprise.PersistentStoreMode.MEMORY,  # it keeps no file of ours
    )


class _Catch(logging.Filter):
    """Lets nothing of Apprise's log pass; what a thread that asked for it logs is kept."""

    def __init__(self) -> None:
        super().__init__()
        self._of = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a line, and let nobody else have it."""
        said: list[tuple[int, str]] | None = getattr(self._of, "said", None)
        if said is not None:
            said.append((record.levelno, record.getMessage()))
        return False

    @contextmanager
    def keeping(self) -> Iterator[list[tuple[int, str]]]:
        """Keep what this thread logs."""
        said: list[tuple[int, str]] = []
        self._of.said = said
        try:
            yield said
        finally:
            self._of.said = None


@cache
def _catch() -> _Catch:
    catch = _Catch()
    logger = logging.getLogger("apprise")
    logger.addFilter(catch)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it names the URLs' paths
    return catch
