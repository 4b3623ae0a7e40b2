"""What lies between a trader and its exchange may tell a wrong date, or give an answer of long ago, turn after turn."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.market.exchange_server import FOR_EVER, Fault, LocalExchange, wrong_date
from tests.scenarios.live_market import BEGIN, MINUTE, SYMBOLS, LiveMarket

LIVELY = {"QT_EXPLORATION_RATE": "0.6"}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[LiveMarket]:
    with LocalExchange(SYMBOLS, seed=20) as exchange:
        market = LiveMarket(tmp_path, exchange, LIVELY)
        yield market
        market.close()


@pytest.mark.parametrize("only_dates", [False, True])
@pytest.mark.parametrize("off", [timedelta(minutes=-10), timedelta(hours=-1), timedelta(hours=1)])
def test_one_wrong_date_does_not_blind_the_trader(run: LiveMarket, off: timedelta, only_dates: bool) -> None:
    if only_dates:
        run.exchange.fail(Fault("none", body="{}"), path="time", times=FOR_EVER)
    run.until(BEGIN + 3 * MINUTE)
    run.exchange.fail(wrong_date(run.exchange.now() + off), path="klines", symbol="SOLUSDC")
    waiting: list[timedelta] = []

    def watch() -> None:
        trader = run.loop._turns._trader
        assert trader is not None
        waiting.append(run.exchange.now() - trader.after)

    run.watch = watch
    run.until(BEGIN + 12.5 * MINUTE)

    assert max(waiting) < MINUTE + timedelta(seconds=15)
    assert run.rows(
        "select count(*) from ai_training_samples where timestamp >= :at", at=f"{BEGIN:%Y-%m-%d %H:%M}"
    ) == [(13 * len(SYMBOLS),)]
    assert run.rows("select code from alarms") == []


@pytest.mark.parametrize("only_dates", [False, True])
def test_on_answers_of_long_ago_nothing_is_entered(run: LiveMarket, only_dates: bool) -> None:
    if only_dates:
        run.exchange.fail(Fault("none", body="{}"), path="time", times=FOR_EVER)
    run.until(BEGIN + 3 * MINUTE)
    orders, fills = run.rows("select count(*) from positions"), run.rows("select count(*) from fills")
    run.now += 15 * MINUTE
    answered = run.exchange.now() - 7 * MINUTE
    run.exchange.fail(wrong_date(answered, cached=True), path="klines", times=FOR_EVER)

    run.until(run.exchange.now() + timedelta(seconds=20))

    assert run.rows("select max(timestamp) from ai_training_samples")[0][0] > f"{BEGIN + 5 * MINUTE:%Y-%m-%d %H:%M}"
    assert run.rows("select count(*) from positions") == orders
    assert run.rows("select count(*) from fills where leg = 'entry'")[0] <= fills[0]
    run.exchange.heal()
    run.until(run.exchange.now() + 5 * MINUTE)
    assert run.rows("select max(timestamp) from ai_training_samples")[0][0] > f"{run.now - 2 * MINUTE:%Y-%m-%d %H:%M}"


def test_a_trader_that_was_told_a_wrong_time_and_thinks_that_nothing_is_due_asks_again(run: LiveMarket) -> None:
    run.until(BEGIN + 3 * MINUTE)
    told = int((run.exchange.now() - timedelta(hours=1)).timestamp() * 1_000) + 7
    run.exchange.fail(Fault("time", body=f'{{"serverTime": {told}}}'), path="time", times=2)

    run.until(BEGIN + 6.5 * MINUTE)

    assert run.exchange.orders() == 0
    assert run.rows("select max(timestamp) from ai_training_samples")[0][0] > f"{BEGIN + 5 * MINUTE:%Y-%m-%d %H:%M}"
