"""Every fault of a real exchange, shown against the unmodified ccxt: what is told, what is waited for, what follows.

The clock stands still unless a test lets time pass, so that each wait is seen to be kept to the second.
"""

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import formatdate

import pytest

from ai_engine.candles import Candles
from backend.clock import to_ms
from backend.errors import InvalidInputError
from backend.market.exchange import ExchangeMarket
from backend.market.feed import FeedUnavailableError
from tests.market import exchange_server as server
from tests.market.exchange_server import FOR_EVER, Fault
from tests.market.exchange_stage import NOW, SYMBOLS, Stage, patiently, same

MINUTE = timedelta(minutes=1)
LAST = NOW.replace(second=0, microsecond=0)
FIVE_AGO = LAST - 5 * MINUTE

# Each with a word that the sentence must hold.
TRANSIENT: dict[str, tuple[Callable[[], Fault], str]] = {
    "server error": (lambda: server.server_error(500), "unknown error"),
    "unavailable": (lambda: server.server_error(503), "unknown error"),
    "bad gateway": (lambda: server.html_page(502), "Just a moment"),
    "page with 503": (lambda: server.html_page(503), "Just a moment"),
    "page with 200": (lambda: server.html_page(200), "something else than candles"),
    "page called JSON": (lambda: server.plain_text("<html></html>"), "something else than candles"),
    "cut JSON": (server.cut_json, "something else than candles"),
    "connection cut off": (server.cut_off, "payload is not completed"),
    "reset": (server.reset, "cannot be reached"),
    "hang": (lambda: server.hang(60.0), "did not answer within 1 s"),
    "restricted": (server.restricted, "restricted location"),
    "text in place of candles": (lambda: server.plain_text('"soon"'), "binance"),
    "an object in place of candles": (lambda: server.plain_text('{"soon": 1}'), "something else than candles"),
    "null in place of candles": (lambda: server.plain_text("[null, null, null]"), "something else than candles"),
    "an open time that is null": (lambda: server.changed_value(0, None), "something else than candles"),
    "rows that are too short": (lambda: server.plain_text(f"[[{to_ms(LAST)}, 1, 2]]"), "BTCUSDC"),
    "a price that is null": (lambda: server.changed_value(4, None), "no numbers"),
    "a price that is not a number": (lambda: server.changed_value(2, "NaN"), "no numbers"),
    "an infinite price": (lambda: server.changed_value(2, "Infinity"), "no numbers"),
    "a price that is text": (lambda: server.changed_value(1, "many"), "no numbers"),
    "a volume that is null": (lambda: server.changed_value(5, None), "no numbers"),
    "a negative price": (lambda: server.changed_value(4, "-1.0"), "not positive"),
    "a price of zero": (lambda: server.changed_value(3, "0"), "not positive"),
    "a high below the low": (lambda: server.changed_value(2, "0.5"), "contradicts"),
    "a negative volume": (lambda: server.changed_value(5, "-2"), "negative volume"),
    "times off the grid": (lambda: server.shifted(7_000), "whole multiple"),
    "times in the future": (lambda: server.shifted(86_400_000), "future"),
}
WITHOUT_RETRY = {"reset"}  # what a client takes for a broken keep-alive connection it tries once more by itself


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage(("BTCUSDC",)) as stage:
        yield stage


@pytest.fixture
def both() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


def ready(stage: Stage, symbols: tuple[str, ...] = ("BTCUSDC",), fault: str = "") -> ExchangeMarket:
    market = stage.market(symbols, timeout_seconds=1.0 if fault == "hang" else 10.0)
    market.prepare()
    return market


def refused(market: ExchangeMarket) -> FeedUnavailableError:
    with pytest.raises(FeedUnavailableError) as caught:
        list(market.rounds(FIVE_AGO))
    return caught.value


