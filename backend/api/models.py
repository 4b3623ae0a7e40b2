"""Model versions: list, show, activate, roll back, deactivate."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy.orm import Session

from backend.api.deps import ActorDep, ContextDep
from backend.api.parameters import Cursor, Limit, ReasonQuery, StrategyQuery, VersionIdPath
from backend.api.routing import AdminRoute
from backend.api.schemas.problems import problems
from backend.api.schemas.versions import ActivationOut, ModelDetail, ModelList, ShadowOut
from backend.learning.decisions.strategies import get_strategy
from backend.learning.evidence.version_page import version_page
from backend.learning.versions import activation, queries, shadow
from backend.settings import Settings

router = APIRouter(prefix="/ai", tags=["models"], route_class=AdminRoute)

Force = Annotated[bool, Query(description="Activate whatever the gate says; needs `reason`.")]


@router.get("/models", operation_id="listModels", summary="List versions", responses=problems("unknown_strategy"))
def list_models(
    context: ContextDep, strategy: StrategyQuery = None, limit: Limit = 100, cursor: Cursor = None
) -> ModelList:
    """The strategy's versions, newest first, each with its verdict and its live counters.

    Accuracies are shares from 0 to 1, errors fractions, P&L in quote currency.
    """
    name = context.strategy(strategy)
    found, next_cursor = context.database.read(_list_models, name, context.settings, limit, cursor)
    return ModelList.model_validate({"status": "ok", "count": len(found), "models": found, "next_cursor": next_cursor})


@router.get(
    "/models/{version_id}",
    operation_id="getModel",
    summary="Show one version",
    responses=problems("unknown_version"),
)
def get_model(version_id: VersionIdPath, context: ContextDep, strategy: StrategyQuery = None) -> ModelDetail:
    """All of it: the report, where the version comes from, how it fares live, who activated it when and why."""
    found = context.database.read(
        version_page, version_id, strategy, cost=context.settings.cost, serving=context.serving
    )
    return ModelDetail.model_validate(found)


@router.post(
    "/activate-model/{version_id}",
    operation_id="activateModel",
    summary="Let a version decide",
    responses=problems(
        "unknown_version",
        "artifact_missing",
        "artifact_corrupt",
        "schema_mismatch",
        "not_recommended",
        "activation_changed",
    ),
)
def activate_model(
    version_id: VersionIdPath,
    context: ContextDep,
    actor: ActorDep,
    force: Force = False,
    reason: ReasonQuery = None,
    strategy: StrategyQuery = None,
) -> ActivationOut:
    """Activate a version; the next decision is made by it, in every process, without a restart.

    409 `artifact_missing`, `artifact_corrupt`, `schema_mismatch`; 409 `not_recommended` unless forced with a reason.
    """
    request = activation.ActivationRequest(version_id, actor, force=force, reason=reason, strategy=strategy)
    return ActivationOut.model_validate(activation.activate(context.versions, request))


@router.post(
    "/rollback",
    operation_id="rollback",
    summary="Go back to the version before",
    responses=problems(
        "unknown_strategy",
        "nothing_to_roll_back",
        "artifact_missing",
        "artifact_corrupt",
        "schema_mismatch",
        "activation_changed",
    ),
)
def rollback(
    context: ContextDep, actor: ActorDep, strategy: StrategyQuery = None, reason: ReasonQuery = None
) -> ActivationOut:
    """Activate the version that was active before the present one; a second call goes one further back."""
    answer = activation.rollback(context.versions, context.strategy(strategy), actor, reason)
    return ActivationOut.model_validate(answer)


@router.post(
    "/deactivate", operation_id="deactivate", summary="Let no version decide", responses=problems("unknown_strategy")
)
def deactivate(
    context: ContextDep, actor: ActorDep, strategy: StrategyQuery = None, reason: ReasonQuery = None
) -> ActivationOut:
    """No version is active afterwards; the cold-start rule makes the next decision."""
    answer = activation.deactivate(context.versions, context.strategy(strategy), actor, reason)
    return ActivationOut.model_validate(answer)


@router.post(
    "/models/{version_id}/shadow",
    operation_id="startShadow",
    summary="Let a version score beside the active one",
    responses=problems(
        "unknown_version",
        "already_active",
        "too_many_shadows",
        "artifact_missing",
        "artifact_corrupt",
        "schema_mismatch",
        "activation_changed",
    ),
)
def start_shadow(
    version_id: VersionIdPath, context: ContextDep, actor: ActorDep, strategy: StrategyQuery = None
) -> ShadowOut:
    """From the next decision on the version forecasts every decision from the same features, and acts on none.

    It goes on until it is stopped or activated. The newest three candidates, and the version that was replaced last,
    do so by themselves. 409 `already_active`; 409 `too_many_shadows` beyond eight that were asked for; 409
    `artifact_missing`, `artifact_corrupt`, `schema_mismatch`.
    """
    return ShadowOut.model_validate(shadow.ask(context.versions, version_id, actor, strategy))


@router.delete(
    "/models/{version_id}/shadow",
    operation_id="stopShadow",
    summary="Let a version score no more",
    responses=problems("unknown_version"),
)
def stop_shadow(
    version_id: VersionIdPath, context: ContextDep, actor: ActorDep, strategy: StrategyQuery = None
) -> ShadowOut:
    """It forecasts no further decision; what it forecast stays, and can be compared.

    Nothing happens where it is no shadow.
    """
    return ShadowOut.model_validate(shadow.stop(context.versions, version_id, actor, strategy))


def _list_models(
    session: Session, strategy: str, settings: Settings, limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    get_strategy(session, strategy, settings=settings)
    return queries.list_models(session, strategy=strategy, limit=limit, cursor=cursor)
