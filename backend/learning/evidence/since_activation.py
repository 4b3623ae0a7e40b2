"""What a version forecast since it was activated, and what came of it: columns, no object per row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from ai_engine.types import FloatArray, TimeArray
from backend.clock import to_ms
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
    columns = (row.timestamp, row.horizon_at, row.forward_price_at, row.forward_return, row.forward_return_source)
    query = select(*columns, row.prediction_score, row.expected_return, row.volatility).where(
        row.model_version == version.version_id,
        row.origin == "decision",
        row.quarantine_reason.is_(None),
        row.timestamp >= learned_until(version.lineage, version.trained_at),
    )
    if version.activated_at is not None:
        query = query.where(row.created_at >= version.activated_at)
    found: Sequence[Any] = session.execute(query.order_by(row.timestamp, row.id)).all()
    awaited = {one.timestamp for one in found if one.forward_return is None and one.forward_return_source is None}
    known = [one for one in found if one.forward_return is not None and one.timestamp not in awaited]
    return LiveRows(
        times=np.array([to_ms(one.timestamp) for one in known], dtype=np.int64),
        ends=np.array([to_ms(max(one.horizon_at, one.forward_price_at or one.horizon_at)) for one in known], np.int64),
        forward_returns=_numbers([one.forward_return for one in known]),
        scores=_numbers([one.prediction_score for one in known]),
        expected_returns=_numbers([one.expected_return for one in known]),
        volatility=_numbers([one.volatility for one in known]),
    )


def _numbers(values: list[float | None]) -> FloatArray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
