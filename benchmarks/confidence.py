"""A stated probability comes true as often as it says, and four returns in five lie inside their interval.

    .venv/bin/python -m benchmarks.confidence --seeds 40

Confidence: the installed pipeline is trained on rows with a planted signal (oracle accuracy 0.70), on noise, on noise
whose windows overlap, and on a signal that turns round; fresh rows say what became of it. The expected calibration
error is each version's own, over bins of 0.05, averaged over the seeds; moves inside the costs have no direction. The
error over the fresh rows of all seeds together stands beside it: it is free of the luck of one version's few rows.

Intervals: see ``benchmarks/intervals.py``; they need the real candles.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ai_engine import artifact
from ai_engine.dataset import Rows
from ai_engine.pipeline import Refused, TrainingContext, train
from benchmarks import intervals
from benchmarks.claims import Claims, over_seeds

CANDLE_MS = 300_000
START_MS = 1_700_000_100_000
COST, MOVE = 0.0024, 0.01
FEATURES, FRESH = 20, 5_000
FIRST_SEED = 1_000
BINS = 10
CANDLES = Path(__file__).resolve().parents[2] / "shared" / "market-data"

Array = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """How rows are drawn.

    ``sign``: the sign of the first feature is right in ``oracle`` of the rows. ``linear``: five features and noise,
    with the same oracle. ``walk``: windows of twelve candles of walks correlated 0.8, features that remember. In the
    newest quarter of a world that ``turns`` the rule is the opposite, and it stays so.
    """

    kind: str
    rows: int
    oracle: float = 0.5
    symbols: int = 1
    turns: bool = False

    @property
    def horizon(self) -> int:
        """Candles until an outcome is known."""
        return 12 if self.kind == "walk" else 1


def returns_of(world: World, X: Array, rng: np.random.Generator) -> Array:
    """What follows the features, in units of a typical move."""
    if world.kind == "sign":
        right = np.where(rng.random(len(X)) < world.oracle, 1.0, -1.0)
        return np.asarray(right * np.sign(X[:, 0]) * np.abs(rng.normal(size=len(X))))
    rho = np.sin((world.oracle - 0.5) * np.pi)
    return np.asarray(rho * X[:, :5].sum(axis=1) / np.sqrt(5.0) + np.sqrt(1.0 - rho**2) * rng.normal(size=len(X)))


def walk_of(world: World, rng: np.random.Generator) -> tuple[Array, Array]:
    """Features that keep nine tenths of themselves, and twelve-candle returns of walks, symbols side by side."""
    rounds = world.rows // world.symbols
    X = np.zeros((rounds, world.symbols, FEATURES))
    for step in range(rounds):
        X[step] = (0.9 * X[step - 1] if step else 0.0) + rng.normal(size=(world.symbols, FEATURES))
    shape = (rounds + world.horizon, world.symbols)
    moves = np.sqrt(0.8) * rng.normal(size=(shape[0], 1)) + np.sqrt(0.2) * rng.normal(size=shape)
    walk = np.cumsum(np.vstack([np.zeros((1, world.symbols)), moves]), axis=0) / np.sqrt(world.horizon)
    return X.reshape(-1, FEATURES), (walk[world.horizon :] - walk[: -world.horizon])[:rounds].ravel()


def draw(world: World, seed: int, *, fresh: bool = False) -> Rows:
    """Rows of the world; ``fresh`` ones come after those that were trained on."""
    rng = np.random.default_rng([seed, int(fresh)])
    if world.kind == "walk":
        X, y = walk_of(world, rng)
    else:
        X = rng.normal(size=(world.rows, FEATURES))
        y = returns_of(world, X, rng)
    if world.turns:
        y = np.where(np.arange(len(y)) >= (0 if fresh else len(y) * 3 // 4), -y, y)
    times = START_MS + np.arange(len(y)) // world.symbols * CANDLE_MS
    returns = np.clip(MOVE * y, -0.9, 0.9)
    return Rows(
        decision_ids=tuple(f"d{row:06d}" for row in range(len(y))),
        symbols=tuple(f"SYM{row % world.symbols}" for row in range(len(y))),
        times=times,
        ends=times + world.horizon * CANDLE_MS,
        X=X.astype(np.float32),
        feature_names=tuple(f"feature_{number:03d}" for number in range(FEATURES)),
        forward_returns=returns,
        market_returns=returns.copy(),
        label_sources=("executed",) * len(y),
    )


@dataclass(frozen=True)
class Stated:
    """What one version said of fresh rows outside the costs, and whether it was right; shape (n,)."""

    confidence: Array
    right: NDArray[np.bool_]


def judge(world: World, seed: int) -> Stated:
    """Train on the world's rows, then ask of fresh ones."""
    context = TrainingContext("benchmark", CANDLE_MS, world.horizon, cost=COST, seed=0, looks=1)
    trained = train(draw(world, seed), context)
    if isinstance(trained, Refused):
        raise SystemExit(f"nothing was trained: {trained.reason}")
    fresh = draw(World(world.kind, FRESH, world.oracle, world.symbols, world.turns), seed, fresh=True)
    forecasts = artifact.load(trained.artifact).forecast(fresh.X)
    outside = np.abs(fresh.forward_returns) > COST
    right = np.sign(forecasts.scores) == np.sign(fresh.forward_returns)
    return Stated(forecasts.confidences[outside], right[outside])


