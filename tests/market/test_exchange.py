"""An exchange as a market, asked through the unmodified ccxt over real HTTP: what a day without faults is like."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from ai_engine.candles import Candles, resample
from backend.clock import from_ms, to_ms
from backend.errors import InvalidInputError, NotFoundError
from backend.market.exchange import ExchangeMarket
from backend.market.feed import FeedUnavailableError
from tests.market.exchange_server import hang
from tests.market.exchange_stage import NOW, SYMBOLS, Stage, opens, same

MINUTE = timedelta(minutes=1)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


def test_symbols_are_found_and_those_that_the_exchange_lacks_are_named(stage: Stage) -> None:
    market = stage.market(("ETHUSDC", "NOPEUSDC", "BTCUSDC"))
    assert market.unknown_symbols == ()

    market.prepare()

    assert market.symbols == ("BTCUSDC", "ETHUSDC")
    assert market.unknown_symbols == ("NOPEUSDC",)
    with pytest.raises(NotFoundError, match="binance has no NOPEUSDC"):
        market.history("NOPEUSDC", NOW, 10)


def test_a_market_that_has_none_of_the_symbols_gives_no_round(stage: Stage) -> None:
    market = stage.market(("NOPEUSDC",))

    market.prepare()

    assert market.symbols == ()
    assert market.unknown_symbols == ("NOPEUSDC",)
    assert list(market.rounds(NOW - MINUTE * 9)) == []
    assert market.late() == {}


def test_preparing_twice_asks_once(stage: Stage) -> None:
    market = stage.market()

    market.prepare()
    asked = len(stage.exchange.requests)
    market.prepare()

    assert [request.path for request in stage.exchange.requests] == ["/api/v3/exchangeInfo", "/api/v3/time"]
    assert len(stage.exchange.requests) == asked


def test_nothing_is_asked_where_nothing_new_can_have_closed(stage: Stage) -> None:
    market = stage.market()
    first = list(market.rounds(None))
    asked = len(stage.exchange.asked("klines"))

    for _ in range(20):
        assert list(market.rounds(first[-1].close_time)) == []
        stage.clock.pass_by(1)

    assert len(stage.exchange.asked("klines")) == asked


def test_a_round_costs_one_request_a_symbol_and_now_and_then_one_for_the_clock(stage: Stage) -> None:
    market = stage.market()
    last = next(market.rounds(None)).close_time
    begun = len(stage.exchange.requests)

    for _ in range(10):
        stage.clock.pass_by(60)
        last = [round_.close_time for round_ in market.rounds(last)][-1]

    asked = stage.exchange.requests[begun:]
    assert len([request for request in asked if request.path.endswith("klines")]) == 10 * len(SYMBOLS)
    assert len([request for request in asked if request.path.endswith("time")]) <= 10
    assert all(int(request.query["limit"]) < 100 for request in asked if "limit" in request.query)


def test_rounds_are_the_exchange_s_closed_candles_and_not_the_one_that_runs(stage: Stage) -> None:
    market = stage.market()
    after = NOW - timedelta(minutes=30)

    rounds = list(market.rounds(after))

    assert [round_.close_time for round_ in rounds] == [
        NOW.replace(second=0, microsecond=0) - MINUTE * back for back in range(29, -1, -1)
    ]
    assert all(round_.candles == stage.true_round(round_.close_time) for round_ in rounds)


def test_a_candle_is_taken_soon_after_it_closed_by_the_exchange_s_clock_and_not_before(stage: Stage) -> None:
    market = stage.market()
    last = next(market.rounds(None)).close_time
    stage.clock.moment = last + MINUTE - timedelta(milliseconds=1)
    assert list(market.rounds(last)) == []

    while not (found := list(market.rounds(last))):
        stage.clock.pass_by(0.1)

    assert [round_.close_time for round_ in found] == [last + MINUTE]
    assert found[0].candles == stage.true_round(last + MINUTE)
    assert stage.clock.moment <= last + MINUTE + timedelta(seconds=2)


def test_history_is_fetched_in_pages_of_what_the_exchange_gives_at_most(stage: Stage) -> None:
    market = stage.market()

    past = market.history("BTCUSDC", market.start - MINUTE, 2_500)

    expected = stage.exchange.closed("BTCUSDC", "1m", 2_501)
    assert same(past, expected.rows(slice(0, 2_500)))
    assert len(stage.exchange.asked("klines")) == 3


def test_history_goes_further_back_where_candles_are_missing(stage: Stage) -> None:
    market = stage.market()
    gaps = [market.start - MINUTE * back for back in range(3, 200, 2)]
    stage.exchange.withhold("BTCUSDC", *gaps)

    past = market.history("BTCUSDC", market.start, 500)

    assert len(past) == 500
    assert not set(opens(past)) & set(map(to_ms, gaps))
    assert same(past, stage.exchange.closed("BTCUSDC", "1m", 700).tail(500))


def test_a_symbol_listed_lately_has_the_history_that_it_has() -> None:
    with Stage() as stage:
        stage.exchange.listed_since = NOW - timedelta(minutes=100)
        market = stage.market()

        past = market.history("BTCUSDC", NOW, 500)

        assert len(past) == 99
        assert len(stage.exchange.asked("klines")) <= 4
        assert same(past, stage.exchange.closed("BTCUSDC", "1m", 500))


def test_a_restart_goes_on_from_any_past_time_over_more_than_a_page(stage: Stage) -> None:
    after = NOW - timedelta(minutes=2_600)

    rounds = list(stage.market().rounds(after))

    assert len(rounds) == 2_600
    assert [round_.close_time for round_ in rounds] == sorted({round_.close_time for round_ in rounds})
    assert all(round_.candles == stage.true_round(round_.close_time) for round_ in rounds[::97])


def test_a_reader_that_could_not_keep_a_round_is_given_it_again(stage: Stage) -> None:
    market = stage.market()
    after = NOW - timedelta(minutes=10)
    first = list(market.rounds(after))

    again = list(market.rounds(first[2].close_time))

    assert again == first[3:]


def test_a_reader_that_could_not_keep_a_round_is_told_again_what_came_late(stage: Stage) -> None:
    market = stage.market()
    after = NOW.replace(second=0, microsecond=0) - timedelta(minutes=10)
    list(market.rounds(after))
    late = market.late()

    list(market.rounds(after))

    assert [opens(candles) for candles in market.late().values()] == [opens(candles) for candles in late.values()]


def test_history_is_asked_for_anew_once_rounds_were_read(stage: Stage) -> None:
    market = stage.market()
    end = NOW.replace(second=0, microsecond=0)
    stage.exchange.withhold("BTCUSDC", end - 5 * MINUTE)
    before = market.history("BTCUSDC", end, 50)
    list(market.rounds(end - MINUTE))

    stage.exchange.fill("BTCUSDC", end - 5 * MINUTE)
    after = market.history("BTCUSDC", end, 50)

    assert to_ms(end - 5 * MINUTE) not in opens(before)
    assert to_ms(end - 5 * MINUTE) in opens(after)


def test_rounds_end_at_the_time_that_is_asked_for_and_go_on_after_it(stage: Stage) -> None:
    market = stage.market()
    after, until = NOW - timedelta(minutes=30), NOW.replace(second=0, microsecond=0) - timedelta(minutes=20)

    early = list(market.rounds(after, until=until))
    rest = list(market.rounds(until))

    assert early[-1].close_time == until
    assert rest[0].close_time == until + MINUTE
    assert rest[-1].close_time == NOW.replace(second=0, microsecond=0)


def test_rounds_of_long_ago_are_not_fresh(stage: Stage) -> None:
    rounds = list(stage.market().rounds(NOW - timedelta(minutes=30)))

    limit = NOW - timedelta(minutes=3)
    assert [round_.fresh for round_ in rounds] == [round_.close_time >= limit for round_ in rounds]
    assert sum(round_.fresh for round_ in rounds) == 3


def test_a_fresh_start_decides_first_on_the_newest_candle_that_had_closed(stage: Stage) -> None:
    market = stage.market()

    start = market.start
    stage.clock.pass_by(600)

    assert start == NOW.replace(second=0, microsecond=0)
    assert market.start == start
    assert next(market.rounds(None)).close_time == start


def test_nothing_is_late_where_the_history_was_handed_out(stage: Stage) -> None:
    market = stage.market()
    for symbol in SYMBOLS:
        market.history(symbol, market.start - MINUTE, 500)

    list(market.rounds(None))

    assert market.late() == {}


def test_after_a_restart_the_overlap_is_named_once_because_nobody_knows_what_was_stored(stage: Stage) -> None:
    market = stage.market()
    after = NOW.replace(second=0, microsecond=0) - MINUTE * 5

    list(market.rounds(after))
    late = market.late()

    assert set(late) == set(SYMBOLS)
    assert all(candles.close_time[-1] == to_ms(after) for candles in late.values())
    assert market.late() == {}


def test_a_timeframe_that_the_exchange_lacks_is_gathered_from_a_finer_one() -> None:
    with Stage(timeframe="10m") as stage:
        market = stage.market()

        rounds = list(market.rounds(NOW - timedelta(hours=5)))
        past = market.history("BTCUSDC", NOW, 700)

        fine = stage.exchange.closed("BTCUSDC", "5m", 2_000)
        coarse = resample(fine, 600_000)
        assert {request.query["interval"] for request in stage.exchange.asked("klines")} == {"5m"}
        assert rounds[-1].close_time == NOW.replace(minute=0, second=0, microsecond=0)
        expected = list(zip(coarse.open, coarse.high, coarse.low, coarse.close, coarse.volume, strict=True))
        assert [round_.candles["BTCUSDC"] for round_ in rounds] == expected[-len(rounds) :]
        assert same(past, coarse.tail(700))


@pytest.mark.parametrize("timeframe", ["1s", "5m", "1h", "4h", "1d"])
def test_every_length_of_candle_gives_rounds_and_history(timeframe: str) -> None:
    with Stage(timeframe=timeframe) as stage:
        market = stage.market()

        rounds = list(market.rounds(NOW - 20 * stage.length))
        past = market.history("ETHUSDC", rounds[0].close_time, 50)

        assert len(rounds) in (19, 20)
        assert all(round_.candles == stage.true_round(round_.close_time) for round_ in rounds)
        assert len(past) == 50


def test_an_unknown_exchange_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(InvalidInputError, match=r"QT_MARKET=binanc is no exchange .* Did you mean binance") as refused:
        ExchangeMarket("binanc", SYMBOLS, "5m")

    assert refused.value.extra["field"] == "QT_MARKET"
    assert refused.value.reason == "unknown_market"


def test_a_length_that_the_exchange_cannot_give_is_refused_with_those_it_has() -> None:
    with pytest.raises(InvalidInputError, match=r"QT_TIMEFRAME=7s: kraken has no .* It has 1m, 5m, 15m") as refused:
        ExchangeMarket("kraken", SYMBOLS, "7s")

    assert refused.value.extra["field"] == "QT_TIMEFRAME"
    assert refused.value.reason == "timeframe_unsupported"


def test_an_exchange_that_offers_no_candles_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="QT_MARKET=btcbox offers no candles"):
        ExchangeMarket("btcbox", SYMBOLS, "5m")


def test_closing_from_another_thread_ends_a_request_that_hangs_at_once(stage: Stage) -> None:
    market = stage.market(timeout_seconds=30.0)
    market.prepare()
    stage.exchange.fail(hang(30.0))
    ended: list[Exception] = []

    def read() -> None:
        try:
            list(market.rounds(NOW - timedelta(minutes=5)))
        except FeedUnavailableError as error:
            ended.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    while not stage.exchange.asked("klines"):
        time.sleep(0.01)
    began = time.monotonic()
    market.close()
    reader.join(5.0)

    assert not reader.is_alive()
    assert time.monotonic() - began < 2.0
    assert len(ended) == 1
    assert "closed" in str(ended[0])


def test_a_closed_market_asks_nothing_any_more_and_may_be_closed_again(stage: Stage) -> None:
    market = stage.market()
    market.prepare()
    asked = len(stage.exchange.requests)

    market.close()
    market.close()

    with pytest.raises(FeedUnavailableError, match="closed"):
        list(market.rounds(NOW - timedelta(minutes=5)))
    assert len(stage.exchange.requests) == asked


def test_a_market_that_was_never_asked_closes_too(stage: Stage) -> None:
    stage.market().close()

    assert stage.exchange.requests == []


def test_history_may_be_asked_from_another_thread(stage: Stage) -> None:
    market = stage.market()
    found: list[Candles] = []

    def read(symbol: str) -> None:
        found.append(market.history(symbol, market.start, 50))

    readers = [threading.Thread(target=read, args=(symbol,)) for symbol in SYMBOLS]

    for reader in readers:
        reader.start()
    rounds = list(market.rounds(NOW - timedelta(minutes=5)))
    for reader in readers:
        reader.join()

    assert len(rounds) == 5
    assert [len(candles) for candles in found] == [50, 50]


def test_the_market_s_time_is_the_exchange_s(stage: Stage) -> None:
    stage.exchange.skew = timedelta(seconds=-250)
    market = stage.market()
    assert market.clock_offset_seconds is None
    assert market.now() == NOW

    market.prepare()

    assert market.clock_offset_seconds == pytest.approx(-250, abs=0.01)
    assert abs(market.now() - (NOW - timedelta(seconds=250))) < timedelta(milliseconds=10)
    assert market.start == from_ms(to_ms(NOW - timedelta(seconds=250)) // 60_000 * 60_000)
