"""One decision round, the same live, after a restart and in replay: candles in, fills, outcomes, decisions, orders.

Features and forecasts are computed with no transaction open; everything the round leaves behind is then written
in one. The strategy's feed row carries the last round's time in that same transaction, so that no round is ever
taken twice or half.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from ai_engine.candles import Candles
from ai_engine.features.catalogue import FEATURE_NAMES
from ai_engine.types import Action
from backend.clock import iso
from backend.errors import ConflictError
from backend.learning.decisions.decide import Decided, DecisionContext, Observation, decide
from backend.learning.decisions.intervals import hold
from backend.learning.decisions.record import NewDecision, record
from backend.learning.decisions.settle import settle_due, settle_followers
from backend.learning.versions.serving import ServingModel, ShadowModel
from backend.market import candles as store
from backend.market.feed import CandleRound
from backend.models import AIModelVersion, Feed, Strategy
from backend.trading.broker import PaperBroker, Signal
from backend.trading.context import TraderContext, policy_of
from backend.trading.exits import barriers
from backend.trading.feed_state import Taken, say_round
from backend.trading.late import Place, dark_symbols, take_late
from backend.trading.resume import resume, windows_of
from backend.trading.windows import Seen, look

log = logging.getLogger(__name__)

Answer = tuple[Seen, str, Decided]
"""What was seen, the decision's id, and what was answered."""


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What one round did: its decisions by action, the trades it entered and left, the rows it settled."""

    closed_at: datetime
    signals: dict[str, int]
    entered: int
    left: int
    settled: int


class Trader:
    """The built-in trader of one strategy; memory holds only what the database can give back."""

    def __init__(self, context: TraderContext) -> None:
        self._context = context
        resumed = resume(context)
        self.feed = context.feed
        self.after = resumed.after
        self._market = resumed.market
        self._terms = resumed.terms
        self._windows = resumed.windows
        self._outdated = False
        self._decision = DecisionContext(
            policy=policy_of(context.settings, resumed.terms),
            enabled=context.settings.enable_ai_trading,
        )

    def step(self, one: CandleRound) -> RoundResult:
        """Take one round."""
        return self.steps([one])[0]

    def steps(self, rounds: Sequence[CandleRound]) -> list[RoundResult]:
        """Take several rounds in event order in one transaction: with the model that is active at the first."""
        looked = look(self._windows, rounds, self._terms.timeframe)
        seen = [[item for item in one if item.symbol not in self._context.exits_only] for one in looked.seen]
        results = None
        while results is None:
            active, model, shadows = self._context.database.read(self._active)
            answers = self._decide(seen, model, shadows)
            results = self._context.database.write(self._store, rounds, answers, active)
        self.after = rounds[-1].close_time
        if self._outdated:  # a late candle may belong among those of these very rounds
            self._reload()
        else:
            self._windows = looked.windows
        self._outdated = False
        for result in results:
            if sum(result.signals.values()):
                log.info("AI signals generated: BUY=%(BUY)d SELL=%(SELL)d HOLD=%(HOLD)d", result.signals)
        return results

    def take_late(self, late: Mapping[str, Candles]) -> int:
        """Store candles whose round was taken without them, leave by them, see them from now on; how many were new."""
        place = Place(self._context, self._market, self._terms)
        new = self._context.database.write(take_late, place, late) if late else 0
        if new:
            self._outdated = True
            self._reload()
        return new

    def _reload(self) -> None:
        """See what the store holds up to the last round."""
        self._windows = self._context.database.read(windows_of, self.feed, self._market, self.after)

    @property
    def timeframe(self) -> timedelta:
        """The length of one candle."""
        return self._terms.timeframe

    def _active(self, session: Session) -> tuple[str | None, ServingModel | None, Sequence[ShadowModel]]:
        """The version activated, the model that serves, and those that score beside it."""
        strategy, serving = self._context.strategy, self._context.serving
        shadows = serving.shadows_for(session, strategy)
        return _active_version(session, strategy), serving.model_for(session, strategy), shadows

    def _decide(
        self, seen: Sequence[Sequence[Seen]], model: ServingModel | None, shadows: Sequence[ShadowModel]
    ) -> list[list[Answer]]:
        """Answers for every observation of every round, from one call of each model; nobody explores without orders."""
        context, timeframe = self._context, self._context.feed.timeframe
        flat = [(item, f"{item.symbol}-{timeframe}-{iso(item.closed_at)}") for one in seen for item in one]
        observations = [
            Observation(
                item.symbol,
                item.features,
                FEATURE_NAMES,
                _uniform(context.seed, decision_id) if context.settings.enable_execution else None,
            )
            for item, decision_id in flat
        ]
        answers = iter(zip(flat, decide(observations, model, self._decision, shadows), strict=True))
        return [[(*known, answer) for known, answer in _take(answers, len(one))] for one in seen]

    def _store(
        self,
        session: Session,
        rounds: Sequence[CandleRound],
        answers: Sequence[Sequence[Answer]],
        active: str | None,
    ) -> list[RoundResult] | None:
        """Write the rounds; None where another version was activated meanwhile, whose answers these are not."""
        context = self._context
        if context.guard is not None:
            context.guard(session)
        if _active_version(session, context.strategy) != active:
            return None
        strategy, feed = session.get_one(Strategy, context.strategy), session.get_one(Feed, context.strategy)
        if feed.market_time is not None and feed.market_time >= rounds[0].close_time:
            raise ConflictError(
                f"The round of {iso(rounds[0].close_time)} has been taken already; go on after"
                f" {iso(feed.market_time)}.",
                reason="round_taken",
            )
        hold(session, strategy)
        now = _recorded_at(context, rounds[-1])
        broker = PaperBroker(session, strategy, self._terms, now)
        results = [self._one(session, broker, one, answer) for one, answer in zip(rounds, answers, strict=True)]
        dark = dark_symbols(session, self.feed, self._market, rounds[-1])
        taken = Taken(rounds[-1], decided=any(answers), overdue=tuple(sorted(broker.overdue)), dark=dark)
        say_round(session, feed, self.feed, taken, now=context.clock())
        return results

    def _one(self, session: Session, broker: PaperBroker, one: CandleRound, answers: Sequence[Answer]) -> RoundResult:
        """Everything one round leaves behind, in the order in which it happens."""
        strategy = session.get_one(Strategy, self._context.strategy)
        entered, left = broker.entered, broker.left
        store.append_round(session, self._market, self.feed.timeframe, one)
        broker.trade(one.close_time - self.timeframe, one.candles, fresh=one.fresh)
        settled = self._settle(session, strategy, one)
        self._record(session, strategy, broker, one, answers)
        counts = Counter(answer.choice.action for _, _, answer in answers)
        return RoundResult(
            closed_at=one.close_time,
            signals={action.value: counts[action.value] for action in Action},
            entered=broker.entered - entered,
            left=broker.left - left,
            settled=settled,
        )

    def _settle(self, session: Session, strategy: Strategy, one: CandleRound) -> int:
        """Settle, in market time, the trader's own rows and those of bots that its market prices."""
        terms, market, market_time, now = self._terms, self._market, one.close_time, _recorded_at(self._context, one)
        own = settle_due(session, strategy, market_time=market_time, costs=terms, markets=(market,), now=now)
        settings = self._context.settings
        return own + settle_followers(session, market, settings=settings, market_time=market_time, costs=terms, now=now)

    def _record(
        self, session: Session, strategy: Strategy, broker: PaperBroker, one: CandleRound, answers: Sequence[Answer]
    ) -> None:
        if not answers:
            return
        decisions = [_new_decision(*answer) for answer in answers]
        samples = record(session, strategy, decisions, now=_recorded_at(self._context, one))
        if not self._context.settings.enable_execution:
            return
        for sample, (seen, decision_id, answer) in zip(samples, answers, strict=True):
            if answer.choice.action == Action.HOLD:
                continue
            distances = barriers(seen.closes, self._terms.horizon_candles, self._terms.cost)
            signal = Signal(sample.id, decision_id, seen.symbol, answer.choice.action, seen.closed_at, distances)
            broker.signal(replace(signal, fresh=one.fresh))


