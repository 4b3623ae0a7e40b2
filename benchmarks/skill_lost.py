"""A skill that is lost is seen, one that is kept is left alone; errors and features that do not change raise nothing.

    .venv/bin/python -m benchmarks.skill_lost --seeds 200

A stream is a market's moves over windows that may overlap, and a forecaster who is right about the direction at a given
rate. What a version must keep comes from a walk-forward: 65 % of 400 to 1,000 training rows, forecast by the same
forecaster at 0.60, through the very interval that a report shows. Delays are in outcomes without overlap after the
change.
"""

import argparse
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ai_engine.drift import PAST_WINDOWS, adwin, by_stretch, feature_shift
from ai_engine.inference import Panel, accuracy_interval
from ai_engine.sequential import ENOUGH
from ai_engine.skill import Doubt, Live, bound_of, doubt
from backend.learning.evidence.drift import WINDOW
from benchmarks.claims import Claims, over_seeds

GOOD_TIMES = (0, 200, 500)
SKILL, FLIPPED = 0.60, 0.40
WITHIN = 300
OUTCOMES = 1_000
ROWS = (400, 1_000)
WALKED = 0.65
OVERLAPS = (1, 4)
DENSE, TOGETHER, DENSE_WINDOWS = 200, 2, 300
HELD_FOR = 50
MEMORIES = (0.0, 0.5, 0.9, 0.98)
FEATURES = 10
LARGER = 1.5
RATES = ("0.60", "walk-forward", "bound")
FORECASTERS = ("fresh", "persistent", "wandering")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Stretch:
    """So many windows without overlap in which the direction is right at this rate."""

    windows: int
    rate: float


def overlapping(steps: Array, overlap: int) -> Array:
    """The move over each window of ``overlap`` steps, in deviations."""
    path = np.concatenate(([0.0], np.cumsum(steps)))
    return np.asarray((path[overlap:] - path[:-overlap]) / np.sqrt(overlap))


def fresh(rng: np.random.Generator, rates: Array, overlap: int) -> tuple[Array, Array]:
    """Moves, and forecasts that share just so much with them; the rest of a forecast overlaps as the moves do."""
    moves, rest = (overlapping(rng.normal(size=len(rates) + overlap - 1), overlap) for _ in range(2))
    return moves, shared(moves, rest, rates)


def wandering(rng: np.random.Generator, rates: Array, overlap: int) -> tuple[Array, Array]:
    """The same with a rest that keeps nine tenths of itself: for ten windows on end the true rate is another one."""
    moves = overlapping(rng.normal(size=len(rates) + overlap - 1), overlap)
    rest = remembering(rng, len(rates), 1, 0.9 ** (1 / overlap))[:, 0]
    return moves, shared(moves, rest, rates)


def shared(moves: Array, rest: Array, rates: Array) -> Array:
    """Two normal numbers of correlation r agree in sign with probability 1/2 + asin(r) / pi."""
    weight = np.sin(np.pi * (rates - 0.5))
    return np.asarray(weight * moves + np.sqrt(1 - weight**2) * rest)


def persistent(rng: np.random.Generator, rates: Array, overlap: int) -> tuple[Array, Array]:
    """An opinion held for some 50 windows, and a market that drifts its way: each outcome is right at the rate."""
    count = len(rates) + overlap - 1
    turns = rng.random(count) < 1 / (HELD_FOR * overlap)
    opinion = np.where(np.cumsum(turns) % 2 == 0, 1.0, -1.0)
    padded = np.concatenate((rates, np.full(overlap - 1, rates[-1])))
    drift = np.array([NormalDist().inv_cdf(rate) for rate in np.unique(padded)])[
        np.unique(padded, return_inverse=True)[1]
    ]
    steps = rng.normal(size=count) + opinion * drift / np.sqrt(overlap)
    return overlapping(steps, overlap), opinion[: len(rates)]


MAKERS = {"fresh": fresh, "persistent": persistent, "wandering": wandering}


def remembering(rng: np.random.Generator, count: int, width: int, memory: float) -> Array:
    """Columns each of which keeps ``memory`` of itself from row to row; shape (count, width)."""
    values = rng.normal(size=(count, width))
    for row in range(1, count):
        values[row] = memory * values[row - 1] + np.sqrt(1 - memory**2) * values[row]
    return np.asarray(values)


def judged(
    rng: np.random.Generator, bound: float, stretches: tuple[Stretch, ...], overlap: int, kind: str, together: int = 1
) -> Doubt:
    """What speaks against a version after a whole stream."""
    rates = np.concatenate([np.full(one.windows * overlap, one.rate) for one in stretches])
    moves, forecasts = MAKERS[kind](rng, rates, overlap)
    times = np.arange(len(rates))
    hits = (np.sign(moves) == np.sign(forecasts)).astype(np.float64)
    return doubt(Live(times, times + overlap, hits), bound=bound, together=together)