@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_fault_is_told_then_the_same_rounds_come_as_without_it(stage: Stage, fault: str) -> None:
    make, word = TRANSIENT[fault]
    market = ready(stage, fault=fault)
    stage.exchange.fail(make(), times=2 if fault in WITHOUT_RETRY else 1)

    error = refused(market)
    stage.clock.pass_by(error.retry_after_seconds)
    rounds = list(market.rounds(FIVE_AGO))

    assert word in error.message
    assert error.message.endswith("it is asked again in 1 s.")
    assert "http://" not in error.message
    assert "<" not in error.message
    assert [round_.candles for round_ in rounds] == [
        stage.true_round(FIVE_AGO + MINUTE * n, ("BTCUSDC",)) for n in range(1, 6)
    ]


@pytest.mark.parametrize("fault", TRANSIENT)
def test_nothing_of_a_bad_answer_gets_into_the_history(stage: Stage, fault: str) -> None:
    market = ready(stage, fault=fault)
    stage.exchange.fail(TRANSIENT[fault][0](), times=2 if fault in WITHOUT_RETRY else 1)

    with pytest.raises(FeedUnavailableError) as caught:
        market.history("BTCUSDC", LAST, 50)
    stage.clock.pass_by(caught.value.retry_after_seconds)

    assert same(market.history("BTCUSDC", LAST, 50), stage.exchange.closed("BTCUSDC", "1m", 50))


@pytest.mark.parametrize("fault", [server.too_many_requests, server.banned])
@pytest.mark.parametrize("as_date", [False, True])
def test_no_request_is_sent_before_retry_after_has_passed(
    stage: Stage, fault: Callable[..., Fault], as_date: bool
) -> None:
    market = ready(stage)
    stage.exchange.fail(fault(formatdate((NOW + timedelta(seconds=45)).timestamp(), usegmt=True) if as_date else 45))

    error = refused(market)
    asked = len(stage.exchange.requests)
    for _ in range(22):
        stage.clock.pass_by(2)
        assert refused(market).retry_after_seconds == pytest.approx(45 - (stage.clock() - NOW).total_seconds(), abs=1.1)
        with pytest.raises(FeedUnavailableError):
            market.history("BTCUSDC", LAST, 50)
    assert len(stage.exchange.requests) == asked
    stage.clock.pass_by(2)

    assert error.retry_after_seconds == pytest.approx(45, abs=1.1)
    assert len(list(market.rounds(FIVE_AGO))) == 6
    assert len(stage.exchange.requests) > asked


@pytest.mark.parametrize("retry_after", [None, "soon", "", "-5"])
def test_a_limit_that_names_no_wait_is_waited_for_longer_each_time(stage: Stage, retry_after: str | None) -> None:
    market = ready(stage)
    stage.exchange.fail(server.too_many_requests(retry_after), times=9)

    waits = []
    for _ in range(9):
        waits.append(refused(market).retry_after_seconds)
        stage.clock.pass_by(waits[-1])

    assert waits == [10, 20, 40, 80, 160, 320, 600, 600, 600]
    assert len(list(market.rounds(FIVE_AGO))) >= 5


@pytest.mark.parametrize("retry_after", ["99999999999", formatdate(4e9, usegmt=True)])
def test_an_absurd_wait_is_bounded(stage: Stage, retry_after: str) -> None:
    market = ready(stage)
    stage.exchange.fail(server.banned(retry_after))

    assert refused(market).retry_after_seconds == 86_400


def test_a_wait_that_is_over_already_is_a_short_one(stage: Stage) -> None:
    market = ready(stage)
    stage.exchange.fail(server.too_many_requests(0))

    assert refused(market).retry_after_seconds == 1


def test_a_server_error_that_names_a_wait_is_kept_to(stage: Stage) -> None:
    market = ready(stage)
    stage.exchange.fail(server.server_error(503, retry_after=30))

    error = refused(market)
    stage.clock.pass_by(29)
    asked = len(stage.exchange.requests)
    refused(market)

    assert error.retry_after_seconds == 30
    assert len(stage.exchange.requests) == asked


