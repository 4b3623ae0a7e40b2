"""What a version forecast since it was activated, and what came of it: columns, no object per row."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from ai_engine.types import FloatArray, TimeArray
from backend.learning.decisions.columns import known_at, microseconds, milliseconds, moment, numbers, read_columns
from backend.learning.versions.past import learned_until
from backend.models import AIModelVersion, AITrainingSample


@dataclass(frozen=True, slots=True)
class LiveRows:
    """Decisions of one version whose forward return is known, in time order; arrays of shape (n,).

    ``times`` and ``ends`` in ms, returns as fractions, ``volatility`` the typical absolute return that was known at the
    decision; NaN where a forecast or the volatility is not known.
    """

    times: TimeArray
    ends: TimeArray
    forward_returns: FloatArray
    scores: FloatArray
    expected_returns: FloatArray
    volatility: FloatArray

    def part(self, wanted: NDArray[np.bool_]) -> "LiveRows":
        """These rows alone."""
        return LiveRows(*(getattr(self, name)[wanted] for name in self.__dataclass_fields__))


def read_live_rows(session: Session, version: AIModelVersion) -> LiveRows:
    """Whatever the version decided since its latest activation; none in quarantine.

    An activation is a person's word that the version may be trusted again, so what speaks against it is counted from
    there, and only by decisions later than all it learned from: what it may know by heart would speak for it. A round
    of which some outcome is still awaited is left out as a whole: its mean would change under the bet.
    """
    row = AITrainingSample
    figures = (row.forward_return, row.prediction_score, row.expected_return, row.volatility)
    query = select(moment(row.timestamp), known_at(), *figures).where(
        row.model_version == version.version_id,
        row.origin == "decision",
        row.quarantine_reason.is_(None),
        or_(row.forward_return.is_not(None), row.forward_return_source.is_(None)),
        row.timestamp >= learned_until(version.lineage, version.trained_at),
    )
    if version.activated_at is not None:
        query = query.where(row.created_at >= version.activated_at)
    in_time = query.order_by(row.timestamp, row.id)
    made, *columns = read_columns(session, in_time, microseconds, milliseconds, numbers, numbers, numbers, numbers)
    awaited = np.isnan(columns[1])
    known = ~awaited & ~np.isin(made, made[awaited])
    return LiveRows(made[known] // 1_000, *(column[known] for column in columns))
