"""One e-process, for evidence over many nights: valid at every look.

A bettor who starts with 1 and can expect nothing where there is no skill has 20 with a chance of at most 1 in 20,
whenever one looks and however often (Ville). Waudby-Smith and Ramdas, Estimating means of bounded random
variables by betting (2024); for windows that overlap Henzi and Ziegel, Valid sequential inference on probability
forecast performance, with the correction in Biometrika 109:1181 (2022).
"""

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ai_engine.types import FloatArray, IndexArray, TimeArray

STAKES = np.array([0.02, 0.05, 0.1, 0.2, 0.35, 0.5])
ENOUGH = 20.0
# e^600 is 4e260: still a number for JSON where it is summed over many phases.
MOST_LOG_WEALTH = 600.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the bettor has now; ``rounds`` were bet on, in ``phases`` without overlap within each."""

    e_value: float
    rounds: int
    phases: int


def e_process(payoffs: FloatArray, starts: TimeArray, ends: TimeArray) -> Evidence:
    """Return the wealth of bets on rounds in time order, averaged over phases.

    Parameters
    ----------
    payoffs
        In [-1, 1], one per round, expectation at most 0 given what was known at its start where there is no skill;
        shape (n,).
    starts, ends
        When the round was decided, increasing, and when its last outcome was known, ms; only rounds whose windows
        have closed may be given. Shape (n,).

    Notes
    -----
    A round belongs to the first phase that is free at its start, so that within a phase each bet is settled before
    the next. In every phase six bettors with fixed stakes (2 % to 50 % of what they have) share the money: nothing
    about a bet depends on its outcome, and no stake has to be chosen.

    Examples
    --------
    >>> moments = np.arange(100)
    >>> e_process(np.ones(100), moments, moments + 1).e_value > 20
    True
    >>> e_process(np.zeros(100), moments, moments + 3).phases
    3
    """
    phase = phases(starts, ends)
    count = int(phase.max()) + 1 if len(phase) else 0
    if count == 0:
        return Evidence(1.0, 0, 0)
    growth = np.log1p(payoffs[:, None] * STAKES[None, :])
    wealth = np.zeros((count, len(STAKES)))
    np.add.at(wealth, phase, growth)
    return Evidence(float(np.mean(np.exp(np.minimum(wealth, MOST_LOG_WEALTH)))), len(payoffs), count)


def phases(starts: TimeArray, ends: TimeArray) -> IndexArray:
    """Return each round's phase, from 0: the first one whose last window had closed at the round's start."""
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    found = np.empty(len(starts), dtype=np.intp)
    for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        phase = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (end, phase))
        found[row] = phase
    return found


@dataclass(frozen=True, slots=True)
class Bets:
    """One bet per decision round: its payoff, its time, and when the last of its outcomes was known.

    ``judged`` of the forecasts bet on moved more than the costs: without one nothing was staked on anything.
    """

    payoffs: FloatArray
    starts: TimeArray
    ends: TimeArray
    judged: int


def against_majority(times: TimeArray, ends: TimeArray, y: FloatArray, scores: FloatArray, *, cost: float) -> Bets:
    """Return one bet per round that the forecasts beat the direction that was commoner so far.

    The payoff is the mean over a round's symbols of ``hit - majority's hit``, over moves larger than the costs; a round
    of small moves pays 0 and keeps its place, so that no later bet's phase depends on what was not known yet. The
    majority is that of all outcomes known at the round's time, forecast or not, up on a tie: "always up" in a rising
    market earns nothing.

    Parameters
    ----------
    times, ends
        Decision time and the time the outcome was known, ms; shape (n,), sorted by ``times``.
    y, scores
        Returns, and the forecasts that were made before them, NaN where nobody forecast: no bet, but an outcome that
        the majority knows; shape (n,).
    """
    outside, actual, bet = np.abs(y) > cost, np.sign(y), ~np.isnan(scores)
    majority = _majority_known(times, ends, np.where(outside, actual, 0.0))
    gain = (np.sign(scores[bet]) == actual[bet]).astype(np.float64) - (majority[bet] == actual[bet])
    return _by_round(times[bet], ends[bet], np.where(outside[bet], gain, 0.0), outside[bet])


def _majority_known(times: TimeArray, ends: TimeArray, signs: FloatArray) -> FloatArray:
    """The commoner direction among the outcomes known at each row's decision."""
    order = np.argsort(ends, kind="stable")
    balance = np.concatenate(([0.0], np.cumsum(signs[order])))
    known = np.searchsorted(ends[order], times, side="right")
    return np.where(balance[known] >= 0, 1.0, -1.0)


def _by_round(times: TimeArray, ends: TimeArray, values: FloatArray, outside: NDArray[np.bool_]) -> Bets:
    starts, rounds = np.unique(times, return_inverse=True)
    count = np.maximum(np.bincount(rounds, weights=outside, minlength=len(starts)), 1)
    last = np.full(len(starts), np.iinfo(np.int64).min)
    np.maximum.at(last, rounds, ends)
    payoffs = np.bincount(rounds, weights=values, minlength=len(starts)) / count
    return Bets(payoffs, starts, last, int(outside.sum()))
