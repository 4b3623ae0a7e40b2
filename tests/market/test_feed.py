"""What every feed promises, checked for each of them: order, closed candles only, the same again after a stop."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from backend.clock import to_ms
from backend.market.feed import Feed
from backend.market.files import FileMarket
from backend.market.simulated import SimulatedMarket
from tests.market.exchange_stage import Stage

NOW = datetime(2026, 3, 2, 12, 3, 20, tzinfo=UTC)
FAR = datetime(2099, 1, 1, tzinfo=UTC)
LENGTH = timedelta(minutes=5)


def simulated(_: Path) -> Feed:
    return SimulatedMarket(("ETHUSDC", "BTCUSDC"), "5m", seed=3, now=lambda: NOW)


def files(folder: Path) -> Feed:
    """Two symbols with gaps, the second listed later."""
    random = np.random.default_rng(2)
    for symbol, first in (("BTCUSDC", 0), ("ETHUSDC", 300)):
        close = 50.0
        lines = []
        for index in range(first, 900):
            opened, close = close, close * float(np.exp(random.normal(0, 0.01)))
            time = 1_714_521_600_000 + index * 300_000
            if index % 13 != first % 7:
                high, low = max(opened, close), min(opened, close)
                lines.append(f"{time},{opened!r},{high!r},{low!r},{close!r},{index % 5},0,0,0,0,0,0\n")
        (folder / f"{symbol}-5m.csv").write_text("".join(lines))
    return FileMarket(folder, "5m")


def exchange(stage: Stage) -> Feed:
    """A market that was first asked two days ago, so that rounds lie between its start and now."""
    stage.clock.moment = NOW - timedelta(days=2)
    market = stage.market()
    assert market.start < NOW
    stage.clock.moment = NOW
    return market


@pytest.fixture(params=["simulated", "files", "exchange"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Feed]]:
    if request.param == "exchange":
        with Stage(timeframe="5m") as stage:
            yield lambda: exchange(stage)
    else:
        yield {"simulated": lambda: simulated(tmp_path), "files": lambda: files(tmp_path)}[request.param]


def test_rounds_come_in_time_order_with_sorted_symbols_on_the_grid(make: Callable[[], Feed]) -> None:
    feed = make()
    rounds = list(feed.rounds(None, until=feed.start + timedelta(days=1)))

    times = [round_.close_time for round_ in rounds]

    assert len(times) > 200
    assert all(earlier < later for earlier, later in itertools.pairwise(times))
    assert all(moment.tzinfo is UTC and to_ms(moment) % 300_000 == 0 for moment in times)
    assert all(list(round_.candles) == sorted(round_.candles) for round_ in rounds)
    assert all(set(round_.candles) <= set(feed.symbols) for round_ in rounds)


def test_the_first_round_is_at_the_start_and_later_ones_follow_the_given_time(make: Callable[[], Feed]) -> None:
    feed = make()

    assert next(feed.rounds(None)).close_time == feed.start
    assert next(feed.rounds(feed.start)).close_time > feed.start
    assert next(feed.rounds(feed.start - timedelta(microseconds=1))).close_time == feed.start


def test_a_feed_read_in_parts_after_a_restart_gives_the_same_rounds(make: Callable[[], Feed]) -> None:
    start = make().start
    until = start + timedelta(hours=20)
    whole = list(make().rounds(None, until=until))

    parts, after = [], None
    while len(parts) < len(whole):
        feed = make()
        rounds = feed.rounds(after or start - timedelta(microseconds=1), until=until)
        parts += [round_ for round_, _ in zip(rounds, range(37), strict=False)]
        after = parts[-1].close_time

    assert parts == whole


def test_history_is_what_the_rounds_gave_before(make: Callable[[], Feed]) -> None:
    feed = make()
    rounds = list(feed.rounds(None, until=feed.start + timedelta(hours=30)))
    middle = rounds[len(rounds) // 2].close_time

    for symbol in feed.symbols:
        given = [(to_ms(r.close_time), *r.candles[symbol]) for r in rounds if symbol in r.candles]
        known = [bar for bar in given if bar[0] <= to_ms(middle)]
        past = feed.history(symbol, middle, len(known))
        found = zip(past.close_time, past.open, past.high, past.low, past.close, past.volume, strict=True)
        assert list(found) == known


def test_history_never_reaches_beyond_its_time_nor_its_count(make: Callable[[], Feed]) -> None:
    feed = make()

    for moment in (feed.start, feed.start + timedelta(minutes=2), feed.start + 50 * LENGTH):
        past = feed.history("BTCUSDC", moment, 500)
        assert len(past) == 500
        assert past.timeframe_ms == 300_000
        assert past.close_time[-1] <= to_ms(moment)


def test_no_round_and_no_history_lies_beyond_what_has_closed(make: Callable[[], Feed]) -> None:
    feed = make()
    last = [round_.close_time for round_ in feed.rounds(feed.start + timedelta(hours=5), until=FAR)][-1]

    assert list(feed.rounds(last)) == []
    assert feed.history("BTCUSDC", FAR, 10**4).close_time[-1] <= to_ms(last)
    assert last <= NOW


def test_a_feed_has_what_it_was_asked_for_and_says_the_time_of_its_market(make: Callable[[], Feed]) -> None:
    feed = make()

    feed.prepare()
    feed.prepare()

    assert feed.symbols == ("BTCUSDC", "ETHUSDC")
    assert feed.unknown_symbols == ()
    assert feed.now().tzinfo is not None
    assert feed.clock_offset_seconds is None or abs(feed.clock_offset_seconds) < 1


def test_nothing_is_late_once_it_was_handed_out(make: Callable[[], Feed]) -> None:
    feed = make()
    list(feed.rounds(None, until=feed.start + timedelta(hours=2)))
    feed.late()

    assert feed.late() == {}


def test_rounds_up_to_now_are_fresh(make: Callable[[], Feed]) -> None:
    feed = make()

    rounds = list(feed.rounds(feed.start + timedelta(hours=5), until=FAR))

    assert rounds[-1].fresh


def test_a_feed_may_be_closed_twice(make: Callable[[], Feed]) -> None:
    feed = make()
    rounds = list(feed.rounds(None, until=feed.start))

    feed.close()
    feed.close()

    assert len(rounds) == 1