def test_failures_are_waited_for_longer_each_time_and_forgotten_with_the_first_good_answer(stage: Stage) -> None:
    market = ready(stage)
    stage.exchange.fail(server.server_error(), times=8)

    waits = []
    for _ in range(8):
        waits.append(refused(market).retry_after_seconds)
        stage.clock.pass_by(waits[-1])
    rounds = list(market.rounds(FIVE_AGO))
    stage.clock.pass_by(60)
    stage.exchange.fail(server.server_error())
    with pytest.raises(FeedUnavailableError) as again:
        list(market.rounds(rounds[-1].close_time))

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert again.value.retry_after_seconds == 1


def test_a_start_and_a_history_that_succeed_forget_the_failures_before_them(stage: Stage) -> None:
    market = stage.market(("BTCUSDC",))
    waits = []
    for path, ask in [("exchangeInfo", market.prepare), ("klines", lambda: market.history("BTCUSDC", LAST, 50))]:
        stage.exchange.fail(server.server_error(), path=path, times=3)
        for _ in range(3):
            with pytest.raises(FeedUnavailableError) as caught:
                ask()
            waits.append(caught.value.retry_after_seconds)
            stage.clock.pass_by(waits[-1])
            if path == "klines" and len(waits) == 5:
                break
        stage.exchange.heal()
        ask()
    stage.exchange.fail(server.server_error())

    assert waits == [1, 2, 4, 1, 2]
    assert refused(market).retry_after_seconds == 1


def test_an_exchange_that_is_not_there_is_told_and_found_when_it_comes(stage: Stage) -> None:
    nobody = server.LocalExchange()
    url = nobody.url
    nobody.start().stop()
    market = ExchangeMarket("binance", ["BTCUSDC"], "1m", url=url, now=stage.clock)

    with pytest.raises(FeedUnavailableError, match="binance cannot be reached: ") as caught:
        market.prepare()
    market.close()

    assert caught.value.reason == "market_unreachable"
    assert caught.value.status_code == 503


@pytest.mark.parametrize("path", ["exchangeInfo", "time"])
@pytest.mark.parametrize(
    "fault", ["server error", "page with 200", "cut JSON", "connection cut off", "hang", "text in place of candles"]
)
def test_a_start_that_fails_is_tried_again(stage: Stage, path: str, fault: str) -> None:
    market = stage.market(("BTCUSDC",), timeout_seconds=1.0 if fault == "hang" else 10.0)
    stage.exchange.fail(TRANSIENT[fault][0](), path=path)

    for _ in range(3):
        try:
            market.prepare()
        except FeedUnavailableError as error:
            stage.clock.pass_by(error.retry_after_seconds)

    assert market.symbols == ("BTCUSDC",)
    assert market.unknown_symbols == ()
    assert len(list(market.rounds(FIVE_AGO))) == 5


def test_a_limit_at_the_start_is_kept_to_as_well(stage: Stage) -> None:
    market = stage.market(("BTCUSDC",))
    stage.exchange.fail(server.too_many_requests(20), path="exchangeInfo")

    with pytest.raises(FeedUnavailableError) as caught:
        market.prepare()
    stage.clock.pass_by(19)
    with pytest.raises(FeedUnavailableError):
        market.prepare()
    assert len(stage.exchange.requests) == 1
    stage.clock.pass_by(1)
    market.prepare()

    assert caught.value.retry_after_seconds == 20
    assert market.symbols == ("BTCUSDC",)


def test_an_exchange_that_wants_a_key_for_everything_is_refused_for_good(stage: Stage) -> None:
    market = stage.market(exchange_id="alpaca")

    with pytest.raises(InvalidInputError, match="QT_MARKET=alpaca gives no candles without a key") as caught:
        market.prepare()

    assert caught.value.reason == "market_unsuitable"


