"""What the feed's row and its alarms say, use case by use case."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.orm import Session

from backend.database import Database
from backend.market.feed import CandleRound
from backend.models import Alarm, Feed
from backend.trading.feed_state import (
    CATCHING_UP,
    Silence,
    Taken,
    say,
    say_answers,
    say_round,
    say_silent,
    say_symbols,
)

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MARKET: Any = SimpleNamespace(
    source="binance", clock_offset_seconds=1.5, unknown_symbols=(), symbols=("BTCUSDC", "ETHUSDC")
)


def silence(at: datetime, timeframe: str = "1m") -> Silence:
    """A market that does not answer."""
    return Silence("binance", timeframe, "It does not answer.", at, NOON, 2.0)


@pytest.fixture
def row(database: Database) -> Callable[[], tuple[str, str | None, int]]:
    """The row's state and detail, and how many alarms are open."""

    def read(session: Session) -> tuple[str, str | None, int]:
        feed = session.get_one(Feed, "default")
        return feed.state, feed.detail, session.query(Alarm).filter(Alarm.closed_at.is_(None)).count()

    return lambda: database.read(read)


def taken(database: Database, close: datetime, *, fresh: bool, **more: Any) -> None:
    """A round was taken."""

    def store(session: Session) -> None:
        one = Taken(CandleRound(close, {}, fresh=fresh), **({"decided": True} | more))
        say_round(session, session.get_one(Feed, "default"), MARKET, one, now=NOON)

    database.write(store)


@pytest.mark.parametrize(
    ("timeframe", "patience"), [("1s", 16), ("5s", 20), ("1m", 240), ("5m", 1200), ("1h", 4 * 3600)]
)
def test_a_feed_is_stale_three_candles_and_at_least_fifteen_seconds_after_the_next_was_due(
    database: Database, row: Any, timeframe: str, patience: int
) -> None:
    database.write(say, "default", "binance", "running", now=NOON)
    database.write(lambda session: setattr(session.get_one(Feed, "default"), "market_time", NOON))

    at_the_limit = NOON + timedelta(seconds=patience)
    before = database.write(say_silent, "default", silence(at_the_limit, timeframe), now=NOON)
    states = [row()]
    after = database.write(
        say_silent, "default", silence(at_the_limit + timedelta(milliseconds=1), timeframe), now=NOON
    )

    assert (before, after) == (False, True)
    assert [*states, row()] == [("running", "It does not answer.", 0), ("stale", "It does not answer.", 1)]


def test_a_market_that_never_told_a_candle_is_measured_by_our_clock(database: Database, row: Any) -> None:
    far_ahead = silence(NOON + timedelta(days=1))

    assert not database.write(say_silent, "default", far_ahead, now=NOON + 4 * MINUTE)
    first = row()
    assert database.write(say_silent, "default", far_ahead, now=NOON + 4 * MINUTE + timedelta(seconds=1))
    assert (first[0], row()[0]) == ("warming", "stale")


def test_being_silent_for_longer_keeps_one_alarm_and_tells_it_once(database: Database, row: Any) -> None:
    for minutes in range(5, 30):
        database.write(say_silent, "default", silence(NOON), now=NOON + minutes * MINUTE)

    assert row()[2] == 1
    assert database.read(lambda session: session.query(Alarm).count()) == 1


@pytest.mark.parametrize("decided", [True, False])
def test_a_fresh_round_ends_it_and_one_of_long_ago_does_not(database: Database, row: Any, decided: bool) -> None:
    database.write(say_silent, "default", silence(NOON), now=NOON + 10 * MINUTE)

    taken(database, NOON + MINUTE, fresh=False, decided=decided)
    caught_up = row()
    taken(database, NOON + 9 * MINUTE, fresh=True, decided=decided)

    assert caught_up == ("stale", CATCHING_UP, 1)
    assert row() == ("running" if decided else "warming", None, 0)


def test_catching_up_after_an_absence_is_said_without_being_stale(database: Database, row: Any) -> None:
    database.write(say, "default", "binance", "running", now=NOON)

    taken(database, NOON - 60 * MINUTE, fresh=False)

    assert row() == ("running", CATCHING_UP, 0)


def test_a_round_tells_where_the_market_is_and_how_its_clock_differs(database: Database) -> None:
    database.write(say, "default", "binance", "warming", now=NOON)
    taken(database, NOON - MINUTE, fresh=True)

    feed = database.read(lambda session: session.get_one(Feed, "default"))
    assert (feed.market_time, feed.clock_offset_seconds, feed.updated_at) == (NOON - MINUTE, 1.5, NOON)


def test_positions_that_wait_for_a_candle_to_leave_are_named_in_the_detail(database: Database, row: Any) -> None:
    database.write(say, "default", "binance", "running", now=NOON)
    taken(database, NOON, fresh=True, overdue=("BTCUSDC", "SOLUSDC"))
    waiting = row()
    taken(database, NOON + MINUTE, fresh=True)

    assert waiting[0] == "running"
    assert "BTCUSDC, SOLUSDC" in waiting[1]
    assert row() == ("running", None, 0)


@pytest.mark.parametrize(("overdue", "left"), [(False, None), (True, "It does not answer.")])
def test_a_complaint_is_forgotten_where_it_did_not_make_the_feed_stale(
    database: Database, row: Any, overdue: bool, left: str | None
) -> None:
    database.write(say_silent, "default", silence(NOON), now=NOON + (10 * MINUTE if overdue else MINUTE))

    database.write(say_answers, "default", now=NOON + 11 * MINUTE)

    assert row()[1] == left


def test_symbols_are_named_once_and_forgotten_when_the_market_has_them(database: Database) -> None:
    lacking: Any = SimpleNamespace(source="kraken", unknown_symbols=("ABC", "DEF"), symbols=("BTCUSDC",))

    sentences = [database.write(say_symbols, "default", lacking, now=NOON) for _ in range(2)]
    healed = database.write(say_symbols, "default", MARKET, now=NOON)

    assert sentences == ["kraken has no ABC, DEF (QT_SYMBOLS); BTCUSDC is traded."] * 2
    assert healed is None
    found = database.read(lambda session: [(one.code, one.closed_at) for one in session.query(Alarm)])
    assert found == [("symbols_unknown", NOON)]
