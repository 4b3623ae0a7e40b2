"""The exchange's clock as told by its answers: never ahead of the truth, and soon true again when a clock is set."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.market.exchange_clock import (
    DRIFT,
    LONGEST_CHECK_MS,
    UNKNOWN_MS,
    ExchangeClock,
    Offset,
    Proof,
    joined,
    read,
)
from backend.market.feed import FeedUnavailableError
from tests.market.exchange_server import FOR_EVER, Fault, server_error
from tests.market.exchange_stage import NOW, SYMBOLS, Stage, patiently

MINUTE = timedelta(minutes=1)

answers = st.tuples(
    st.integers(0, 600_000),  # how long after the one before
    st.integers(0, 3_000),  # on the way there
    st.integers(0, 3_000),  # on the way back
    st.sampled_from([1, 1_000]),  # what its time is cut to
)


def told(theirs: int, resolution: int) -> int:
    return theirs // resolution * resolution


def heard(
    clock: ExchangeClock, sent: int, answer: tuple[int, int, int, int], offset: int, needed: int = 1
) -> tuple[ExchangeClock, int]:
    """The clock after an answer of an exchange that is ``offset`` ahead, and when it came."""
    _, there, back, resolution = answer
    received = sent + there + back
    return clock.heard(
        read(told(sent + there + offset, resolution), resolution, sent, received), Proof(needed, 10_000)
    ), received


@given(st.lists(answers, min_size=1, max_size=30), st.integers(-(10**9), 10**9), st.integers(0, 100_000))
def test_the_bounds_always_hold_the_truth_and_only_get_better(
    series: list[tuple[int, int, int, int]], offset: int, later: int
) -> None:
    clock, ours = ExchangeClock(), 10**12

    for answer in series:
        clock, ours = heard(clock, ours + answer[0], answer, offset)
        assert clock.offset is not None
        assert clock.offset.low <= offset <= clock.offset.high
        assert clock.offset.high - clock.offset.low <= answer[1] + answer[2] + answer[3]
        assert clock.surely(ours + later) <= ours + later + offset <= clock.at_most(ours + later)


@given(st.lists(answers, min_size=1, max_size=30), st.floats(-DRIFT, DRIFT), st.integers(0, 3_600_000))
def test_a_clock_that_drifts_is_followed(series: list[tuple[int, int, int, int]], rate: float, later: int) -> None:
    clock, ours = ExchangeClock(), 0
    within_one_answer = 6_000 * DRIFT + 1

    for between, there, back, _ in series:
        sent, received = ours + between, ours + between + there + back
        theirs = int((sent + there) * (1 + rate))
        clock, ours = clock.heard(read(theirs, 1, sent, received)), received
        assert clock.offset is not None
        assert clock.offset.low - within_one_answer <= ours * rate <= clock.offset.high + within_one_answer
        assert clock.surely(ours + later) <= (ours + later) * (1 + rate) + within_one_answer


@given(
    st.lists(answers, min_size=1, max_size=9),
    st.lists(answers, min_size=3, max_size=3),
    st.sampled_from([1, 2, 3]),
    st.integers(30_000, 10**8),
    st.booleans(),
)
def test_a_clock_that_is_set_is_followed_once_enough_answers_in_a_row_say_so_and_until_then_both_may_be_true(
    before: list[tuple[int, int, int, int]],
    after: list[tuple[int, int, int, int]],
    needed: int,
    jump: int,
    back: bool,
) -> None:
    clock, ours = ExchangeClock(), 10**12
    for answer in before:
        clock, ours = heard(clock, ours + answer[0], answer, 0)
    offset = -jump if back else jump

    for answer in after[: needed - 1]:
        clock, ours = heard(clock, ours + answer[0], answer, offset, needed)
        assert clock.about(ours) == pytest.approx(ours, abs=8_000)
        assert clock.surely(ours) <= ours + min(offset, 0)
        assert clock.at_most(ours) >= ours + max(offset, 0)
    clock, ours = heard(clock, ours + after[-1][0], after[-1], offset, needed)

    assert clock.doubted is None
    assert clock.offset is not None
    assert clock.offset.low <= offset <= clock.offset.high


def test_a_reading_that_is_wrong_is_forgotten_with_the_next_that_is_right() -> None:
    clock = ExchangeClock().heard(Offset(0, 10, at=0)).heard(Offset(-90_000, -89_000, at=0), Proof(2))
    assert clock.doubted is not None

    clock = clock.heard(Offset(2, 8, at=0), Proof(2))

    assert clock == ExchangeClock(Offset(2, 8, at=0))


def test_readings_that_tell_of_different_jumps_do_not_make_each_other_believed() -> None:
    clock = ExchangeClock().heard(Offset(0, 10, at=0))
    for minutes in range(1, 20):
        clock = clock.heard(Offset(-60_000 * minutes, -60_000 * minutes + 10, at=0), Proof(2))

    assert clock.offset == Offset(0, 10, at=0)


def test_a_date_that_stands_still_proves_nothing() -> None:
    clock = ExchangeClock().heard(Offset(0, 10, at=0))
    for at in range(0, 60_000, 1_000):
        clock = clock.heard(read(500, 1_000, at + 3_600_000, at + 3_600_020), Proof(3))

    assert clock.about(0) == 5


def test_readings_of_a_fast_clock_prove_its_jump() -> None:
    clock = ExchangeClock().heard(Offset(0, 10, at=0))

    assert clock.heard(Offset(60_000, 60_002, at=50), Proof(2, 1_000)).doubted is not None
    followed = clock.heard(Offset(60_000, 60_002, at=50), Proof(2, 1_000)).heard(
        Offset(60_900, 60_902, at=65), Proof(2, 1_000)
    )
    assert followed.offset == Offset(60_900, 60_902, at=65)


def test_readings_that_nobody_asked_for_move_no_clock_however_many() -> None:
    clock = ExchangeClock().heard(Offset(0, 10, at=0))
    for _ in range(20):
        clock = clock.heard(Offset(-90_000, -89_000, at=0))

    assert clock.offset == Offset(0, 10, at=0)
    assert clock.surely(0) == -90_000
    assert clock.heard(Offset(-90_000, -89_000, at=0), Proof(1)).offset == Offset(-90_000, -89_000, at=0)


def test_dates_of_whole_seconds_are_made_finer_by_one_another() -> None:
    clock = ExchangeClock()

    for phase in range(0, 60_000, 1_370):
        clock = clock.heard(read(told(phase + 123, 1_000), 1_000, phase, phase + 20))

    assert clock.offset is not None
    assert clock.offset.high - clock.offset.low < 150
    assert clock.about(0) == pytest.approx(123, abs=75)


def test_an_answer_during_which_our_own_clock_was_set_back_tells_nothing_but_that_one_must_ask() -> None:
    assert read(5_000, 1, sent=4_000, received=3_999) is None

    clock = ExchangeClock().heard(Offset(0, 1, 0)).checked(0).heard(None)

    assert clock.offset == Offset(0, 1, 0)
    assert clock.check_due(1)


def test_where_our_clock_was_set_back_since_the_last_reading_only_the_new_one_counts() -> None:
    assert joined(Offset(0, 10, at=5_000), Offset(2, 8, at=4_000)) == (Offset(2, 8, at=4_000), True)


def test_without_any_reading_our_own_clock_is_trusted_a_little_less() -> None:
    clock = ExchangeClock()

    assert clock.surely(10_000) == 10_000 - UNKNOWN_MS
    assert clock.at_most(10_000) == 10_000 + UNKNOWN_MS
    assert clock.about(10_000) == 10_000


def test_the_clock_is_asked_for_seldom_while_it_runs_evenly_and_often_after_it_was_set() -> None:
    clock, ours, checks = ExchangeClock(), 0, []
    for _ in range(12):
        while not clock.check_due(ours):
            ours += 100
        checks.append(ours)
        clock = clock.checked(ours).heard(read(ours, 1, ours, ours))

    assert checks[1] - checks[0] <= 2_000
    assert checks[-1] - checks[-2] == LONGEST_CHECK_MS
    jumped = clock.heard(read(ours + 90_000, 1, ours, ours), Proof(1)).checked(ours)
    assert jumped.check_due(ours + 2_000)
    assert clock.check_due(ours - 1)


# --- Against a real server whose clock is set ---


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.fixture
def dates_only() -> Iterator[Stage]:
    with Stage() as stage:
        stage.exchange.fail(Fault("none", body="{}"), path="time", times=FOR_EVER)
        yield stage


@pytest.mark.parametrize("skew", [-7_200, -59, -1.5, 0.9, 33, 86_400])
@pytest.mark.parametrize("date", [True, False])
def test_rounds_close_by_the_exchange_s_clock_however_wrong_ours_is(stage: Stage, skew: float, date: bool) -> None:
    stage.exchange.skew = timedelta(seconds=skew)
    stage.exchange.tells_date = date
    market = stage.market()

    newest = list(market.rounds(NOW + stage.exchange.skew - 5 * MINUTE))[-1]

    theirs = NOW + stage.exchange.skew
    assert timedelta(0) <= theirs - newest.close_time < MINUTE + timedelta(seconds=2)
    assert newest.candles == stage.true_round(newest.close_time)
    assert newest.fresh
    assert market.clock_offset_seconds == pytest.approx(skew, abs=0.01)


def test_without_a_call_for_its_time_the_dates_of_its_answers_tell_the_clock(stage: Stage) -> None:
    stage.exchange.skew = timedelta(seconds=400)
    stage.exchange.fail(Fault("none", body="{}"), path="time", times=FOR_EVER)
    market = stage.market()

    newest = list(market.rounds(NOW))[-1]

    assert market.clock_offset_seconds == pytest.approx(400, abs=1)
    assert newest.close_time == NOW.replace(second=0, microsecond=0) + 7 * MINUTE - MINUTE
    assert newest.candles == stage.true_round(newest.close_time)


@pytest.mark.parametrize("seconds", [-3_600, -90, -20, 20, 90, 3_600])
def test_an_exchange_whose_clock_is_set_is_followed_and_no_candle_is_used_before_it_closed(
    stage: Stage, seconds: int
) -> None:
    market = stage.market()
    last = list(market.rounds(NOW - 5 * MINUTE))[-1].close_time

    stage.exchange.skew = timedelta(seconds=seconds)
    rounds = []
    for _ in range(200):
        stage.clock.pass_by(3)
        for one in market.rounds(rounds[-1].close_time if rounds else last):
            assert one.close_time <= stage.exchange.now()
            assert one.candles == stage.true_round(one.close_time)
            rounds.append(one)

    assert market.clock_offset_seconds == pytest.approx(seconds, abs=0.1)
    assert [one.close_time for one in rounds] == [last + MINUTE * n for n in range(1, len(rounds) + 1)]
    behind = stage.exchange.now() - (rounds[-1].close_time if rounds else last)
    assert behind < MINUTE + timedelta(seconds=10) or seconds == -3_600


def test_an_exchange_whose_clock_runs_faster_is_kept_up_with(stage: Stage) -> None:
    market = stage.market()
    rounds = list(market.rounds(NOW - 3 * MINUTE))

    for _ in range(120):
        stage.clock.pass_by(1)
        stage.exchange.skew += timedelta(seconds=9)
        rounds += market.rounds(rounds[-1].close_time)

    times = [one.close_time for one in rounds]
    assert times == [times[0] + MINUTE * n for n in range(len(times))]
    assert stage.exchange.now() - times[-1] < 3 * MINUTE
    assert all(one.fresh for one in rounds[-15:])
    assert all(one.candles == stage.true_round(one.close_time) for one in rounds)


def test_our_own_clock_that_is_set_back_delays_nothing(stage: Stage) -> None:
    market = stage.market()
    last = list(market.rounds(NOW - 3 * MINUTE))[-1].close_time

    stage.clock.pass_by(-3_600)
    stage.exchange.skew = timedelta(seconds=3_600 + 65)
    rounds = patiently(market, stage.clock, last)

    assert [one.close_time for one in rounds] == [last + MINUTE]
    assert set(rounds[0].candles) == set(SYMBOLS)


@pytest.mark.parametrize("symbols", [SYMBOLS, ("BTCUSDC",)])
def test_a_single_date_that_is_wrong_lets_no_running_candle_through(stage: Stage, symbols: tuple[str, ...]) -> None:
    market = stage.market(symbols)
    last = list(market.rounds(NOW - 3 * MINUTE))[-1].close_time
    stage.clock.moment = last + MINUTE + timedelta(seconds=3)
    stage.exchange.fail(Fault("date", headers={"Date": "Mon, 02 Mar 2026 13:00:00 GMT"}, replaces_date=True))

    rounds = patiently(market, stage.clock, last)
    stage.clock.pass_by(60)
    rounds += market.rounds(rounds[-1].close_time)

    assert [one.close_time for one in rounds] == [last + MINUTE, last + 2 * MINUTE]
    assert all(one.candles == stage.true_round(one.close_time, symbols) for one in rounds)


def test_where_it_tells_no_time_the_dates_of_answers_that_fail_do_as_well(dates_only: Stage) -> None:
    market = dates_only.market()
    market.prepare()
    dates_only.exchange.skew = timedelta(minutes=-30)
    dates_only.exchange.fail(server_error(), times=FOR_EVER)

    for _ in range(8):
        dates_only.clock.pass_by(30)
        with suppress(FeedUnavailableError):
            list(market.rounds(NOW - 3 * MINUTE))

    assert market.clock_offset_seconds == pytest.approx(-1_800, abs=1)


def test_a_clock_of_whole_seconds_is_not_taken_for_one_that_is_set_all_the_time(stage: Stage) -> None:
    market = stage.market(exchange_id="kraken")
    last = list(market.rounds(None))[-1].close_time

    for _ in range(400):
        stage.clock.pass_by(0.73)
        for one in market.rounds(last):
            last = one.close_time

    assert len(stage.exchange.asked("Time")) < 15