def _uniform(seed: int, decision_id: str) -> float:
    """A number in [0, 1) that is the same for this decision in every run."""
    digest = hashlib.blake2b(f"{seed}:{decision_id}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def _recorded_at(context: TraderContext, one: CandleRound) -> datetime:
    """When a round's facts are recorded: never before they happened, however far our clock is behind."""
    return max(context.clock(), one.close_time)


def _active_version(session: Session, strategy: str) -> str | None:
    query = select(AIModelVersion.version_id).where(AIModelVersion.strategy == strategy, AIModelVersion.is_active)
    return session.scalars(query).one_or_none()


def _new_decision(seen: Seen, decision_id: str, answer: Decided) -> NewDecision:
    return NewDecision(
        decision_id=decision_id,
        symbol=seen.symbol,
        timestamp=seen.closed_at,
        price=None,
        feature_names=FEATURE_NAMES,
        features=seen.features,
        action=answer.choice.action,
        forecast=answer.forecast,
        model_version=answer.model_version,
        reason=answer.choice.reason,
        explored=answer.choice.explored,
        propensity=answer.choice.propensity,
        body_hash=None,
        shadows=answer.shadows,
    )


def _take(
    answers: Iterator[tuple[tuple[Seen, str], Decided]], count: int
) -> Iterator[tuple[tuple[Seen, str], Decided]]:
    for _ in range(count):
        yield next(answers)
