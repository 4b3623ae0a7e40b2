"""Nothing is asked while an exchange wants to be left alone; failures are answered with longer and longer waits."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.market.exchange_restraint import FAILED, LIMITED, Backoff, Pause, RefusedError, Restraint
from tests.market.exchange_stage import StillClock


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


def refusal(seconds: float = 1.0) -> RefusedError:
    return RefusedError("binance fails", retry_after_seconds=seconds)


@given(st.floats(0.1, 10), st.floats(10, 1_000), st.integers(0, 10_000))
def test_waits_grow_and_are_bounded(first: float, longest: float, failures: int) -> None:
    backoff = Backoff(first, longest)

    assert first <= backoff.after(failures) <= backoff.after(failures + 1) <= longest


def test_what_was_asked_for_is_waited_for_exactly(clock: StillClock) -> None:
    restraint = Restraint(clock)
    restraint.check()

    error = restraint.limited("binance answered: 429", 30.0)
    clock.pass_by(29.9)
    with pytest.raises(RefusedError) as caught:
        restraint.check()
    clock.pass_by(0.2)
    restraint.check()

    assert error.everywhere
    assert error.retry_after_seconds == 30.0
    assert error.message == "binance answered: 429; it is asked again in 30 s."
    assert caught.value.retry_after_seconds == pytest.approx(0.1, abs=0.01)
    assert caught.value.everywhere


def test_limits_and_failures_are_counted_apart_and_forgotten_together(clock: StillClock) -> None:
    restraint = Restraint(clock)

    waits = [restraint.failed(refusal()).retry_after_seconds for _ in range(3)]
    limits = [restraint.limited("429", None).retry_after_seconds for _ in range(3)]
    restraint.recovered()

    assert waits == [FAILED.after(n) for n in (1, 2, 3)]
    assert limits == [LIMITED.after(n) for n in (1, 2, 3)]
    assert restraint.failed(refusal()).retry_after_seconds == FAILED.first_seconds
    assert restraint.limited("429", None).retry_after_seconds == LIMITED.first_seconds


def test_an_error_that_holds_everything_back_already_is_not_counted_twice(clock: StillClock) -> None:
    restraint = Restraint(clock)
    limited = restraint.limited("429", 500.0)

    assert restraint.failed(limited) is limited
    with pytest.raises(RefusedError) as caught:
        restraint.check()
    assert caught.value.retry_after_seconds == 500.0


def test_a_clock_that_is_set_back_does_not_make_a_wait_longer_than_it_was(clock: StillClock) -> None:
    restraint = Restraint(clock)
    restraint.limited("429", 30.0)

    clock.moment -= timedelta(hours=5)
    with pytest.raises(RefusedError) as caught:
        restraint.check()

    assert caught.value.retry_after_seconds == 30.0
    assert Pause(noted_at=10_000, seconds=2.0).left(0) == 2.0
