"""Dates that are wrong: they close no candle, make none fresh and keep the trader from nothing."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from backend.market.exchange import ExchangeMarket
from backend.market.feed import CandleRound, FeedUnavailableError
from tests.market.exchange_server import FOR_EVER, Fault, LocalExchange, server_error, wrong_date
from tests.market.exchange_stage import NOW, SYMBOLS, Stage

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)

Upset = Callable[[LocalExchange, int], None]


@pytest.fixture(params=["time", "dates"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """An exchange that tells its time, and one of which only dates can be had."""
    with Stage() as stage:
        if request.param == "dates":
            stage.exchange.fail(Fault("none", body="{}"), path="time", times=FOR_EVER)
        yield stage


@pytest.fixture
def telling() -> Iterator[Stage]:
    """An exchange that tells its time."""
    with Stage() as stage:
        yield stage


def seconds_of(stage: Stage, market: ExchangeMarket, count: int, upset: Upset = lambda *_: None) -> list[CandleRound]:
    """Rounds as a trader reads them, second after second; each is what the exchange's books hold, and has closed."""
    rounds: list[CandleRound] = []
    market.prepare()
    last = market.start
    for second in range(count):
        upset(stage.exchange, second)
        stage.clock.pass_by(1)
        market.prepare()
        try:
            for one in market.rounds(last):
                last = one.close_time
                assert last <= stage.exchange.now()
                assert one.candles == stage.true_round(last, [*one.candles])
                assert not one.fresh or stage.exchange.now() - last <= 3 * MINUTE
                rounds.append(one)
        except FeedUnavailableError:
            continue
    return rounds


@pytest.mark.parametrize("off", [-HOUR, -90 * timedelta(seconds=1), 90 * timedelta(seconds=1), HOUR])
@pytest.mark.parametrize("times", [1, 2])
def test_a_wrong_date_delays_nothing_and_closes_nothing(stage: Stage, off: timedelta, times: int) -> None:
    market = stage.market()
    market.prepare()

    def upset(exchange: LocalExchange, second: int) -> None:
        if second == 20:
            exchange.fail(wrong_date(exchange.now() + off), path="klines", symbol="ETHUSDC", times=times)

    rounds = seconds_of(stage, market, 300, upset)

    assert [set(one.candles) for one in rounds] == [set(SYMBOLS)] * 5
    # Where only dates tell the time, one that is ahead may be true until others say that it is not.
    assert sum(not one.fresh for one in rounds) <= times * (stage.exchange.orders() > 0 and off > timedelta(0))
    assert market.clock_offset_seconds == pytest.approx(0, abs=1)


def test_an_answer_of_long_ago_makes_nothing_fresh_and_its_running_candle_is_none(stage: Stage) -> None:
    market = stage.market()
    market.prepare()
    after = market.start
    stage.clock.pass_by(600)
    stage.exchange.fail(wrong_date(stage.exchange.now() - 7 * MINUTE, cached=True), symbol="ETHUSDC", times=1)

    rounds = list(market.rounds(after))

    assert len(rounds) >= 1
    for one in rounds:
        assert one.candles == stage.true_round(one.close_time, [*one.candles])
        assert one.fresh == (stage.exchange.now() - one.close_time <= 3 * MINUTE)


def test_answers_that_are_all_of_long_ago_are_no_fresh_ones(stage: Stage) -> None:
    market = stage.market()
    after = market.start
    stage.clock.pass_by(600)
    stage.exchange.fail(wrong_date(stage.exchange.now() - 7 * MINUTE, cached=True), path="klines", times=FOR_EVER)

    rounds: list[CandleRound] = []
    for _ in range(30):
        try:
            rounds += market.rounds(rounds[-1].close_time if rounds else after)
        except FeedUnavailableError:
            continue
        finally:
            stage.clock.pass_by(1)

    assert all(one.candles == stage.true_round(one.close_time, [*one.candles]) for one in rounds)
    assert not any(one.fresh for one in rounds)


@pytest.mark.parametrize("ahead", [45, 61, 90, 120, 3_600])
def test_dates_that_are_ahead_all_the_time_close_no_running_candle(telling: Stage, ahead: float) -> None:
    market = telling.market()

    def upset(exchange: LocalExchange, second: int) -> None:
        exchange.heal()
        exchange.fail(wrong_date(exchange.now() + timedelta(seconds=ahead + 1)), path="", times=FOR_EVER)

    rounds = seconds_of(telling, market, 300, upset)

    assert [set(one.candles) for one in rounds] == [set(SYMBOLS)] * 5
    assert all(one.fresh for one in rounds)
    assert market.clock_offset_seconds == pytest.approx(0, abs=0.1)
    assert len(telling.exchange.asked("time")) < 170


