"""What the market did at the horizon: forward returns, counterfactual outcomes, unobservable rows."""

from collections import Counter
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from ai_engine.candles import Candles
from backend.clock import to_ms
from backend.learning.decisions.prices import markets_of, posted_market
from backend.learning.decisions.record import record
from backend.learning.decisions.settle import (
    PriceSpan,
    Settling,
    settle_candles,
    settle_due,
    settle_followers,
    settle_strategies,
    waiting_strategies,
)
from backend.market import candles as candle_store
from backend.models import AITrainingSample, Feed, Strategy

CANDLE = timedelta(minutes=5)


def store_candle(bench: Any, closed: datetime, close: float, *, open_: float = 100.0, market: str = "feed") -> None:
    """Store one candle and settle by it, as those who store candles do."""

    def use_case(session: Session) -> None:
        strategy, high, low = bench.begin(session), max(open_, close), min(open_, close)
        bar = Candles([to_ms(closed - CANDLE)], [open_], [high], [low], [close], [1.0], timeframe_ms=300_000)
        candle_store.append(session, market, "BTCUSDC", "5m", bar)
        terms = Settling(strategy, bench.settings, ("feed",), bench.now)
        settle_candles(session, terms, [PriceSpan("BTCUSDC", closed, closed)])

    bench.database.write(use_case)


def sweep(bench: Any, market_time: datetime) -> int:
    def use_case(session: Session) -> int:
        return settle_due(
            session, bench.begin(session), market_time=market_time, costs=bench.settings, markets=bench.markets
        )

    return bench.database.write(use_case)


@pytest.mark.parametrize(
    ("action", "label", "class_"),
    [("BUY", 0.02 - 0.0024, "WIN"), ("SELL", -0.02 - 0.0024, "LOSS"), ("HOLD", 0.0, "NEUTRAL")],
)
def test_what_nobody_traded_gets_the_return_it_would_have_had(
    bench: Any, minutes: Any, action: str, label: float, class_: str
) -> None:
    bench.decide(action=action)

    bench.decide("d2", minutes(60), price=102.0)
    sample = bench.sample()

    assert sample.forward_return == sample.market_return == pytest.approx(0.02)
    assert sample.target_label == pytest.approx(label)
    assert (sample.target_class, sample.label_source, sample.state) == (class_, "counterfactual", "closed")
    assert (sample.executed, sample.entry_price, sample.exit_price, sample.realized_pnl) == (False, None, None, None)
    assert sample.forward_return_source == "decision"


def test_a_sell_of_a_long_only_strategy_earns_nothing_but_counts_for_direction(bench: Any, minutes: Any) -> None:
    bench.add_version()
    bench.database.write(lambda session: setattr(bench.begin(session), "sides", "long"))
    bench.forecast("d1", -0.01)

    bench.decide("d2", minutes(60), price=98.0)
    sample = bench.sample()

    assert (sample.target_label, sample.target_class) == (0.0, "NEUTRAL")
    assert sample.forward_return == pytest.approx(-0.02)
    assert bench.counters()["live_accuracy"] == 1.0


def test_a_move_inside_the_costs_is_neutral(bench: Any, minutes: Any) -> None:
    bench.add_version()
    bench.forecast("d1", 0.01)

    bench.decide("d2", minutes(60), price=100.2)

    counters = bench.counters()
    assert (counters["matured_predictions"], counters["neutral_predictions"]) == (1, 1)
    assert (counters["correct_predictions"], counters["live_accuracy"]) == (0, None)


@pytest.mark.parametrize(("offset", "settled"), [(-1, False), (0, True), (300, True), (301, False)])
def test_the_price_must_lie_within_one_timeframe_from_the_horizon(
    bench: Any, minutes: Any, offset: int, settled: bool
) -> None:
    bench.decide()

    bench.decide("d2", minutes(60) + timedelta(seconds=offset), price=102.0)

    assert bench.sample().outcome_known is settled


def test_another_symbol_or_strategy_says_nothing(bench: Any, minutes: Any) -> None:
    bench.decide()

    bench.decide("d2", minutes(60), price=102.0, symbol="ETHUSDC")
    bench.strategy = "other"
    bench.decide("d3", minutes(60), price=102.0)
    bench.strategy = "bot"

    assert bench.sample().outcome_known is False


