"""No evidence is found where there is none: noise, overlapping outcomes, symbols that move together.

    .venv/bin/python -m benchmarks.no_skill

The random walk with stops and a persistent policy has its own command, benchmarks.random_walk.
"""

import argparse

import numpy as np

from benchmarks.claims import Claims, over_seeds
from benchmarks.worlds import World, draw, has_evidence, judged, reorder, walk


def noise(seed: int) -> bool:
    """312 rows x 20 features, outcomes without overlap."""
    return has_evidence(judged(draw(World(rows=312, features=20, seed=seed)), seed=seed))


def overlapping(seed: int) -> tuple[bool, float, float]:
    """600 decisions on a random walk with windows of 12 candles, posted in random order."""
    rows = walk(seed, rounds=600, horizon=12)
    order = np.random.default_rng(seed).permutation(len(rows))
    made = judged(reorder(rows, order), seed=seed, horizon=12)
    return has_evidence(made), made.report["walk_forward"]["accuracy"], made.report["validation_accuracy"]


def together(seed: int) -> bool:
    """Five symbols whose steps correlate by 0.8, windows of 12 candles, a decision at every candle."""
    return has_evidence(judged(walk(seed, rounds=300, horizon=12, symbols=5, correlation=0.8), seed=seed, horizon=12))


def main() -> None:
    """Print the claims; exit 1 where one fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=200)
    seeds = parser.parse_args().seeds
    claims = Claims()
    found = over_seeds(noise, range(seeds), "noise")
    claims.at_most(f"evidence on noise, 312 x 20, share of {seeds} seeds", float(np.mean(found)), 0.05)
    walks = np.array(over_seeds(overlapping, range(max(seeds // 2, 1)), "overlapping outcomes in random order"))
    claims.at_most(f"evidence on overlapping outcomes, share of {len(walks)} seeds", float(walks[:, 0].mean()), 0.10)
    claims.at_most("their mean accuracy, walk-forward", float(walks[:, 1].mean()), 0.56)
    claims.at_most("their mean accuracy, newest fifth", float(walks[:, 2].mean()), 0.56)
    five = over_seeds(together, range(seeds), "five symbols that move together")
    claims.at_most(f"evidence on five correlated symbols, share of {seeds} seeds", float(np.mean(five)), 0.05)
    claims.end()


if __name__ == "__main__":
    main()
