"""The chronological split keeps the answer of the newer rows out of the fit on the older ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ai_engine.split import Split, chronological, embargo_ms

CANDLE = 300_000


@st.composite
def decisions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Decision and outcome times of 1 to 80 rows in any order, several rows a round."""
    count = draw(st.integers(1, 80))
    rounds = draw(npst.arrays(np.int64, count, elements=st.integers(0, 60)))
    holding = draw(npst.arrays(np.int64, count, elements=st.integers(1, 20 * CANDLE)))
    return rounds * CANDLE, rounds * CANDLE + holding


def parts(split: Split) -> list[np.ndarray]:
    return [split.train, split.validation, split.purged, split.embargoed]


@given(decisions())
def test_every_row_is_in_exactly_one_part(rows: tuple[np.ndarray, np.ndarray]) -> None:
    times, ends = rows

    together = np.concatenate(parts(chronological(times, ends, timeframe_ms=CANDLE)))

    assert sorted(together.tolist()) == list(range(len(times)))


@given(decisions())
def test_no_outcome_of_the_older_part_is_known_later_than_the_first_newer_decision(
    rows: tuple[np.ndarray, np.ndarray],
) -> None:
    times, ends = rows
    split = chronological(times, ends, timeframe_ms=CANDLE)

    if len(split.train) and split.split_time is not None:
        assert ends[split.train].max() <= split.split_time
    if len(split.train) and len(split.validation):
        assert ends[split.train].max() + CANDLE <= times[split.validation].min()


@given(decisions())
def test_a_round_is_never_cut(rows: tuple[np.ndarray, np.ndarray]) -> None:
    times, ends = rows
    split = chronological(times, ends, timeframe_ms=CANDLE)

    older = set(times[split.train]) | set(times[split.purged])
    newer = set(times[split.validation]) | set(times[split.embargoed])

    assert not older & newer
    assert not older or not newer or max(older) < min(newer)
    assert not set(times[split.validation]) & set(times[split.embargoed])


@given(decisions(), st.randoms(use_true_random=False))
def test_arrival_order_does_not_matter(rows: tuple[np.ndarray, np.ndarray], random) -> None:  # type: ignore[no-untyped-def]
    times, ends = rows
    order = np.array(random.sample(range(len(times)), len(times)))

    straight = chronological(times, ends, timeframe_ms=CANDLE)
    shuffled = chronological(times[order], ends[order], timeframe_ms=CANDLE)

    for left, right in zip(parts(straight), parts(shuffled), strict=True):
        assert sorted(left.tolist()) == sorted(order[right].tolist())


@given(st.integers(10, 2_000))
@settings(max_examples=50)
def test_with_one_row_a_round_a_fifth_of_the_rows_is_newer(count: int) -> None:
    times = np.arange(count) * 10 * CANDLE
    split = chronological(times, times + 1, timeframe_ms=1)

    newer = len(split.validation) + len(split.embargoed)

    assert newer == count - round(0.8 * count) or abs(newer - 0.2 * count) <= 0.5


def test_a_purged_row_may_belong_to_another_symbol() -> None:
    """Two symbols in turn: the split looks at times alone, so the long window of either is purged."""
    times = np.arange(10) * CANDLE
    ends = times + 1
    ends[2] = times[9]

    split = chronological(times, ends, timeframe_ms=CANDLE)

    assert split.purged.tolist() == [2]


def test_an_outcome_known_exactly_at_the_border_may_train() -> None:
    times = np.arange(10) * CANDLE

    split = chronological(times, times + CANDLE, timeframe_ms=CANDLE)

    assert split.train.tolist() == list(range(8))
    assert len(split.purged) == 0


def test_the_embargo_is_a_quarter_of_the_median_holding_but_at_least_a_candle() -> None:
    times = np.zeros(5, dtype=np.int64)
    quick = np.full(5, CANDLE)
    slow = np.array([1, 2, 40, 40, 100]) * CANDLE

    assert embargo_ms(times, quick, timeframe_ms=CANDLE) == CANDLE
    assert embargo_ms(times, slow, timeframe_ms=CANDLE) == 10 * CANDLE


def test_the_split_time_is_the_first_newer_decision_before_the_embargo() -> None:
    times = np.arange(100) * CANDLE

    split = chronological(times, times + 12 * CANDLE, timeframe_ms=CANDLE)

    assert split.split_time == 80 * CANDLE
    assert split.embargoed.tolist() == [80, 81, 82]
    assert split.purged.tolist() == list(range(69, 80))


@pytest.mark.parametrize("count", [1, 7])
def test_one_single_round_cannot_be_split(count: int) -> None:
    times = np.full(count, 5 * CANDLE)

    split = chronological(times, times + CANDLE, timeframe_ms=CANDLE)

    assert split.split_time is None
    assert split.train.tolist() == list(range(count))
    assert not len(split.validation)
