"""An hour on an exchange where everything goes wrong: the books are the exchange's, and every promise is kept.

Time is one clock that only waiting moves, so that an hour passes in seconds and every run is the same.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from ai_engine.candles import Candles
from ai_engine.features.catalogue import WINDOW
from ai_engine.features.compute import compute_history
from backend.clock import from_ms, to_ms
from backend.market.feed import Bar
from tests.market import exchange_server as faults
from tests.market.exchange_server import FAULTS, LocalExchange
from tests.scenarios.live_market import BEGIN, MINUTE, SYMBOLS, LiveMarket

pytestmark = pytest.mark.slow

Run = Callable[..., LiveMarket]
HOUR = 60
SEEDS = {"1m": 20, "5m": 3}
"""Paths of prices on which there is something to buy."""
LIVELY = {"QT_EXPLORATION_RATE": "0.6"}
STALE_AFTER = 3 * MINUTE
PASSING = {**FAULTS, "hang": lambda: faults.hang(2.0), "long 429": lambda: faults.too_many_requests(40)}
"""Every fault that the exchange knows, each for two answers."""


@pytest.fixture(scope="module")
def begin_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Begins runs, each on an exchange and a database of its own."""
    with ExitStack() as stack:

        def begin(timeframe: str = "1m", **changes: Any) -> LiveMarket:
            exchange = stack.enter_context(LocalExchange(SYMBOLS, seed=SEEDS[timeframe]))
            changes["given"] = {**LIVELY, "QT_TIMEFRAME": timeframe}
            market = LiveMarket(tmp_path_factory.mktemp("market"), exchange, **changes)
            stack.callback(market.close)
            return market

        yield begin


def minute(count: float) -> datetime:
    """So many minutes after the beginning, by the exchange's clock."""
    return BEGIN + count * MINUTE


# --- An hour of faults that pass, and two restarts ---


@pytest.fixture(scope="module", params=["1m", "5m"])
def timeframe(request: pytest.FixtureRequest) -> str:
    """The length of a candle."""
    return str(request.param)


@pytest.fixture(scope="module")
def undisturbed(begin_run: Run, timeframe: str) -> LiveMarket:
    """The hour as it should be."""
    run = begin_run(timeframe)
    run.until(minute(HOUR))
    return run


@pytest.fixture(scope="module")
def disturbed(begin_run: Run, timeframe: str) -> LiveMarket:
    """The same hour on a machine five minutes behind, with every fault there is and three restarts."""
    run = begin_run(timeframe, behind=timedelta(minutes=5))
    run.exchange.repeats_border = True
    for number, name in enumerate(PASSING):
        run.until(minute(3 * number + 1))
        run.exchange.fail(PASSING[name](), times=2)
        if name in ("429", "cut_off", "disordered"):
            run.exchange.fail(FAULTS["html"](), "exchangeInfo")
            run.exchange.fail(FAULTS["reset"](), "time")
            run.restart()
    run.until(minute(HOUR))
    return run


def test_faults_that_pass_and_restarts_change_nothing(disturbed: LiveMarket, undisturbed: LiveMarket) -> None:
    was, should_be = disturbed.everything(), undisturbed.everything()

    for name, rows in should_be.items():
        assert was[name] == rows, name


