"""An interval is a function of what had matured: not of batches, restarts, corrections or what lies in quarantine."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ai_engine.types import Forecast
from backend.database import Database
from backend.learning.decisions.intervals import settled
from backend.learning.decisions.queries import decision_dict
from backend.learning.decisions.record import NewDecision, record
from backend.learning.decisions.settle import PriceSpan, Settling, settle_due, settle_prices
from backend.models import AITrainingSample, Base, Candle, IntervalState, SymbolVolatility

CANDLE = timedelta(minutes=5)
HORIZON = 12
VERSION = "v20260301_000000"
SYMBOLS = ("BTCUSDC", "ETHUSDC")

Draft = Callable[..., NewDecision]
Minutes = Callable[[float], datetime]
Round = tuple[datetime, dict[str, float]]


def prices_of(count: int, seed: int = 3) -> np.ndarray:
    """One price a candle and symbol."""
    steps = np.random.default_rng(seed).standard_t(4, size=(count, len(SYMBOLS))) * (0.002, 0.004)
    return 100.0 * np.exp(np.cumsum(steps, axis=0))


def tell(bench: Any, draft: Draft, rounds: list[Round], version: str | None) -> None:
    """One transaction: each round in turn is recorded with its prices and settles what they settle."""

    def use_case(session: Session) -> None:
        strategy = bench.begin(session)
        terms = Settling(strategy, bench.settings, bench.markets, bench.now)
        for at, prices in rounds:
            settle = [PriceSpan(symbol, at, at) for symbol in prices]
            forecast = None if version is None else Forecast(0.002, 0.001, 0.6)
            decisions = [
                draft(f"{symbol}-{at.isoformat()}", at, symbol=symbol, price=price, forecast=forecast)
                for symbol, price in prices.items()
            ]
            record(session, strategy, [replace(one, model_version=version) for one in decisions], now=bench.now)
            settle_prices(session, terms, settle)

    bench.database.write(use_case)


def warm(bench: Any, residuals: int = 80) -> None:
    """What many outcomes before have taught: residuals from 0 to 3, and how much each symbol moves."""
    kept = np.linspace(0.0, 3.0, residuals, dtype="<f4").tobytes()

    def begin(session: Session) -> None:
        name = bench.begin(session).name
        session.add(IntervalState(strategy=name, residuals=kept, matured=residuals))
        for symbol, typical in zip(SYMBOLS, (0.006, 0.012), strict=True):
            session.add(SymbolVolatility(strategy=name, symbol=symbol, level=50 * typical, weight=50.0, miss_rate=0.2))

    bench.database.write(begin)


def history(minutes: Minutes, count: int, symbols: tuple[str, ...] = SYMBOLS) -> list[Round]:
    drawn = prices_of(count)
    return [
        (minutes(5 * step), {symbol: float(drawn[step, SYMBOLS.index(symbol)]) for symbol in symbols})
        for step in range(count)
    ]


def returns(bench: Any) -> list[float | None]:
    return [row[4] for row in stored(bench)]


def stored(bench: Any) -> list[tuple[Any, ...]]:
    row = AITrainingSample
    columns = (row.decision_id, row.volatility, row.expected_return_low, row.expected_return_high, row.forward_return)
    query = select(*columns).where(row.strategy == bench.strategy).order_by(row.timestamp, row.symbol)
    return [tuple(one) for one in bench.database.read(lambda session: session.execute(query).all())]


def state(bench: Any) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    kept, one = IntervalState, SymbolVolatility
    residuals = select(kept.residuals, kept.matured).where(kept.strategy == bench.strategy)
    symbols = select(one.symbol, one.level, one.weight, one.miss_rate).where(one.strategy == bench.strategy)

    def load(session: Session) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        known = session.execute(symbols.order_by(one.symbol)).all()
        return [tuple(row) for row in session.execute(residuals).all()], [tuple(row) for row in known]

    return bench.database.read(load)


def test_a_version_that_is_activated_on_a_warm_strategy_has_intervals_at_once(
    bench: Any, draft: Draft, minutes: Minutes
) -> None:
    bench.add_version()
    warm(bench)
    told = history(minutes, 3)
    tell(bench, draft, told[:2], None)
    tell(bench, draft, told[2:], VERSION)

    rows = stored(bench)

    assert [row[1] for row in rows] == [0.006, 0.012] * 3
    assert all(row[2] is None and row[3] is None for row in rows[:4])
    reach = float(np.linspace(0.0, 3.0, 80)[64])
    assert rows[4][2:4] == pytest.approx((0.001 - reach * 0.006, 0.001 + reach * 0.006))
    assert rows[5][2:4] == pytest.approx((0.001 - reach * 0.012, 0.001 + reach * 0.012))
    assert decision_dict(bench.sample(rows[5][0]))["expected_return_interval"] == list(rows[5][2:4])


def test_the_volatility_is_that_of_the_outcomes_known_when_it_was_decided(
    bench: Any, draft: Draft, minutes: Minutes
) -> None:
    tell(bench, draft, history(minutes, 40), None)

    rows = [row for row in stored(bench) if row[0].startswith("BTC")]
    moves = np.abs([row[4] for row in rows if row[4] is not None])

    for step, (_, volatility, *_) in enumerate(rows):
        known = step - HORIZON  # the price of this very step settles only afterwards
        if known < 12:
            assert volatility is None
        else:
            weights = 0.5 ** (np.arange(known)[::-1] / 48)
            assert volatility == pytest.approx(np.average(moves[:known], weights=weights))


def test_without_sixty_matured_residuals_there_is_no_interval(bench: Any, draft: Draft, minutes: Minutes) -> None:
    bench.add_version()
    warm(bench, residuals=55)
    tell(bench, draft, history(minutes, HORIZON + 7, ("BTCUSDC",)), VERSION)

    given = [row[2] is not None for row in stored(bench)]

    assert given == [False] * (HORIZON + 5) + [True] * 2


def test_neither_batches_nor_restarts_change_an_interval(bench: Any, draft: Draft, minutes: Minutes) -> None:
    told, answers, states = history(minutes, 20), [], []
    for number, batch in enumerate((1, 7, 20)):
        bench.strategy, version = f"bot{number}", f"v20260301_00000{number}"
        bench.add_version(version)
        warm(bench)
        for start in range(0, len(told), batch):
            tell(bench, draft, told[start : start + batch], version)
            bench.database.close()
            bench.database = Database(bench.database.url)
        answers.append(stored(bench))
        states.append(state(bench))

    assert answers[0][-1][2] is not None
    assert answers[0] == answers[1] == answers[2]
    assert states[0] == states[1] == states[2]


def test_rounds_that_are_settled_late_together_teach_as_they_would_have_one_by_one(
    bench: Any, draft: Draft, minutes: Minutes
) -> None:
    moved = np.random.default_rng(5).normal(size=8) * 0.02
    states = []
    for number, together in enumerate((True, False)):
        bench.strategy, version = f"late{number}", f"v20260301_00001{number}"
        bench.add_version(version)
        warm(bench)
        tell(bench, draft, history(minutes, 4), version)
        order = np.random.default_rng(6).permutation(8)

        def settle(session: Session, together: bool = together, order: np.ndarray = order) -> None:
            strategy = bench.begin(session)
            row = AITrainingSample
            query = select(row).where(row.strategy == strategy.name).order_by(row.horizon_at, row.symbol)
            rows = session.scalars(query).all()
            for one, forward_return in zip(rows, moved, strict=True):
                one.forward_return = float(forward_return)
            for part in [[rows[place] for place in order]] if together else [rows[:4], rows[4:6], rows[6:]]:
                settled(session, strategy, part)

        bench.database.write(settle)
        states.append(state(bench))

    assert states[0][0][0][1] == 80 + 8
    assert states[0] == states[1]


def test_the_miss_rate_moves_once_a_symbol_and_round(bench: Any, draft: Draft, minutes: Minutes) -> None:
    bench.add_version()
    warm(bench)
    tell(bench, draft, history(minutes, 24), VERSION)

    _, symbols = state(bench)
    rows = [row for row in stored(bench) if row[0].startswith("BTC") and None not in row]
    expected = 0.2
    for _, _, low, high, moved in rows:
        expected = np.clip(expected + 0.02 * (0.2 - float(not low <= moved <= high)), 0.01, 0.99)

    assert symbols[0][3] == pytest.approx(expected)
    assert 0.2 != symbols[0][3] != symbols[1][3] != 0.2


def test_two_decisions_of_a_symbol_at_one_time_are_one_move_and_two_residuals(
    bench: Any, draft: Draft, minutes: Minutes
) -> None:
    tell(bench, draft, history(minutes, 30, ("BTCUSDC",)), None)
    before = state(bench)
    for name in ("first", "second"):
        bench.decide(name, minutes(150), price=100.0)
    tell(bench, draft, [(minutes(150 + 5 * step), {"BTCUSDC": 101.0}) for step in range(1, HORIZON + 1)], None)
    after = state(bench)

    moves, with_volatility = 12 + 1, 6 + 2
    new_weight = sum(0.5 ** (index / 48) for index in range(moves))
    assert after[0][0][1] - before[0][0][1] == with_volatility
    assert after[1][0][2] == pytest.approx(before[1][0][2] * 0.5 ** (moves / 48) + new_weight)


def test_a_correction_teaches_nothing_a_second_time(bench: Any, draft: Draft, minutes: Minutes) -> None:
    tell(bench, draft, history(minutes, 30, ("BTCUSDC",)), None)
    bench.decide("late", minutes(154), price=130.0)  # settles the row of minute 90, whose horizon is at 150
    before, known = state(bench), returns(bench)
    bench.decide("earlier", minutes(151), price=150.0)

    corrected = [index for index, (one, other) in enumerate(zip(known, returns(bench), strict=False)) if one != other]
    assert corrected == [18]
    assert state(bench) == before


def test_a_quarantined_row_teaches_nothing(bench: Any, draft: Draft, minutes: Minutes) -> None:
    tell(bench, draft, history(minutes, 40, ("BTCUSDC",)), None)
    before = state(bench)
    tell(bench, draft, [(minutes(200), {"BTCUSDC": 100_000.0})], None)
    quarantined = select(AITrainingSample.decision_id).where(AITrainingSample.quarantine_reason.is_not(None))

    assert len(bench.database.read(lambda session: session.scalars(quarantined).all())) == 1
    assert state(bench) == before


def test_nothing_is_read_or_written_where_nothing_was_settled(bench: Any, draft: Draft, minutes: Minutes) -> None:
    tell(bench, draft, history(minutes, HORIZON), None)

    assert state(bench) == ([(b"", 0)], [])


@pytest.fixture
def on_postgres(bench: Any, postgres_url: str) -> Iterator[Any]:
    """The bench on PostgreSQL."""
    database = Database(postgres_url)
    Base.metadata.create_all(database.engine)
    yield replace(bench, database=database)
    database.close()


@pytest.mark.postgres
def test_of_two_processes_that_settle_the_same_rows_one_learns(
    on_postgres: Any, draft: Draft, minutes: Minutes
) -> None:
    bench = on_postgres
    bench.add_version()
    warm(bench)
    tell(bench, draft, history(minutes, 20), VERSION)
    before, ready = state(bench), threading.Barrier(2)

    def settle(session: Session) -> None:
        strategy = bench.begin(session)
        ready.wait()
        costs, markets = bench.settings, ("posted:bot",)
        settle_due(session, strategy, market_time=minutes(600), costs=costs, markets=markets, now=minutes(600))

    def add_prices(session: Session) -> None:
        """The price at the horizon of every row that waits."""
        opened = [minutes(5 * step) for step in range(20, 33)]
        session.add_all(
            Candle(
                market="posted:bot", symbol=symbol, timeframe="5m", open_time=at, open=100.0, high=101.0, low=99.0,
                close=100.0, volume=1.0,
            )
            for at in opened
            for symbol in SYMBOLS
        )  # fmt: skip

    bench.database.write(add_prices)
    databases = [Database(bench.database.url) for _ in range(2)]
    threads = [threading.Thread(target=database.write, args=(settle,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in databases:
        database.close()

    waiting = 2 * HORIZON
    assert None not in returns(bench)
    assert state(bench)[0][0][1] - before[0][0][1] == waiting
    assert bench.counters(VERSION)["matured_predictions"] == 40
