"""Other exchanges than Binance: Kraken's candles from end to end, and where the first request of each goes."""

import warnings
from collections.abc import Iterator
from datetime import timedelta

import ccxt.async_support as ccxt
import pytest

from backend.errors import QuantumTraderError
from backend.market.feed import FeedUnavailableError
from tests.market.exchange_server import empty, server_error
from tests.market.exchange_stage import NOW, SYMBOLS, Stage, patiently, same

MINUTE = timedelta(minutes=1)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


def test_kraken_gives_the_same_rounds_and_history(stage: Stage) -> None:
    stage.exchange.skew = timedelta(seconds=-17.4)
    market = stage.market((*SYMBOLS, "NOPEUSDC"), exchange_id="kraken")
    end = market.start

    past = market.history("BTCUSDC", end, 500)
    rounds = list(market.rounds(end - 200 * MINUTE))

    assert market.unknown_symbols == ("NOPEUSDC",)
    assert market.clock_offset_seconds == pytest.approx(-17.4, abs=1)
    assert same(past, stage.exchange.closed("BTCUSDC", "1m", 500))
    assert len(rounds) == 200
    assert all(round_.candles == stage.true_round(round_.close_time) for round_ in rounds)


def test_kraken_keeps_720_candles_and_what_lies_before_is_a_gap(stage: Stage) -> None:
    market = stage.market(exchange_id="kraken")

    past = market.history("BTCUSDC", NOW, 2_000)
    rounds = list(market.rounds(NOW - timedelta(minutes=1_500)))

    assert 715 <= len(past) <= 720
    assert 715 <= len(rounds) <= 720
    assert rounds[-1].close_time == NOW.replace(second=0, microsecond=0)


def test_kraken_goes_on_from_round_to_round(stage: Stage) -> None:
    market = stage.market(exchange_id="kraken")
    last = list(market.rounds(None))[-1].close_time

    for _ in range(5):
        stage.clock.pass_by(60)
        rounds = list(market.rounds(last))
        assert [round_.close_time for round_ in rounds] == [last + MINUTE]
        last = rounds[-1].close_time


def test_kraken_s_failures_are_waited_for_as_well(stage: Stage) -> None:
    market = stage.market(exchange_id="kraken")
    market.prepare()
    stage.exchange.fail(server_error(), path="OHLC", times=3)
    stage.exchange.fail(empty(), path="OHLC")

    rounds = patiently(market, stage.clock, NOW - 30 * MINUTE)

    assert [set(round_.candles) for round_ in rounds] == [set(SYMBOLS)] * len(rounds)


@pytest.mark.slow
def test_the_first_request_of_every_exchange_goes_to_the_address_given_and_its_refusal_is_understood() -> None:
    """Nothing leaves this machine, and whatever an exchange's code makes of a 404 becomes an error that we know."""
    needs_key = set()
    with Stage() as stage, warnings.catch_warnings(action="error"):
        for name in ccxt.exchanges:
            if name.startswith(("binance", "kraken")) or getattr(ccxt, name)().has.get("fetchOHLCV") is not True:
                continue
            market = stage.market(("BTCUSDT",), exchange_id=name, timeframe="1h")
            with pytest.raises(QuantumTraderError) as caught:
                market.prepare()
            market.close()
            if not isinstance(caught.value, FeedUnavailableError):
                needs_key.add(name)
                continue
            assert name in caught.value.message
            # An address elsewhere would not be found, or not be answered.
            assert "cannot be reached" not in caught.value.message
            assert "did not answer" not in caught.value.message

    assert len(stage.exchange.requests) > 70
    assert needs_key <= {"alpaca", "mudrex"}
