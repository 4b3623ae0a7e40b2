"""A planted signal is found, and the report's intervals hold what the shipped file then does.

    .venv/bin/python -m benchmarks.planted --seeds 40

400 rows x 20 features, an oracle that is right in 70 %; the file is then asked about 2,000 rows it has not seen. Two
worlds: the sign of one feature (hard for whatever is linear), and a sum of five features. Both are held to the claims.
"""

import argparse
from dataclasses import dataclass

import numpy as np

from ai_engine import artifact
from ai_engine.metrics import directional_accuracy
from benchmarks.claims import Claims, over_seeds
from benchmarks.worlds import COST, World, draw, has_evidence, judged, slice_of

ROWS, FRESH = 400, 2_000


@dataclass(frozen=True)
class Found:
    """One seed: evidence or not, accuracy on fresh rows, and whether each interval holds it."""

    evidence: bool
    fresh: float
    walk_forward_holds: bool
    validation_holds: bool


def find(seed: int, kind: str) -> Found:
    """Train on the older rows and ask the file about the newer."""
    rows = draw(World(rows=ROWS + FRESH, features=20, oracle=0.70, kind=kind, seed=seed))
    made = judged(slice_of(rows, 0, ROWS), seed=seed)
    fresh = slice_of(rows, ROWS, ROWS + FRESH)
    scores = artifact.load(made.artifact).forecast(fresh.X).scores
    accuracy = directional_accuracy(scores, fresh.forward_returns, cost=COST).value or 0.0
    whole, newest = made.report["walk_forward"]["ci95"], made.report["validation_accuracy_ci95"]
    return Found(has_evidence(made), accuracy, whole[0] <= accuracy <= whole[1], newest[0] <= accuracy <= newest[1])


def sign(seed: int) -> Found:
    """The sign of one feature tells the direction, nothing tells the size."""
    return find(seed, "sign")


def linear(seed: int) -> Found:
    """The return is a sum of five features and noise."""
    return find(seed, "linear")


def main() -> None:
    """Print the claims; exit 1 where one fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=100)
    seeds = parser.parse_args().seeds
    claims = Claims()
    for world in (sign, linear):
        found = over_seeds(world, range(seeds), f"planted, {world.__name__}")
        where = f"({world.__name__}, {seeds} seeds)"
        claims.at_least(f"evidence, share {where}", float(np.mean([one.evidence for one in found])), 0.90)
        claims.at_least(f"direction on fresh rows {where}", float(np.mean([one.fresh for one in found])), 0.65)
        held = float(np.mean([one.walk_forward_holds for one in found]))
        claims.at_least(f"walk-forward interval holds fresh accuracy {where}", held, 0.85)
        held = float(np.mean([one.validation_holds for one in found]))
        claims.at_least(f"validation interval holds fresh accuracy {where}", held, 0.85)
    claims.end()


if __name__ == "__main__":
    main()
