"""What a bot sends and asks: decisions, executions, outcomes."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from sqlalchemy.orm import Session
from structlog.contextvars import get_contextvars

from backend.api.deps import DEFAULT_STRATEGY, ActorDep, AppContext, ContextDep
from backend.api.parameters import Cursor, DecisionIdPath, Limit, StrategyQuery
from backend.api.problems import problem_of, validation_problem
from backend.api.routing import BotRoute
from backend.api.schemas.decisions import (
    DecisionAgain,
    DecisionBatch,
    DecisionDetail,
    DecisionIn,
    DecisionList,
    DecisionOut,
    DecisionPost,
    ExecutionIn,
    OutcomeIn,
)
from backend.api.schemas.described import DecisionState
from backend.api.schemas.problems import problems
from backend.api.schemas.reasons import WITH_BODY
from backend.api.schemas.samples import SampleOut
from backend.errors import QuantumTraderError
from backend.learning.decisions import outcomes, queries
from backend.learning.decisions.observed import DecisionBody
from backend.learning.decisions.posted import PostedDecision, post_decision, post_decisions
from backend.learning.decisions.strategies import get_strategy
from backend.learning.decisions.told_outcomes import tell_outcome

router = APIRouter(prefix="/ai", tags=["decisions"], route_class=BotRoute)

StateQuery = Annotated[DecisionState | None, Query(description="Only those in this state. Left out: all.")]


@router.post(
    "/decisions",
    status_code=201,
    operation_id="postDecision",
    summary="Ask for a decision, or record one",
    response_model=DecisionOut,
    responses={
        200: {
            "description": "The same id and body before: the first answer. Or, for a batch, one result each.",
            "model": DecisionAgain,
        },
        **problems(
            *WITH_BODY,
            "decision_conflict",
            "market_mismatch",
            "price_required",
            "feature_names_mismatch",
        ),
    },
)
def post_decisions_or_one(
    body: Annotated[DecisionPost, Body(title="DecisionPost")],
    context: ContextDep,
    actor: ActorDep,
    strategy: StrategyQuery = None,
) -> Response:
    """The active version answers, or the cold-start rule while none is; with `predicted_action` the bot's own stands.

    Every answer is stored with its features, HOLD too, and becomes a training sample. `price` is the reference price
    that the outcome is measured from; it may be left out only with `candles` or a symbol the feed knows.
    A batch `{"decisions": […]}` of up to 1000 is answered 200, each item with its own `status`.
    """
    name = strategy or DEFAULT_STRATEGY
    if isinstance(body, DecisionBatch):
        return JSONResponse({"results": _post_batch(context, name, body.decisions, actor)})
    posted = post_decision(context.decisions, name, _domain_body(body), actor)
    return JSONResponse(posted.answer, status_code=posted.status_code)


@router.post(
    "/decisions/{decision_id}/execution",
    operation_id="postExecution",
    summary="Report an entry fill",
    responses=problems(
        *WITH_BODY,
        "unknown_strategy",
        "unknown_decision",
        "fill_conflict",
        "long_only",
        "not_a_decision",
        "already_closed",
        "side_conflict",
    ),
)
def post_execution(
    decision_id: DecisionIdPath, body: ExecutionIn, context: ContextDep, strategy: StrategyQuery = None
) -> SampleOut:
    """Fills of different `fill_id` add up to one position, also once it has begun to leave, until it is closed.

    The same fill again changes nothing. An `entry_time` more than 60 s before the decision is kept with a `warning`.
    """
    execution = outcomes.Execution(**body.model_dump())
    return SampleOut.model_validate(context.database.write(_execute, context, strategy, decision_id, execution))


@router.post(
    "/decisions/{decision_id}/outcome",
    operation_id="postOutcome",
    summary="Report an exit fill",
    responses=problems(
        *WITH_BODY,
        "unknown_strategy",
        "unknown_decision",
        "not_executed",
        "fill_conflict",
        "outcome_conflict",
        "entry_conflict",
        "quantity_exceeds_entry",
        "long_only",
        "not_a_decision",
    ),
)
def post_outcome(
    decision_id: DecisionIdPath, body: OutcomeIn, context: ContextDep, strategy: StrategyQuery = None
) -> SampleOut:
    """Closed when the entered quantity has left or `final` says so; P&L and labels are computed here.

    `fees`, when given, are those of both legs; a part without carries its share of the entry's.
    A decision never executed needs `side`, `entry_price` and `quantity`.
    """
    outcome = outcomes.Outcome(**body.model_dump())
    return SampleOut.model_validate(context.database.write(_close, context, strategy, decision_id, outcome))


@router.get(
    "/decisions/{decision_id}",
    operation_id="getDecision",
    summary="Show one decision",
    responses=problems("unknown_strategy", "unknown_decision"),
)
def get_decision(decision_id: DecisionIdPath, context: ContextDep, strategy: StrategyQuery = None) -> DecisionDetail:
    """The decision with its outcome so far; `exited_quantity` says how much of an open position has left."""
    return DecisionDetail.model_validate(context.database.read(_get, context, strategy, decision_id))


@router.get(
    "/decisions", operation_id="listDecisions", summary="List decisions", responses=problems("unknown_strategy")
)
def list_decisions(
    context: ContextDep,
    state: StateQuery = None,
    strategy: StrategyQuery = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> DecisionList:
    """What a restarted bot asks: which of its positions are open, which decisions are pending."""
    chosen = queries.SampleFilter(strategy=strategy or DEFAULT_STRATEGY, state=state, limit=limit, cursor=cursor)
    found, next_cursor = context.database.read(_list, context, chosen)
    return DecisionList.model_validate(
        {"status": "ok", "count": len(found), "decisions": found, "next_cursor": next_cursor}
    )


def _domain_body(body: DecisionIn) -> DecisionBody:
    return DecisionBody(**{name: getattr(body, name) for name in DecisionIn.model_fields})


def _post_batch(context: AppContext, strategy: str, items: list[Any], actor: str) -> list[dict[str, Any]]:
    """One answer an item, in order: what is malformed is refused here, the rest goes to the domain together."""
    answers: list[dict[str, Any] | None] = []
    well_formed: list[DecisionBody] = []
    for item in items:
        try:
            well_formed.append(_domain_body(DecisionIn.model_validate(item)))
            answers.append(None)
        except ValidationError as error:
            answers.append(validation_problem(RequestValidationError(error.errors()).errors(), _request_id()))
    results = iter(post_decisions(context.decisions, strategy, well_formed, actor) if well_formed else ())
    return [_public(next(results)) if answer is None else answer for answer in answers]


def _public(result: PostedDecision | QuantumTraderError) -> dict[str, Any]:
    if isinstance(result, QuantumTraderError):
        return problem_of(result, _request_id())
    return {"status": result.status_code, **result.answer}


def _request_id() -> str | None:
    return get_contextvars().get("request_id")


def _named(session: Session, context: AppContext, strategy: str | None) -> str:
    """The strategy of a bot's call; 404 with the nearest name where there is none such."""
    name = strategy or DEFAULT_STRATEGY
    get_strategy(session, name, settings=context.settings)
    return name


def _get(session: Session, context: AppContext, strategy: str | None, decision_id: str) -> dict[str, Any]:
    return queries.get_decision(session, _named(session, context, strategy), decision_id)


def _execute(
    session: Session, context: AppContext, strategy: str | None, decision_id: str, execution: outcomes.Execution
) -> dict[str, Any]:
    name = _named(session, context, strategy)
    sample = outcomes.record_execution(session, name, decision_id, execution, now=context.clock())
    return queries.sample_dict(sample)


def _close(
    session: Session, context: AppContext, strategy: str | None, decision_id: str, outcome: outcomes.Outcome
) -> dict[str, Any]:
    name, settings = _named(session, context, strategy), context.settings
    sample = tell_outcome(session, name, decision_id, outcome, settings=settings, now=context.clock())
    return queries.sample_dict(sample)


def _list(
    session: Session, context: AppContext, chosen: queries.SampleFilter
) -> tuple[list[dict[str, Any]], str | None]:
    get_strategy(session, chosen.strategy, settings=context.settings)
    return queries.list_decisions(session, chosen)
