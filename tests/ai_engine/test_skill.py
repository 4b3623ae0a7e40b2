"""A lost skill is seen soon after it was lost, and one that is kept is left alone at every look."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_engine import skill
from ai_engine.inference import wilson
from ai_engine.sequential import ENOUGH, phases
from ai_engine.skill import (
    MOST_PHASES,
    NO_DOUBT,
    PATIENCE,
    SHARES,
    STAKES,
    Live,
    bet_length,
    bound_of,
    doubt,
    expected_delay,
)


def live(hits: np.ndarray, *, overlap: int = 1, symbols: int = 1) -> Live:
    times = np.repeat(np.arange(len(hits) // symbols), symbols)
    return Live(times, times + overlap, np.asarray(hits, dtype=np.float64))


def drawn(seed: int, *stretches: tuple[int, float]) -> Live:
    rng = np.random.default_rng(seed)
    return live(np.concatenate([rng.random(count) < rate for count, rate in stretches]))


@pytest.mark.parametrize(
    ("walk_forward", "bound"),
    [
        ({"accuracy": 0.6, "ci95": [0.54, 0.66]}, 0.54),
        ({"accuracy": 0.56, "ci95": [0.47, 0.65]}, 0.5),
        ({"accuracy": 0.5, "ci95": [0.45, 0.55]}, None),
        ({"accuracy": 0.45, "ci95": [0.4, 0.5]}, None),
        ({"accuracy": 0.6, "ci95": None}, None),
        ({"accuracy": None, "ci95": None}, None),
        ({}, None),
        (None, None),
    ],
)
def test_what_must_be_kept_is_what_was_shown_and_at_least_a_coin(
    walk_forward: dict | None, bound: float | None
) -> None:
    assert bound_of(walk_forward) == bound


def test_the_wealth_is_every_start_and_stake_computed_by_hand() -> None:
    hits, bound = np.array([1.0, 0.0, 0.0, 1.0, 0.0]), 0.55
    payoffs = bound - hits

    def wealth(bets: int) -> float:
        total = 0.0
        for stake, share in zip(STAKES, SHARES, strict=True):
            for start in range(bets):
                weight = PATIENCE / ((PATIENCE + start) * (PATIENCE + start + 1))
                total += share * weight * np.prod(1 + stake * payoffs[start:bets])
            total += share * PATIENCE / (PATIENCE + bets)
        return total

    found = doubt(live(hits), bound=bound)

    by_hand = [wealth(bets) for bets in range(1, 6)]
    assert found.e_value == pytest.approx(by_hand[-1], rel=1e-12)
    assert found.largest == pytest.approx(max(by_hand), rel=1e-12)
    assert (found.rounds, found.phases, found.alarmed_at) == (5, 1, None)


def test_the_shares_of_stakes_and_of_starts_sum_to_one() -> None:
    starts = np.arange(1_000_000)

    assert SHARES.sum() == pytest.approx(1.0)
    assert (PATIENCE / ((PATIENCE + starts) * (PATIENCE + starts + 1))).sum() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("bound", [0.5, 0.54, 0.7, 0.99])
def test_no_bet_can_earn_where_the_rate_is_the_bound(bound: float) -> None:
    """One step from any state: the mean of the wealth over a hit and a miss is the wealth before, exactly."""
    before = np.array([1.0, 0.0, 1.0, 1.0])
    wealth = [doubt(live(np.append(before, hit)), bound=bound).e_value for hit in (1.0, 0.0)]

    assert bound * wealth[0] + (1 - bound) * wealth[1] == pytest.approx(doubt(live(before), bound=bound).e_value)


def test_overlapping_windows_are_averaged_over_their_phases() -> None:
    hits = np.array([0.0, 1.0, 0.0, 0.0])

    found = doubt(live(hits, overlap=2), bound=0.6)

    assert found.phases == 2
    own = [doubt(live(hits[first::2]), bound=0.6).e_value for first in (0, 1)]
    assert found.e_value == pytest.approx(np.mean(own))


def test_a_phase_that_begins_late_changes_nothing_that_was_read_before() -> None:
    times = np.array([0, 10, 20, 30, 31])
    hits = np.zeros(5)
    early = doubt(Live(times[:4], times[:4] + 10, hits[:4]), bound=0.9, enough=1.005)
    late = doubt(Live(times, times + 10, hits), bound=0.9, enough=1.005)

    assert (early.phases, late.phases) == (1, 2)
    assert early.alarmed_at == late.alarmed_at is not None


def test_symbols_of_one_round_are_one_bet() -> None:
    together = doubt(live(np.array([1.0, 0.0] * 30), symbols=2), bound=0.6)

    assert together.rounds == 30
    assert together.e_value == pytest.approx(doubt(live(np.full(30, 0.5)), bound=0.6).e_value)


def follower(seed: int, horizon: int = 12, rounds: int = 3_000) -> Live:
    """Of a coin's walk, who says that the last move goes on; five windows of six end within the costs."""
    steps = np.random.default_rng(seed).normal(size=rounds + horizon + 1)
    path = np.cumsum(steps)
    times = np.arange(1, rounds + 1)
    moved = path[times + horizon] - path[times]
    right = np.sign(steps[times]) == np.sign(moved)
    judged = np.abs(moved) > np.quantile(np.abs(moved), 5 / 6)
    return Live(times, times + horizon, np.where(judged, right.astype(np.float64), np.nan))


