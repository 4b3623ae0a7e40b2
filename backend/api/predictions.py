"""Scores for feature rows."""

from fastapi import APIRouter

from backend.api.deps import ContextDep
from backend.api.parameters import StrategyQuery
from backend.api.routing import BotRoute
from backend.api.schemas.decisions import PredictIn, PredictOut
from backend.api.schemas.problems import problems
from backend.api.schemas.reasons import WITH_BODY
from backend.learning.versions.find import find_version
from backend.learning.versions.predict import predict

router = APIRouter(prefix="/ai", tags=["predictions"], route_class=BotRoute)


@router.post(
    "/predict",
    operation_id="predict",
    summary="Score feature rows",
    responses=problems(
        *WITH_BODY,
        "unknown_strategy",
        "unknown_version",
        "no_active_model",
        "no_verified_model",
        "artifact_missing",
        "artifact_corrupt",
    ),
)
def post_predict(body: PredictIn, context: ContextDep, strategy: StrategyQuery = None) -> PredictOut:
    """Forecasts of the active version, or of the one named; nothing is stored. Returns are fractions (0.01 is 1 %).

    409 `no_active_model`; 503 `no_verified_model` when no file can be verified.
    """
    if body.version_id is not None and strategy is not None:
        context.database.read(find_version, body.version_id, strategy)
    answer = predict(context.versions, context.serving, context.strategy(strategy), body.rows, body.version_id)
    return PredictOut.model_validate(answer)
