"""The self-audit: on call, and how it stands."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from backend.api.deps import ActorDep, ContextDep
from backend.api.parameters import StrategyQuery, Wait
from backend.api.routing import AdminRoute
from backend.api.runs import answered, started
from backend.api.schemas.fields import PlainInteger
from backend.api.schemas.problems import problems
from backend.api.schemas.self_audit import SelfAuditAnswer, SelfAuditOut, SelfAuditStarted
from backend.learning.evidence.self_audit import (
    FEWEST,
    MOST,
    PLACEBOS,
    PLANTED,
    AuditOptions,
    self_audit,
    start_self_audit,
)
from backend.learning.evidence.self_audit_state import state_of

router = APIRouter(prefix="/ai", tags=["operating"], route_class=AdminRoute)

Placebos = Annotated[
    int, PlainInteger, Query(ge=FEWEST, le=MOST, description="Worlds without a signal; more narrow the interval.")
]
Planted = Annotated[
    int,
    PlainInteger,
    Query(ge=FEWEST, le=MOST, description="Worlds with a planted signal, half right in 60 %, half in 70 %."),
]


@router.post(
    "/self-audit",
    operation_id="selfAudit",
    summary="Measure how often this installation is fooled",
    response_model=SelfAuditAnswer,
    responses={
        202: {"description": "Begun; ask how it stands.", "model": SelfAuditStarted},
        **problems("unknown_strategy", "self_audit_in_progress"),
    },
)
async def audit_now(
    context: ContextDep,
    actor: ActorDep,
    placebos: Placebos = PLACEBOS,
    planted: Planted = PLANTED,
    wait: Wait = True,
    strategy: StrategyQuery = None,
) -> JSONResponse:
    """Run the installed pipeline on this installation's own data without a signal, and with a planted one.

    It takes a minute or two, at idle priority. `success` carries the rates; `holds` is false where skill was found
    that is not there, which also raises the alarm `self_audit_failed`. `skipped`: `insufficient_samples`. `error`:
    `too_few_valid_samples`, `degenerate_data` or `audit_failed`. One at a time a strategy: 409 otherwise.
    """
    options = AuditOptions(strategy=context.strategy(strategy), actor=actor, placebos=placebos, planted=planted)
    if wait:
        return await answered(context, partial(self_audit, context.auditing, **options))
    return await started(context, partial(start_self_audit, context.auditing, **options))


@router.get(
    "/self-audit",
    operation_id="getSelfAudit",
    summary="How the self-audit stands",
    responses=problems("unknown_strategy"),
)
def get_audit(context: ContextDep, strategy: StrategyQuery = None) -> SelfAuditOut:
    """The newest run and how far it is, the newest result, and a few before; audits run on Sundays by themselves."""
    found = context.database.read(state_of, context.strategy(strategy), context.settings)
    return SelfAuditOut.model_validate(found)
