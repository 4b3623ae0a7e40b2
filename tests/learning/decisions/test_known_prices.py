"""Prices that were told, held against the candles known for their time."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ai_engine.candles import Candles
from backend.clock import to_ms
from backend.learning.decisions.imports import import_samples
from backend.learning.decisions.prices import posted_market
from backend.learning.decisions.settle import PriceSpan, Settling, settle_candles, settle_followers
from backend.market import candles as store
from backend.models import AITrainingSample, Strategy
from tests.learning.decisions.conftest import T0, VERSION

FAR, TRADE_FAR = "price_far_from_candles", "trade_far_from_candles"
CANDLE = timedelta(minutes=5)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def keep_candles(
    bench: Any, bars: dict[float, tuple[float, float]], *, symbol: str = "BTCUSDC", settle: bool = True
) -> None:
    """Store posted candles as {minute they open: (low, high)}, and judge by them as those who store candles do."""
    opened = sorted(bars)
    low, high = (np.array([bars[minute][side] for minute in opened]) for side in (0, 1))
    market = posted_market(bench.strategy)
    times = [to_ms(at(minute)) for minute in opened]
    some = Candles(times, low, high, low, high, np.ones(len(opened)), timeframe_ms=300_000)

    def use_case(session: Session) -> None:
        strategy = bench.begin(session)
        store.append(session, market, symbol, "5m", some)
        if settle:
            span = PriceSpan(symbol, at(opened[0]) + CANDLE, at(opened[-1]) + CANDLE)
            settle_candles(session, Settling(strategy, bench.settings, (), bench.now), [span])

    bench.database.write(use_case)


def traded(bench: Any, *, entry: float = 100.0, leave: float = 101.0, minutes: float = 20.0) -> str | None:
    """A trade entered at the decision; why it is held."""
    bench.decide(price=None)
    told = {"side": "BUY", "entry_price": entry, "quantity": 1.0, "entry_time": T0}
    return bench.tell(exit_price=leave, exit_time=at(minutes), **told).quarantine_reason


def flat(*opened: float) -> dict[float, tuple[float, float]]:
    return dict.fromkeys(opened, (99.0, 101.0))


@pytest.mark.parametrize(
    ("leave", "reason"),
    [(101.0, None), (115.0, None), (115.2, TRADE_FAR), (85.2, None), (85.0, TRADE_FAR), (150.0, TRADE_FAR)],
)
def test_a_price_may_leave_the_candles_by_a_tenth_and_twice_their_range(
    bench: Any, leave: float, reason: str | None
) -> None:
    """Around 99 to 101: from 99 × 0.9 − 4 = 85.1 to 101 × 1.1 + 4 = 115.1."""
    keep_candles(bench, flat(-5, 0, 5, 10, 15, 20, 25))

    assert traded(bench, leave=leave) == reason


def test_where_prices_jump_the_candles_own_range_allows_more(bench: Any) -> None:
    keep_candles(bench, flat(0) | {15: (99.0, 130.0), 20: (99.0, 130.0), 25: (99.0, 130.0)})

    assert traded(bench, leave=190.0) is None


def test_an_entry_price_is_judged_too(bench: Any) -> None:
    keep_candles(bench, flat(0, 20))

    assert traded(bench, entry=60.0) == TRADE_FAR


@pytest.mark.parametrize(
    ("opened", "reason"), [(15, TRADE_FAR), (20, TRADE_FAR), (25, TRADE_FAR), (10, None), (30, None)]
)
def test_only_the_candle_of_the_time_and_those_beside_it_judge(bench: Any, opened: float, reason: str | None) -> None:
    """Left at minute 22: the candles that open at 15, 20 and 25 are around it."""
    keep_candles(bench, flat(opened))

    assert traded(bench, leave=150.0, minutes=22.0) == reason


def test_without_a_candle_nothing_is_judged(bench: Any) -> None:
    keep_candles(bench, flat(20), symbol="ETHUSDC")

    assert traded(bench, leave=150.0) is None


def test_candles_of_another_strategys_bot_judge_nothing(bench: Any) -> None:
    bench.strategy = "somebody-else"
    keep_candles(bench, flat(0, 20))
    bench.strategy = "bot"

    assert traded(bench, leave=150.0) is None


def test_candles_that_come_later_judge_too(bench: Any) -> None:
    bench.add_version()
    bench.forecast("d1", 0.01, price=None)
    bench.tell(side="BUY", entry_price=100.0, quantity=1.0, entry_time=T0, exit_price=150.0, exit_time=at(20))
    assert bench.sample().quarantine_reason is None

    keep_candles(bench, flat(20))

    assert bench.sample().quarantine_reason == TRADE_FAR
    assert bench.counters(VERSION)["total_pnl"] == pytest.approx(50.0)


def test_a_crash_that_the_next_candle_bears_out_is_let_in(bench: Any) -> None:
    keep_candles(bench, flat(0, 15))
    assert traded(bench, leave=60.0) == TRADE_FAR

    keep_candles(bench, {20: (58.0, 101.0)})

    assert bench.sample().quarantine_reason is None


def test_each_fill_is_judged_at_its_own_time(bench: Any) -> None:
    """A position that grew while the price doubled has an average that no candle of its first fill knows."""
    keep_candles(bench, flat(0) | {600: (198.0, 202.0), 605: (198.0, 202.0)})
    bench.decide(price=None)
    bench.execute(fill_id="a", entry_time=T0)
    bench.execute(fill_id="b", entry_price=200.0, quantity=9.0, entry_time=at(600))

    sample = bench.tell(exit_price=201.0, exit_time=at(605))

    assert (sample.entry_price, sample.quarantine_reason) == (pytest.approx(190.0), None)


def test_a_wrong_reference_price_holds_its_row_and_the_one_whose_horizon_it_prices(bench: Any) -> None:
    keep_candles(bench, flat(*range(-5, 130, 5)), settle=False)
    bench.decide("d1", at(2.5))

    bench.decide("d2", at(63), price=150.0)
    bench.decide("d3", at(124), price=100.0)

    assert (bench.sample("d1").forward_return, bench.sample("d1").quarantine_reason) == (pytest.approx(0.5), FAR)
    assert bench.sample("d2").quarantine_reason == FAR
    assert bench.sample("d3").quarantine_reason is None


def test_a_price_at_the_horizon_is_judged_by_a_candle_that_comes_later(bench: Any) -> None:
    bench.decide("d1")
    bench.decide("d2", at(62), price=150.0)
    keep_candles(bench, flat(0, 50))
    assert bench.sample("d1").quarantine_reason is None

    keep_candles(bench, flat(65))

    assert (bench.sample("d1").forward_return, bench.sample("d1").quarantine_reason) == (pytest.approx(0.5), FAR)
    assert bench.sample("d2").quarantine_reason == FAR


def test_a_follower_of_the_market_is_let_in_by_the_markets_next_candle(bench: Any) -> None:
    bench.market, bench.settings = "binance", replace(bench.settings, market="binance")

    def round_of(minute: float, low: float, high: float) -> None:
        some = Candles([to_ms(at(minute))], [high], [high], [low], [low], [1.0], timeframe_ms=300_000)

        def use_case(session: Session) -> None:
            store.append(session, "binance", "BTCUSDC", "5m", some)
            when = {"market_time": at(minute) + CANDLE, "costs": bench.settings, "now": bench.now}
            settle_followers(session, "binance", settings=bench.settings, **when)

        bench.database.write(use_case)

    round_of(0, 99.0, 101.0)
    round_of(15, 99.0, 101.0)
    assert traded(bench, leave=60.0, minutes=22.0) == TRADE_FAR

    round_of(20, 58.0, 101.0)

    assert bench.sample().quarantine_reason is None


def test_imported_prices_are_judged_where_candles_are_known(bench: Any) -> None:
    keep_candles(bench, flat(0, 20))
    row = {
        "symbol": "BTCUSDC",
        "timestamp": T0.isoformat(),
        "predicted_action": "BUY",
        "entry_price": 100.0,
        "exit_time": at(20).isoformat(),
        "features": {"alpha": 1.0, "beta": 2.0},
    }

    def bring(session: Session) -> Any:
        rows = [{**row, "exit_price": price} for price in (101.0, 150.0)]
        return import_samples(session, "bot", rows, settings=bench.settings, now=bench.now, actor="test")

    result = bench.database.write(bring)

    assert (result.accepted, result.quarantined) == (2, {TRADE_FAR: 1})
    query = select(AITrainingSample.exit_price).where(AITrainingSample.quarantine_reason == TRADE_FAR)
    assert bench.database.read(lambda session: session.scalars(query).all()) == [150.0]


def test_a_row_beyond_both_bounds_stays_held_when_its_price_is_borne_out(bench: Any) -> None:
    keep_candles(bench, flat(0, 15))
    assert traded(bench, leave=300.0) == "trade_out_of_bounds"

    keep_candles(bench, {20: (100.0, 310.0)})

    assert bench.sample().quarantine_reason == "trade_out_of_bounds"
    assert bench.database.read(lambda session: session.get_one(Strategy, "bot")).name == "bot"
