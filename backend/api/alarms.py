"""Alarms, the events that people and programs are told, and the test whether they arrive."""

from typing import Annotated, Any, Literal, TypeAlias

from fastapi import APIRouter, Query
from sqlalchemy.orm import Session

from backend.api.deps import ActorDep, AppContext, ContextDep
from backend.api.parameters import Cursor, Limit, StrategyQuery
from backend.api.routing import AdminRoute
from backend.api.schemas.alarms import AlarmList, EventList, TestOut
from backend.api.schemas.problems import problems
from backend.learning.decisions.strategies import get_strategy
from backend.operations import alarms, events
from backend.operations.delivery_targets import targets_of
from backend.operations.trial import try_out

router = APIRouter(prefix="/ai", tags=["operating"], route_class=AdminRoute)

AlarmState = Annotated[Literal["open", "closed", "all"], Query(description="Which alarms.")]
Listed: TypeAlias = tuple[list[dict[str, Any]], str | None]


@router.get(
    "/alarms", operation_id="listAlarms", summary="What is wrong now, or was", responses=problems("unknown_strategy")
)
def list_alarms(
    context: ContextDep,
    state: AlarmState = "open",
    strategy: StrategyQuery = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> AlarmList:
    """Alarms, newest first, of every strategy or of one; the open ones where nothing else is asked for."""
    found, next_cursor = context.database.read(_alarms, context, strategy, state, (limit, cursor))
    return AlarmList.model_validate({"status": "ok", "count": len(found), "alarms": found, "next_cursor": next_cursor})


@router.get(
    "/events", operation_id="listEvents", summary="What was told to whom", responses=problems("unknown_strategy")
)
def list_events(
    context: ContextDep, strategy: StrategyQuery = None, limit: Limit = 100, cursor: Cursor = None
) -> EventList:
    """Alarms raised and closed, and news, newest first, each with its deliveries; of every strategy or of one."""
    total, (found, next_cursor) = context.database.read(_events, context, strategy, limit, cursor)
    told = {"status": "ok", "count": len(found), "total": total, "events": found, "next_cursor": next_cursor}
    return EventList.model_validate(told)


@router.post("/alarms/test", operation_id="testAlarms", summary="Send everybody a test", responses=problems())
def test_alarms(context: ContextDep, actor: ActorDep) -> TestOut:
    """Store a test event; it goes to every address of QT_NOTIFY_URLS and to QT_WEBHOOK_URL as any other does."""
    targets = targets_of(context.settings)
    return TestOut.model_validate(context.database.write(try_out, targets, actor, context.clock()))


def _alarms(
    session: Session, context: AppContext, strategy: str | None, state: str, page: tuple[int, str | None]
) -> Listed:
    _refuse_unknown(session, context, strategy)
    return alarms.list_alarms(session, state=state, strategy=strategy, limit=page[0], cursor=page[1])


def _events(
    session: Session, context: AppContext, strategy: str | None, limit: int, cursor: str | None
) -> tuple[int, Listed]:
    _refuse_unknown(session, context, strategy)
    listed = events.list_events(session, strategy=strategy, limit=limit, cursor=cursor)
    return events.count_events(session, strategy), listed


def _refuse_unknown(session: Session, context: AppContext, strategy: str | None) -> None:
    if strategy is not None:
        get_strategy(session, strategy, settings=context.settings)