def test_an_hour_back_and_forth_is_followed_and_no_candle_is_taken_before_it_closed(stage: Stage) -> None:
    market = stage.market()

    def upset(exchange: LocalExchange, second: int) -> None:
        if second in (130, 400):
            exchange.skew += HOUR if second == 130 else -HOUR

    rounds = seconds_of(stage, market, 700, upset)

    # Back again, it waits for the candles after those it has.
    assert [one.close_time for one in rounds] == [rounds[0].close_time + n * MINUTE for n in range(len(rounds))]
    assert rounds[-1].close_time > NOW + HOUR + 5 * MINUTE
    assert market.clock_offset_seconds == pytest.approx(0, abs=1)


@pytest.mark.parametrize("off", [-HOUR, HOUR])
def test_one_wrong_answer_to_the_question_for_its_time_moves_nothing(telling: Stage, off: timedelta) -> None:
    market = telling.market()
    told = int((NOW + off).timestamp() * 1_000) + 7

    def upset(exchange: LocalExchange, second: int) -> None:
        assert market.clock_offset_seconds == pytest.approx(0, abs=0.1)
        if second == 90:
            exchange.fail(Fault("time", body=f'{{"serverTime": {told}}}'), path="time", times=1)

    rounds = seconds_of(telling, market, 300, upset)

    assert [set(one.candles) for one in rounds] == [set(SYMBOLS)] * 5
    assert all(one.fresh for one in rounds)


def test_a_time_beyond_the_calendar_is_none(telling: Stage) -> None:
    telling.exchange.fail(Fault("time", body='{"serverTime": 9999999999999999}'), path="time", times=FOR_EVER)

    rounds = seconds_of(telling, telling.market(), 70)

    assert len(rounds) == 1


def test_the_clock_is_read_once_a_minute_even_when_nothing_is_due(telling: Stage) -> None:
    market = telling.market(timeframe="1h")
    market.prepare()
    for _ in range(1_800):
        telling.clock.pass_by(1)
        market.prepare()

    assert 28 <= len(telling.exchange.asked("time")) <= 40
    assert len(telling.exchange.asked("klines")) == 0


def test_a_clock_that_cannot_be_read_while_nothing_is_due_is_no_failure(telling: Stage) -> None:
    market = telling.market()
    after = market.start
    telling.exchange.fail(server_error(), path="time", times=FOR_EVER)
    for _ in range(50):
        telling.clock.pass_by(10)
        market.prepare()

    rounds = list(market.rounds(after))

    assert [one.close_time for one in rounds] == [after + n * MINUTE for n in range(1, len(rounds) + 1)]
    assert telling.exchange.now() - rounds[-1].close_time < MINUTE + timedelta(seconds=2)


def test_where_it_tells_its_time_no_more_dates_serve_again(telling: Stage) -> None:
    market = telling.market()
    market.prepare()
    telling.exchange.fail(server_error(), path="time", times=FOR_EVER)
    telling.exchange.skew = timedelta(minutes=30)

    rounds = seconds_of(telling, market, 900)

    assert market.clock_offset_seconds == pytest.approx(1_800, abs=1)
    assert rounds[-1].fresh


def test_what_a_date_told_first_does_not_count_beside_the_time(telling: Stage) -> None:
    telling.exchange.fail(wrong_date(NOW + HOUR), path="exchangeInfo")
    market = telling.market()

    market.prepare()

    assert market.clock_offset_seconds == pytest.approx(0, abs=0.1)
    assert len(telling.exchange.asked("time")) == 1


def test_dates_make_a_time_of_whole_seconds_finer(telling: Stage) -> None:
    telling.exchange.skew = timedelta(milliseconds=230)
    market = telling.market(exchange_id="kraken")
    after = market.start
    for _ in range(300):
        telling.clock.pass_by(1.37)
        for one in market.rounds(after):
            after = one.close_time

    assert market.clock_offset_seconds == pytest.approx(0.23, abs=0.15)


def test_a_first_date_that_is_wrong_does_not_last(telling: Stage) -> None:
    telling.exchange.fail(Fault("none", body="{}"), path="time", times=FOR_EVER)
    telling.exchange.fail(wrong_date(NOW + HOUR), path="exchangeInfo")
    market = telling.market()

    assert NOW - market.start < MINUTE + timedelta(seconds=2)
    rounds = seconds_of(telling, market, 300)

    assert market.clock_offset_seconds == pytest.approx(0, abs=1)
    assert [set(one.candles) for one in rounds] == [set(SYMBOLS)] * 5
