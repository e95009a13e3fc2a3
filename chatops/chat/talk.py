"""A conversation: who asks, may they, what comes of it. The same for every network.

Nothing raised by what it asks for leaves it: a refusal is an answer. An answer is for the asker
alone; the run that it names is followed by a message that all in the room see.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from sqlmodel import col, select

from chatops import idempotency
from chatops.api.limits import Buckets
from chatops.authorise import ACTIONS, Principal, allow, covers, parse_role
from chatops.chat.card import Card, freezes_card, leases_card, note, run_card, runs_card
from chatops.chat.grammar import COMMANDS, Command, in_chat, parse
from chatops.chat.requests import Ask, Freeze, Mistake, Request, Start, Status, Steer
from chatops.desk import Desk
from chatops.freezing import freeze_scope, freezes_for, unfreeze_scope
from chatops.redact import redact, redacted
from chatops.render.words import Document, listed
from chatops.services import unserved, unserved_warning
from chatops.start import check
from worker.control import NotNow
from worker.errors import Forbidden, ServiceError, WinchError
from worker.freezes import said
from worker.models import Audit, Run
from worker.report import lease_list, run_document, run_list

log = logging.getLogger(__name__)

_NEWEST = 10  # runs
_RATE, _BURST = 1.0, 10.0  # requests a second of one person, and at once

_SAID = {
    "retry": "goes on with {hosts}",
    "skip": "{hosts} is skipped",
    "pause": "paused; `{lead} resume {run}` lets it go on",
    "resume": "goes on",
    "approve": "approved for {hosts}",
    "abort": "aborted; hosts stay as they are",
    "rollback": "puts back {hosts}",
}


@dataclass(frozen=True)
class Asker:
    """Who asks, and from where: `slack:U02ABC`, in a room, by a request with a key of its own."""

    identity: str
    channel: str
    key: str = ""


@dataclass(frozen=True)
class Reply:
    """An answer; `follow`: the run that the room is to be told of from now on."""

    card: Card
    follow: int | None = None


class Talk:
    """One network's conversations. `lead` is how commands begin in it. Thread-safe."""

    def __init__(self, desk: Desk, network: str, *, lead: str = "/winch") -> None:
        self.desk = desk
        self.network = network
        self.lead = lead
        self._buckets = Buckets(_RATE, _BURST)

    def principal(self, identity: str) -> Principal:
        """Say who an identity is."""
        return self.desk.access.current().principal(identity)

    def say(self, asker: Asker, text: str) -> Reply:
        """Answer what somebody has written."""
        return self._answer(asker, lambda: parse(text, lead=self.lead))

    def press(self, asker: Asker, action: str, run: int, hosts: tuple[str, ...]) -> Reply:
        """Answer to a button that was pressed and confirmed."""
        return self._answer(asker, lambda: Steer(action, run, hosts))

    def may_press(self, asker: Asker, action: str, run: int) -> str | None:
        """Say why somebody may not press a button, before it asks; None: they may."""
        try:
            self.desk.run(self.principal(asker.identity), run, action)
        except WinchError as error:
            return str(error)
        return None

    def _answer(self, asker: Asker, read: Callable[[], Request]) -> Reply:
        if self._buckets.take(asker.identity) > 0:
            return Reply(note("too many requests; one a second, please"))
        try:
            principal = self.principal(asker.identity)
            try:
                request = read()
            except Mistake:
                self._check_look(principal)  # who may do nothing is not taught how
                raise
            return self._do(principal, asker, request)
        except WinchError as error:
            return Reply(self._why_not(asker.identity, error))
        except Exception:
            log.exception("a request of %s broke", asker.identity)
            return Reply(note("⚠️ this is a bug of Winch; its log says more"))

    def _why_not(self, identity: str, error: WinchError) -> Card:
        match error:
            case Mistake():
                return note(f"🤔 {error}")
            case Forbidden():
                return note(f"🚫 {error}", *self._how_to_get_in(identity))
            case ServiceError():
                log.warning("%s: %s", identity, error)
                return note(f"⚠️ {error}")
        return note(*(f"⚠️ {in_chat(line)}" for line in str(error).splitlines()))

    def _how_to_get_in(self, identity: str) -> list[str]:
        if self.principal(identity).role is not None:
            return []
        return [f"An admin of Winch can give you a role: `{identity}` in the access file."]

    def _do(self, principal: Principal, asker: Asker, request: Request) -> Reply:
        match request:
            case Start():
                return self._start(principal, asker, request)
            case Steer():
                return self._steer(principal, request)
        return Reply(self._look(principal, request))

    def _look(self, principal: Principal, request: Status | Freeze | Ask) -> Card:
        match request:
            case Status(run=int(run)):
                return self.card(principal, run)
            case Freeze(asks=False):
                return note(*self._frozen(principal, request))
        self._check_look(principal)
        match request:
            case Freeze():
                return freezes_card(freezes_for(self.desk.store, principal))
            case Status():
                return self._newest(principal)
            case Ask(what="leases"):
                return self._leases(principal)
        return self.help(principal)

    def _check_look(self, principal: Principal) -> None:
        check(self.desk.store, principal, "look", what=f"{self.network} command")

    def _start(self, principal: Principal, asker: Asker, request: Start) -> Reply:
        order = request.order
        key = None
        if asker.key:
            body = [order.job, order.target, list(order.hosts)]
            key = idempotency.Key.of(principal.name, asker.key, body)
        asked = self.desk.ask(principal, order, key=key)
        document = run_document(self.desk.store, asked.run_id)
        what = f"run {asked.run_id}: {order.job} {order.target}"
        lines = [f"🚀 {what} of {listed([host['name'] for host in document['hosts']])}"]
        if document["detail"]:
            told = document["detail"]
            lines.append(redact(told) if principal.scopes else told)
        else:
            warning = unserved_warning(unserved(self.desk.store, asked.run_id))
            lines += [f"⚠️ {warning}"] if warning else []
        return Reply(note(*lines), follow=asked.run_id)

    def _steer(self, principal: Principal, request: Steer) -> Reply:
        try:
            hosts = self.desk.steer(
                principal, request.action, request.run, request.hosts, override=request.override
            )
        except NotNow as error:
            known = "was faster" in str(error)
            faster = "" if known else self._who_was_faster(request)
            return Reply(note(f"⚠️ {error}{faster}"))
        said = _SAID[request.action].format(hosts=listed(hosts), run=request.run, lead=self.lead)
        return Reply(note(f"👍 run {request.run}: {said}"), follow=request.run)

    def _who_was_faster(self, request: Steer) -> str:
        with self.desk.store.read() as session:
            line = session.exec(
                select(Audit)
                .where(
                    Audit.run_id == request.run,
                    Audit.action == request.action,
                    Audit.outcome == "granted",
                )
                .order_by(col(Audit.id).desc())
                .limit(1)
            ).first()
        if line is None:
            return ""
        ago = max(0.0, self.desk.store.now() - line.at)
        return f" ({line.actor} was faster: {request.action}, {ago:.0f} s ago)"

    def _frozen(self, principal: Principal, request: Freeze) -> list[str]:
        store = self.desk.store
        if request.lift:
            lifted = unfreeze_scope(store, principal, request.scope)
            return [f"👍 {said(row)}: not any more" for row in lifted]
        made = freeze_scope(
            store, principal, request.scope, request.until, request.reason, fleet=self.desk.fleet
        )
        caught = made.caught_text
        return [f"❄️ {made.text}", *([] if caught is None else [f"⚠️ {caught}"])]

    def _newest(self, principal: Principal) -> Card:
        found: list[Document] = []
        before: int | None = None
        while len(found) < _NEWEST:  # scopes with patterns are no matter of SQL
            page = run_list(self.desk.store, limit=100, before=before)
            found += [run for run in page if covers(principal.scopes, run["scope"])]
            if len(page) < 100:  # noqa: PLR2004
                break
            before = page[-1]["id"]
        return runs_card(found[:_NEWEST], now=self.desk.store.now())

    def _leases(self, principal: Principal) -> Card:
        held = lease_list(self.desk.store)
        return leases_card([one for one in held if covers(principal.scopes, one["scope"])])

    def card(self, principal: Principal, run: int) -> Card:
        """Draw a run for one person: with the buttons that this one may press.

        Raises:
            NotFound: there is no such run, for that person.
            Forbidden: it may not look.
        """
        row = self.desk.run(principal, run)
        document = run_document(self.desk.store, run)
        if principal.scopes:
            document = redacted(document)
        return run_card(
            document, now=self.desk.store.now(), may=lambda action: _may(principal, row, action)
        )

    def shared_card(self, document: Document) -> Card:
        """Draw a run for a room: with the buttons that somebody of this network may press."""
        with self.desk.store.read() as session:
            row = session.get_one(Run, document["id"])
        people = [
            Principal(f"{self.network}:", person.role, tuple(person.scopes), name)
            for name, person in self.desk.access.current().people.items()
            if any(one.startswith(f"{self.network}:") for one in person.identities)
        ]
        return run_card(
            redacted(document),
            now=self.desk.store.now(),
            may=lambda action: any(_may(person, row, action) for person in people),
        )

    def help(self, principal: Principal) -> Card:
        """Say what this person may do."""
        lines = [
            f"`{self.lead} {command.usage}` {command.summary}"
            for command in COMMANDS.values()
            if self._offers(principal, command)
        ]
        bound = f", {', '.join(principal.scopes)}" if principal.scopes else ""
        return Card(title=f"You are {principal.role}{bound}", lines=tuple(lines))

    def _offers(self, principal: Principal, command: Command) -> bool:
        if command.action not in ACTIONS:
            return False
        return allow(principal, command.action).allowed


def _may(principal: Principal, run: Run, action: str) -> bool:
    role = None
    if action == "approve" and run.needs_approval:
        if principal.who in (run.asker, run.requested_by):
            return False
        role = parse_role(run.approval_role or "operator")
    return allow(principal, action, run.scope, role=role).allowed