def test_a_401_on_the_way_passes(stage: Stage) -> None:
    market = stage.market(("BTCUSDC",))
    stage.exchange.fail(server.server_error(401), path="exchangeInfo")

    with pytest.raises(FeedUnavailableError) as caught:
        market.prepare()
    stage.clock.pass_by(caught.value.retry_after_seconds)
    market.prepare()

    assert market.symbols == ("BTCUSDC",)


def test_a_failure_on_a_late_page_keeps_the_pages_before_it(stage: Stage) -> None:
    market = ready(stage)
    stage.exchange.fail(Fault("none"), times=2)
    stage.exchange.fail(server.server_error())

    with pytest.raises(FeedUnavailableError) as caught:
        market.history("BTCUSDC", LAST, 2_500)
    asked = len(stage.exchange.asked("klines"))
    stage.clock.pass_by(caught.value.retry_after_seconds)
    past = market.history("BTCUSDC", LAST, 2_500)

    assert asked == 3
    assert len(stage.exchange.asked("klines")) == 4
    assert same(past, stage.exchange.closed("BTCUSDC", "1m", 2_500))


def test_a_failure_while_catching_up_keeps_the_rounds_before_it(stage: Stage) -> None:
    market = ready(stage)
    after = LAST - 2_500 * MINUTE
    stage.exchange.fail(Fault("none"))
    stage.exchange.fail(server.server_error())

    early = list(market.rounds(after))
    with pytest.raises(FeedUnavailableError) as caught:
        list(market.rounds(early[-1].close_time))
    stage.clock.pass_by(caught.value.retry_after_seconds)
    rest = list(market.rounds(early[-1].close_time))

    times = [round_.close_time for round_ in early + rest]
    assert len(early) > 900
    assert times == [after + MINUTE * n for n in range(1, 2_501)]


@pytest.mark.parametrize("fault", [server.repeated, server.disordered])
def test_repeats_and_disorder_are_harmless(stage: Stage, fault: Callable[[], Fault]) -> None:
    market = ready(stage)
    stage.exchange.fail(fault(), times=FOR_EVER)

    past = market.history("BTCUSDC", LAST, 2_200)
    rounds = list(market.rounds(LAST - 1_500 * MINUTE))

    assert same(past, stage.exchange.closed("BTCUSDC", "1m", 2_200))
    assert len(rounds) == 1_500
    assert all(round_.candles == stage.true_round(round_.close_time, ("BTCUSDC",)) for round_ in rounds[::83])


def test_a_candle_repeated_at_every_page_s_border_is_used_once(stage: Stage) -> None:
    stage.exchange.repeats_border = True
    market = ready(stage)

    past = market.history("BTCUSDC", LAST, 2_200)
    rounds = list(market.rounds(LAST - 1_500 * MINUTE))

    assert same(past, stage.exchange.closed("BTCUSDC", "1m", 2_200))
    assert len({round_.close_time for round_ in rounds}) == len(rounds) == 1_500