def test_an_open_trade_gets_its_forward_return_and_no_outcome(bench: Any, minutes: Any) -> None:
    bench.decide()
    bench.execute()

    bench.decide("d2", minutes(60), price=102.0)
    sample = bench.sample()

    assert sample.forward_return == pytest.approx(0.02)
    assert (sample.state, sample.outcome_known, sample.target_label) == ("open", False, None)


def test_the_result_does_not_depend_on_the_order_in_which_prices_arrive(bench: Any, minutes: Any) -> None:
    """Two candles and two decisions within the span: the earliest wins, of one time the feed's candle."""
    prices = {
        "candle at the end": lambda: store_candle(bench, minutes(65), 108.0),
        "posted candle": lambda: store_candle(bench, minutes(65), 107.0, market=posted_market(bench.strategy)),
        "late decision": lambda: bench.decide("late", minutes(63), price=106.0),
        "first decision": lambda: bench.decide("first", minutes(61), price=105.0),
    }
    for number, order in enumerate(permutations(prices)):
        bench.strategy = f"bot-{number}"
        bench.markets = ("feed",)
        bench.decide()
        for name in order:
            prices[name]()
        sample = bench.sample()
        assert sample.forward_return == pytest.approx(0.05), order
        assert sample.forward_price_at == minutes(61)
        assert sample.market_return == sample.forward_return


def test_of_prices_of_one_time_the_feeds_candle_counts_then_posted_candles(bench: Any, minutes: Any) -> None:
    bench.markets = ("feed",)
    bench.decide()

    bench.decide("d2", minutes(60), price=106.0)
    assert bench.sample().forward_return_source == "decision"
    store_candle(bench, minutes(60), 104.0, market=posted_market(bench.strategy))
    assert bench.sample().forward_return_source == "posted"
    store_candle(bench, minutes(60), 103.0)

    assert bench.sample().forward_return_source == "candles"
    assert bench.sample().target_label == pytest.approx(0.03 - 0.0024)


def test_a_price_dated_earlier_replaces_the_one_used_and_the_counters_follow(bench: Any, minutes: Any) -> None:
    bench.add_version()
    bench.forecast("d1", 0.01)
    bench.decide("d3", minutes(64), price=102.0)
    assert bench.counters()["live_accuracy"] == 1.0

    bench.decide("d2", minutes(62), price=97.0)

    assert bench.sample().forward_return == pytest.approx(-0.03)
    assert bench.sample().target_class == "LOSS"
    assert bench.counters()["live_accuracy"] == 0.0


def test_a_decision_that_arrives_after_its_price_is_settled_at_once(bench: Any, minutes: Any) -> None:
    bench.decide("d2", minutes(60), price=102.0)

    bench.decide("d1", minutes(0))

    assert bench.sample("d1").forward_return == pytest.approx(0.02)


def test_the_sweep_settles_what_is_due_and_nothing_else(bench: Any, minutes: Any) -> None:
    bench.markets = ("feed",)
    bench.decide("d1")
    bench.decide("d2", minutes(5))

    def append(session: Session) -> None:
        opened = [to_ms(minutes(55)), to_ms(minutes(60))]
        prices = np.array([101.0, 102.0])
        bars = Candles(opened, prices, prices, prices, prices, prices, timeframe_ms=300_000)
        candle_store.append(session, "feed", "BTCUSDC", "5m", bars)

    bench.database.write(append)

    assert sweep(bench, minutes(59)) == 0
    assert sweep(bench, minutes(60)) == 1
    assert (bench.sample("d1").state, bench.sample("d2").state) == ("closed", "pending")
    assert sweep(bench, minutes(65)) == 1
    assert sweep(bench, minutes(65)) == 0
    assert bench.sample("d1").outcome_recorded_at == minutes(60)


def test_without_a_price_in_the_span_a_row_is_unobservable_until_one_turns_up(bench: Any, minutes: Any) -> None:
    bench.decide()

    sweep(bench, minutes(65))
    assert bench.sample().state == "pending", "a price dated at the very end of the span may still come"
    sweep(bench, minutes(65) + timedelta(seconds=1))
    assert bench.sample().state == "unobservable"
    assert bench.sample().outcome_known is False
    bench.decide("d2", minutes(64), price=102.0)

    assert (bench.sample().state, bench.sample().forward_return) == ("closed", pytest.approx(0.02))


def test_a_trade_without_a_price_at_the_horizon_stays_open_and_can_close(bench: Any, minutes: Any) -> None:
    bench.decide()
    bench.execute()

    sweep(bench, minutes(90))

    assert bench.sample().state == "open"
    assert bench.leave(exit_time=minutes(90)).state == "closed"
    assert bench.sample().forward_return is None