def walked(rng: np.random.Generator, overlap: int) -> tuple[float, float | None]:
    """A walk-forward's accuracy at 0.60, and what follows from it as the bound."""
    count = int(WALKED * rng.integers(ROWS[0], ROWS[1] + 1))
    moves, forecasts = fresh(rng, np.full(count, SKILL), overlap)
    times = np.arange(count)
    panel = Panel(times, times + overlap, np.full(count, "A"), moves, forecasts)
    interval = accuracy_interval(panel, cost=0.0)
    accuracy = float(np.mean(np.sign(moves) == np.sign(forecasts)))
    ci95 = None if interval is None else [interval.low, interval.high]
    return accuracy, bound_of({"accuracy": accuracy, "ci95": ci95})


def flips(seed: int) -> dict[tuple[int, int, float], float]:
    """By overlap, good outcomes before and rate after: the delay; infinite where it was not seen, NaN if before."""
    found = {}
    for overlap in OVERLAPS:
        for good in GOOD_TIMES:
            for after in (FLIPPED, 0.5):
                rng = np.random.default_rng([7, seed, overlap, good])
                _, bound = walked(rng, overlap)
                if bound is None:
                    found[overlap, good, after] = np.inf
                    continue
                stretches = (Stretch(good, SKILL), Stretch(OUTCOMES, after))
                alarmed = judged(rng, bound, stretches, overlap, "fresh").alarmed_at
                delay = np.inf if alarmed is None else alarmed / overlap - good
                found[overlap, good, after] = delay if delay > 0 else np.nan
    return found


def nulls(seed: int) -> dict[tuple[int, str, str], bool]:
    """By overlap, rate and forecaster: whether 1,000 outcomes without a change were ever alarmed about."""
    found = {}
    for overlap in OVERLAPS:
        for rate in RATES:
            for kind in FORECASTERS:
                rng = np.random.default_rng([11, seed, overlap])
                accuracy, bound = walked(rng, 1)
                if bound is None:
                    found[overlap, rate, kind] = False
                    continue
                true = {"0.60": SKILL, "walk-forward": accuracy, "bound": bound}[rate]
                alarmed = judged(rng, bound, (Stretch(OUTCOMES, true),), overlap, kind).alarmed_at
                found[overlap, rate, kind] = alarmed is not None
    return found