def test_of_a_candle_that_comes_again_with_other_values_the_first_stays(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    market = ready(stage)
    rounds = list(market.rounds(FIVE_AGO))
    market.late()
    stage.clock.pass_by(60)

    def change(rows: list[server.Row]) -> list[server.Row]:
        return [[*row[:5], "123456.0", *row[6:]] if row[0] == to_ms(FIVE_AGO) else row for row in rows]

    stage.exchange.fail(Fault("changed", change_rows=change), times=2)

    more = list(market.rounds(LAST))
    stage.clock.pass_by(60)
    more += market.rounds(more[-1].close_time)

    assert len(rounds + more) == 7
    assert market.late() == {}
    assert len([record for record in caplog.records if "first stays" in record.message]) == 1


def test_an_empty_answer_is_asked_for_again_before_it_is_believed(stage: Stage) -> None:
    market = ready(stage)
    stage.exchange.fail(server.empty())

    assert len(list(market.rounds(FIVE_AGO))) == 5

    stage.exchange.fail(server.empty())
    assert same(market.history("BTCUSDC", LAST, 500), stage.exchange.closed("BTCUSDC", "1m", 500))


def test_a_gap_stays_a_gap_and_its_candle_comes_late_when_the_exchange_has_it(both: Stage) -> None:
    market = ready(both, SYMBOLS)
    missing = LAST - 3 * MINUTE
    both.exchange.withhold("BTCUSDC", missing)

    rounds = list(market.rounds(FIVE_AGO))
    market.late()
    both.exchange.fill("BTCUSDC", missing)
    both.clock.pass_by(60)
    rounds += market.rounds(LAST)
    late = market.late()

    assert [set(round_.candles) for round_ in rounds] == [
        set(SYMBOLS) - {"BTCUSDC"} if round_.close_time == missing + MINUTE else set(SYMBOLS) for round_ in rounds
    ]
    assert list(late) == ["BTCUSDC"]
    assert late["BTCUSDC"].open_time.tolist() == [to_ms(missing)]
    assert late["BTCUSDC"].open[0] == both.exchange.bar("BTCUSDC", "1m", missing)[0]
    assert market.late() == {}


def test_a_gap_of_all_symbols_gives_no_round_then_and_the_next_one_in_time(both: Stage) -> None:
    market = ready(both, SYMBOLS)
    for symbol in SYMBOLS:
        both.exchange.withhold(symbol, LAST - 3 * MINUTE)

    rounds = list(market.rounds(FIVE_AGO))

    assert [round_.close_time for round_ in rounds] == [FIVE_AGO + MINUTE * n for n in (1, 2, 4, 5)]


def test_the_newest_candle_is_waited_for_a_moment_and_then_done_without(both: Stage) -> None:
    market = ready(both, SYMBOLS)
    list(market.rounds(FIVE_AGO))
    both.exchange.withhold("BTCUSDC", LAST)
    both.clock.moment = LAST + timedelta(seconds=62)

    assert list(market.rounds(LAST)) == []
    waited = 0
    while not (rounds := list(market.rounds(LAST))):
        both.clock.pass_by(1)
        waited += 1
    asked = len([request for request in both.exchange.asked("klines", "ETHUSDC") if request.at > LAST + MINUTE])

    assert [set(round_.candles) for round_ in rounds] == [{"ETHUSDC"}]
    assert 7 <= waited <= 13
    assert asked == 1


def test_a_candle_that_comes_within_that_moment_is_part_of_its_round(both: Stage) -> None:
    market = ready(both, SYMBOLS)
    list(market.rounds(FIVE_AGO))
    both.exchange.withhold("BTCUSDC", LAST)
    both.clock.moment = LAST + timedelta(seconds=62)
    assert list(market.rounds(LAST)) == []

    both.exchange.fill("BTCUSDC", LAST)
    both.clock.pass_by(3)

    assert [set(round_.candles) for round_ in market.rounds(LAST)] == [set(SYMBOLS)]
    market.late()
    assert market.late() == {}


@pytest.mark.parametrize(
    ("fault", "failing"),
    [(fault, symbol) for fault in ("server error", "page with 200", "times off the grid") for symbol in SYMBOLS]
    + [("hang", "BTCUSDC")],
)
def test_one_symbol_that_fails_does_not_stop_the_other(both: Stage, fault: str, failing: str) -> None:
    market = ready(both, SYMBOLS, fault)
    list(market.rounds(FIVE_AGO))
    market.late()
    both.exchange.fail(TRANSIENT[fault][0](), symbol=failing, times=FOR_EVER)
    other = next(symbol for symbol in SYMBOLS if symbol != failing)

    both.clock.moment = LAST + timedelta(minutes=4, seconds=2)
    rounds = patiently(market, both.clock, LAST)
    both.exchange.heal()
    both.clock.moment = both.clock.moment.replace(second=2, microsecond=0) + timedelta(minutes=2)
    more = patiently(market, both.clock, rounds[-1].close_time)
    late = market.late()

    assert [set(round_.candles) for round_ in rounds[:3]] == [{other}] * 3
    assert set(more[-1].candles) == set(SYMBOLS)
    given = {to_ms(one.close_time) - 60_000 for one in rounds + more if failing in one.candles}
    assert given | set(late[failing].open_time.tolist()) >= {to_ms(LAST + MINUTE * n) for n in range(5)}
    assert not given & set(late[failing].open_time.tolist())


def test_a_symbol_that_fails_for_a_moment_is_waited_for_while_catching_up(both: Stage) -> None:
    market = ready(both, SYMBOLS)
    both.exchange.fail(server.server_error(), symbol="ETHUSDC", times=2)

    rounds = patiently(market, both.clock, LAST - 1_200 * MINUTE)

    assert len(rounds) == 1_200
    assert all(set(round_.candles) == set(SYMBOLS) for round_ in rounds)


def test_after_an_outage_no_round_goes_without_a_symbol_that_stumbles_once_more(both: Stage) -> None:
    market = ready(both, SYMBOLS)
    list(market.rounds(FIVE_AGO))
    both.exchange.fail(server.server_error(), times=12)
    for _ in range(6):
        both.clock.pass_by(60)
        with pytest.raises(FeedUnavailableError):
            list(market.rounds(LAST))
    both.exchange.fail(server.server_error(), symbol="ETHUSDC", times=1)
    both.clock.pass_by(60)

    rounds = patiently(market, both.clock, LAST)

    assert len(rounds) >= 7
    assert all(set(round_.candles) == set(SYMBOLS) for round_ in rounds)


def test_a_symbol_that_stumbled_before_an_outage_is_waited_for_anew_after_it(both: Stage) -> None:
    market = ready(both, SYMBOLS)
    list(market.rounds(FIVE_AGO))
    both.clock.moment = LAST + timedelta(seconds=62)
    both.exchange.fail(server.server_error(), symbol="ETHUSDC")
    with pytest.raises(FeedUnavailableError):
        list(market.rounds(LAST))
    both.exchange.fail(server.server_error(), times=9)
    for _ in range(10):
        both.clock.pass_by(60)
        with contextlib.suppress(FeedUnavailableError):
            assert list(market.rounds(LAST)) == []
        if not both.exchange.orders():
            break
    both.exchange.fail(server.server_error(), symbol="ETHUSDC")
    both.clock.pass_by(60)

    rounds = patiently(market, both.clock, LAST)

    assert [set(round_.candles) for round_ in rounds[1:]] == [set(SYMBOLS)] * (len(rounds) - 1)


def test_two_symbols_that_fail_for_good_do_not_keep_the_third_from_being_asked() -> None:
    names = ("AAAUSDC", "BBBUSDC", "CCCUSDC")
    with Stage(names) as stage:
        market = ready(stage, names)
        for symbol in names[:2]:
            stage.exchange.fail(server.server_error(), symbol=symbol, times=FOR_EVER)

        rounds = patiently(market, stage.clock, FIVE_AGO)

        assert [set(round_.candles) for round_ in rounds[:5]] == [{"CCCUSDC"}] * 5


def test_what_came_before_a_limit_is_given_while_the_limit_lasts(both: Stage) -> None:
    market = ready(both, SYMBOLS)
    list(market.rounds(FIVE_AGO))
    both.clock.moment = LAST + timedelta(seconds=62)
    both.exchange.fail(server.too_many_requests(300), symbol="ETHUSDC")
    with pytest.raises(FeedUnavailableError) as limited:
        list(market.rounds(LAST))
    asked = len(both.exchange.requests)

    rounds = []
    while not rounds:
        both.clock.pass_by(1)
        with contextlib.suppress(FeedUnavailableError):
            rounds = list(market.rounds(LAST))

    assert limited.value.retry_after_seconds == 300
    assert [set(round_.candles) for round_ in rounds] == [{"BTCUSDC"}]
    assert both.clock() - LAST < timedelta(seconds=100)
    assert len(both.exchange.requests) == asked


def test_a_wait_that_was_asked_for_once_is_not_asked_for_by_a_later_silence(stage: Stage) -> None:
    market = ready(stage, fault="hang")
    stage.exchange.fail(server.too_many_requests(45))
    stage.exchange.fail(server.hang(60.0))
    stage.exchange.fail(server.hang(60.0), path="time")

    first = refused(market)
    stage.clock.pass_by(45)
    second = refused(market)

    assert (first.retry_after_seconds, second.retry_after_seconds) == (45, 1)


def test_a_symbol_that_is_delisted_does_not_stop_the_other_and_is_asked_seldom(both: Stage) -> None:
    market = ready(both, SYMBOLS)
    last = list(market.rounds(FIVE_AGO))[-1].close_time
    both.exchange.delist("BTCUSDC")
    asked = len(both.exchange.asked("klines", "BTCUSDC"))
    both.clock.pass_by(60)
    with pytest.raises(FeedUnavailableError, match="Invalid symbol") as caught:
        list(market.rounds(last))
    assert caught.value.retry_after_seconds <= 30

    both.clock.pass_by(20 * 60)
    rounds = patiently(market, both.clock, last)
    for _ in range(15):
        both.clock.pass_by(60)
        rounds += market.rounds(rounds[-1].close_time)

    assert len(rounds) >= 35
    assert all(set(round_.candles) == {"ETHUSDC"} for round_ in rounds)
    assert len(both.exchange.asked("klines", "BTCUSDC")) - asked <= 4


def test_a_symbol_whose_history_cannot_be_had_has_none_where_the_exchange_answers_otherwise(both: Stage) -> None:
    market = ready(both, SYMBOLS)
    both.exchange.fail(server.server_error(), symbol="BTCUSDC", times=FOR_EVER)

    found: Candles | None = None
    for _ in range(5):
        try:
            found = market.history("BTCUSDC", LAST, 50)
            break
        except FeedUnavailableError as error:
            both.clock.pass_by(error.retry_after_seconds)

    assert found is not None
    assert len(found) == 0
    assert len(market.history("ETHUSDC", LAST, 50)) == 50


def test_a_past_without_its_newest_part_is_none(both: Stage) -> None:
    market = ready(both, SYMBOLS)
    both.exchange.fail(Fault("none"))
    both.exchange.fail(server.server_error(), symbol="BTCUSDC", times=FOR_EVER)

    for _ in range(2):
        with pytest.raises(FeedUnavailableError) as caught:
            market.history("BTCUSDC", LAST, 2_500)
        both.clock.pass_by(caught.value.retry_after_seconds)

    assert len(market.history("BTCUSDC", LAST, 2_500)) == 0


def test_an_older_part_that_cannot_be_had_leaves_the_newer_one(both: Stage) -> None:
    market = ready(both, SYMBOLS)
    both.exchange.withhold("BTCUSDC", *(LAST - n * MINUTE for n in range(10, 15)))
    both.exchange.fail(Fault("none"))
    both.exchange.fail(server.server_error(), symbol="BTCUSDC", times=FOR_EVER)

    for _ in range(2):
        with pytest.raises(FeedUnavailableError) as caught:
            market.history("BTCUSDC", LAST, 50)
        both.clock.pass_by(caught.value.retry_after_seconds)

    assert same(market.history("BTCUSDC", LAST, 50), both.exchange.closed("BTCUSDC", "1m", 51))


def test_a_past_that_fails_now_and_then_is_not_given_up(both: Stage) -> None:
    market = ready(both, SYMBOLS)
    for _ in range(3):
        both.exchange.fail(server.server_error())
        both.exchange.fail(Fault("none"))

    for _ in range(3):
        with pytest.raises(FeedUnavailableError) as caught:
            market.history("BTCUSDC", LAST, 2_500)
        both.clock.pass_by(caught.value.retry_after_seconds)

    assert len(market.history("BTCUSDC", LAST, 2_500)) == 2_500


def test_a_clock_that_cannot_be_asked_for_stops_nothing_once_it_is_known(both: Stage) -> None:
    market = ready(both, SYMBOLS)
    last = list(market.rounds(FIVE_AGO))[-1].close_time
    both.exchange.fail(server.server_error(), path="time", times=FOR_EVER)

    for _ in range(4):
        both.clock.pass_by(60)
        rounds = list(market.rounds(last))
        assert [round_.close_time for round_ in rounds] == [last + MINUTE]
        last = rounds[-1].close_time


def test_an_exchange_that_fails_for_two_symbols_is_not_asked_for_the_others_too() -> None:
    names = tuple(f"{letter * 3}USDC" for letter in "ABCDEF")
    with Stage(names) as stage:
        market = ready(stage, names)
        stage.exchange.fail(server.server_error(), times=FOR_EVER)

        refused(market)

        assert len(stage.exchange.asked("klines")) == 2


def test_a_delisted_symbol_s_history_is_empty_at_once(both: Stage) -> None:
    market = ready(both, SYMBOLS)
    both.exchange.delist("BTCUSDC")

    assert len(market.history("BTCUSDC", LAST, 50)) == 0


def test_history_is_never_given_up_while_the_whole_exchange_is_silent(both: Stage) -> None:
    market = ready(both, SYMBOLS)
    both.exchange.fail(server.server_error(), times=FOR_EVER)
    both.exchange.fail(server.server_error(), path="time", times=FOR_EVER)

    for _ in range(8):
        with pytest.raises(FeedUnavailableError) as caught:
            market.history("BTCUSDC", LAST, 50)
        both.clock.pass_by(caught.value.retry_after_seconds)


def test_a_row_that_is_wrong_every_time_becomes_a_gap(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    market = ready(stage)
    wrong = LAST - 3 * MINUTE

    def spoil(rows: list[server.Row]) -> list[server.Row]:
        return [[*row[:4], None, *row[5:]] if row[0] == to_ms(wrong) else row for row in rows]

    stage.exchange.fail(Fault("spoilt", change_rows=spoil), times=FOR_EVER)

    rounds = patiently(market, stage.clock, FIVE_AGO)

    assert [round_.close_time for round_ in rounds] == [FIVE_AGO + MINUTE * n for n in (1, 2, 4, 5)]
    assert any("left out" in record.message for record in caplog.records)
    assert len(market.history("BTCUSDC", LAST, 50)) == 50


def test_a_row_that_is_wrong_now_and_then_stays_a_candle(stage: Stage) -> None:
    market = ready(stage)
    wrong = LAST - 3 * MINUTE

    def spoil(rows: list[server.Row]) -> list[server.Row]:
        return [[*row[:4], None, *row[5:]] if row[0] == to_ms(wrong) else row for row in rows]

    for count in (10, 20, 30, 40):
        stage.exchange.fail(Fault("spoilt", change_rows=spoil))
        for _ in range(2):
            try:
                past = market.history("BTCUSDC", LAST, count)
            except FeedUnavailableError as error:
                stage.clock.pass_by(error.retry_after_seconds)
        assert same(past, stage.exchange.closed("BTCUSDC", "1m", count + 1).upto(to_ms(LAST)).tail(count))


def test_an_exchange_that_answers_but_has_nothing_new_is_asked_less_and_less_often(stage: Stage) -> None:
    market = ready(stage)
    last = list(market.rounds(FIVE_AGO))[-1].close_time
    stage.exchange.withhold("BTCUSDC", *(LAST + MINUTE * n for n in range(60)))
    asked = len(stage.exchange.asked("klines"))

    stage.clock.moment = last + timedelta(seconds=62)
    for _ in range(1_200):
        assert list(market.rounds(last)) == []
        stage.clock.pass_by(0.5)

    assert 30 <= len(stage.exchange.asked("klines")) - asked <= 60
