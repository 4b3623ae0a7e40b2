"""The market's speed is kept by a timer that only the test moves."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.trading.batches import ROUNDS_A_TRANSACTION
from backend.trading.pace import MADE_UP_FOR_SECONDS, Pace, delay_of, seconds_to_ask


class Timer:
    """Stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def take(pace: Pace, timer: Timer, count: int, cost: float) -> int:
    """Take ``count`` transactions that last ``cost`` seconds each, and wait as told; how many rounds that were."""
    for _ in range(count):
        timer.now += cost
        timer.now += pace.seconds_to_wait(pace.rounds_a_transaction)
    return count * pace.rounds_a_transaction


@given(speed=st.floats(0.5, 150), count=st.integers(1, 50), share=st.floats(0, 0.9))
def test_the_speed_is_kept_whatever_the_rounds_cost(speed: float, count: int, share: float) -> None:
    pace = Pace(speed, timer := Timer())

    rounds = take(pace, timer, count, share * pace.rounds_a_transaction / speed)

    assert rounds / (timer.now - 100) == pytest.approx(speed)


@pytest.mark.parametrize(("speed", "size"), [(0.5, 1), (20, 4), (50, 10), (1e6, ROUNDS_A_TRANSACTION)])
def test_a_transaction_holds_a_fifth_of_a_second_of_rounds_within_bounds(speed: float, size: int) -> None:
    assert Pace(speed).rounds_a_transaction == size


def test_a_long_pause_is_made_up_for_by_a_second_of_rounds_at_most() -> None:
    pace = Pace(20, timer := Timer())
    timer.now += 60

    unwaited = 0
    while pace.seconds_to_wait(1) == 0:
        unwaited += 1

    assert unwaited == pytest.approx(20 * MADE_UP_FOR_SECONDS, abs=1)


def test_no_speed_is_as_fast_as_possible() -> None:
    pace = Pace(0)

    assert pace.rounds_a_transaction == ROUNDS_A_TRANSACTION
    assert [pace.seconds_to_wait(32) for _ in range(100)] == [0.0] * 100


@given(
    overdue=st.floats(-3600, 3600), timeframe=st.sampled_from([1, 60, 300, 3600, 86_400]), longest=st.floats(0.2, 10)
)
def test_an_exchange_is_asked_soon_after_a_close_and_then_ever_more_seldom(
    overdue: float, timeframe: int, longest: float
) -> None:
    length = timedelta(seconds=timeframe)
    wait = seconds_to_ask(timedelta(seconds=overdue), length, longest)

    assert 0 < wait <= longest
    assert 0 < delay_of(length) <= min(1.25, timeframe / 8)
    if overdue >= delay_of(length):
        assert wait >= min(delay_of(length), longest)
        assert wait == pytest.approx(min(max(overdue - delay_of(length), delay_of(length)), longest), abs=1e-5)
    else:
        assert wait == pytest.approx(min(delay_of(length) - overdue, longest), abs=1e-5)