def test_small_moves_choose_no_bets_against_a_coin() -> None:
    """Who left them out alarmed in 19 of these 20: a window that came to nothing tells the next one's direction."""
    assert sum(doubt(follower(seed), bound=0.5).alarmed_at is not None for seed in range(20)) <= 2


def test_rounds_of_one_stretch_are_one_bet_from_the_first_to_the_last() -> None:
    """Here every move is large, so that the mean over the rounds is that over as many symbols of one round."""
    rng = np.random.default_rng(5)
    hits = (rng.random(120) < 0.4).astype(np.float64)
    hits[:15] = np.repeat(hits[:15:3], 3)  # how many rounds a stretch has must be seen five times
    times = np.arange(120) // 3 * 10 + np.tile([2, 3, 8], 40)
    one, last = times // 10 * 10 + 2, times // 10 * 10 + 8 + 25

    apart = doubt(Live(times, times + 25, hits), bound=0.55, together=10)
    at_once = doubt(Live(one, last, hits), bound=0.55)

    assert apart == at_once
    assert (apart.rounds, apart.phases) == (40, 4)


def eager(seed: int, candles: int = 600, steps: int = 10) -> Live:
    """Of a coin's walk, who says "up" a candle ahead, and says so again and again while it goes up."""
    path = np.cumsum(np.random.default_rng(seed).normal(size=(candles + 2) * steps))
    since = np.arange(candles * steps) % steps
    risen = path[: candles * steps] - path[np.arange(candles * steps) - since]
    times = np.flatnonzero((since == 0) | (risen > 0.5 * np.sqrt(since)))
    return Live(times, times + steps, (path[times + steps] > path[times]).astype(np.float64))


def test_who_asks_more_often_while_the_price_goes_his_way_is_not_alarmed_about() -> None:
    """Paid by the mean of the rounds that came, each of these twenty alarms: wins are diluted, losses are not."""
    assert sum(doubt(eager(seed), bound=0.5, together=10).alarmed_at is not None for seed in range(20)) <= 2


def test_how_many_rounds_pay_is_known_before_the_stretch_begins() -> None:
    counts = [3] * 12 + [8, 1, 3]
    times = np.concatenate([10 * k + np.arange(count) for k, count in enumerate(counts)])
    hits = np.ones(len(times))
    hits[-12:-4] = [1, 1, 1, 0, 0, 0, 0, 0]  # of eight rounds three count
    hits[-4] = 0.0  # one alone is worth a third

    found = doubt(Live(times, times + 2, hits), bound=0.6, together=10)
    paid = np.where(np.arange(15) == 13, 0.6 / 3, -0.4)

    assert found.e_value == pytest.approx(doubt(live(0.6 - paid), bound=0.6).e_value)


def test_bets_together_change_nothing_where_each_round_is_alone() -> None:
    stream = drawn(2, (300, 0.45))
    spaced = Live(stream.times * 10 + 7, stream.times * 10 + 67, stream.hits)

    assert doubt(spaced, bound=0.55, together=10) == doubt(spaced, bound=0.55)