def dense(seed: int) -> dict[str, tuple[bool, bool]]:
    """By forecaster: whether it was alarmed about, at the bound and where a good time turned, asked 200 times a window.

    ``follower`` says that a coin's last step goes on, and five windows of six end within the costs.
    """
    found = {}
    for kind in ("fresh", "persistent"):
        rng = np.random.default_rng([19, seed])
        _, bound = walked(rng, 1)
        stays = (Stretch(DENSE_WINDOWS, bound or SKILL),)
        turns = (Stretch(DENSE_WINDOWS // 2, SKILL), Stretch(DENSE_WINDOWS // 2, FLIPPED))
        alarmed = [
            bound is not None and judged(rng, bound, one, DENSE, kind, TOGETHER).alarmed_at is not None
            for one in (stays, turns)
        ]
        found[kind] = (alarmed[0], alarmed[1])
    moves, steps = _walk(np.random.default_rng([19, seed]))
    times = np.arange(len(moves))
    hits = np.where(np.abs(moves) > np.quantile(np.abs(moves), 5 / 6), np.sign(steps) == np.sign(moves), np.nan)
    found["follower"] = (
        doubt(Live(times, times + DENSE, hits), bound=0.5, together=TOGETHER).alarmed_at is not None,
        False,
    )
    return found


def _walk(rng: np.random.Generator) -> tuple[Array, Array]:
    """A coin's moves over each window, and the step before each."""
    steps = rng.normal(size=DENSE_WINDOWS * DENSE + DENSE)
    return overlapping(steps[1:], DENSE), steps[: DENSE_WINDOWS * DENSE]


def errors(seed: int) -> dict[tuple[int, bool], float]:
    """By overlap and change: after how many outcomes ADWIN saw a change of the errors, from its place; or infinite."""
    found = {}
    for overlap in OVERLAPS:
        rng = np.random.default_rng([13, seed, overlap])
        steps = rng.standard_t(5, OUTCOMES * overlap + overlap - 1) / np.sqrt(5 / 3)
        half = OUTCOMES * overlap // 2
        for changes in (False, True):
            sizes = np.where(changes & (np.arange(len(steps)) >= half), LARGER, 1.0)
            values = np.abs(overlapping(steps * sizes, overlap))
            times = np.arange(len(values))
            begins, means = by_stretch(times, times + overlap, values)
            seen = adwin(means)
            length = float(begins[1] - begins[0])
            found[overlap, changes] = np.inf if seen is None else (begins[seen.seen] + length - half) / overlap
    return found


def features(seed: int) -> dict[tuple[float, float], float]:
    """By memory and shift in deviations: the share of features that are said to have moved."""
    found = {}
    for memory in MEMORIES:
        values = remembering(np.random.default_rng([17, seed]), WINDOW * (PAST_WINDOWS + 1), FEATURES, memory)
        for shift in (0.0, 1.0):
            changed = values.copy()
            changed[-WINDOW:] += shift
            moved = [bool(feature_shift(column, WINDOW).moved) for column in changed.T]
            found[memory, shift] = float(np.mean(moved))
    return found


def claim_flips(claims: Claims, seeds: int) -> None:
    """The power, and the delays beside it."""
    told = over_seeds(flips, range(seeds), "skills that turn")
    for overlap in OVERLAPS:
        for good in GOOD_TIMES:
            for after in (FLIPPED, 0.5):
                delays = np.array([one[overlap, good, after] for one in told])
                name = f"{SKILL:.2f} -> {after:.2f} after {good} good outcomes, {overlap}-fold overlap"
                within = float(np.mean(delays <= WITHIN))
                if overlap == 1 and after == FLIPPED:
                    claims.at_least(f"{name}, seen within {WITHIN}", within, 0.90)
                else:
                    claims.told(f"{name}, seen within {WITHIN}", f"{within:.3f}")
                middle = np.nanmedian(delays)
                claims.told(
                    "  median delay in outcomes without overlap", f"{middle:.0f}, {np.isnan(delays).sum()} before"
                )


def claim_nulls(claims: Claims, seeds: int) -> None:
    """False alarms of skill lost. Of the wanderer the true rate is for a while below the bound: told, not claimed."""
    told = over_seeds(nulls, range(seeds), "skills that stay")
    for overlap, rate, kind in told[0]:
        share = float(np.mean([one[overlap, rate, kind] for one in told]))
        name = f"alarmed in {OUTCOMES} outcomes at the rate {rate}, {overlap}-fold overlap, {kind} forecaster"
        if kind == "wandering":
            claims.told(name, f"{share:.3f}")
        else:
            claims.at_most(name, share, 1 / ENOUGH)


def claim_dense(claims: Claims, seeds: int) -> None:
    """The same where many forecasts a window are one bet. 150 windows after a turn are few: what is seen is told."""
    told = over_seeds(dense, range(seeds), "forecasts every moment")
    for kind in told[0]:
        name = f"{DENSE} forecasts a window, {TOGETHER} a bet, {DENSE_WINDOWS} windows, {kind} forecaster"
        claims.at_most(f"alarmed at the bound, {name}", float(np.mean([one[kind][0] for one in told])), 1 / ENOUGH)
        if kind != "follower":
            claims.told("  and where half way it turns, seen in", f"{np.mean([one[kind][1] for one in told]):.3f}")


def claim_drift(claims: Claims, seeds: int) -> None:
    """False alarms of ADWIN and of the index, and what each sees."""
    told = over_seeds(errors, range(seeds), "errors")
    for overlap in OVERLAPS:
        false = float(np.mean([np.isfinite(one[overlap, False]) for one in told]))
        claims.at_most(f"ADWIN alarms on {OUTCOMES} outcomes without a change, {overlap}-fold overlap", false, 0.05)
        delays = [one[overlap, True] for one in told]
        seen = f"{np.mean(np.isfinite(delays)):.2f}, median after {np.median(delays):.0f} outcomes"
        claims.told(f"  errors {LARGER} times as large after {OUTCOMES // 2}, seen in", seen)
    found = over_seeds(features, range(seeds), "features")
    for memory in MEMORIES:
        share = float(np.mean([one[memory, 0.0] for one in found]))
        claims.at_most(f"features without a change said to have moved, memory {memory}", share, 0.01)
        claims.told("  moved by one deviation, seen in", f"{np.mean([one[memory, 1.0] for one in found]):.2f}")


def main() -> None:
    """Measure and say; what must be seen on twice as many streams: near 0.9, 100 of them leave an error of 0.03."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=200)
    seeds = parser.parse_args().seeds
    claims = Claims()
    claim_flips(claims, 2 * seeds)
    claim_nulls(claims, seeds)
    claim_dense(claims, seeds)
    claim_drift(claims, seeds)
    claims.end()


if __name__ == "__main__":
    main()
