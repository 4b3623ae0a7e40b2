"""What cannot be believed: which rules keep a row out of training, and what a person said of it before.

A row is held for one reason at a time. A rule is about the prices that the forecast is measured by, or about the
trade alone: then the row trains no more, and its forecast counts on (docs/decisions/0045). A rule that a person
overruled for a row never holds it again, and a row that a person dropped stays out whatever the rules say. Callers move
the live counters: see ``counters.counted``.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session, lazyload

from ai_engine.types import LabelSource
from backend.learning.decisions.checks import MAX_RETURN
from backend.models import AITrainingSample

RETURN_OUT_OF_BOUNDS = "return_out_of_bounds"
PRICE_FAR_FROM_CANDLES = "price_far_from_candles"
TRADE_OUT_OF_BOUNDS = "trade_out_of_bounds"
TRADE_FAR_FROM_CANDLES = "trade_far_from_candles"
ALIKE_RETURNS = "alike_returns"
FORECAST_RULES = (RETURN_OUT_OF_BOUNDS, PRICE_FAR_FROM_CANDLES)
TRADE_RULES = (TRADE_OUT_OF_BOUNDS, TRADE_FAR_FROM_CANDLES, ALIKE_RETURNS)
PRICE_RULES = (PRICE_FAR_FROM_CANDLES, TRADE_FAR_FROM_CANDLES)
RULES = (
    RETURN_OUT_OF_BOUNDS,
    PRICE_FAR_FROM_CANDLES,
    TRADE_OUT_OF_BOUNDS,
    TRADE_FAR_FROM_CANDLES,
    ALIKE_RETURNS,
)
RELEASED, DROPPED = "released", "dropped"

LEAST_FORWARD_RETURN = 1 / (1 + MAX_RETURN) - 1
ALIKE_AT_LEAST = 10
ALIKE_WITHIN = timedelta(minutes=1)
ALIKE_TOLERANCE = 1e-9


def keep_out(sample: AITrainingSample, rule: str) -> None:
    """Hold the row for this reason, unless a person overruled the rule for it, or it is kept out already.

    A reason that takes its forecast out too goes before one that is about its trade alone, also where a person dropped
    it for that.
    """
    if rule in overruled(sample):
        return
    if sample.quarantine_reason is None:
        sample.quarantine_reason, sample.quarantine_decision = rule, None
    elif sample.quarantine_reason in TRADE_RULES and rule in FORECAST_RULES:
        sample.quarantine_reason = rule


def let_in(sample: AITrainingSample, rule: str) -> None:
    """Take the row out of quarantine where this rule alone held it; what a person dropped stays out."""
    if sample.quarantine_reason == rule and sample.quarantine_decision != DROPPED:
        sample.quarantine_reason = None


def judges_forecast(reason: str | None) -> bool:
    """Whether a row that is held for this reason, or for none, still says whether its forecast was right.

    What a bot tells of its trade, and when, depends on how it went: were forecasts left out for it, a bot that tells
    nonsense of its losses alone would make its version look better, and no bet would be fair. A fall that fills the
    stops of ten positions, each 1 % below its entry, is a burst of alike returns, and of wrong forecasts only.
    """
    return reason is None or reason in TRADE_RULES


def forecast_is_believed() -> ColumnElement[bool]:
    """``judges_forecast`` as a condition of a query."""
    reason = AITrainingSample.quarantine_reason
    return or_(reason.is_(None), reason.in_(TRADE_RULES))


def overruled(sample: AITrainingSample) -> list[str]:
    """The rules that a person overruled for the row, in the order in which that was done."""
    return (sample.released_reasons or "").split()


def judge_returns(sample: AITrainingSample) -> None:
    """Hold the row while one of its returns is beyond all bounds; another reason is left alone."""
    beyond = [name for name, value in returns_of(sample).items() if out_of_bounds(name, value)]
    _hold_while(sample, RETURN_OUT_OF_BOUNDS, "forward_return" in beyond)
    # What nobody traded earned is the market's move again.
    traded = sample.executed or sample.forward_return is None
    _hold_while(sample, TRADE_OUT_OF_BOUNDS, traded and any(name != "forward_return" for name in beyond))


def _hold_while(sample: AITrainingSample, rule: str, holds: bool) -> None:
    keep_out(sample, rule) if holds else let_in(sample, rule)


def out_of_bounds(name: str, value: float) -> bool:
    """Whether the return of this name is beyond all bounds; a forward return also where it more than halves.

    A price that is ten times too small makes one of only -0.9, within ±1; as a factor a halving is what a doubling is.
    What a trade earned is bounded by ±1 alone: it is money, and may have been lost.
    """
    return abs(value) > MAX_RETURN or (name == "forward_return" and value < LEAST_FORWARD_RETURN)


def find_alike(session: Session, sample: AITrainingSample, *, lock: bool = True) -> list[AITrainingSample]:
    """The row and those closed with it in a burst of alike returns, locked on PostgreSQL to be held; empty without one.

    A burst is ``ALIKE_AT_LEAST`` trades of one strategy and symbol with the same return, other than 0, whose exits lie
    within a minute. Were there more, each was found with those nearest to it when the last of them arrived: nine on
    either side are enough, so that ten thousand such trades cost no more each than ten.
    """
    if not sample.market_return or sample.exit_time is None or sample.label_source != LabelSource.EXECUTED:
        return []
    before, after = (_nearest(session, sample, sample.exit_time, earlier=side, lock=lock) for side in (True, False))
    around = [*reversed(before), sample, *after]
    found: dict[int, AITrainingSample] = {}
    for first in range(len(around) - ALIKE_AT_LEAST + 1):
        burst = around[first : first + ALIKE_AT_LEAST]
        if _left(burst[-1]) - _left(burst[0]) <= ALIKE_WITHIN:
            found |= {one.id: one for one in burst}
    return list(found.values())


def hold_alike(sample: AITrainingSample) -> None:
    """Hold the row as one of a burst, in the place of a reason about its trade that may go; no later price ends this.

    A reason that takes its forecast out stays: see ``hold_if_alike`` for when that ends.
    """
    reason = sample.quarantine_reason
    if ALIKE_RETURNS in overruled(sample) or sample.quarantine_decision == DROPPED or reason in FORECAST_RULES:
        return
    sample.quarantine_reason, sample.quarantine_decision = ALIKE_RETURNS, None


def hold_if_alike(session: Session, sample: AITrainingSample) -> None:
    """Hold a row whose other reason ended if it is one of a burst: what was told of trades does not change."""
    if sample.quarantine_reason is None and sample in find_alike(session, sample, lock=False):
        hold_alike(sample)


def by_reason(rows: Iterable[Any]) -> dict[str, int]:
    """How many of the rows are kept out, by the rule that holds them; those that a person dropped by that."""
    kept_out = [row for row in rows if row.quarantine_reason is not None]
    held = Counter(row.quarantine_reason for row in kept_out if row.quarantine_decision != DROPPED)
    return dict(held + Counter({DROPPED: len(kept_out) - held.total()}))


def returns_of(sample: AITrainingSample) -> dict[str, float]:
    """The row's known returns, by name."""
    told = {
        "forward_return": sample.forward_return,
        "market_return": sample.market_return,
        "target_label": sample.target_label if sample.executed else None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _left(sample: AITrainingSample) -> datetime:
    if sample.exit_time is None:
        raise ValueError("only rows that were left are compared")
    return sample.exit_time


def _nearest(
    session: Session, sample: AITrainingSample, left: datetime, *, earlier: bool, lock: bool
) -> list[AITrainingSample]:
    """The nearest alike trades on one side in time, nearest first; those of the same moment stand before it."""
    row, value = AITrainingSample, float(sample.market_return or 0.0)
    tolerance = ALIKE_TOLERANCE * abs(value)
    span = row.exit_time.between(left - ALIKE_WITHIN, left) if earlier else row.exit_time > left
    query = select(row).where(
        row.strategy == sample.strategy,
        row.symbol == sample.symbol,
        span,
        row.exit_time <= left + ALIKE_WITHIN,
        row.market_return.between(value - tolerance, value + tolerance),
        row.id != sample.id,
        row.origin == "decision",
        row.label_source == LabelSource.EXECUTED.value,
    )
    order = row.exit_time.desc() if earlier else row.exit_time
    nearest = query.order_by(order).limit(ALIKE_AT_LEAST - 1).options(lazyload(row.feature_schema))
    if lock:
        nearest = nearest.with_for_update().execution_options(populate_existing=True)
    return list(session.scalars(nearest))
