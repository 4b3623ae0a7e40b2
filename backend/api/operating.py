"""Status, doctor and the audit trail."""

from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session

from backend.api.deps import AppContext, ContextDep
from backend.api.parameters import Cursor, Limit, StrategyQuery
from backend.api.routing import AdminRoute
from backend.api.schemas.operating import AuditList, DoctorOut, StatusOut
from backend.api.schemas.problems import problems
from backend.clock import iso
from backend.crontab import next_slot
from backend.learning.decisions.strategies import get_strategy
from backend.learning.evidence.doctor import diagnose, read_facts, unwritable
from backend.learning.evidence.doctor.running_checks import newest_due
from backend.learning.evidence.status import status
from backend.operations import audit

router = APIRouter(prefix="/ai", tags=["operating"], route_class=AdminRoute)


@router.get("/status", operation_id="status", summary="Everything at a glance", responses=problems("unknown_strategy"))
def get_status(context: ContextDep, strategy: StrategyQuery = None) -> StatusOut:
    """Samples, trades, signals, retraining, the active version, the market and the settings in force.

    Counts are of one strategy; P&L is in quote currency, times are UTC.
    """
    answer = context.database.read(_status, context, context.strategy(strategy))
    return StatusOut.model_validate(answer)


@router.get(
    "/doctor", operation_id="doctor", summary="What is wrong, and what to do", responses=problems("unknown_strategy")
)
def get_doctor(context: ContextDep, strategy: StrategyQuery = None) -> DoctorOut:
    """Findings in this installation's own numbers, each with one concrete remedy."""
    facts = context.database.read(_facts, context, context.strategy(strategy))
    return DoctorOut.model_validate(diagnose(facts, unwritable_because=unwritable(context.database)))


@router.get(
    "/audit", operation_id="listAudit", summary="Who did what, when and why", responses=problems("unknown_strategy")
)
def list_audit(
    context: ContextDep, strategy: StrategyQuery = None, limit: Limit = 100, cursor: Cursor = None
) -> AuditList:
    """The audit trail, newest first, of every strategy or of one."""
    entries, next_cursor = context.database.read(_audit, context, strategy, limit, cursor)
    return AuditList.model_validate(
        {"status": "ok", "count": len(entries), "entries": entries, "next_cursor": next_cursor}
    )


def _status(session: Session, context: AppContext, strategy: str) -> dict[str, Any]:
    get_strategy(session, strategy, settings=context.settings)
    now = context.clock()
    answer = status(session, strategy, context.settings, now, context.serving)
    answer["retraining"]["next_run"] = iso(next_slot(context.schedule, now)) if context.schedule else None
    return answer


def _facts(session: Session, context: AppContext, strategy: str) -> Any:
    get_strategy(session, strategy, settings=context.settings)
    now = context.clock()
    return read_facts(session, strategy, context.settings, now, context.serving, newest_due(context.schedule, now))


def _audit(
    session: Session, context: AppContext, strategy: str | None, limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    if strategy is not None:
        get_strategy(session, strategy, settings=context.settings)
    return audit.list_entries(session, strategy=strategy, limit=limit, cursor=cursor)
