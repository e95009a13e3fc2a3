"""Run one step: claim, fence, run it, record, and see to what comes next."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError
from sqlmodel import Session

from worker import claims
from worker.claims import Claim
from worker.context import StepContext
from worker.engine import Engine
from worker.errors import Failed, ServiceError, StepError, Superseded
from worker.finish import Next, finish
from worker.node import Node
from worker.ssh import Connections
from worker.step import REGISTRY, Outcome

log = logging.getLogger(__name__)

_WRITE_FOR = 60.0  # seconds to go on trying to write how a step ended, while the database is away


@dataclass(frozen=True)
class Ran:
    """How a message ended: what Flower shows, and whether the chain goes on."""

    text: str
    chain_goes_on: bool
    failed: bool = False


class Executor:
    """Runs steps in this worker process."""

    def __init__(self, engine: Engine, connections: Connections, node: Node) -> None:
        self._engine = engine
        self._connections = connections
        self._node = node

    def run(self, step_id: int, task_id: str | None, event: Callable[[str], None]) -> Ran:
        """Run the step, if it is this worker's to run. Never raises for what a host does."""
        store = self._engine.store
        claim = claims.claim(store, step_id, self._node.id, task_id)
        if claim is None:
            return Ran("nothing to do: the step is not due, or another worker has it", False)
        context = StepContext(store, self._connections, claim, event)
        self._node.enter(context)
        try:
            end = self._run_step(context)
        finally:
            self._node.leave(context)
        if isinstance(end, Superseded) and claims.still_held(store, claim):
            # Not another claim of ours, then: its lease was broken, or another installation of
            # Winch works on this host.
            end = Failed(f"{end.message}; see `winch leases` and `winch audit` for who has it now")
        following = None
        if not isinstance(end, Superseded):
            following = self._finish(claim, context, end)
        if following is None:
            return self._superseded(context)
        self._see_to(claim, following)
        text = end.message if isinstance(end, StepError) else end.detail
        return Ran(text, following.chain_goes_on, failed=isinstance(end, StepError))

    def _run_step(self, context: StepContext) -> Outcome | StepError:
        claim = context.claim
        kind = REGISTRY.get(claim.name)
        if kind is None:
            return Failed(f"{claim.name}: this worker does not know such a step; is it too old?")
        if claim.broken:
            return Failed(
                f"{claim.name}: lease {', '.join(claim.broken)} was taken away from run "
                f"{claim.run_id} (`winch audit` says by whom); nothing more is done to "
                f"{claim.host}: look at it, then `winch retry {claim.run_id}`, which waits for the "
                "lease, or `winch abort` it"
            )
        try:
            if not claim.fenced and claim.numbers:
                context.fence_all()
                claims.fenced(self._engine.store, claim)
            return kind.run(context, kind.params.model_validate(claim.params))
        except StepError as error:
            return error
        except ValidationError as error:
            return Failed(f"{claim.name}: its parameters are not valid: {error.errors()[0]['msg']}")
        except Exception as error:  # a defect of ours: it must not hold the lane up for ever
            log.exception("step %s (%s) broke", claim.step_id, claim.name)
            return Failed(
                f"{claim.name} broke ({type(error).__name__}: {error}); see the worker's log"
            )

    def _finish(self, claim: Claim, context: StepContext, end: Outcome | StepError) -> Next | None:
        deadline = time.monotonic() + _WRITE_FOR
        rows = context.records.take()

        def keep(session: Session) -> None:
            session.add_all(rows)

        while True:
            try:
                return finish(
                    self._engine.store,
                    self._engine.leases,
                    claim,
                    end,
                    began=context.acted,
                    memory=context.unsaved,
                    also=keep,
                )
            except ServiceError as error:
                # What the step did is done. Unwritten, it would be done again: so keep trying.
                if time.monotonic() > deadline:
                    raise
                log.warning("cannot write how %s ended: %s", claim.name, error)
                time.sleep(0.5)

    def _superseded(self, context: StepContext) -> Ran:
        """Write nothing but the commands; among them the host's own word on who may act."""
        context.lost = True
        try:
            context.check()
        except StepError as error:
            text = error.message
        with self._engine.store.write() as session:
            session.add_all(context.records.take())
        return Ran(text, chain_goes_on=False, failed=True)

    def _see_to(self, claim: Claim, following: Next) -> None:
        try:
            self._engine.leases.forget(following.forget, claim.run_id)
            if following.publish:
                self._engine.publish_lane(claim.lane_id)
            if following.advance:
                self._engine.advance(claim.run_id)
        except ServiceError as error:
            log.warning("the steward will go on with run %s: %s", claim.run_id, error)
