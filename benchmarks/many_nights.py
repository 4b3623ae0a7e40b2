"""Sixty nights of retraining on noise recommend nothing, a copy is not told from its original, nothing worse is better.

    .venv/bin/python -m benchmarks.many_nights --seeds 200

A version is recommended only where the evidence over all nights has reached 20 as well; so each night fits what
forecasts the next day and takes the e-process, and the full judgement runs only on nights where that reached 20. The
answer is the same as with all 12,000 judgements, in a tenth of the time; how many were run is told.
"""

import argparse
from dataclasses import dataclass, replace

import numpy as np

from ai_engine import artifact, recipes, walk_forward
from ai_engine.dataset import Dataset, Rows, build
from ai_engine.past import Champion, Matured, Past, compare_with_champion, evidence_of_nights
from ai_engine.pipeline import Trained, TrainingContext, train
from ai_engine.sequential import ENOUGH
from ai_engine.types import FloatArray
from benchmarks.claims import Claims, over_seeds
from benchmarks.worlds import CANDLE, COST, World, draw, judged, slice_of

NIGHTS, A_DAY, BEFORE, WINDOW = 60, 24, 120, 720
HORIZON = 4


@dataclass(frozen=True)
class Nights:
    """One stream: whether a version was ever recommended, nights judged in full, the most the bettor ever had."""

    recommended: bool
    judged: int
    most: float


def nights(seed: int) -> Nights:
    """Noise that grows by 24 rows a night, windows of 4 candles, the newest 720 rows trained on."""
    return stream(draw(World(rows=BEFORE + NIGHTS * A_DAY, features=20, horizon=HORIZON, seed=seed)), seed)


def stream(rows: Rows, seed: int) -> Nights:
    """One night after each 24 rows from the 120th on, in time order: judge, fit, forecast the next day."""
    data = build(rows)
    scores = np.full(len(data), np.nan)
    most, full, recommended = 1.0, 0, False
    for night in range((len(data) - BEFORE) // A_DAY):
        now = BEFORE + night * A_DAY
        known = np.flatnonzero(data.ends <= data.times[now])[-WINDOW:]
        past = Past(_matured(data, scores, known))
        evidence = evidence_of_nights(past, cost=COST)
        value = evidence.e_value if evidence else 1.0
        most = max(most, value)
        if value >= ENOUGH:
            full += 1
            made = train(
                slice_of(rows, int(known[0]), int(known[-1]) + 1),
                TrainingContext("benchmark", CANDLE, HORIZON, COST, seed, looks=night),
                past=past,
            )
            recommended |= isinstance(made, Trained) and bool(made.report["recommended"])
        part = data.part(known)
        fitted = recipes.fit(part.X, part.y, part.weights, recipes.for_rows(len(part), seed=seed))
        scores[now : now + A_DAY] = fitted.predict(data.X[now : now + A_DAY])
    return Nights(recommended, full, most)


def _matured(data: Dataset, scores: FloatArray, known: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Matured | None:
    """Every forecast of the stream whose outcome is known now, from the first night on."""
    chosen = np.flatnonzero(~np.isnan(scores[: known[-1] + 1]))
    if len(chosen) == 0:
        return None
    return Matured(data.times[chosen], data.ends[chosen], data.y[chosen], scores[chosen])


def compared(seed: int) -> tuple[str, str]:
    """A champion that knows a rule (0.70), against its own copy and against a model that was never shown the rule."""
    rows = draw(World(rows=800, features=20, oracle=0.70, seed=seed))
    older, newer = slice_of(rows, 0, 400), slice_of(rows, 400, 800)
    blob = judged(older, seed=seed).artifact
    past = Past(champion=Champion("the champion", blob, int(older.ends.max())))
    data = build(newer)
    blind = replace(data, X=np.where(np.arange(20) == 0, 0.0, data.X).astype(np.float32))
    worse = walk_forward.forecast(blind, timeframe_ms=CANDLE, cost=COST, seed=seed, progress=lambda _share: None)
    if worse is None:
        raise ValueError("400 rows are enough to walk forward on.")
    copied = replace(worse, scores=artifact.load(blob).forecast(data.X[worse.rows]).scores)
    found = [compare_with_champion(data, made, past, cost=COST) for made in (copied, worse)]
    same, lesser = (one.verdict if one else "none" for one in found)
    return same, lesser


def main() -> None:
    """Print the claims; exit 1 where one fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=200)
    seeds = parser.parse_args().seeds
    claims = Claims()
    pairs = over_seeds(compared, range(seeds), "a copy, and a worse model")
    alike = float(np.mean([same == "not_distinguishable" for same, _ in pairs]))
    claims.at_least(f"a copy is not distinguishable, share of {seeds} streams", alike, 1.0)
    better = float(np.mean([lesser == "better" for _, lesser in pairs]))
    claims.at_most(f"a worse model is better, share of {seeds} streams", better, 0.0)
    claims.told("a worse model is worse", f"{np.mean([lesser == 'worse' for _, lesser in pairs]):.3f}")
    streams = over_seeds(nights, range(seeds), "sixty nights on noise")
    ever = float(np.mean([one.recommended for one in streams]))
    claims.at_most(f"ever recommended in {NIGHTS} nights, share of {seeds} streams", ever, 0.05)
    claims.told("streams whose evidence ever reached 20", f"{np.mean([one.most >= ENOUGH for one in streams]):.3f}")
    claims.told("nights judged in full", sum(one.judged for one in streams))
    claims.end()


if __name__ == "__main__":
    main()
