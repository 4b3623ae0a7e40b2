"""Strategies, and the feature schemas admitted to them."""

from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session

from backend.api.deps import ActorDep, AppContext, ContextDep
from backend.api.parameters import Cursor, Limit, StrategyPath
from backend.api.routing import AdminRoute
from backend.api.schemas.operating import SchemaIn, SchemaOut, StrategyList
from backend.api.schemas.problems import problems
from backend.api.schemas.reasons import WITH_BODY
from backend.learning.decisions.strategies import EXTERNAL, admit_schema, ensure_strategy, find_strategy
from backend.learning.versions.queries import list_strategies, schema_warning

router = APIRouter(prefix="/ai", tags=["strategies"], route_class=AdminRoute)


@router.get("/strategies", operation_id="listStrategies", summary="List strategies", responses=problems())
def get_strategies(context: ContextDep, limit: Limit = 100, cursor: Cursor = None) -> StrategyList:
    """Every strategy that was ever written to, newest first, with what was fixed at its creation."""
    found, next_cursor = context.database.read(list_strategies, limit=limit, cursor=cursor)
    return StrategyList.model_validate(
        {"status": "ok", "count": len(found), "strategies": found, "next_cursor": next_cursor}
    )


@router.post(
    "/strategies/{strategy}/schema",
    operation_id="admitSchema",
    summary="Admit a new set of feature names",
    responses=problems(*WITH_BODY),
)
def post_schema(strategy: StrategyPath, body: SchemaIn, context: ContextDep, actor: ActorDep) -> SchemaOut:
    """From now on decisions of the strategy carry these names; training uses rows that hold all of them.

    Where the active version needs other names, decisions are stored as HOLD with reason `schema_mismatch` until a
    version of this schema is active; `warning` says so.
    """
    return SchemaOut.model_validate(context.database.write(_admit, context, strategy, body.features, actor))


def _admit(session: Session, context: AppContext, name: str, features: list[str], actor: str) -> dict[str, Any]:
    now = context.clock()
    row, created = find_strategy(session, name), False
    if row is None:  # its first write: only the trader's own strategy is born on the trader's market
        own = name == context.settings.strategy and context.settings.market != "off"
        market = context.settings.market if own else EXTERNAL
        row, created = ensure_strategy(session, name, market=market, settings=context.settings, now=now, actor=actor)
    schema = admit_schema(session, row, features, now, actor)
    return {
        "status": "success",
        "strategy": row.name,
        "features": schema.names,
        "feature_schema_hash": schema.hash,
        "strategy_created": created,
        "warning": schema_warning(session, row),
    }