def test_a_missing_reference_price_is_the_next_candles_open(bench: Any, minutes: Any) -> None:
    bench.markets = ("feed",)
    bench.decide(price=None, body_hash=None)

    store_candle(bench, minutes(0), 95.0)
    assert bench.sample().price is None, "that candle was already seen by the features"
    store_candle(bench, minutes(5), 101.0, open_=100.5)
    store_candle(bench, minutes(60), 201.0)

    assert bench.sample().price == 100.5
    assert bench.sample().forward_return == pytest.approx(1.0)


def test_a_reference_price_that_turns_up_late_still_settles_the_row(bench: Any, minutes: Any) -> None:
    bench.markets = ("feed",)
    bench.decide(price=None)
    store_candle(bench, minutes(60), 110.0)
    sweep(bench, minutes(90))
    assert bench.sample().state == "unobservable"

    store_candle(bench, minutes(5), 101.0, open_=100.0)

    assert bench.sample().forward_return == pytest.approx(0.1)
    assert bench.sample().state == "closed"


def test_a_reference_price_that_a_bot_left_out_is_a_price_for_earlier_rows(bench: Any, minutes: Any) -> None:
    bench.decide("d1")
    bench.decide("d2", minutes(61), price=None)

    store_candle(bench, minutes(70), 107.0, open_=104.0, market=posted_market(bench.strategy))

    assert bench.sample("d2").price == 104.0
    assert bench.sample("d1").forward_return == pytest.approx(0.04)


def test_a_return_beyond_all_bounds_is_quarantined_until_a_better_price_comes(bench: Any, minutes: Any) -> None:
    bench.add_version()
    bench.forecast("d1", 0.01)

    bench.decide("d3", minutes(64), price=100_000.0)
    assert bench.sample().quarantine_reason == "return_out_of_bounds"
    assert bench.counters()["matured_predictions"] == 0
    bench.decide("d2", minutes(61), price=101.0)

    assert bench.sample().quarantine_reason is None
    assert bench.counters()["correct_predictions"] == 1


@pytest.mark.parametrize(("price", "held"), [(10.0, True), (49.9, True), (50.0, False), (200.0, False), (200.1, True)])
def test_a_price_that_more_than_halves_is_believed_as_little_as_one_that_more_than_doubles(
    bench: Any, minutes: Any, price: float, held: bool
) -> None:
    bench.add_version()
    bench.forecast("d1", 0.01)

    bench.decide("d3", minutes(64), price=price)

    assert bench.sample().forward_return == pytest.approx(price / 100 - 1)
    assert bench.sample().quarantine_reason == ("return_out_of_bounds" if held else None)
    assert bench.counters()["matured_predictions"] == (not held)
    bench.decide("d2", minutes(61), price=101.0)
    assert bench.sample().quarantine_reason is None


def test_a_trade_that_lost_most_of_its_price_is_money_and_believed(bench: Any, minutes: Any) -> None:
    bench.decide("d1")
    left = {"side": "BUY", "entry_price": 100.0, "quantity": 1.0, "entry_time": minutes(0)}

    bench.tell("d1", exit_price=10.0, exit_time=minutes(20), **left)

    assert bench.sample().market_return == pytest.approx(-0.9)
    assert bench.sample().quarantine_reason is None


def test_a_long_backlog_is_settled_in_one_sweep(bench: Any, minutes: Any, draft: Any) -> None:
    backlog = [draft(f"d{number}", minutes(number / 100)) for number in range(1_001)]
    bench.database.write(lambda session: record(session, bench.begin(session), backlog, now=bench.now))
    bench.decide("last", minutes(73), price=102.0)

    sweep(bench, minutes(200))

    states = bench.database.read(lambda session: Counter(session.scalars(select(AITrainingSample.state)).all()))
    assert states == {"closed": 201, "unobservable": 801}


def sweep_by_the_clock(bench: Any, now: datetime, market: str) -> list[str]:
    names = bench.database.read(waiting_strategies, now, market=market)
    bench.database.write(settle_strategies, names, settings=bench.settings, now=now)
    assert bench.database.read(waiting_strategies, now, market=market) == []
    return names


