"""``POST /ai/decisions``: check what a bot posts, let the active version answer, store the answer, settle by its price.

What can be refused is refused before anything is written, each item of a batch for itself; features and forecasts
are computed with no write transaction open; everything that is left is then stored in one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ai_engine.policy import NO_ACTIVE_MODEL, NO_VERIFIED_MODEL, Choice, PolicySettings
from backend.clock import Clock
from backend.database import Database
from backend.errors import InvalidInputError, QuantumTraderError
from backend.learning.decisions.decide import Decided, DecidingModel, DecisionContext, Observation, decide
from backend.learning.decisions.observed import DecisionBody, Observed, observe
from backend.learning.decisions.posted_store import (
    Accepted,
    PostedDecision,
    Result,
    StoredAnswer,
    Writing,
    first_answer,
    repeat,
    store,
    stored,
)
from backend.learning.decisions.prices import markets_of
from backend.learning.decisions.strategies import (
    EXTERNAL,
    check_market,
    check_name,
    check_schema,
    find_strategy,
    new_strategy,
)
from backend.market.candles import last_close_time
from backend.models import AIModelVersion, FeatureSchema, Strategy
from backend.settings import Settings

__all__ = ["DecisionBody", "DecisionService", "PostedDecision", "Result", "post_decision", "post_decisions"]

BOT_DECISION = "bot_decision"
ATTEMPTS = 3


class ModelSource(Protocol):
    """Who knows the version that serves a strategy."""

    def model_for(self, session: Session, strategy: str, /) -> DecidingModel | None:
        """The serving version, None while none is active."""

    def shadows_for(self, session: Session, strategy: str, /) -> Sequence[DecidingModel]:
        """The versions that score beside it."""


@dataclass(frozen=True, slots=True)
class DecisionService:
    """What deciding for bots needs."""

    database: Database
    settings: Settings
    serving: ModelSource
    clock: Clock


@dataclass(frozen=True, slots=True)
class _Known:
    """What the database says before anything is computed.

    ``no_model`` is why none answers where none does; ``fed`` are the symbols whose prices the feed brings.
    """

    strategy: Strategy | None
    schema_names: tuple[str, ...] | None
    answers: dict[str, StoredAnswer]
    model: DecidingModel | None
    shadows: Sequence[DecidingModel]
    no_model: str
    fed: frozenset[str]


def post_decision(service: DecisionService, strategy: str, body: DecisionBody, actor: str) -> PostedDecision:
    """Store one decision and answer it; the same body again gets the first answer."""
    (result,) = post_decisions(service, strategy, [body], actor)
    if isinstance(result, QuantumTraderError):
        raise result
    return result


def post_decisions(service: DecisionService, strategy: str, bodies: Sequence[DecisionBody], actor: str) -> list[Result]:
    """Store many decisions in one transaction; one result a body, in order, refusals among them."""
    check_name(strategy)
    for _ in range(ATTEMPTS):
        try:
            return _post(service, strategy, bodies, actor)
        except IntegrityError:  # another process stored one of the ids meanwhile: look again
            continue
    return _post(service, strategy, bodies, actor)


def _post(service: DecisionService, strategy: str, bodies: Sequence[DecisionBody], actor: str) -> list[Result]:
    settings, now = service.settings, service.clock()
    known = service.database.read(_look, service, strategy, bodies)
    seen = [_observed(body, known, settings, now) for body in bodies]
    policy = PolicySettings(
        min_confidence=settings.min_confidence,
        require_edge=settings.require_edge,
        cost=settings.cost,
        sides=known.strategy.sides if known.strategy else settings.sides,
        exploration_rate=0.0,
    )
    context = DecisionContext(policy, settings.enable_ai_trading, known.no_model)
    decided = _decided(seen, known, context, settings)
    if not any(isinstance(item, Accepted) for item in decided):
        return [item for item in decided if not isinstance(item, Accepted)]
    return service.database.write(store, Writing(strategy, actor, now, settings), decided)


def _look(session: Session, service: DecisionService, strategy: str, bodies: Sequence[DecisionBody]) -> _Known:
    row, settings = find_strategy(session, strategy), service.settings
    samples = stored(session, strategy, {body.decision_id for body in bodies if body.decision_id is not None})
    names = None
    if row is not None and row.feature_schema_id is not None:
        names = tuple(session.get_one(FeatureSchema, row.feature_schema_id).names)
    unpriced = {body.symbol.replace("/", "") for body in bodies if body.price is None and body.candles is None}
    return _Known(
        strategy=row,
        schema_names=names,
        answers={decision_id: first_answer(session, sample) for decision_id, sample in samples.items()},
        model=service.serving.model_for(session, strategy) if row else None,
        shadows=service.serving.shadows_for(session, strategy) if row else (),
        no_model=NO_VERIFIED_MODEL if _has_active(session, strategy) else NO_ACTIVE_MODEL,
        fed=_fed(session, row or new_strategy(strategy, market=settings.market, settings=settings), unpriced, settings),
    )


def _has_active(session: Session, strategy: str) -> bool:
    """Whether a version is active by its row, whatever became of its file."""
    row = AIModelVersion
    return session.scalar(select(row.id).where(row.strategy == strategy, row.is_active)) is not None


def _fed(session: Session, strategy: Strategy, symbols: Iterable[str], settings: Settings) -> frozenset[str]:
    """The symbols for which a feed of the strategy brings prices."""
    return frozenset(
        symbol
        for symbol in symbols
        for market in markets_of(strategy, settings)
        if last_close_time(session, market, strategy.timeframe, (symbol,)) is not None
    )


def _observed(body: DecisionBody, known: _Known, settings: Settings, now: datetime) -> Observed | Result:
    body_hash = body.content_hash()
    if body.decision_id is not None and body.decision_id in known.answers:
        return repeat(body, body_hash, known.answers[body.decision_id])
    try:
        timeframe = known.strategy.timeframe if known.strategy else settings.timeframe
        observed = observe(body, body_hash, timeframe=timeframe, now=now)
        if body.price is None and body.candles is None and observed.symbol not in known.fed:
            raise InvalidInputError(
                f"price is missing: {observed.symbol} is no symbol of this service's market. Send the price at which"
                " you could trade now, or candles.",
                field="price",
                reason="price_required",
            )
        if known.strategy is not None:
            check_market(known.strategy, _market(observed, settings))
            if known.schema_names is not None:
                check_schema(known.strategy.name, known.schema_names, observed.names)
    except QuantumTraderError as error:
        return error
    return observed


def _market(observed: Observed, settings: Settings) -> str:
    """Where the reference price comes from: the feed for a decision that brings neither a price nor candles."""
    return settings.market if observed.body.price is None and observed.candles is None else EXTERNAL


def _decided(
    seen: Sequence[Observed | Result], known: _Known, context: DecisionContext, settings: Settings
) -> list[Accepted | Result]:
    """Answers for all observations from one call of each model; a bot's own decision is taken as it is."""
    asked: dict[int, Observation] = {}
    results: dict[int, Accepted | Result] = {}
    for index, item in enumerate(seen):
        if not isinstance(item, Observed):
            results[index] = item
        elif item.body.predicted_action is not None:
            own = Choice(item.body.predicted_action, BOT_DECISION, explored=False, propensity=1.0)
            results[index] = Accepted(item, _market(item, settings), Decided(own, None, None))
        else:
            asked[index] = Observation(item.symbol, item.features, item.names, None)
    answers = decide(list(asked.values()), known.model, context, known.shadows)
    for index, decided in zip(asked, answers, strict=True):
        item = seen[index]
        if isinstance(item, Observed):
            results[index] = Accepted(item, _market(item, settings), decided)
    return [results[index] for index in range(len(seen))]
