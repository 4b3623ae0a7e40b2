"""Samples kept out of training: list them, let them train, or drop them for good."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from sqlalchemy.orm import Session

from backend.api.deps import ActorDep, AppContext, ContextDep
from backend.api.parameters import Cursor, Limit, ReasonQuery, SampleIdPath, StrategyQuery
from backend.api.routing import AdminRoute
from backend.api.schemas.described import QuarantineReason
from backend.api.schemas.problems import problems
from backend.api.schemas.quarantine import QuarantineList, RulingIn, RulingOut
from backend.api.schemas.reasons import WITH_BODY
from backend.errors import InvalidInputError
from backend.learning.decisions import quarantine
from backend.learning.decisions.plausibility import DROPPED, RELEASED
from backend.learning.decisions.strategies import get_strategy

router = APIRouter(prefix="/ai/quarantine", tags=["samples"], route_class=AdminRoute)

State = Annotated[
    Literal["held", "released", "dropped", "all"],
    Query(description="`held`: those that wait for somebody to look; the others: what was said of them."),
]
Rule = Annotated[QuarantineReason | None, Query(description="Only those that this rule holds or held.")]
RULING = problems(*WITH_BODY, "unknown_sample", "not_quarantined")


@router.get(
    "", operation_id="listQuarantine", summary="List implausible samples", responses=problems("unknown_strategy")
)
def list_quarantine(
    context: ContextDep,
    state: State = "held",
    reason: Rule = None,
    strategy: StrategyQuery = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> QuarantineList:
    """Samples that are kept out of training and of every accuracy, newest first, each with why.

    Their trades were made all the same: P&L counts them.
    """
    chosen = quarantine.QuarantineFilter(context.strategy(strategy), state, reason, cursor, limit)
    found, next_cursor = context.database.read(_list, context, chosen)
    return QuarantineList.model_validate(
        {"status": "ok", "count": len(found), "samples": found, "next_cursor": next_cursor}
    )


@router.post("/{sample_id}/release", operation_id="releaseSample", summary="Let a sample train", responses=RULING)
def release(
    sample_id: SampleIdPath,
    context: ContextDep,
    actor: ActorDep,
    body: RulingIn | None = None,
    reason: ReasonQuery = None,
    strategy: StrategyQuery = None,
) -> RulingOut:
    """The sample trains and counts again, and the rule that held it never holds it again.

    A `reason` is required, in the query or in the body. Again: 200, nothing changes. A dropped one may be released.
    """
    ruling = quarantine.Ruling(int(sample_id), RELEASED, _why(body, reason), actor, strategy)
    return _rule(context, ruling)


@router.post("/{sample_id}/drop", operation_id="dropSample", summary="Keep a sample out for good", responses=RULING)
def drop(
    sample_id: SampleIdPath,
    context: ContextDep,
    actor: ActorDep,
    body: RulingIn | None = None,
    reason: ReasonQuery = None,
    strategy: StrategyQuery = None,
) -> RulingOut:
    """The sample stays out of training and metrics whatever the rules say, and leaves the default list.

    A `reason` is required, in the query or in the body. Again: 200, nothing changes. A released one may be dropped;
    versions trained on it stay as they are, and `qt rebuild` says that one of their rows is kept out since.
    """
    ruling = quarantine.Ruling(int(sample_id), DROPPED, _why(body, reason), actor, strategy)
    return _rule(context, ruling)


def _why(body: RulingIn | None, reason: str | None) -> str:
    """The reason, wherever it stands; one is needed, and two must be the same."""
    told = {one for one in (reason, body.reason if body else None) if one is not None}
    if len(told) == 1:
        return told.pop()
    raise InvalidInputError(
        "reason is missing: say why, for the audit trail, with ?reason=…"
        if not told
        else "reason stands in the query and, another one, in the body: send one of them.",
        field="reason",
    )


def _rule(context: AppContext, ruling: quarantine.Ruling) -> RulingOut:
    cost = context.settings.cost
    told = context.database.write(quarantine.rule_on, ruling, now=context.clock(), cost=cost)
    return RulingOut.model_validate(told)


def _list(
    session: Session, context: AppContext, chosen: quarantine.QuarantineFilter
) -> tuple[list[dict[str, Any]], str | None]:
    get_strategy(session, chosen.strategy, settings=context.settings)
    return quarantine.list_quarantine(session, chosen)
