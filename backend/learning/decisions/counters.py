"""Live counters of a version: moved in the transaction that moved the row, so that they always follow from the rows.

Every change is the difference between what the row counted for before and after, so a late execution, a price
that turns up dated earlier, or a quarantine takes back exactly what had been counted; each row keeps the costs that it
was counted by, because settings change.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import datetime

from sqlalchemy import Float, case, cast, select, update
from sqlalchemy.orm import Session

from backend.learning.decisions.plausibility import judges_forecast
from backend.models import AIModelVersion, AITrainingSample


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one row counts for in the counters of the version that decided it; P&L in quote currency."""

    matured: int = 0
    neutral: int = 0
    correct: int = 0
    trades: int = 0
    pnl: float = 0.0

    def __add__(self, other: "Contribution") -> "Contribution":
        return Contribution(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: "Contribution") -> "Contribution":
        return Contribution(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))


NOTHING = Contribution()


def contribution(sample: AITrainingSample, cost: float, learned_until: datetime | None = None) -> Contribution:
    """What the row counts for now; ``cost`` is the round trip as a fraction: smaller moves are neutral.

    A row held for the prices that its forecast is measured by says nothing about it; neither does one decided before
    ``learned_until``, when the version could have learned its outcome. Its trade was made all the same: its money
    counts.
    """
    traded = bool(sample.executed and sample.outcome_known)
    pnl = (sample.realized_pnl or 0.0) if traded else 0.0
    moved = sample.forward_return
    known_before = learned_until is not None and sample.timestamp < learned_until
    if moved is None or not judges_forecast(sample.quarantine_reason) or known_before:
        return Contribution(trades=int(traded), pnl=pnl)
    neutral = abs(moved) <= cost
    correct = not neutral and (sample.prediction_score or 0.0) * moved > 0
    return Contribution(1, int(neutral), int(correct), int(traded), pnl)


def on_recorded(session: Session, version_id: str, count: int) -> None:
    """``count`` more decisions were made by the version."""
    version = AIModelVersion
    session.execute(
        update(version)
        .where(version.version_id == version_id)
        .values(total_predictions=version.total_predictions + count),
        execution_options={"synchronize_session": "fetch"},
    )


@contextmanager
def counted(session: Session, samples: Iterable[AITrainingSample], cost: float) -> Iterator[None]:
    """Whatever happens to the rows inside moves the counters of the versions that decided them."""
    decided = [sample for sample in samples if sample.model_version is not None]
    learned = _learned_until(session, {str(sample.model_version) for sample in decided})
    before = [
        contribution(sample, cost if sample.counted_cost is None else sample.counted_cost, learned[_version(sample)])
        for sample in decided
    ]
    yield
    moves: dict[str, Contribution] = {}
    for sample, earlier in zip(decided, before, strict=True):
        now = contribution(sample, cost, learned[_version(sample)])
        sample.counted_cost = cost if now.matured else None
        moves[_version(sample)] = moves.get(_version(sample), NOTHING) + now - earlier
    for version_id in sorted(moves):
        if moves[version_id] != NOTHING:
            _apply(session, version_id, moves[version_id])


def _version(sample: AITrainingSample) -> str:
    return str(sample.model_version)


def _learned_until(session: Session, version_ids: set[str]) -> dict[str, datetime | None]:
    """When the newest outcome that each version learned from was known; None where that was not recorded."""
    version = AIModelVersion
    query = select(version.version_id, version.learned_until).where(version.version_id.in_(sorted(version_ids)))
    found = {one.version_id: one.learned_until for one in session.execute(query)} if version_ids else {}
    return {version_id: found.get(version_id) for version_id in version_ids}


def _apply(session: Session, version_id: str, move: Contribution) -> None:
    version = AIModelVersion
    matured = version.matured_predictions + move.matured
    neutral = version.neutral_predictions + move.neutral
    correct = version.correct_predictions + move.correct
    session.execute(
        update(version)
        .where(version.version_id == version_id)
        .values(
            matured_predictions=matured,
            neutral_predictions=neutral,
            correct_predictions=correct,
            live_accuracy=case((matured > neutral, cast(correct, Float) / (matured - neutral)), else_=None),
            total_trades=version.total_trades + move.trades,
            total_pnl=version.total_pnl + move.pnl,
        ),
        execution_options={"synchronize_session": "fetch"},
    )