def test_every_fault_was_met_and_the_hour_held_trades(disturbed: LiveMarket, undisturbed: LiveMarket) -> None:
    rounds = {"1m": HOUR + 1, "5m": HOUR // 5 + 1}[disturbed.settings.timeframe]
    assert disturbed.exchange._ordered == []
    assert len(disturbed.exchange.requests) > len(undisturbed.exchange.requests) + 2 * len(PASSING)
    assert disturbed.rows("select count(*) from ai_training_samples") == [(rounds * len(SYMBOLS),)]
    assert disturbed.rows("select count(*) from fills")[0][0] >= 3
    assert {side for (side,) in disturbed.rows("select distinct side from positions")} == {"BUY"}


def test_the_books_are_the_exchanges_candles(disturbed: LiveMarket) -> None:
    assert_books_are_the_exchanges(disturbed)


def test_a_fault_that_passes_raises_no_alarm(disturbed: LiveMarket) -> None:
    assert disturbed.rows("select code from alarms") == []


# --- An hour with an outage, gaps and candles that come late ---

OUTAGE = (19.5, 34.0)
GAP_FOR_GOOD = ("SOLUSDC", (8, 9))
GAP_FILLED = ("BTCUSDC", (5, 6, 7), 11.5)
RARE = ("BTCUSDC", tuple(range(44, 57)))


class Watch:
    """What was true after every turn: how the feed stood, and which orders and entries were new."""

    def __init__(self, run: LiveMarket) -> None:
        self._run = run
        self._seen: set[tuple[Any, ...]] = set()
        self.new: list[tuple[datetime, str, str, datetime]] = []
        self.decided_at: dict[tuple[str, str], tuple[datetime, frozenset[tuple[str, int]]]] = {}
        self.states: list[tuple[datetime, str, int]] = []

    def __call__(self) -> None:
        """Look at the rows."""
        at = self._run.exchange.now()
        state = self._run.rows("select state from feeds")[0][0]
        alarms = self._run.rows("select count(*) from alarms where code = 'market_feed_stale' and closed_at is null")
        self.states.append((at, state, alarms[0][0]))
        found = self._run.rows(
            "select 'order', p.sample_id, p.ordered_at from positions p union all"
            " select 'entry', f.sample_id, f.filled_at from fills f where f.leg = 'entry'"
        )
        for one in found:
            if one not in self._seen:
                self._seen.add(one)
                self.new.append((at, state, one[0], moment(one[2])))
        hidden = frozenset(self._run.exchange._withheld)
        for symbol, stamp in self._run.rows("select symbol, timestamp from ai_training_samples"):
            self.decided_at.setdefault((symbol, stamp), (at, hidden))


def moment(stored: str) -> datetime:
    """A time as SQLite stores it."""
    return datetime.fromisoformat(f"{stored}+00:00")


@pytest.fixture(scope="module")
def stormy(begin_run: Run) -> tuple[LiveMarket, Watch]:
    """Gaps, late candles, a symbol that is silent for long, an outage of fourteen minutes, restarts in all of them."""
    run = begin_run()
    run.watch = watch = Watch(run)
    exchange = run.exchange

    def opens(minutes: tuple[int, ...]) -> list[datetime]:
        return [BEGIN.replace(second=0) + n * MINUTE for n in minutes]

    for symbol, minutes in (GAP_FOR_GOOD, GAP_FILLED[:2], RARE):
        exchange.withhold(symbol, *opens(minutes))
    run.until(minute(10.5))
    run.restart()
    run.until(minute(GAP_FILLED[2]))
    exchange.fill(GAP_FILLED[0], *opens(GAP_FILLED[1]))
    run.until(minute(OUTAGE[0]))
    exchange.fail(faults.server_error(), "", times=faults.FOR_EVER)
    run.until(minute(22.5))
    run.restart()
    run.until(minute(30.2))
    run.restart()
    run.until(minute(OUTAGE[1]))
    exchange.heal()
    run.until(minute(45.4))
    run.restart()
    run.until(minute(HOUR))
    return run, watch


def test_after_gaps_and_outages_too_the_books_are_the_exchanges_candles(stormy: tuple[LiveMarket, Watch]) -> None:
    assert_books_are_the_exchanges(stormy[0])


def test_every_candle_is_decided_once_and_none_that_came_late(stormy: tuple[LiveMarket, Watch]) -> None:
    run, _ = stormy
    expected = []
    for symbol in SYMBOLS:
        late = {GAP_FILLED[0]: GAP_FILLED[1]}.get(symbol, ())
        closed = run.exchange.closed(symbol, "1m", HOUR + 1).close_time.tolist()
        not_decided = {to_ms(BEGIN.replace(second=0) + (n + 1) * MINUTE) for n in late}
        expected += [(symbol, close) for close in closed if close not in not_decided]

    decided = run.rows("select symbol, timestamp from ai_training_samples")

    assert sorted((symbol, to_ms(moment(stamp))) for symbol, stamp in decided) == sorted(expected)


def test_no_candle_is_used_before_it_closed_and_each_decision_saw_what_the_exchange_told_then(
    stormy: tuple[LiveMarket, Watch],
) -> None:
    run, watch = stormy
    stored = run.rows("select symbol, timestamp, features_blob from ai_training_samples order by timestamp")
    assert len(stored) > 150
    for symbol, stamp, blob in stored:
        at, hidden = watch.decided_at[symbol, stamp]
        assert at >= moment(stamp)
        told = seen_by(run.exchange, symbol, moment(stamp), hidden)
        features = compute_history(told, np.array([len(told) - 1]))[0]
        np.testing.assert_array_equal(np.frombuffer(blob, dtype="<f4"), features, err_msg=f"{symbol} {stamp}")


def test_nothing_is_ordered_or_entered_on_a_stale_feed(stormy: tuple[LiveMarket, Watch]) -> None:
    _, watch = stormy
    orders = [(at, decided) for at, _, kind, decided in watch.new if kind == "order"]
    entries = [(at, opened) for at, _, kind, opened in watch.new if kind == "entry"]

    assert len(orders) > len(entries) > 5
    assert {state for _, state, _, _ in watch.new} == {"running"}
    assert all(at - decided <= STALE_AFTER for at, decided in orders)
    assert all(at - (opened + MINUTE) <= STALE_AFTER for at, opened in entries)
    assert not [at for at, *_ in watch.new if minute(OUTAGE[0] + 1) < at < minute(OUTAGE[1])]


def test_an_order_that_waited_for_the_outage_to_end_was_cancelled(stormy: tuple[LiveMarket, Watch]) -> None:
    run, _ = stormy
    last = minute(OUTAGE[0]).replace(second=0)
    waiting = run.rows("select state from positions where ordered_at = :at", at=f"{last:%Y-%m-%d %H:%M:%S.%f}")

    assert waiting
    assert set(waiting) == {("cancelled",)}


def test_positions_were_left_during_the_outage_as_without_it(stormy: tuple[LiveMarket, Watch], begin_run: Run) -> None:
    run, _ = stormy
    entered_before, left_within = "entry_time < :begin", "exit_time between :begin and :end"
    span = {
        "begin": f"{minute(OUTAGE[0]).replace(second=0):%Y-%m-%d %H:%M:%S.%f}",
        "end": f"{minute(OUTAGE[1]):%Y-%m-%d %H:%M:%S.%f}",
    }
    calm = begin_run()
    for symbol, minutes in (GAP_FOR_GOOD, GAP_FILLED[:2]):
        calm.exchange.withhold(symbol, *(BEGIN.replace(second=0) + n * MINUTE for n in minutes))
    calm.until(minute(GAP_FILLED[2]))
    calm.exchange.fill(GAP_FILLED[0], *(BEGIN.replace(second=0) + n * MINUTE for n in GAP_FILLED[1]))
    calm.until(minute(OUTAGE[1] + 2))

    query = (
        "select symbol, side, entry_time, entry_price, exit_time, exit_price, exit_reason, realized_pnl from trade_logs"
        f" where {entered_before} and {left_within} order by 1, 3"
    )
    assert run.rows(query, **span)
    assert run.rows(query, **span) == calm.rows(query, **span)


def test_the_feed_was_stale_exactly_while_candles_were_overdue_and_so_was_its_alarm(
    stormy: tuple[LiveMarket, Watch],
) -> None:
    _, watch = stormy
    stale = [at for at, state, _ in watch.states if state == "stale"]
    last = minute(OUTAGE[0]).replace(second=0)

    assert last + 4 * MINUTE <= min(stale) <= last + 4 * MINUTE + timedelta(seconds=6)
    assert minute(OUTAGE[1]) < max(stale) + timedelta(seconds=75)
    assert max(stale) < minute(OUTAGE[1] + 1.5)
    assert all(at - one <= timedelta(seconds=6) for one, at in pairwise(stale))
    assert {(state == "stale", alarms) for _, state, alarms in watch.states} == {(False, 0), (True, 1)}


def test_a_position_in_a_symbol_that_fell_silent_left_at_its_first_candle_after(
    stormy: tuple[LiveMarket, Watch],
) -> None:
    run, _ = stormy
    back = BEGIN.replace(second=0) + (RARE[1][-1] + 1) * MINUTE
    left = run.rows(
        "select exit_time, exit_reason from trade_logs where symbol = :symbol and entry_time < :gone and"
        " exit_time >= :gone",
        symbol=RARE[0],
        gone=f"{BEGIN.replace(second=0) + RARE[1][0] * MINUTE:%Y-%m-%d %H:%M:%S.%f}",
    )

    assert left == [(f"{back:%Y-%m-%d %H:%M:%S.%f}", "horizon")]


def seen_by(exchange: LocalExchange, symbol: str, close: datetime, hidden: frozenset[tuple[str, int]]) -> Candles:
    """The last candles that the exchange told up to a close, while it hid some."""
    length = 60_000
    opened = [to_ms(close) - (back + 1) * length for back in reversed(range(WINDOW + len(hidden)))]
    told = [one for one in opened if (symbol, one) not in hidden][-WINDOW:]
    opening, high, low, closing, volume = np.array([bar_of(exchange, symbol, one) for one in told]).T
    return Candles(np.array(told), opening, high, low, closing, volume, length)


@cache
def bar_of(exchange: LocalExchange, symbol: str, opened: int) -> Bar:
    """A final candle of the exchange's, asked for once."""
    return exchange.bar(symbol, "1m", from_ms(opened))


def assert_books_are_the_exchanges(run: LiveMarket) -> None:
    """Every stored candle is one of the exchange's, and none is missing since the history began."""
    timeframe = run.settings.timeframe
    for symbol in SYMBOLS:
        stored = run.rows(
            "select open_time, open, high, low, close, volume from candles where symbol = :symbol order by 1",
            symbol=symbol,
        )
        theirs = run.exchange.closed(symbol, timeframe, 2 * WINDOW)
        theirs = theirs.rows(theirs.open_time >= to_ms(moment(stored[0][0])))
        columns = (theirs.open, theirs.high, theirs.low, theirs.close, theirs.volume)
        assert len(stored) > WINDOW
        assert [(to_ms(moment(row[0])), *row[1:]) for row in stored] == list(
            zip(theirs.open_time.tolist(), *(column.tolist() for column in columns), strict=True)
        )
