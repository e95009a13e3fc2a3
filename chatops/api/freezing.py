"""Routes of freezes: no job starts in a scope until a time."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from chatops.api.answers import answers
from chatops.api.context import May, Parts
from chatops.api.schemas_freezing import FreezesOut, Frozen, Lift, NewFreeze
from chatops.authorise import Principal
from chatops.freezing import freeze_scope, freezes_for, unfreeze_scope
from worker.freezes import freeze_document

router = APIRouter(tags=["freezes"], prefix="/freezes")


@router.get("", response_model=FreezesOut, responses=answers())
def freezes(parts: Parts, principal: Annotated[Principal, Depends(May("look"))]) -> Any:
    """List what is frozen now."""
    return {"freezes": freezes_for(parts.desk.store, principal)}


@router.post("", status_code=201, response_model=Frozen, responses=answers(409))
def freeze(
    body: NewFreeze, parts: Parts, principal: Annotated[Principal, Depends(May("freeze"))]
) -> Any:
    """Let no job start in a scope, whoever asks. Runs under way are not touched."""
    desk = parts.desk
    made = freeze_scope(
        desk.store, principal, body.scope, body.until, body.reason, fleet=desk.fleet
    )
    return {**made.document(), "text": made.text, "caught": made.caught_text}


@router.post("/lift", response_model=FreezesOut, responses=answers(409))
def lift(
    body: Lift, parts: Parts, principal: Annotated[Principal, Depends(May("unfreeze"))]
) -> Any:
    """Lift the freezes of exactly that scope. Those of another person take an admin."""
    lifted = unfreeze_scope(parts.desk.store, principal, body.scope)
    return {"freezes": [freeze_document(row) for row in lifted]}
