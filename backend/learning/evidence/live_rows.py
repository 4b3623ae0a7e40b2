"""What became of a version's decisions and of its shadow's forecasts, as columns: one query each, no objects."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import DateTime, Select, case, select, type_coerce
from sqlalchemy.orm import Session

from ai_engine.inference import Panel
from ai_engine.types import FloatArray, TimeArray
from backend.models import AITrainingSample, Forecast

UNOBSERVABLE = "unobservable"
NONE = "none"

Mask = NDArray[np.bool_]
Names = NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Forecasts:
    """One version's forecasts in time order; arrays of shape (n,), times in ms, ``y`` NaN while it is unknown.

    A row is ``matured`` once its return over the horizon is known and believed: a row in quarantine is not.
    """

    symbols: Names
    times: TimeArray
    ends: TimeArray
    y: FloatArray
    scores: FloatArray
    unobservable: Mask
    quarantined: Mask

    def __len__(self) -> int:
        return len(self.y)

    @property
    def matured(self) -> Mask:
        """Whose direction can be judged, or was too small to be."""
        return ~np.isnan(self.y) & ~self.quarantined

    def panel(self, chosen: Mask) -> Panel:
        """Those of the rows beside what came of them."""
        return Panel(self.times[chosen], self.ends[chosen], self.symbols[chosen], self.y[chosen], self.scores[chosen])


@dataclass(frozen=True, slots=True)
class Decisions:
    """What a version decided: its ``forecasts``, its answers, and what the trades made of them earned.

    ``sides`` is that of the entry, ``none`` where nobody traded; ``pnl`` and ``fees`` are in quote currency and 0 where
    no trade is closed.
    """

    forecasts: Forecasts
    actions: Names
    explored: Mask
    sides: Names
    closed: Mask
    pnl: FloatArray
    fees: FloatArray
    fees_known: Mask

    def __len__(self) -> int:
        return len(self.forecasts)

    @property
    def is_open(self) -> Mask:
        """Entered and not left yet."""
        return np.asarray((self.sides != NONE) & ~self.closed, dtype=np.bool_)


# SQLite's times as it keeps them: to make 100,000 of them aware takes longer than all the rest.
MADE_AT = type_coerce(AITrainingSample.timestamp, DateTime(timezone=True))
HORIZON_AT = type_coerce(AITrainingSample.horizon_at, DateTime(timezone=True))
PRICED_AT = type_coerce(AITrainingSample.forward_price_at, DateTime(timezone=True))
FORECAST_COLUMNS = (
    AITrainingSample.symbol,
    MADE_AT,
    case((PRICED_AT > HORIZON_AT, PRICED_AT), else_=HORIZON_AT),
    AITrainingSample.forward_return,
    AITrainingSample.forward_return_source,
    AITrainingSample.quarantine_reason,
)
DECISION_COLUMNS = (
    AITrainingSample.predicted_action,
    AITrainingSample.explored,
    AITrainingSample.execution_side,
    AITrainingSample.executed,
    AITrainingSample.outcome_known,
    AITrainingSample.realized_pnl,
    AITrainingSample.fees,
    AITrainingSample.fees_known,
)


def read_decisions(session: Session, version_id: str) -> Decisions:
    """Every decision that the version made."""
    row = AITrainingSample
    query = select(*FORECAST_COLUMNS, row.prediction_score, *DECISION_COLUMNS).where(row.model_version == version_id)
    columns = _columns(session, query, len(FORECAST_COLUMNS) + 1 + len(DECISION_COLUMNS))
    actions, explored, sides, executed, known, pnl, fees, fees_known = columns[len(FORECAST_COLUMNS) + 1 :]
    traded = np.array(executed, dtype=np.bool_)
    closed = traded & np.array(known, dtype=np.bool_)
    return Decisions(
        forecasts=_forecasts(columns),
        actions=np.array(actions, dtype=np.str_),
        explored=np.array(explored, dtype=np.bool_),
        sides=np.where(traded, np.array([side or NONE for side in sides], dtype=np.str_), NONE),
        closed=closed,
        pnl=np.where(closed, _numbers(pnl, 0.0), 0.0),
        fees=np.where(closed, _numbers(fees, 0.0), 0.0),
        fees_known=closed & np.array(fees_known, dtype=np.bool_),
    )


def read_shadow(session: Session, version_id: str) -> Forecasts:
    """What the version forecast for decisions that another one made."""
    row = AITrainingSample
    query = (
        select(*FORECAST_COLUMNS, Forecast.score)
        .join(Forecast, Forecast.sample_id == row.id)
        .where(Forecast.version_id == version_id, Forecast.role == "shadow")
    )
    return _forecasts(_columns(session, query, len(FORECAST_COLUMNS) + 1))


def _columns(session: Session, query: Select[*tuple[Any, ...]], count: int) -> Sequence[tuple[Any, ...]]:
    in_time = query.order_by(AITrainingSample.timestamp, AITrainingSample.id)
    rows: Sequence[Any] = session.connection().execute(in_time).all()
    return list(zip(*rows, strict=True)) if rows else [()] * count


def _forecasts(columns: Sequence[tuple[Any, ...]]) -> Forecasts:
    symbols, times, ends, returns, sources, reasons, scores = columns[: len(FORECAST_COLUMNS) + 1]
    y = _numbers(returns, np.nan)
    given_up = np.array([source == UNOBSERVABLE for source in sources], dtype=np.bool_)
    return Forecasts(
        symbols=np.array(symbols, dtype=np.str_),
        times=_milliseconds(times),
        ends=_milliseconds(ends),
        y=y,
        scores=_numbers(scores, 0.0),
        unobservable=given_up & np.isnan(y),
        quarantined=np.array([reason is not None for reason in reasons], dtype=np.bool_),
    )


def _numbers(values: Sequence[float | None], unknown: float) -> FloatArray:
    return np.array([unknown if value is None else value for value in values], dtype=np.float64)


def _milliseconds(moments: Sequence[datetime]) -> TimeArray:
    """Milliseconds since 1970-01-01 UTC, rounded down as ``to_ms`` does; a time without an offset is in UTC."""
    if moments and moments[0].tzinfo is not None:
        moments = [moment.astimezone(UTC).replace(tzinfo=None) for moment in moments]
    return np.asarray(np.array(moments, dtype="datetime64[us]").astype(np.int64) // 1_000, dtype=np.int64)
