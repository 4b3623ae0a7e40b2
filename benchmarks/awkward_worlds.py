"""Worlds that fool a careless report: a feature that is the outcome, a market that mostly rises, a rule that turns.

.venv/bin/python -m benchmarks.awkward_worlds
"""

import argparse
from dataclasses import replace

import numpy as np

from benchmarks.claims import Claims, over_seeds
from benchmarks.worlds import World, draw, has_evidence, judged

ROWS = 400


def leaking(seed: int) -> bool:
    """One of the features is the outcome: whether it is suspected, and by name."""
    rows = draw(World(rows=ROWS, features=20, seed=seed))
    X = rows.X.copy()
    X[:, 7] = rows.forward_returns
    report = judged(replace(rows, X=X), seed=seed).report
    return bool(report["verdict"] == "suspected_leakage" and report["suspected_leakage"] == ["feature_007"])


def rising(seed: int) -> bool:
    """Three quarters of the outcomes are up whatever the features say."""
    rows = draw(World(rows=ROWS, features=20, seed=seed))
    up = np.where(np.random.default_rng(seed).random(ROWS) < 0.75, 1.0, -1.0)
    return has_evidence(judged(replace(rows, forward_returns=up * np.abs(rows.forward_returns)), seed=seed))


def turning(seed: int) -> bool:
    """What was right in 70 % is wrong in 70 % in the newest quarter."""
    rows = draw(World(rows=ROWS, features=20, oracle=0.70, seed=seed))
    turned = np.where(np.arange(ROWS) >= ROWS * 3 // 4, -1.0, 1.0)
    return has_evidence(judged(replace(rows, forward_returns=turned * rows.forward_returns), seed=seed))


def main() -> None:
    """Print the claims; exit 1 where one fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=100)
    seeds = parser.parse_args().seeds
    claims = Claims()
    few = max(seeds // 5, 1)
    leaks = over_seeds(leaking, range(few), "a feature that is the outcome")
    claims.at_least(f"the leak suspected and named, share of {few} seeds", float(np.mean(leaks)), 1.0)
    up = over_seeds(rising, range(seeds), "three quarters up")
    claims.at_most(f"evidence where three quarters are up, share of {seeds} seeds", float(np.mean(up)), 0.10)
    turned = over_seeds(turning, range(seeds), "a rule that turns")
    claims.at_most(f"evidence where the newest quarter turned, share of {seeds} seeds", float(np.mean(turned)), 0.10)
    claims.end()


if __name__ == "__main__":
    main()
