"""Rounds are gathered without losing one, and nights lie where the schedule puts them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.market.feed import CandleRound, FeedUnavailableError
from backend.trading.batches import batches, nights

START = datetime(2025, 5, 1, tzinfo=UTC)
minutes = st.lists(st.integers(0, 500), unique=True).map(sorted)


def rounds_at(times: list[int]) -> list[CandleRound]:
    return [CandleRound(START + timedelta(minutes=minute), {}) for minute in times]


@given(times=minutes, size=st.integers(1, 40))
def test_batches_hold_every_round_in_order_and_are_full_but_for_the_last(times: list[int], size: int) -> None:
    rounds = rounds_at(times)
    found = list(batches(rounds, size))

    assert [one for batch in found for one in batch] == rounds
    assert all(len(batch) == size for batch in found[:-1])


@given(times=minutes, slots=minutes, size=st.integers(1, 40))
def test_each_night_comes_after_the_rounds_before_it_and_before_the_rounds_after_it(
    times: list[int], slots: list[int], size: int
) -> None:
    rounds = rounds_at(times)
    happened: list[tuple[datetime, int]] = []
    for batch, due in nights(iter(rounds), [START + timedelta(minutes=minute) for minute in slots], size):
        assert len(batch) <= size
        happened += [(one.close_time, 0) for one in batch] + [(slot, 1) for slot in due]

    assert happened == sorted(happened)
    assert [moment for moment, kind in happened if kind == 0] == [one.close_time for one in rounds]
    assert [moment for moment, kind in happened if kind == 1] == [START + timedelta(minutes=m) for m in slots]


def test_the_round_that_closes_at_the_slot_is_taken_before_the_night() -> None:
    three = START + timedelta(hours=3)
    rounds = [CandleRound(three + timedelta(minutes=minute), {}) for minute in (-5, 0, 5)]

    found = [([one.close_time for one in batch], due) for batch, due in nights(rounds, [three], 32)]

    assert found == [([rounds[0].close_time, three], [three]), ([rounds[2].close_time], [])]


def test_a_night_without_any_round_still_comes() -> None:
    assert list(nights([], [START], 32)) == [([], [START])]


def test_what_a_market_told_before_it_failed_is_handed_out_and_then_the_failure() -> None:
    def failing() -> Iterator[CandleRound]:
        yield from rounds_at([1, 2, 3, 4, 5])
        raise FeedUnavailableError("The exchange is away.", retry_after_seconds=1.0)

    found: list[list[CandleRound]] = []
    with pytest.raises(FeedUnavailableError, match="away"):
        found.extend(batches(failing(), 2))

    assert found == [rounds_at([1, 2]), rounds_at([3, 4]), rounds_at([5])]
