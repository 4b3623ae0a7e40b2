"""What a version forecast since it was activated, and what came of it: columns, no object per row."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from ai_engine.candles import timeframe_ms
from ai_engine.skill import bet_length
from ai_engine.types import FloatArray, TimeArray
from backend.learning.decisions.columns import known_at, milliseconds, moment, numbers, read_columns
from backend.learning.decisions.plausibility import forecast_is_believed
from backend.learning.versions.past import learned_until
from backend.models import AIModelVersion, AITrainingSample, Strategy


@dataclass(frozen=True, slots=True)
class LiveRows:
    """Decisions of one version whose forward return is known, in time order; arrays of shape (n,).

    ``times`` and ``ends`` in ms, returns as fractions, ``volatility`` the typical absolute return that was known at the
    decision; NaN where a forecast or the volatility is not known. Those within ``together`` ms are one bet.
    """

    times: TimeArray
    ends: TimeArray
    forward_returns: FloatArray
    scores: FloatArray
    expected_returns: FloatArray
    volatility: FloatArray
    together: int

    def part(self, wanted: NDArray[np.bool_]) -> "LiveRows":
        """These rows alone."""
        return LiveRows(
            self.times[wanted],
            self.ends[wanted],
            self.forward_returns[wanted],
            self.scores[wanted],
            self.expected_returns[wanted],
            self.volatility[wanted],
            self.together,
        )


def read_live_rows(session: Session, version: AIModelVersion) -> LiveRows:
    """Whatever the version decided since its latest activation, and whose return is believed.

    An activation is a person's word that the version may be trusted again, so what speaks against it is counted from
    there, and only by decisions later than all it learned from: what it may know by heart would speak for it. A bet
    of which some outcome is still awaited is left out as a whole: its mean would change afterwards.
    """
    strategy = session.get_one(Strategy, version.strategy)
    candle = timeframe_ms(strategy.timeframe)
    together = bet_length(candle, candle * strategy.horizon_candles)
    row = AITrainingSample
    figures = (row.forward_return, row.prediction_score, row.expected_return, row.volatility)
    query = select(moment(row.timestamp), known_at(), *figures).where(
        row.model_version == version.version_id,
        row.origin == "decision",
        forecast_is_believed(),
        or_(row.forward_return.is_not(None), row.forward_return_source.is_(None)),
        row.timestamp >= learned_until(version.lineage, version.trained_at),
    )
    if version.activated_at is not None:
        query = query.where(row.created_at >= version.activated_at)
    in_time = query.order_by(row.timestamp, row.id)
    times, ends, moves, *forecasts = read_columns(
        session, in_time, milliseconds, milliseconds, numbers, numbers, numbers, numbers
    )
    bets = times // together
    known = ~np.isin(bets, bets[np.isnan(moves)])
    scores, expected, volatility = (column[known] for column in forecasts)
    return LiveRows(times[known], ends[known], moves[known], scores, expected, volatility, together)
