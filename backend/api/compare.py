"""Two versions side by side."""

from typing import Annotated

from fastapi import APIRouter, Query

from backend.api.deps import ContextDep
from backend.api.parameters import StrategyQuery
from backend.api.routing import AdminRoute
from backend.api.schemas.compare import CompareOut
from backend.api.schemas.fields import VersionIdField
from backend.api.schemas.problems import problems
from backend.learning.evidence.compare import compare

router = APIRouter(prefix="/ai", tags=["models"], route_class=AdminRoute)

VersionQuery = Annotated[VersionIdField, Query(description="One of the two versions.")]


@router.get(
    "/compare",
    operation_id="compareModels",
    summary="Compare two versions",
    responses=problems("unknown_version", "different_strategies", "same_version"),
)
def compare_models(a: VersionQuery, b: VersionQuery, context: ContextDep, strategy: StrategyQuery = None) -> CompareOut:
    """How each was judged, how each fares live, and both on the decisions that both forecast.

    Only the paired part compares them: figures from different times say more about the times than about the
    versions. `verdict` is how `b` did against `a`: `better` or `worse` only where the confidence sequence of the
    difference a round lies off 0, which holds however often one looks. Executed P&L stands beside it, never inside.
    409 `different_strategies`; 422 `same_version`.
    """
    return CompareOut.model_validate(context.database.read(compare, a, b, strategy, settings=context.settings))