def calibration_error(stated: Sequence[Stated]) -> float:
    """The expected calibration error: |stated - true| in bins of 0.05 from 0.5 on, weighted by their rows."""
    confidence = np.concatenate([one.confidence for one in stated])
    right = np.concatenate([one.right for one in stated])
    bins = np.clip(((confidence - 0.5) * 2 * BINS).astype(int), 0, BINS - 1)
    gaps = [abs(float(confidence[bins == one].sum() - right[bins == one].sum())) for one in range(BINS)]
    return sum(gaps) / len(confidence)


def claim_planted(claims: Claims, what: str, found: list[Stated]) -> None:
    """A signal is there: the stated probability is the true one."""
    errors = [calibration_error([one]) for one in found]
    claims.at_most(f"{what}: expected calibration error", float(np.mean(errors)), 0.05)
    claims.told(f"{what}: of all versions together", f"{calibration_error(found):.4f}")
    claims.told(f"{what}: stated", say(found))


def claim_noise(claims: Claims, what: str, found: list[Stated]) -> None:
    """There is nothing to know: close to a coin is said."""
    means = [float(one.confidence.mean()) for one in found]
    claims.at_most(f"{what}: mean confidence", float(np.mean(means)), 0.55)
    claims.told(f"{what}: stated", f"{say(found)}; highest of a version {max(means):.3f}")


def say(found: list[Stated]) -> str:
    """Mean confidence beside the truth."""
    stated, true = (np.mean([getattr(one, name).mean() for one in found]) for name in ("confidence", "right"))
    return f"{stated:.3f}, true {true:.3f}"


Judgement = Callable[[Claims, str, list[Stated]], None]
WORLDS: tuple[tuple[str, World, Judgement], ...] = (
    ("sign of one feature, 400 rows", World("sign", 400, 0.70), claim_planted),
    ("five features, 400 rows", World("linear", 400, 0.70), claim_planted),
    ("noise, 400 rows", World("linear", 400), claim_noise),
    ("noise, 100 rows", World("linear", 100), claim_noise),
    ("noise, 60 rows", World("linear", 60), claim_noise),
    ("noise, 600 rows, 12-fold overlap", World("walk", 600), claim_noise),
    ("noise, 1000 rows, five symbols, 12-fold overlap", World("walk", 1_000, symbols=5), claim_noise),
    ("a signal that turned round, 400 rows", World("linear", 400, 0.70, turns=True), claim_noise),
)


def main() -> None:
    """Print every claim; exit 1 where one does not hold, or the candles are absent and were not given up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--decisions", type=int, default=3_000, help="the newest of each file of real candles")
    parser.add_argument("--candles", type=Path, default=CANDLES, help="the folder of real candle files")
    parser.add_argument("--without-real", action="store_true", help="leave the intervals out")
    parser.add_argument("--only-real", action="store_true", help="leave the confidence out")
    options = parser.parse_args()
    claims = Claims()
    for what, world, claim in () if options.only_real else WORLDS:
        seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
        claim(claims, what, over_seeds(partial(judge, world), seeds, what))
    if not options.without_real:
        intervals.claim(claims, options.candles, decisions=options.decisions)
    claims.end()


if __name__ == "__main__":
    main()
