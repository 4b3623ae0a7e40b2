"""What a bot posts, checked and turned into the row of features that a decision sees."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import uuid4

import numpy as np

from ai_engine.candles import Candles, clean, timeframe_ms
from ai_engine.features.catalogue import FEATURE_NAMES, WINDOW
from ai_engine.features.compute import compute
from ai_engine.types import Action, FeatureMatrix
from backend.clock import from_ms, iso, to_ms
from backend.errors import InvalidInputError
from backend.learning.decisions.checks import (
    AMOUNT_MAX,
    AMOUNT_MIN,
    check_amount,
    check_decision_id,
    check_time,
    content_hash,
    normal_symbol,
)
from backend.learning.decisions.strategies import check_feature_names

MAX_CANDLES = 1_000
COLUMNS = ("open_time", "open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class DecisionBody:
    """One posted decision: features or candles (rows of open time in ms, open, high, low, close, volume)."""

    symbol: str
    decision_id: str | None = None
    timestamp: datetime | None = None
    price: float | None = None
    features: Mapping[str, float] | None = None
    candles: Sequence[Sequence[float]] | None = None
    predicted_action: str | None = None
    prediction_confidence: float | None = None

    def content_hash(self) -> str:
        """The same for the same body, however its keys are ordered and its symbol and times written."""
        return content_hash({**asdict(self), "symbol": self.symbol.replace("/", "")})


@dataclass(frozen=True, slots=True)
class Observed:
    """A body that passed every check of its own; ``candles`` are all that had closed, to be stored."""

    body: DecisionBody
    body_hash: str
    decision_id: str
    symbol: str
    timestamp: datetime
    names: tuple[str, ...]
    features: FeatureMatrix
    candles: Candles | None


def observe(body: DecisionBody, body_hash: str, *, timeframe: str, now: datetime) -> Observed:
    """Check one body, and compute its features where it brings candles.

    A body without ``timestamp`` was decided now; one that brings candles and no price, when its last candle closed.
    """
    decision_id = f"d-{uuid4().hex}" if body.decision_id is None else check_decision_id(body.decision_id)
    symbol = normal_symbol(body.symbol)
    if (body.features is None) == (body.candles is None):
        raise InvalidInputError("Send features or candles: one of the two, not both.", field="features")
    _check_figures(body)
    timestamp = None if body.timestamp is None else check_time(body.timestamp, now=now, field="timestamp")
    if body.features is not None:
        names, features = feature_row(body.features)
        return Observed(body, body_hash, decision_id, symbol, timestamp or now, names, features, None)
    closed = posted_candles(body.candles or (), timeframe, until=now)
    seen = closed if timestamp is None else closed.upto(to_ms(timestamp))
    until = min(timestamp or now, now)
    if len(seen) < WINDOW:
        raise InvalidInputError(
            f"candles: features need {WINDOW} valid candles that had closed at {iso(until)}; there are"
            f" {len(seen)}. Send more history.",
            field="candles",
        )
    if timestamp is None:
        timestamp = now if body.price is not None else from_ms(int(seen.close_time[-1]))
    return Observed(body, body_hash, decision_id, symbol, timestamp, FEATURE_NAMES, compute(seen), closed)


def feature_row(features: Mapping[str, float]) -> tuple[tuple[str, ...], FeatureMatrix]:
    """The names sorted, and their values as float32 in that order; a value that is no such number is refused."""
    names = check_feature_names(features)
    values = np.array([features[name] for name in names], dtype=np.float64)
    with np.errstate(over="ignore"):
        row = values.astype(np.float32)
    if not np.isfinite(row).all():
        name = names[int(np.flatnonzero(~np.isfinite(row))[0])]
        raise InvalidInputError(
            f"features: {name} must be a finite number below 3.4e38 in size, not {features[name]}.", field="features"
        )
    return names, row


def posted_candles(rows: Sequence[Sequence[float]], timeframe: str, *, until: datetime) -> Candles:
    """The posted candles that had closed at ``until``, cleaned; another timeframe than the strategy's is refused."""
    if not WINDOW <= len(rows) <= MAX_CANDLES:
        raise InvalidInputError(f"candles must be {WINDOW} to {MAX_CANDLES} rows, not {len(rows)}.", field="candles")
    if any(len(row) != len(COLUMNS) for row in rows):
        raise InvalidInputError(f"candles: each row must be [{', '.join(COLUMNS)}].", field="candles")
    table = np.array(rows, dtype=np.float64)
    width = timeframe_ms(timeframe)
    steps = np.diff(np.unique(table[:, 0]))
    if len(steps) and np.median(steps) not in (width, width * 1_000):
        raise InvalidInputError(
            f"candles: the strategy's timeframe is {timeframe}, but these open {np.median(steps) / 1_000:g} s apart.",
            field="candles",
        )
    prices = table[:, 1:5]
    beyond = (prices > 0) & np.isfinite(prices) & ((prices < AMOUNT_MIN) | (prices > AMOUNT_MAX))
    for price in prices[beyond]:
        check_amount(float(price), field="candles: a price")
    candles, _ = clean(dict(zip(COLUMNS, table.T, strict=True)), width)
    return candles.upto(to_ms(until))


def _check_figures(body: DecisionBody) -> None:
    if body.price is not None:
        check_amount(body.price, field="price")
    if body.predicted_action is not None and body.predicted_action not in Action.__members__:
        raise InvalidInputError(
            f"predicted_action must be BUY, SELL or HOLD, not {body.predicted_action!r}.", field="predicted_action"
        )
    confidence = body.prediction_confidence
    if confidence is not None and not 0 <= confidence <= 1:
        raise InvalidInputError(
            f"prediction_confidence must lie between 0 and 1, not {confidence}.", field="prediction_confidence"
        )