def test_the_wall_clock_sweep_leaves_simulated_strategies_to_their_feed(bench: Any, minutes: Any) -> None:
    bench.decide("d1")
    bench.strategy, bench.market = "sim", "simulated"
    bench.decide("d2")

    assert sweep_by_the_clock(bench, minutes(90), "simulated") == ["bot"]

    assert bench.sample("d2").state == "pending"
    bench.strategy = "bot"
    assert bench.sample("d1").state == "unobservable"


@pytest.mark.parametrize("market", ["off", "binance", "replay"])
def test_what_a_market_left_behind_that_runs_no_more_goes_by_the_wall_clock(
    bench: Any, minutes: Any, market: str
) -> None:
    bench.market = "simulated"
    bench.decide(price=None)
    bench.strategy = "traded"
    bench.decide()
    add_feed(bench, "off")

    assert sweep_by_the_clock(bench, minutes(90), market) == ["bot"]

    assert bench.sample().state == "pending", "its trader takes its own rows up again"
    bench.strategy = "bot"
    assert bench.sample().state == "unobservable"


def add_feed(bench: Any, state: str) -> None:
    """A trader's own feed."""

    def add(session: Session) -> None:
        session.add(Feed(strategy=bench.strategy, source="simulated", state=state, updated_at=bench.now))

    bench.database.write(add)


def follow(bench: Any, market: str, market_time: datetime) -> int:
    return bench.database.write(
        settle_followers,
        market,
        settings=bench.settings,
        market_time=market_time,
        costs=bench.settings,
        now=bench.now,
    )


def append(bench: Any, market: str, closed: datetime, open_: float, close: float) -> None:
    high, low = max(open_, close), min(open_, close)
    bar = Candles([to_ms(closed - CANDLE)], [open_], [high], [low], [close], [1.0], timeframe_ms=300_000)
    bench.database.write(lambda session: candle_store.append(session, market, "BTCUSDC", "5m", bar))


def test_a_markets_round_settles_the_decisions_of_bots_that_it_prices(bench: Any, minutes: Any) -> None:
    bench.market = "simulated"
    bench.decide(price=None)
    bench.decide("nobody", price=None, symbol="ETHUSDC")
    append(bench, "simulated", minutes(5), 100.0, 101.0)

    assert follow(bench, "simulated", minutes(5)) == 0
    assert bench.sample().price == 100.0, "the next candle's open, as soon as it has arrived"
    append(bench, "simulated", minutes(60), 101.0, 102.0)
    assert follow(bench, "other", minutes(60)) == 0
    assert follow(bench, "simulated", minutes(60)) == 1
    follow(bench, "simulated", minutes(70))

    sample = bench.sample()
    assert (sample.state, sample.label_source) == ("closed", "counterfactual")
    assert sample.forward_return == pytest.approx(0.02)
    assert sample.outcome_recorded_at == bench.now
    assert bench.sample("nobody").state == "unobservable"


@pytest.mark.parametrize(("state", "settled"), [("warming", 0), ("running", 0), ("stale", 0), ("off", 1)])
def test_a_trader_at_work_settles_its_own(bench: Any, minutes: Any, state: str, settled: int) -> None:
    bench.market = "simulated"
    bench.decide()
    add_feed(bench, state)
    append(bench, "simulated", minutes(60), 101.0, 102.0)

    assert follow(bench, "simulated", minutes(60)) == settled


@pytest.mark.parametrize(
    ("own", "configured", "markets"),
    [
        ("external", "off", ()),
        ("external", "simulated", ()),
        ("external", "binance", ("binance",)),
        ("binance", "binance", ("binance",)),
        ("simulated", "binance", ("simulated",)),
        ("replay", "replay", ("replay:bot",)),
    ],
)
def test_a_real_strategy_never_sees_simulated_prices(
    settings: Any, own: str, configured: str, markets: tuple[str, ...]
) -> None:
    class Configured:
        market = configured

    assert markets_of(Strategy(name="bot", market=own), Configured()) == markets  # type: ignore[arg-type]


def test_what_is_due_is_found_by_its_index(bench: Any, minutes: Any) -> None:
    bench.decide()
    seen: list[str] = []
    event.listen(
        bench.database.engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: seen.append(statement)
    )

    sweep(bench, minutes(61))

    due = next(statement for statement in seen if "horizon_at <=" in statement)
    values = due.count("?") * ("2026-03-01 11:00:00.000000",)
    with bench.database.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {due}", values).all()
    assert any("ix_ai_training_samples_unsettled" in str(step) for step in plan), plan
    assert not any("TEMP B-TREE" in str(step) for step in plan), plan
