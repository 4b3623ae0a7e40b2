"""Is a skill that was shown gone? A bettor against the version, valid at every look, also where it ended lately.

A version showed a hit rate at its training. Against it bets who believes that the rate has fallen below the lower end
of that interval; who has 20 times his money has been right about it, or luckier than 1 in 20 ever is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ai_engine.sequential import ENOUGH, MOST_LOG_WEALTH, phases
from ai_engine.types import FloatArray, IndexArray, TimeArray

COIN = 0.5
STAKES = np.array([0.25, 0.5, 1.0])
SHARES = np.array([0.25, 0.5, 0.25])
PATIENCE = 300.0
MOST_PHASES = 100
RECENT_BETS = 9


def bound_of(walk_forward: Mapping[str, Any] | None) -> float | None:
    """Return the hit rate that a version must keep: the lower end of its walk-forward's 95 % interval, at least 0.5.

    None where no skill was ever shown, so that none can be lost: no walk-forward, no interval, or an accuracy that is
    no better than a coin's.

    Examples
    --------
    >>> bound_of({"accuracy": 0.6, "ci95": [0.54, 0.66]}), bound_of({"accuracy": 0.52, "ci95": [0.46, 0.58]})
    (0.54, 0.5)
    >>> bound_of({"accuracy": 0.49, "ci95": [0.43, 0.55]}) is None
    True
    """
    accuracy, interval = (walk_forward or {}).get("accuracy"), (walk_forward or {}).get("ci95")
    if accuracy is None or interval is None or accuracy <= COIN:
        return None
    return max(float(interval[0]), COIN)


def bet_length(candle: int, horizon: int) -> int:
    """Return within how many ms decisions are one bet: a candle, or a hundredth of the horizon where that is longer.

    So that a bettor who is asked every second does not bet in some thousand phases at once.

    Examples
    --------
    >>> bet_length(300_000, 12 * 300_000), bet_length(60_000, 1_440 * 60_000)
    (300000, 864000)
    """
    return max(candle, horizon // MOST_PHASES)


@dataclass(frozen=True, slots=True)
class Live:
    """Live forecasts whose outcome is known, in the order of their decisions; shape (n,).

    ``times`` is when each was decided and ``ends`` when its outcome was known, ms; ``hits`` is 1 where the direction
    was right, 0 where it was wrong, NaN where the move was smaller than the costs.
    """

    times: TimeArray
    ends: TimeArray
    hits: FloatArray


@dataclass(frozen=True, slots=True)
class Doubt:
    """What speaks against a version: the wealth now, the largest it ever was, and when it first was enough (ms).

    ``rounds`` (those of one bet count once) had a move to bet on; they lie in ``phases`` whose windows do not overlap.
    """

    e_value: float
    largest: float
    alarmed_at: int | None
    rounds: int
    phases: int


NO_DOUBT = Doubt(1.0, 1.0, None, 0, 0)


def doubt(live: Live, *, bound: float, enough: float = ENOUGH, together: int = 1) -> Doubt:
    """Return how strongly live forecasts speak against a hit rate of at least ``bound``.

    Parameters
    ----------
    live
        Sorted by ``times``; rows of one time are one round.
    bound
        From 0.5 to below 1; see ``bound_of``.
    enough
        The wealth that alarms, on the running maximum: the answer does not depend on when anybody looks.
    together
        Rounds that begin within one stretch of so many ms, counted from 1970 on, are one bet; see ``bet_length``.

    Notes
    -----
    One bet per round pays ``bound - mean hit over symbols``, in [bound - 1, bound]; a round of small moves pays 0 and
    keeps its place. Were it left out, the phase of the next bet would tell that a window still open then came to
    nothing, and what is left of that window would tell the next direction. While the rate is at least
    ``bound``, whatever was seen before, its expectation is at most 0, so ``prod(1 + stake * payoff)`` is a
    supermartingale for every stake up to 1. Money that starts to bet only at round k is cash before, which is one too;
    a mixture over starts and stakes whose shares sum to 1 is therefore an e-process, and Ville's inequality gives 20
    with a chance of at most 1/20, ever: Shin, Ramdas and Rinaldo, E-detectors: a nonparametric framework for sequential
    change detection (2023), whose starts without shares would control the time between false alarms instead.
    A start at round k has the share ``p / ((p + k)(p + k + 1))`` with ``p`` = 300: after a good time of several
    hundred rounds those who start near its end still hold enough, where a bettor from the beginning is ruined.

    Windows that overlap: rounds are dealt out to phases without overlap (``sequential.phases``) and the phases' wealths
    averaged over those with a settled bet, as Henzi and Ziegel, Valid sequential inference on probability forecast
    performance (2022); a round counts from when its last window has closed. Theirs holds for one look whose open
    windows are waited for; that the running maximum of the average keeps 5 % as well is measured by
    ``benchmarks/skill_lost.py``.

    Rounds of one bet pay the mean of what as many would have paid alone as its like had lately, see
    ``_expected_rounds``; further ones pay nothing, missing ones 0. So what each adds is fixed at its own start, where
    its expectation is at most 0, and the bet is as fair as they are. The mean of those that came would not be: a bot
    that asks again and again while the price goes its way dilutes what it wins and is charged in full for what it
    loses. Nor would their hits divided by their moves: which of two overlapping windows was large tells the direction
    of the other.

    Examples
    --------
    >>> moments = np.arange(100)
    >>> doubt(Live(moments, moments + 1, np.zeros(100)), bound=0.55).alarmed_at is not None
    True
    >>> doubt(Live(moments, moments + 1, np.ones(100)), bound=0.55).alarmed_at is None
    True
    """
    judged = ~np.isnan(live.hits)
    if not judged.any():
        return NO_DOUBT
    payoffs, starts, ends = _bets(*_rounds(live, bound), together)
    phase = phases(starts, ends)
    moments, wealth = _wealth(payoffs, ends, phase)
    largest = int(np.argmax(wealth))
    alarmed = np.flatnonzero(wealth >= enough)
    return Doubt(
        e_value=float(wealth[-1]),
        largest=max(float(wealth[largest]), 1.0),
        alarmed_at=int(moments[alarmed[0]]) if len(alarmed) else None,
        rounds=len(np.unique(live.times[judged] // together)),
        phases=int(phase.max()) + 1,
    )


def _rounds(live: Live, bound: float) -> tuple[FloatArray, TimeArray, TimeArray]:
    starts, rounds = np.unique(live.times, return_inverse=True)
    moved = np.bincount(rounds, weights=~np.isnan(live.hits))
    hits = np.bincount(rounds, weights=np.nan_to_num(live.hits)) / np.maximum(moved, 1)
    ends = np.full(len(starts), np.iinfo(np.int64).min)
    np.maximum.at(ends, rounds, live.ends)
    return np.where(moved > 0, bound - hits, 0.0), starts, ends


def _bets(
    payoffs: FloatArray, starts: TimeArray, ends: TimeArray, together: int
) -> tuple[FloatArray, TimeArray, TimeArray]:
    """Rounds that begin within one stretch as one: it begins with the first and is settled with the last."""
    stretches, first, bets, counts = np.unique(
        starts // together, return_index=True, return_inverse=True, return_counts=True
    )
    if len(stretches) == len(starts):
        return payoffs, starts, ends
    last = np.full(len(stretches), np.iinfo(np.int64).min)
    np.maximum.at(last, bets, ends)
    expected = _expected_rounds(counts)
    paid = np.where(np.arange(len(starts)) - first[bets] < expected[bets], payoffs, 0.0)
    return np.bincount(bets, weights=paid) / expected, starts[first], last


def _expected_rounds(counts: IndexArray) -> IndexArray:
    """How many rounds each bet is to have, known before it: the median of the nine before, 1 at the beginning."""
    before = np.concatenate((np.ones(RECENT_BETS, dtype=np.intp), counts[:-1]))
    return np.asarray(np.sort(sliding_window_view(before, RECENT_BETS), axis=1)[:, RECENT_BETS // 2], dtype=np.intp)


def _wealth(payoffs: FloatArray, ends: TimeArray, phase: IndexArray) -> tuple[TimeArray, FloatArray]:
    """The moments at which windows closed, and the mean wealth of the phases with a settled bet by then."""
    moments = np.unique(ends)
    total, settled = np.zeros(len(moments)), np.zeros(len(moments))
    for number in range(int(phase.max()) + 1):
        mine = phase == number
        path = np.concatenate(([1.0], np.exp(np.minimum(_log_wealth(payoffs[mine]), MOST_LOG_WEALTH))))
        there = moments >= ends[mine][0]
        total += there * path[np.searchsorted(ends[mine], moments, side="right")]
        settled += there
    return moments, total / settled


def _log_wealth(payoffs: FloatArray) -> FloatArray:
    """Log wealth after each bet of one phase, over every stake and every start; shape (bets,)."""
    k = np.arange(len(payoffs))
    share = np.log(PATIENCE) - np.log(PATIENCE + k) - np.log(PATIENCE + k + 1)
    cash = np.log(PATIENCE) - np.log(PATIENCE + k + 1)
    growth = np.cumsum(np.log1p(payoffs[:, None] * STAKES), axis=0)
    before = np.vstack((np.zeros(len(STAKES)), growth[:-1]))
    started = growth + np.logaddexp.accumulate(share[:, None] - before, axis=0)
    return np.asarray(np.logaddexp.reduce(np.logaddexp(started, cash[:, None]) + np.log(SHARES), axis=1))


def expected_delay(bound: float, rate: float) -> int | None:
    """Return how many outcomes without overlap it takes, about, to see that the hit rate fell to ``rate``.

    ``log(20 / shares) / growth`` with the best stake's growth and starts within the growth's own time; None where
    ``rate`` is not below the bound.
    """
    if rate >= bound:
        return None
    losing, winning = np.log1p(STAKES * bound), np.log1p(-STAKES * (1.0 - bound))
    growth = float(np.max((1.0 - rate) * losing + rate * winning))
    if growth <= 0:
        return None
    return int(np.ceil((np.log(ENOUGH / SHARES.max()) + np.log(1 + PATIENCE * growth)) / growth))
