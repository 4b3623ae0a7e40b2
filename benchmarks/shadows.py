"""Two versions compared at every look: of equals at most one pair in twenty is told apart, a true edge is seen in time.

    .venv/bin/python -m benchmarks.shadows --seeds 150

Each seed is a pair of models that forecast the same 3,000 outcomes, each from noise of its own, looked at after every
100. What `GET /ai/compare` computes is computed here by the same functions: net returns of their answers, means of
rounds, closed stretches of time, the confidence sequence. Beside it stands what an ordinary 95 % interval of the same
stretches would have said at some look. "Overlap 4" decides four times within one horizon; its models also keep their
mind for some ten decisions.
"""

import argparse
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from ai_engine.confidence_sequence import ConfidenceSequence, of_rounds
from ai_engine.inference import student_quantile, time_blocks
from backend.learning.evidence.compare import (
    BETTER,
    NOT_DISTINGUISHABLE,
    WORSE,
    Shared,
    by_round,
    net_returns,
    verdict_of,
)
from benchmarks.claims import Claims, over_seeds

OUTCOMES, EVERY = 3_000, 100
STEP_MS = 900_000
DEVIATION, SKILL, EDGE = 0.01, 0.3, 0.10
COSTS = SimpleNamespace(fee_rate=0.001, slippage_bps=2.0)
SEED_OF_EDGE = 987_654_321

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """How two models forecast: the skill of each, decisions within one horizon, and how long noise remembers itself."""

    skills: tuple[float, float]
    overlap: int = 1
    memory: float = 0.0


@dataclass(frozen=True)
class Seen:
    """The first look (in outcomes) at which the second was called better or worse; what one look would have said."""

    called: str
    after: float
    once: bool


def moves(rng: np.random.Generator, count: int, overlap: int) -> Array:
    """Returns over the horizon in units of their deviation; neighbours share ``overlap - 1`` of their steps."""
    steps = rng.standard_t(5, size=count + overlap - 1) * np.sqrt(3 / 5 / overlap)
    return np.convolve(steps, np.ones(overlap), "valid")


def noise(rng: np.random.Generator, count: int, memory: float) -> Array:
    """Noise of deviation 1 that remembers this part of itself at the next decision."""
    drawn = rng.normal(size=count)
    for row in range(1, count):
        drawn[row] = memory * drawn[row - 1] + np.sqrt(1 - memory**2) * drawn[row]
    return drawn


def forecasts(rng: np.random.Generator, pair: Pair, count: int) -> Shared:
    """What both said to the same moves; each buys where it forecasts a rise and sells where it forecasts a fall."""
    moved = moves(rng, count, pair.overlap)
    first, second = (skill * moved + noise(rng, count, pair.memory) for skill in pair.skills)
    times = STEP_MS * np.arange(count, dtype=np.int64)
    return Shared(
        times=times,
        ends=times + pair.overlap * STEP_MS,
        forward_returns=DEVIATION * moved,
        scores=(first, second),
        actions=(np.where(first > 0, "BUY", "SELL"), np.where(second > 0, "BUY", "SELL")),
    )


def differences(shared: Shared) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """The second less the first, round by round, as compare has it."""
    net = net_returns(shared, sides="long,short", costs=COSTS)
    return by_round(shared, net[1] - net[0])


def edge_of(skills: tuple[float, float]) -> float:
    """The mean of the difference in units of its deviation, over very many outcomes."""
    found = differences(forecasts(np.random.default_rng(SEED_OF_EDGE), Pair(skills), 200_000))[2]
    return float(found.mean() / found.std())


def right(skill: float) -> float:
    """The share of right directions of a model of this skill."""
    shared = forecasts(np.random.default_rng(SEED_OF_EDGE), Pair((skill, skill)), 200_000)
    return float(np.mean(np.sign(shared.scores[0]) == np.sign(shared.forward_returns)))


def skill_with(edge: float) -> float:
    """The skill of a second model that has this edge over the first."""
    low, high = SKILL, 10.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if edge_of((SKILL, middle)) < edge else (low, middle)
    return (low + high) / 2


def look(pair: Pair, seed: int) -> Seen:
    """Look after every 100 outcomes, and remember the first time that a winner was named."""
    times, ends, values = differences(forecasts(np.random.default_rng(seed), pair, OUTCOMES))
    called, after, once = NOT_DISTINGUISHABLE, np.inf, False
    for count in range(EVERY, OUTCOMES + 1, EVERY):
        told = times[:count], ends[:count], values[:count]
        found = of_rounds(*told)
        once = once or ordinary(found, *told)
        if called == NOT_DISTINGUISHABLE and verdict_of(found) != NOT_DISTINGUISHABLE:
            called, after = verdict_of(found), count
    return Seen(called, after, once)


def ordinary(found: ConfidenceSequence, times: NDArray[np.int64], ends: NDArray[np.int64], values: Array) -> bool:
    """Whether a t-interval of the same stretches, meant for one look, would name a winner."""
    if found.low is None or found.mean is None:
        return False
    stretch = time_blocks(times, ends)
    closed = stretch < stretch.max()
    means = np.bincount(stretch[closed], weights=values[closed]) / np.bincount(stretch[closed])
    return bool(abs(found.mean) > student_quantile(len(means) - 1) * means.std(ddof=1) / np.sqrt(len(means)))


EQUAL, EQUAL_OVERLAP = Pair((SKILL, SKILL)), Pair((SKILL, SKILL), overlap=4, memory=0.9)


def equal(seed: int) -> tuple[Seen, Seen]:
    """A pair of equals without overlap, and one with."""
    return look(EQUAL, seed), look(EQUAL_OVERLAP, seed)


def apart(skill: float, seed: int) -> tuple[Seen, Seen]:
    """A pair of which the second has the edge, without overlap and with."""
    return look(Pair((SKILL, skill)), seed), look(Pair((SKILL, skill), overlap=4, memory=0.9), seed)


def main() -> None:
    """Say what was seen; exit 1 where a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=150)
    options = parser.parse_args()
    claims, skill = Claims(), skill_with(EDGE)
    equals = over_seeds(equal, range(options.seeds), "equals")
    for found, name in zip(zip(*equals, strict=True), ("no overlap", "overlap 4"), strict=True):
        called = np.mean([one.called != NOT_DISTINGUISHABLE for one in found])
        claims.at_most(f"equals told apart at some look, {name}", float(called), 0.05)
        claims.told("an ordinary 95 % interval would have, at some look", f"{np.mean([one.once for one in found]):.3f}")
    claims.told("edge of the better model in s.d. an outcome", f"{edge_of((SKILL, skill)):.3f}")
    claims.told("right directions of the two", f"{right(SKILL):.3f} and {right(skill):.3f}")
    better = over_seeds(partial(apart, skill), range(options.seeds), "a true edge")
    for found, name in zip(zip(*better, strict=True), ("no overlap", "overlap 4"), strict=True):
        after = np.array([one.after if one.called == BETTER else np.inf for one in found])
        within = f"{np.isfinite(after).mean():.0%} within {OUTCOMES}"
        claims.told(f"median outcomes to see the edge, {name}", f"{np.median(after):g} ({within})")
        claims.at_most(f"the better one called worse, {name}", float(np.mean([o.called == WORSE for o in found])), 0.05)
    claims.end()


if __name__ == "__main__":
    main()
