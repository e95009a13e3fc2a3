"""The sender: in every worker that is given a notify file; one at a time leads, by a lease in SQL.

So people are told as long as any worker lives, whether a web process runs or not. The leader reads
the audit; each receiver has a thread and a timeout of its own, so one that is dead holds up nobody
else, and no step.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from uuid import uuid4

from chatops.notify import message, outbox
from chatops.notify.config import NotifyFile, Receiver, read_url
from chatops.notify.events import Event
from chatops.notify.outbox import Claimed
from chatops.notify.receiver import AppriseReceiver, Delivery
from worker.errors import ServiceError, UsageError, WinchError
from worker.leading import Led
from worker.settings import Settings, settings
from worker.store import Store, store

log = logging.getLogger(__name__)

LEADER = "notifier"
TICK = 0.5  # seconds
LEAD_FOR = 10.0  # seconds without a tick until another one takes over
GRACE = 3.0  # seconds that a message under way gets when the process ends
_TIDY_EVERY = 10.0
_MARGIN = 15.0  # seconds over a receiver's timeout until it is given up; they have several sockets
_GIVEN_UP = 3  # messages to a receiver that hang at the same time
_PROBLEM_AGAIN = 60.0  # seconds until a receiver whose URL cannot be used is looked at again

_KINDS = {"failed": "failure", "worker_lost": "warning", "succeeded": "success"}

Connect = Callable[[str, str, float], AppriseReceiver]


def configured_notifier(given: Settings | None = None) -> Notifier | None:
    """Make the sender of this process; None: nobody is to be told anything."""
    here = given or settings()
    if here.notify_file is None:
        return None
    return Notifier(store(), NotifyFile(here.notify_file), public_url=here.public_url)


class Notifier(Led):
    """The sender of one process."""

    def __init__(
        self,
        store: Store,
        file: NotifyFile,
        *,
        public_url: str | None = None,
        connect: Connect = AppriseReceiver,
    ) -> None:
        super().__init__(store, LEADER, f"notify:{uuid4().hex}", lead_for=LEAD_FOR, pause=TICK)
        self._store = store
        self._file = file
        self._public_url = public_url
        self._connect = connect
        self._lines: dict[str, _Line] = {}
        self._tidied = float("-inf")

    def stop(self) -> None:
        """Stop, and let another one lead at once."""
        self.halt(GRACE)
        deadline = time.monotonic() + GRACE
        for line in self._lines.values():
            line.stop(max(0.0, deadline - time.monotonic()))
        with suppress(ServiceError):
            self.leave()

    def tick(self) -> None:
        """Read on in the audit, and see that each receiver has its thread."""
        table = self._file.current()
        while outbox.collect(self._store, self._tell) == outbox.AT_ONCE:
            pass
        for name, receiver in table.receivers.items():
            line = self._lines.get(name)
            if line is None or line.receiver != receiver:
                if line is not None:
                    line.stop(0)
                self._lines[name] = _Line(self, name, receiver)
            self._lines[name].wake()
        for name in self._lines.keys() - table.receivers.keys():
            self._lines.pop(name).stop(0)
        if time.monotonic() - self._tidied >= _TIDY_EVERY:
            outbox.tidy(self._store, table.receivers)
            self._tidied = time.monotonic()

    def _tell(self, event: Event) -> Iterable[tuple[str, str, str]]:
        title, body = message.title(event), message.body(event, self._public_url)
        return [(name, title, body) for name in self._file.current().receivers_of(event)]

    def connect(self, name: str, receiver: Receiver) -> AppriseReceiver:
        """Make a receiver of what the file says of it.

        Raises:
            UsageError: its URL cannot be used.
        """
        url = read_url(name, receiver, self._file.path.parent)
        return self._connect(name, url, receiver.timeout)

    @property
    def outbox(self) -> Store:
        """Where the messages are."""
        return self._store


class _Line:
    """One receiver's thread: it sends what is due, one after the other."""

    def __init__(self, notifier: Notifier, name: str, receiver: Receiver) -> None:
        self.receiver = receiver
        self._notifier = notifier
        self._store = notifier.outbox
        self._name = name
        self._link: AppriseReceiver | None = None
        self._problem_until = float("-inf")
        self._hanging: list[threading.Thread] = []
        self._waking = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"notify {name}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look whether something is to be sent."""
        self._waking.set()

    def stop(self, seconds: float) -> None:
        """End, after the message that is under way, if that takes no longer than this."""
        self._stopping = True
        self._waking.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            self._waking.wait()
            self._waking.clear()
            try:
                while not self._stopping and self._send_next():
                    pass
            except ServiceError as error:
                log.warning("notifications to %s: %s", self._name, error)
            except Exception:
                log.exception("notifications to %s broke; it goes on", self._name)
            if self._stopping:
                return

    def _send_next(self) -> bool:
        """Send what is due first. False: there is nothing, or it cannot be sent now."""
        link = self._ready()
        if link is None:
            return False
        claimed = outbox.claim(self._store, self._name, self._notifier.me)
        if claimed is None:
            return False
        # From here to `settle` the message may have been sent: a crash leaves it `unknown`.
        done = self._send(link, claimed)
        me = self._notifier.me
        if done.result == "again":
            if link.repeatable and outbox.put_back(self._store, claimed, me, done.detail):
                log.info("notification to %s: %s; it is tried again", self._name, done.detail)
                return True
            done = Delivery("failed", done.detail)
        outbox.settle(self._store, claimed, me, done.result, done.detail)
        if done.result != "sent":
            log.warning("notification to %s: %s: %s", self._name, done.result, done.detail)
        return True

    def _ready(self) -> AppriseReceiver | None:
        """The link to the receiver, if it can be written to now."""
        self._hanging = [thread for thread in self._hanging if thread.is_alive()]
        if len(self._hanging) >= _GIVEN_UP or time.monotonic() < self._problem_until:
            return None
        if self._link is None:
            try:
                self._link = self._notifier.connect(self._name, self.receiver)
            except UsageError as error:
                self._problem_until = time.monotonic() + _PROBLEM_AGAIN
                log.warning("notifications: %s", error)
        return self._link

    def _send(self, link: AppriseReceiver, claimed: Claimed) -> Delivery:
        """Send in a thread that is left alone when it takes too long: it cannot be ended."""
        found: list[Delivery] = []
        kind = _KINDS.get(claimed.event, "warning" if claimed.event == "rolled_back" else "info")

        def work() -> None:
            found.append(link.send(claimed.title, claimed.body, kind))

        thread = threading.Thread(target=work, name=f"notify {self._name} send", daemon=True)
        thread.start()
        seconds = self.receiver.timeout + _MARGIN
        thread.join(seconds)
        if found:
            return found[0]
        self._hanging.append(thread)
        return Delivery("unknown", f"no answer within {seconds:g} s")


def send_test(name: str, file: NotifyFile) -> Delivery:
    """Send a receiver a message that says it is a test.

    Raises:
        WinchError: there is no such receiver, or its URL cannot be used.
    """
    receiver = file.current().receivers.get(name)
    if receiver is None:
        raise WinchError(f"there is no receiver {name!r}")
    link = AppriseReceiver(name, read_url(name, receiver, file.path.parent), receiver.timeout)
    return link.send("Winch: a test", f"This is what `winch notify test {name}` sends.")
