"""What earlier nights left for tonight's judgement: forecasts that have matured, and the version that decides now."""

from dataclasses import dataclass

import numpy as np

from ai_engine import artifact, sequential
from ai_engine.comparison import Comparison, compare, net_returns
from ai_engine.dataset import Dataset
from ai_engine.sequential import Evidence
from ai_engine.types import FeatureMatrix, FloatArray, TimeArray
from ai_engine.walk_forward import OutOfSample


@dataclass(frozen=True, slots=True)
class Matured:
    """Every known outcome; shape (n,), sorted by ``times`` (ms).

    ``scores`` were forecast before it, by whichever version, and are NaN where nothing is to be bet on: nobody
    forecast the row, or another outcome of its round is still awaited.
    """

    times: TimeArray
    ends: TimeArray
    y: FloatArray
    scores: FloatArray


@dataclass(frozen=True, slots=True)
class Champion:
    """The active version: its verified file, and when the newest outcome it was trained on was known (ms)."""

    version_id: str
    blob: bytes
    known_until: int


@dataclass(frozen=True, slots=True)
class Past:
    """``matured`` is None before the first forecast can be bet on, ``champion`` where no version is active."""

    matured: Matured | None = None
    champion: Champion | None = None


NOTHING_BEFORE = Past()


def evidence_of_nights(past: Past, *, cost: float) -> Evidence | None:
    """Return what betting on matured forecasts against the commoner direction has made of 1; None without a bet."""
    if past.matured is None:
        return None
    made = past.matured
    bets = sequential.against_majority(made.times, made.ends, made.y, made.scores, cost=cost)
    return sequential.e_process(bets.payoffs, bets.starts, bets.ends) if bets.judged else None


def compare_with_champion(dataset: Dataset, made: OutOfSample | None, past: Past, *, cost: float) -> Comparison | None:
    """Compare tonight's walk-forward with the active version on rows that neither was trained on; None without one."""
    champion = past.champion
    if champion is None:
        return None
    rows = (
        np.empty(0, dtype=np.intp) if made is None else np.flatnonzero(dataset.times[made.rows] >= champion.known_until)
    )
    chosen = rows if made is None else made.rows[rows]
    y = dataset.y[chosen]
    theirs = _scores(champion, dataset, dataset.X[chosen])
    ours = np.empty(0) if made is None else made.scores[rows]
    return compare(
        dataset.times[chosen],
        dataset.ends[chosen],
        net_returns(ours, y, cost=cost),
        net_returns(theirs, y, cost=cost),
        name=champion.version_id,
    )


def _scores(champion: Champion, dataset: Dataset, X: FeatureMatrix) -> FloatArray:
    """The champion's raw scores; 0, no direction, where the rows lack a feature it needs."""
    model = artifact.load(champion.blob)
    places = {name: number for number, name in enumerate(dataset.feature_names)}
    if len(X) == 0 or not set(model.feature_names) <= set(places):
        return np.zeros(len(X))
    return model.forecast(X[:, [places[name] for name in model.feature_names]]).scores
