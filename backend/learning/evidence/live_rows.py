"""What became of a version's decisions and of its shadow's forecasts, as columns: one query each, no objects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, and_, case, false, func, not_, select
from sqlalchemy.orm import Session

from ai_engine.directions import Outcomes
from ai_engine.inference import Panel
from ai_engine.types import FloatArray, IndexArray, TimeArray
from backend.learning.decisions.columns import (
    amounts,
    flags,
    integers,
    known_at,
    milliseconds,
    moment,
    names,
    numbers,
    read_columns,
)
from backend.learning.decisions.plausibility import forecast_is_believed
from backend.models import AITrainingSample, Forecast

UNOBSERVABLE = "unobservable"
NONE = "none"

Mask = NDArray[np.bool_]
Names = NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Forecasts:
    """One version's forecasts in time order; arrays of shape (n,), times in ms, ``y`` NaN while it is unknown.

    A row is ``matured`` once its return over the horizon is known and believed: that of a row in quarantine is not,
    unless it is held for its trade alone.
    """

    ids: IndexArray
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

    @property
    def settled(self) -> Mask:
        """Those of rounds of which none is awaited any more: the mean of another would change under a bet."""
        awaited = np.isnan(self.y) & ~self.quarantined & ~self.unobservable
        return ~np.isin(self.times, self.times[awaited])

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


_ROW = AITrainingSample
FORECAST_COLUMNS = (
    _ROW.id,
    _ROW.symbol,
    moment(_ROW.timestamp),
    known_at(),
    _ROW.forward_return,
    func.coalesce(_ROW.forward_return_source == UNOBSERVABLE, false()),
    not_(forecast_is_believed()),
)
FORECAST_KINDS = (integers, names, milliseconds, milliseconds, numbers, flags, flags)
TRADED = _ROW.executed.is_(True)
DECISION_COLUMNS = (
    _ROW.predicted_action,
    _ROW.explored,
    case((TRADED, func.coalesce(_ROW.execution_side, NONE)), else_=NONE),
    and_(TRADED, _ROW.outcome_known.is_(True)),
    _ROW.realized_pnl,
    _ROW.fees,
    _ROW.fees_known,
)
DECISION_KINDS = (names, flags, names, flags, amounts, amounts, flags)


def read_decisions(session: Session, version_id: str) -> Decisions:
    """Every decision that the version made."""
    row = AITrainingSample
    query = select(*FORECAST_COLUMNS, row.prediction_score, *DECISION_COLUMNS).where(row.model_version == version_id)
    columns = read_columns(session, _in_time(query), *FORECAST_KINDS, amounts, *DECISION_KINDS)
    actions, explored, sides, closed, pnl, fees, fees_known = columns[len(FORECAST_COLUMNS) + 1 :]
    return Decisions(
        forecasts=_forecasts(columns),
        actions=actions,
        explored=explored,
        sides=sides,
        closed=closed,
        pnl=np.where(closed, pnl, 0.0),
        fees=np.where(closed, fees, 0.0),
        fees_known=closed & fees_known,
    )


def read_shadow(session: Session, version_id: str) -> Forecasts:
    """What the version forecast for decisions that another one made."""
    row = AITrainingSample
    query = (
        select(*FORECAST_COLUMNS, Forecast.score)
        .join(Forecast, Forecast.sample_id == row.id)
        .where(Forecast.version_id == version_id, Forecast.role == "shadow")
    )
    return _forecasts(read_columns(session, _in_time(query), *FORECAST_KINDS, amounts))


def read_outcomes(session: Session, strategy: str) -> tuple[IndexArray, Outcomes]:
    """Every outcome of a decision of the strategy that is known and believed, with the rows' ids."""
    query = select(_ROW.id, moment(_ROW.timestamp), known_at(), _ROW.forward_return).where(
        _ROW.strategy == strategy, _ROW.origin == "decision", _ROW.forward_return.is_not(None), forecast_is_believed()
    )
    ids, times, ends, y = read_columns(session, _in_time(query), integers, milliseconds, milliseconds, numbers)
    return ids, Outcomes(times, ends, y)


def _in_time(query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    return query.order_by(AITrainingSample.timestamp, AITrainingSample.id)


def _forecasts(columns: Sequence[NDArray[Any]]) -> Forecasts:
    ids, symbols, times, ends, y, given_up, quarantined, scores = columns[: len(FORECAST_COLUMNS) + 1]
    return Forecasts(ids, symbols, times, ends, y, scores, given_up & np.isnan(y), quarantined)
