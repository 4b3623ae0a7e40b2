"""Whether the process lives, and whether it can work. Open to everybody, so it says little."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from backend.api.deps import AppContext
from backend.api.schemas.operating import HealthOut, ReadyOut
from backend.api.schemas.problems import open_problems
from backend.learning.evidence.status import trader_trouble
from backend.models import AIModelVersion
from backend.operations.codes import Code
from backend.trading.live import TraderLoop

router = APIRouter(tags=["health"])


@router.get("/health/live", operation_id="healthLive", summary="Does the process live?", responses=open_problems())
def health_live() -> HealthOut:
    """200 as long as the process answers at all."""
    return HealthOut(status="ok")


@router.get(
    "/health/ready",
    operation_id="healthReady",
    summary="Can the service work?",
    response_model=ReadyOut,
    responses={503: {"description": "It cannot; `reasons` says why.", "model": ReadyOut}, **open_problems()},
)
def health_ready(request: Request) -> JSONResponse:
    """200 when decisions can be taken and stored.

    `degraded` when an earlier version stands in for a damaged one (`artifact_corrupt`), or the built-in trader will not
    begin (`trader_stopped`), has no candles (`market_feed_stale`) or cannot store what it decides (`writes_fail`);
    `GET /ai/doctor` says more.
    """
    context: AppContext | None = getattr(request.app.state, "context", None)
    if context is None:
        return _answer("unavailable", ["starting"])
    try:
        reasons = context.database.read(_degraded, context)
    except SQLAlchemyError:
        return _answer("unavailable", ["database_unavailable"])
    trader: TraderLoop | None = getattr(request.app.state, "trader", None)
    if trader is not None and trader.trouble is not None:
        reasons = [*reasons, str(trader.trouble)]
    return _answer("degraded" if reasons else "ok", reasons)


def _degraded(session: Session, context: AppContext) -> list[str]:
    """The doctor's codes of what does not work as it should."""
    active = session.scalars(select(AIModelVersion.strategy).where(AIModelVersion.is_active)).all()
    damaged = any(context.serving.state_of(session, strategy).degraded for strategy in active)
    trouble = trader_trouble(session, context.settings)
    return [*([str(Code.ARTIFACT_CORRUPT)] if damaged else []), *([str(trouble)] if trouble else [])]


def _answer(status: str, reasons: list[str]) -> JSONResponse:
    content: dict[str, Any] = {"status": status, "reasons": reasons}
    return JSONResponse(content, status_code=503 if status == "unavailable" else 200)
