"""Retraining on call, and the runs that were."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from backend.api.deps import ActorDep, ContextDep
from backend.api.parameters import Cursor, Limit, RunIdPath, StrategyQuery, Wait
from backend.api.routing import AdminRoute
from backend.api.runs import answered, started
from backend.api.schemas.fields import PlainInteger
from backend.api.schemas.problems import problems
from backend.api.schemas.versions import RetrainAnswer, RetrainStarted, RunList, RunOut
from backend.errors import NotFoundError
from backend.learning.decisions.strategies import get_strategy
from backend.learning.versions.retrain import RetrainOptions, retrain, start_retrain
from backend.operations import runs
from backend.settings import Settings

router = APIRouter(prefix="/ai", tags=["retraining"], route_class=AdminRoute)

MinSamples = Annotated[
    int | None,
    PlainInteger,
    Query(ge=1, le=1_000_000, description="Fewer known outcomes in the window: skipped. Left out: the setting."),
]
IncludeSynthetic = Annotated[bool, Query(description="Train on `qt bootstrap`'s rows too; the version then says so.")]


@router.post(
    "/retrain",
    operation_id="retrain",
    summary="Train a new version now",
    response_model=RetrainAnswer,
    responses={
        202: {"description": "Begun; ask for the run.", "model": RetrainStarted},
        **problems("unknown_strategy", "retraining_in_progress"),
    },
)
async def retrain_now(
    context: ContextDep,
    actor: ActorDep,
    min_samples: MinSamples = None,
    wait: Wait = True,
    strategy: StrategyQuery = None,
    include_synthetic: IncludeSynthetic = False,
) -> JSONResponse:
    """Train on the strategy's known outcomes; the version is stored inactive, for a person to judge.

    Accuracies are shares from 0 to 1, errors and returns fractions.

    `success` carries the whole report. `skipped`: `insufficient_samples` or `no_new_samples`. `error`:
    `too_few_valid_samples`, `degenerate_data` or `training_failed`. One at a time a strategy: 409 otherwise.
    """
    options = RetrainOptions(
        strategy=context.strategy(strategy),
        actor=actor,
        min_samples=min_samples,
        include_synthetic=include_synthetic,
    )
    if wait:
        return await answered(context, partial(retrain, context.retraining, **options))
    return await started(context, partial(start_retrain, context.retraining, **options))


@router.get(
    "/retraining-runs", operation_id="listRuns", summary="List retrainings", responses=problems("unknown_strategy")
)
def list_runs(
    context: ContextDep, strategy: StrategyQuery = None, limit: Limit = 100, cursor: Cursor = None
) -> RunList:
    """Scheduled and manual retrainings of a strategy, newest first, with what came of each."""
    name = context.strategy(strategy)
    found, next_cursor = context.database.read(_list_runs, name, context.settings, limit, cursor)
    return RunList.model_validate({"status": "ok", "count": len(found), "runs": found, "next_cursor": next_cursor})


@router.get(
    "/retraining-runs/{run_id}", operation_id="getRun", summary="Show one retraining", responses=problems("unknown_run")
)
def get_run(run_id: RunIdPath, context: ContextDep, strategy: StrategyQuery = None) -> RunOut:
    """How far a run is, or what came of it."""
    run = context.database.read(runs.get_run, run_id)
    if strategy is not None and run["strategy"] != strategy:
        raise NotFoundError(
            f"{run_id} is a run of {run['strategy']}, not of {strategy}. Leave ?strategy= out.", reason="unknown_run"
        )
    return RunOut.model_validate(run)


def _list_runs(
    session: Session, strategy: str, settings: Settings, limit: int, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    get_strategy(session, strategy, settings=settings)
    return runs.list_runs(session, strategy=strategy, limit=limit, cursor=cursor)