def test_small_moves_choose_no_bets_together_either() -> None:
    """Paid by the hits over the moves within the stretch, as a round is, each of these ten alarms."""
    streams = [follower(seed, rounds=30_000) for seed in range(10)]
    by_moves = [Live(one.times // 6 * 6, one.ends, one.hits) for one in streams]

    assert sum(doubt(one, bound=0.5, together=6).alarmed_at is not None for one in streams) <= 1
    assert all(doubt(one, bound=0.5).alarmed_at is not None for one in by_moves)


@pytest.mark.parametrize(("candle", "horizon"), [(300, 3_600), (60, 86_400), (1, 3_600)])
def test_who_decides_every_second_bets_in_a_hundred_phases_at_most(candle: int, horizon: int) -> None:
    times = np.arange(3 * horizon if horizon < 4_000 else horizon + 4_000)
    hits = np.random.default_rng(1).random(len(times)) < 0.5

    found = doubt(Live(times, times + horizon, hits * 1.0), bound=0.5, together=bet_length(candle, horizon))

    assert 1 < found.phases <= MOST_PHASES + 3


def test_bets_together_do_not_depend_on_when_anybody_looks() -> None:
    stream = live(np.random.default_rng(4).random(400) < 0.3, overlap=20)
    looks = [
        doubt(Live(stream.times[:n], stream.ends[:n], stream.hits[:n]), bound=0.9, enough=1.2, together=5)
        for n in range(5, 401, 5)
    ]

    assert all(after.largest >= before.largest for before, after in pairwise(looks))
    assert len({one.alarmed_at for one in looks} - {None}) == 1


def test_a_round_of_small_moves_is_no_bet_and_keeps_its_place() -> None:
    times, small, other = np.arange(6), np.array([0.0, np.nan, 1.0, 0.0, 0.0, 1.0]), np.array([0, 1, 0, 1, 0, 1])
    payoffs = np.where(np.isnan(small), 0.0, 0.6 - np.nan_to_num(small))

    def wealth(bets: np.ndarray) -> float:
        starts = range(len(bets))
        weight = [PATIENCE / ((PATIENCE + start) * (PATIENCE + start + 1)) for start in starts]
        cash = PATIENCE / (PATIENCE + len(bets))
        paid = [cash + sum(weight[k] * np.prod(1 + stake * bets[k:]) for k in starts) for stake in STAKES]
        return float(SHARES @ np.array(paid))

    found = doubt(Live(times, times + 2, small), bound=0.6)

    assert (found.rounds, found.phases) == (5, 2)
    assert found.e_value == pytest.approx(np.mean([wealth(payoffs[other == phase]) for phase in (0, 1)]), rel=1e-12)
    assert doubt(Live(times, times + 2, np.full(6, np.nan)), bound=0.6) == NO_DOUBT


def test_nothing_known_speaks_against_nobody() -> None:
    assert doubt(live(np.empty(0)), bound=0.6) == NO_DOUBT


@given(st.lists(st.booleans(), min_size=1, max_size=120), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_the_answer_does_not_depend_on_when_anybody_looks(hits: list[bool], overlap: int) -> None:
    stream = live(np.array(hits), overlap=overlap)
    looks = [
        doubt(Live(stream.times[:n], stream.ends[:n], stream.hits[:n]), bound=0.9, enough=1.2)
        for n in range(1, len(hits) + 1)
    ]

    assert all(after.largest >= before.largest for before, after in pairwise(looks))
    assert {one.alarmed_at for one in looks} - {None} in (set(), {looks[-1].alarmed_at})


def test_a_flip_is_seen_within_300_outcomes_even_after_a_long_good_time() -> None:
    seen = [doubt(drawn(seed, (500, 0.6), (300, 0.4)), bound=0.55).alarmed_at is not None for seed in range(20)]

    assert sum(seen) >= 18


def test_who_bets_from_the_beginning_alone_would_not_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the starts are for: with all the money at the first round the good time has ruined it."""
    monkeypatch.setattr(skill, "PATIENCE", 1e-9)
    seen = [doubt(drawn(seed, (500, 0.6), (300, 0.4)), bound=0.55).alarmed_at is not None for seed in range(20)]

    assert sum(seen) <= 5


def test_a_rate_at_the_bound_alarms_in_one_stream_of_twenty_at_most() -> None:
    alarmed = [doubt(drawn(seed, (1_000, 0.55)), bound=0.55).alarmed_at is not None for seed in range(60)]

    assert sum(alarmed) <= 7  # 5 % of 60, and room for chance (p = 0.02)


def test_what_was_alarmed_stays_alarmed_when_the_skill_comes_back() -> None:
    found = doubt(drawn(3, (150, 0.2), (600, 0.8)), bound=0.55)

    assert found.e_value < 1 < ENOUGH <= found.largest
    assert found.alarmed_at is not None


def test_a_hopeless_version_gives_numbers_that_json_can_say() -> None:
    assert np.isfinite(doubt(live(np.zeros(20_000)), bound=0.99).largest)


def test_the_expected_delay_is_near_what_is_measured() -> None:
    bound = wilson(300, 500).low
    measured = []
    for seed in range(30):
        alarmed = doubt(drawn(seed, (300, 0.6), (600, 0.4)), bound=bound).alarmed_at
        measured.append(np.inf if alarmed is None else alarmed - 300)

    assert expected_delay(bound, 0.4) == pytest.approx(np.median(measured), rel=0.35)


def test_what_is_not_below_the_bound_is_never_seen() -> None:
    assert expected_delay(0.5, 0.5) is None
    assert expected_delay(0.5001, 0.5) is None
    assert (expected_delay(0.55, 0.5) or 0) > 500


def test_phases_are_those_of_the_evidence_over_nights() -> None:
    stream = live(np.ones(10), overlap=3)

    assert doubt(stream, bound=0.5).phases == len(set(phases(stream.times, stream.ends).tolist())) == 3
