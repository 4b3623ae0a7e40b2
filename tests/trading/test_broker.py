"""The paper broker: next open, costs on both legs, one position a symbol, exits as the rules say."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy.orm import Session

from backend.database import Database
from backend.learning.decisions.outcomes import Execution, Outcome, record_execution, record_outcome
from backend.learning.decisions.record import NewDecision, record
from backend.learning.decisions.strategies import ensure_strategy
from backend.market.feed import Bar
from backend.models import AITrainingSample, Fill, Position, TradeLog
from backend.settings import Settings
from backend.trading.broker import NOTIONAL, PaperBroker, Signal
from backend.trading.context import Terms
from backend.trading.exits import Barriers
from tests.trading.desk import FIVE_MINUTES, NOW, START, Bars, random_bars

FLAT: Bar = (100.0, 100.0, 100.0, 100.0, 1.0)
TERMS = Terms(fee_rate=0.001, slippage_bps=2.0, timeframe=FIVE_MINUTES, horizon_candles=4, sides="long,short")


@dataclass
class Floor:
    """One strategy whose rounds and signals the test writes; every call is a transaction with a broker of its own."""

    database: Database
    settings: Settings
    terms: Terms = TERMS

    def _in(self, work: Callable[[Session, PaperBroker], Any]) -> Any:
        def use(session: Session) -> Any:
            strategy, _ = ensure_strategy(
                session,
                "floor",
                market="replay",
                settings=replace(self.settings, sides=self.terms.sides),
                now=NOW,
                actor="test",
            )
            return work(session, PaperBroker(session, strategy, self.terms, NOW))

        return self.database.write(use)

    def signal(self, action: str, candle: int, symbol: str = "AAA", target: float = 0.02, stop: float = 0.01) -> str:
        """A decision at the open of candle number ``candle``."""
        at = START + candle * FIVE_MINUTES

        def work(session: Session, broker: PaperBroker) -> str:
            decision = NewDecision(
                f"{symbol}-{candle}", symbol, at, None, ("x",), np.zeros(1, np.float32), action, None, None, None,
                False, 1.0, None,
            )  # fmt: skip
            sample = record(session, broker.strategy, [decision], now=NOW)[0]
            broker.signal(Signal(sample.id, sample.decision_id, symbol, action, at, Barriers(target, stop)))
            return sample.decision_id

        return str(self._in(work))

    def candle(self, number: int, **bars: Bar) -> None:
        """The candles that open at number ``number``."""
        self._in(lambda _, broker: broker.trade(START + number * FIVE_MINUTES, bars))

    def sample(self, decision_id: str) -> AITrainingSample:
        return self.database.read(lambda s: s.query(AITrainingSample).filter_by(decision_id=decision_id).one())

    def position(self, decision_id: str) -> Position | None:
        sample_id = self.sample(decision_id).id
        return self.database.read(lambda s: s.query(Position).filter_by(sample_id=sample_id).one_or_none())

    def fills(self, decision_id: str) -> list[Fill]:
        sample_id = self.sample(decision_id).id
        return self.database.read(lambda s: s.query(Fill).filter_by(sample_id=sample_id).order_by(Fill.id).all())

    def trades(self) -> list[TradeLog]:
        return self.database.read(lambda s: s.query(TradeLog).order_by(TradeLog.entry_time).all())


@pytest.fixture
def floor(database: Database, settings: Settings) -> Floor:
    return Floor(database, settings)


def test_an_order_fills_at_the_next_open_dearer_by_the_slippage_and_with_a_fee(floor: Floor) -> None:
    bought = floor.signal("BUY", 1)
    floor.candle(1, AAA=FLAT)

    sample, position = floor.sample(bought), floor.position(bought)

    assert position is not None
    assert position.state == "open"
    assert sample.state == "open"
    assert sample.entry_price == pytest.approx(100.02)
    assert sample.quantity == pytest.approx(NOTIONAL / 100.02)
    assert sample.fees == pytest.approx(NOTIONAL * 0.001)
    assert sample.entry_time == START + FIVE_MINUTES
    assert position.target_price == pytest.approx(100.02 * 1.02)
    assert position.stop_price == pytest.approx(100.02 * 0.99)


def test_a_short_fills_cheaper_and_its_profit_is_the_fall_less_both_fees(floor: Floor) -> None:
    sold = floor.signal("SELL", 1)
    floor.candle(1, AAA=FLAT)
    floor.candle(2, AAA=(100.0, 100.0, 97.0, 97.5, 1.0))

    sample = floor.sample(sold)
    entry, leave = 100.0 * (1 - 0.0002), 100.0 * (1 - 0.0002) * 0.98 * 1.0002
    quantity = NOTIONAL / entry

    assert (sample.exit_reason, sample.execution_side, sample.label_source) == ("target", "SELL", "executed")
    assert sample.exit_price == pytest.approx(leave)
    assert sample.fees == pytest.approx((entry + leave) * quantity * 0.001)
    assert sample.realized_pnl == pytest.approx(quantity * (entry - leave) - (entry + leave) * quantity * 0.001)
    assert sample.exit_time == START + 3 * FIVE_MINUTES
    assert sample.target_class == "WIN"


def test_both_fills_keep_the_price_before_slippage(floor: Floor) -> None:
    sold = floor.signal("SELL", 1)
    floor.candle(1, AAA=FLAT)
    floor.candle(2, AAA=(100.0, 100.0, 97.0, 97.5, 1.0))

    entry, leave = floor.fills(sold)

    assert (entry.leg, entry.reference_price) == ("entry", 100.0)
    assert (leave.leg, leave.reference_price) == ("exit", pytest.approx(100.0 * (1 - 0.0002) * 0.98))
    assert entry.price == pytest.approx(entry.reference_price * (1 - 0.0002))
    assert leave.price == pytest.approx(leave.reference_price * (1 + 0.0002))


def test_a_candle_that_is_missing_delays_the_fill_by_one_timeframe(floor: Floor) -> None:
    bought = floor.signal("BUY", 1)
    floor.candle(1, BBB=FLAT)
    floor.candle(2, AAA=(105.0, 105.0, 105.0, 105.0, 1.0))

    assert floor.sample(bought).entry_price == pytest.approx(105 * 1.0002)
    assert floor.sample(bought).entry_time == START + 2 * FIVE_MINUTES


@pytest.mark.parametrize("later", [{"BBB": FLAT}, {"AAA": FLAT}], ids=["another symbol's", "its own"])
def test_an_order_whose_next_candle_is_later_still_is_cancelled(floor: Floor, later: dict[str, Bar]) -> None:
    bought = floor.signal("BUY", 1)
    floor.candle(3, **later)

    sample, position = floor.sample(bought), floor.position(bought)

    assert position is not None
    assert position.state == "cancelled"
    assert (sample.executed, sample.state, sample.entry_price) == (False, "pending", None)
    assert floor.signal("BUY", 4)
    floor.candle(4, AAA=FLAT)
    assert floor.sample("AAA-4").executed


def test_an_order_that_missed_both_candles_is_cancelled_as_soon_as_that_is_known(floor: Floor) -> None:
    bought = floor.signal("BUY", 1)
    floor.candle(1, BBB=FLAT)
    floor.candle(2, BBB=FLAT)

    position = floor.position(bought)

    assert position is not None
    assert position.state == "cancelled"


def test_the_entry_candle_itself_can_reach_the_stop(floor: Floor) -> None:
    bought = floor.signal("BUY", 1)
    floor.candle(1, AAA=(100.0, 110.0, 90.0, 105.0, 1.0))

    sample = floor.sample(bought)

    assert sample.exit_reason == "stop"
    assert sample.exit_price == pytest.approx(100.02 * 0.99 * 0.9998)
    assert (sample.entry_time, sample.exit_time) == (START + FIVE_MINUTES, START + 2 * FIVE_MINUTES)
    assert sample.target_class == "LOSS"


def test_the_horizon_ends_a_trade_at_the_open_of_the_first_candle_at_or_after_it(floor: Floor) -> None:
    bought = floor.signal("BUY", 1)
    for number in (1, 2, 3, 4):
        floor.candle(number, AAA=FLAT)
    assert floor.sample(bought).state == "open"
    floor.candle(7, AAA=(100.5, 120.0, 80.0, 100.0, 1.0))

    sample = floor.sample(bought)

    assert (sample.exit_reason, sample.exit_time) == ("horizon", START + 7 * FIVE_MINUTES)
    assert sample.exit_price == pytest.approx(100.5 * 0.9998)


@pytest.mark.parametrize(("first", "second"), [("BUY", "SELL"), ("SELL", "BUY")])
def test_an_opposite_signal_closes_at_the_next_open_and_opens_nothing(floor: Floor, first: str, second: str) -> None:
    opened = floor.signal(first, 1)
    floor.candle(1, AAA=FLAT)
    closing = floor.signal(second, 2)
    floor.candle(2, AAA=(100.1, 100.1, 100.1, 100.1, 1.0))

    assert floor.sample(opened).exit_reason == "signal"
    assert floor.sample(opened).exit_time == START + 2 * FIVE_MINUTES
    assert floor.sample(closing).executed is False
    assert floor.position(closing) is None


def test_there_is_one_live_position_a_symbol(floor: Floor) -> None:
    first = floor.signal("BUY", 1)
    again = floor.signal("BUY", 1 + 0, symbol="BBB")
    floor.candle(1, AAA=FLAT, BBB=FLAT)
    repeated = floor.signal("BUY", 2)
    floor.candle(2, AAA=FLAT, BBB=FLAT)

    assert floor.sample(first).executed
    assert floor.sample(again).executed
    assert not floor.sample(repeated).executed


def test_a_long_only_strategy_never_sells_short_but_a_sell_closes_its_long(floor: Floor) -> None:
    floor.terms = replace(TERMS, sides="long")
    flat = floor.signal("SELL", 1)
    floor.candle(1, AAA=FLAT)
    bought = floor.signal("BUY", 2)
    floor.candle(2, AAA=FLAT)
    floor.signal("SELL", 3)
    floor.candle(3, AAA=FLAT)

    assert floor.position(flat) is None
    assert not floor.sample(flat).executed
    assert floor.sample(bought).exit_reason == "signal"


def test_a_position_whose_outcome_came_in_by_a_call_is_let_go(floor: Floor) -> None:
    bought = floor.signal("BUY", 1)
    floor.candle(1, AAA=FLAT)
    told = Outcome(exit_price=101.0, exit_time=START + 2 * FIVE_MINUTES, exit_reason="manual")
    floor.database.write(record_outcome, "floor", bought, told, now=NOW, cost=TERMS.cost)
    floor.candle(2, AAA=(50.0, 50.0, 50.0, 50.0, 1.0))

    position = floor.position(bought)

    assert floor.sample(bought).exit_price == 101.0
    assert position is not None
    assert position.state == "closed"
    assert len(floor.trades()) == 1


def test_an_order_whose_execution_came_in_by_a_call_is_withdrawn(floor: Floor) -> None:
    bought = floor.signal("BUY", 1)
    told = Execution("BUY", 99.0, 1.0, entry_time=START + FIVE_MINUTES)
    floor.database.write(record_execution, "floor", bought, told, now=NOW)
    floor.candle(1, AAA=FLAT)

    position = floor.position(bought)

    assert floor.sample(bought).quantity == 1.0
    assert position is not None
    assert position.state == "cancelled"


@dataclass
class _Oracle:
    """An independent account of what should happen to one symbol, as one loop over plain numbers."""

    bars: Bars
    signals: dict[int, str]
    missing: frozenset[int]

    def trades(self) -> list[tuple[int, str, float, float, str]]:
        """(candle of entry, side, entry price, exit price, reason) of every trade that closed."""
        slip, wait, hold = 0.0002, 1, 4
        found = []
        order: tuple[int, str] | None = None
        held: tuple[int, int, str, float] | None = None
        leaving = False
        for i, (opened, high, low, _, _) in enumerate(self.bars):
            if i not in self.missing:
                if order and i - order[0] <= wait:
                    up = 1 if order[1] == "BUY" else -1
                    held, leaving = (order[0], i, order[1], opened * (1 + up * slip)), False
                order = None
                if held:
                    decided, entered, side, price = held
                    up = 1 if side == "BUY" else -1
                    stop, target = price * (1 - up * 0.006), price * (1 + up * 0.009)
                    worst, best = (low, high) if up > 0 else (high, low)
                    level, why = None, ""
                    if i >= decided + hold:
                        level, why = opened, "horizon"
                    elif leaving:
                        level, why = opened, "signal"
                    elif up * (worst - stop) <= 0:
                        level, why = (opened if up * (opened - stop) <= 0 else stop), "stop"
                    elif up * (best - target) >= 0:
                        level, why = target, "target"
                    if level is not None:
                        found.append((entered, side, price, level * (1 - up * slip), why))
                        held = None
            elif order and i - order[0] >= wait:
                order = None
            action = self.signals.get(i)
            if action and held:
                leaving = leaving or action != held[2]
            elif action and not order:
                order = (i + 1, action)
        return found


@pytest.mark.parametrize("seed", range(3))
def test_over_a_random_market_every_trade_is_the_one_an_independent_account_finds(floor: Floor, seed: int) -> None:
    random = np.random.default_rng(seed)
    bars = random_bars(150, seed, volatility=0.005)
    missing = frozenset(int(i) for i in random.choice(150, 20, replace=False))
    signals = {i: str(random.choice(["BUY", "SELL"])) for i in range(149) if random.random() < 0.4 and i not in missing}

    for i, bar in enumerate(bars):
        floor.candle(i, **({} if i in missing else {"AAA": bar}))
        if i in signals:
            floor.signal(signals[i], i + 1, target=0.009, stop=0.006)

    found = [
        ((t.entry_time - START) // FIVE_MINUTES, t.side, t.entry_price, t.exit_price, t.exit_reason)
        for t in floor.trades()
    ]
    expected = _Oracle(bars, signals, missing).trades()
    assert len(expected) > 10
    assert [(e, s, r) for e, s, _, _, r in found] == [(e, s, r) for e, s, _, _, r in expected]
    np.testing.assert_allclose([t[2:4] for t in found], [t[2:4] for t in expected], rtol=1e-12)


def test_what_the_floor_earned_is_the_sum_over_its_trades(floor: Floor) -> None:
    bars = random_bars(60, 9, volatility=0.005)
    for i, bar in enumerate(bars):
        floor.candle(i, AAA=bar)
        floor.signal("BUY" if i % 3 else "SELL", i + 1)

    for trade in floor.trades():
        side = 1 if trade.side == "BUY" else -1
        assert trade.quantity is not None
        gross = side * trade.quantity * (trade.exit_price - trade.entry_price)
        fees = 0.001 * trade.quantity * (trade.entry_price + trade.exit_price)
        assert trade.fees == pytest.approx(fees)
        assert trade.realized_pnl == pytest.approx(gross - fees)
        assert trade.exit_time > trade.entry_time
        assert trade.exit_time - trade.entry_time <= timedelta(minutes=20)
