"""The candle store: what was appended comes back, once, and prices are found by time."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Row, create_engine, event
from sqlalchemy.orm import Session

from ai_engine.candles import Candles
from backend.clock import from_ms
from backend.database import Database
from backend.market import candles as store
from backend.market.feed import CandleRound
from backend.models import Base

MINUTE = 60_000
LENGTH = 5 * MINUTE
START = datetime(2024, 5, 1, tzinfo=UTC)
START_MS = int(START.timestamp()) * 1000
SERIES = ("replay", "BTCUSDT", "5m")


def make_candles(indexes: list[int], scale: float = 1.0) -> Candles:
    """Candles at multiples of five minutes after ``START``; every price tells its index."""
    opened = START_MS + LENGTH * np.array(sorted(indexes), dtype=np.int64)
    price = scale * (100.0 + np.array(sorted(indexes), dtype=np.float64))
    return Candles(opened, price, price + 0.75, price - 0.5, price + 0.25, price / 7, LENGTH)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def same(one: Candles, other: Candles) -> bool:
    names = ("open_time", "open", "high", "low", "close", "volume")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of either kind."""
    sqlite = f"sqlite:///{tmp_path / 'candles.db'}"
    database = Database(sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url"))
    Base.metadata.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture(scope="module")
def memory() -> Iterator[Connection]:
    """One empty table for properties, rolled back after every example."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_a_window_returns_bit_for_bit_what_was_appended(database: Database) -> None:
    candles = make_candles(list(range(40)))

    added = database.write(store.append, *SERIES, candles)

    assert added == 40
    assert same(database.read(store.window, *SERIES, at(10_000)), candles)


def test_a_window_ends_with_the_last_candle_closed_at_its_time(database: Database) -> None:
    database.write(store.append, *SERIES, make_candles(list(range(10))))

    closed_by_now = database.read(store.window, *SERIES, at(25))
    just_before = database.read(store.window, *SERIES, at(24.99))

    assert closed_by_now.close_time[-1] == START_MS + 25 * MINUTE
    assert just_before.close_time[-1] == START_MS + 20 * MINUTE


def test_a_window_holds_the_newest_candles_oldest_first(database: Database) -> None:
    database.write(store.append, *SERIES, make_candles(list(range(600))))

    assert same(database.read(store.window, *SERIES, at(5 * 600)), make_candles(list(range(100, 600))))
    assert same(database.read(store.window, *SERIES, at(5 * 600), 3), make_candles([597, 598, 599]))


def test_gaps_stay_gaps(database: Database) -> None:
    database.write(store.append, *SERIES, make_candles([0, 1, 7, 8]))

    found = database.read(store.window, *SERIES, at(1_000), 3)

    assert np.diff(found.open_time).tolist() == [6 * LENGTH, LENGTH]


def test_an_empty_window_is_empty_candles(database: Database) -> None:
    found = database.read(store.window, *SERIES, at(0))

    assert len(found) == 0
    assert found.timeframe_ms == LENGTH


def test_of_a_contradicting_repeat_the_first_stays(database: Database) -> None:
    first, contradiction = make_candles([0, 1, 2]), make_candles([1, 2, 3], scale=9.0)

    added = [database.write(store.append, *SERIES, candles) for candles in (first, contradiction, contradiction)]

    assert added == [3, 1, 0]
    assert database.read(store.window, *SERIES, at(1_000)).close.tolist() == [100.25, 101.25, 102.25, 927.25]


def test_markets_symbols_and_timeframes_do_not_mix(database: Database) -> None:
    database.write(store.append, "simulated", "BTCUSDT", "5m", make_candles([0], scale=2.0))
    database.write(store.append, "replay", "ETHUSDT", "5m", make_candles([0], scale=3.0))
    database.write(store.append, "replay", "BTCUSDT", "5m", make_candles([0], scale=4.0))

    assert database.read(store.window, *SERIES, at(1_000)).open.tolist() == [400.0]
    assert database.read(store.open_at, "replay", "ETHUSDT", "5m", at(0), timedelta(0)) == (300.0, at(0))
    assert len(database.read(store.window, "replay", "BTCUSDT", "1h", at(1_000))) == 0


def test_candles_of_another_timeframe_are_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="resample"):
        database.write(store.append, "replay", "BTCUSDT", "1h", make_candles([0]))


def test_nothing_to_append_adds_nothing(database: Database) -> None:
    assert database.write(store.append, *SERIES, make_candles([])) == 0
    assert database.write(store.append_round, "replay", "5m", CandleRound(at(5), {})) == 0


def test_a_round_is_stored_one_timeframe_before_its_close(database: Database) -> None:
    bars = {"BTCUSDT": (1.0, 3.0, 0.5, 2.0, 7.0), "ETHUSDT": (4.0, 6.0, 3.5, 5.0, 0.0)}

    added = [database.write(store.append_round, "replay", "5m", CandleRound(at(5), bars)) for _ in range(2)]

    found = database.read(store.window, "replay", "ETHUSDT", "5m", at(5))
    assert added == [2, 0]
    assert from_ms(int(found.open_time[0])) == at(0)
    assert (found.open[0], found.high[0], found.low[0], found.close[0], found.volume[0]) == bars["ETHUSDT"]


def test_rounds_and_columns_make_the_same_candles(database: Database) -> None:
    candles = make_candles([0, 1, 2])
    database.write(store.append, *SERIES, candles)

    for index in range(3):
        columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
        bar = tuple(float(column[index]) for column in columns)
        assert database.write(store.append_round, "replay", "5m", CandleRound(at(5 * index + 5), {"BTCUSDT": bar})) == 0
        database.write(store.append_round, "other", "5m", CandleRound(at(5 * index + 5), {"BTCUSDT": bar}))

    assert same(database.read(store.window, "other", "BTCUSDT", "5m", at(1_000)), candles)


def test_open_at_is_the_open_of_the_first_candle_opening_at_or_after_the_time(database: Database) -> None:
    database.write(store.append, *SERIES, make_candles([0, 1, 4]))

    def opened(minutes: float, tolerance: timedelta = timedelta(minutes=5)) -> tuple[float, datetime] | None:
        return database.read(store.open_at, *SERIES, at(minutes), tolerance)

    assert opened(0) == (100.0, at(0))
    assert opened(0.01) == (101.0, at(5))
    assert opened(5, timedelta(0)) == (101.0, at(5))
    assert opened(10) is None
    assert opened(15) == (104.0, at(20))
    assert opened(14.99) is None
    assert opened(20.01) is None


def test_the_first_candle_is_the_earliest_whatever_came_in_first(database: Database) -> None:
    for index in (9, 4, 7, 2):
        database.write(store.append, *SERIES, make_candles([index]))

    assert database.read(store.open_at, *SERIES, at(0), timedelta(hours=1)) == (102.0, at(10))
    assert database.read(store.open_at, *SERIES, at(11), timedelta(hours=1)) == (104.0, at(20))


def test_the_last_close_time_is_that_of_the_newest_candle_of_the_named_symbols(database: Database) -> None:
    database.write(store.append, "replay", "BTCUSDT", "5m", make_candles([0, 1]))
    database.write(store.append, "replay", "ETHUSDT", "5m", make_candles([0, 5]))
    database.write(store.append, "other", "BTCUSDT", "5m", make_candles([9]))

    assert database.read(store.last_close_time, "replay", "5m") == at(30)
    assert database.read(store.last_close_time, "replay", "5m", ["BTCUSDT"]) == at(10)
    assert database.read(store.last_close_time, "replay", "5m", ["BTCUSDT", "SOLUSDT"]) == at(10)
    assert database.read(store.last_close_time, "replay", "5m", ["SOLUSDT"]) is None
    assert database.read(store.last_close_time, "replay", "1h") is None
    assert database.read(store.last_close_time, "nowhere", "5m") is None


def test_every_read_is_a_search_of_the_key_and_never_a_scan(memory: Connection) -> None:
    seen: list[tuple[str, tuple[object, ...]]] = []
    with Session(memory) as session:
        event.listen(memory, "before_cursor_execute", lambda *call: seen.append((call[2], call[3])))
        store.window(session, *SERIES, at(0))
        store.open_at(session, *SERIES, at(0), timedelta(minutes=5))
        store.last_close_time(session, "replay", "5m", ["BTCUSDT"])
        store.last_close_time(session, "replay", "5m")
        reads = list(seen)
        plans = [str(row[-1]) for sql, values in reads for row in explain(memory, sql, values)]

    assert len(reads) == 4
    assert all(plan.startswith("SEARCH candles USING") for plan in plans), plans
    assert not any("TEMP B-TREE" in plan for plan in plans)


def explain(connection: Connection, sql: str, values: tuple[object, ...]) -> Sequence[Row]:
    return connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all()


indexes = st.lists(st.integers(0, 60), max_size=25)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(parts=st.lists(indexes, min_size=1, max_size=4), order=st.randoms(use_true_random=False))
def test_appending_in_any_order_and_again_changes_nothing(
    memory: Connection, parts: list[list[int]], order: Random
) -> None:
    shuffled = parts + parts
    order.shuffle(shuffled)
    with memory.begin() as transaction, Session(memory) as session:
        added = [store.append(session, *SERIES, make_candles(list(set(part)))) for part in shuffled]
        found = store.window(session, *SERIES, at(10_000))
        transaction.rollback()

    everything = sorted({index for part in parts for index in part})
    assert sum(added) == len(everything)
    assert same(found, make_candles(everything))


@quick
@given(known=indexes, minute=st.floats(-20, 320), tolerance=st.integers(0, 20))
def test_prices_equal_those_of_a_naive_scan(
    memory: Connection, known: list[int], minute: float, tolerance: int
) -> None:
    candles = make_candles(list(set(known)))
    allowed = timedelta(minutes=tolerance)
    with memory.begin() as transaction, Session(memory) as session:
        store.append(session, *SERIES, candles)
        opened = store.open_at(session, *SERIES, at(minute), allowed)
        transaction.rollback()

    scan = [(from_ms(int(time)), index) for index, time in enumerate(candles.open_time)]
    opens = [(candles.open[i], time) for time, i in scan]
    assert opened == next((row for row in opens if at(minute) <= row[1] <= at(minute) + allowed), None)
