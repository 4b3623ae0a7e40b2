"""The paper broker: orders fill at the next candle's open, positions leave by the rules of ``exits``.

It enters with ``record_execution`` and leaves with ``record_outcome``, the same functions a bot's calls reach.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.learning.decisions.outcomes import Execution, Outcome, record_execution, record_outcome
from backend.market.feed import Bar
from backend.models import AITrainingSample, Position, Strategy
from backend.trading.context import Terms
from backend.trading.exits import Barriers, Exit, OpenPosition, barrier_prices, find_exit, opposite, slipped
from backend.trading.markets import LIVE_STATES

NOTIONAL = 1_000.0


@dataclass(frozen=True, slots=True)
class Signal:
    """A recorded BUY or SELL that wants to trade, with the distances of its target and stop.

    One that is not ``fresh`` was decided on candles of long ago: it may end a position, and enters none.
    """

    sample_id: int
    decision_id: str
    symbol: str
    action: str
    decided_at: datetime
    barriers: Barriers
    fresh: bool = True


@dataclass(slots=True)
class _Booked:
    """A live position beside what its decision's row says."""

    position: Position
    decision_id: str


class PaperBroker:
    """The live orders and positions of one strategy inside one write transaction."""

    def __init__(self, session: Session, strategy: Strategy, terms: Terms, now: datetime) -> None:
        self._session = session
        self.strategy = strategy
        self._terms = terms
        self._now = now
        self._book = self._load()
        self.entered = 0
        self.left = 0
        self.overdue: list[str] = []

    def _load(self) -> dict[str, _Booked]:
        row = AITrainingSample
        live = select(Position, row.decision_id, row.state, row.executed).join(row, row.id == Position.sample_id)
        live = live.where(Position.strategy == self.strategy.name, Position.state.in_(LIVE_STATES))
        book: dict[str, _Booked] = {}
        for position, decision_id, state, executed in self._session.execute(live):
            # What came in by a call is not ours to trade any more.
            if position.state == "open" and state == "closed":
                position.state, position.closed_at = "closed", self._now
            elif position.state == "ordered" and executed:
                position.state, position.closed_at = "cancelled", self._now
            else:
                book[position.symbol] = _Booked(position, decision_id)
        return book

    def trade(self, opened_at: datetime, bars: Mapping[str, Bar], *, fresh: bool = True) -> None:
        """Fill orders and end positions inside the candles that opened at ``opened_at``.

        Candles that are not ``fresh`` fill nothing: an order that waited for them is cancelled. Symbols whose position
        should have been left, but has no candle to leave by, are ``overdue`` until they have.
        """
        self.overdue = []
        for symbol, booked in list(self._book.items()):
            bar = bars.get(symbol)
            if booked.position.state == "ordered":
                self._fill(booked, opened_at, bar, fresh=fresh)
            if bar is not None and booked.position.state == "open":
                self._leave(booked, opened_at, bar)
            elif booked.position.state == "open" and opened_at >= booked.position.expires_at:
                self.overdue.append(symbol)

    def leave_late(self, symbol: str, opened_at: datetime, bar: Bar) -> None:
        """End the symbol's position inside a candle that came after later rounds; nothing is entered by it."""
        booked = self._book.get(symbol)
        entered = booked.position.entry_time if booked is not None else None
        if booked is not None and entered is not None and entered <= opened_at and booked.position.state == "open":
            self._leave(booked, opened_at, bar)

    def _fill(self, booked: _Booked, opened_at: datetime, bar: Bar | None, *, fresh: bool) -> None:
        position = booked.position
        expired = opened_at >= position.expires_at or not fresh
        late = expired or opened_at - position.ordered_at > self._terms.timeframe
        if late or (bar is None and opened_at - position.ordered_at >= self._terms.timeframe):
            position.state, position.closed_at = "cancelled", opened_at
            del self._book[position.symbol]
            return
        if bar is None:
            return
        price = slipped(bar[0], position.side, self._terms.slippage_bps)
        quantity = NOTIONAL / price
        execution = Execution(
            side=position.side,
            entry_price=price,
            quantity=quantity,
            entry_time=opened_at,
            fees=price * quantity * self._terms.fee_rate,
            fill_id="paper-entry",
            reference_price=bar[0],
        )
        record_execution(self._session, self.strategy.name, booked.decision_id, execution, now=self._now)
        distances = Barriers(target=position.target_fraction, stop=position.stop_fraction)
        position.target_price, position.stop_price = barrier_prices(position.side, price, distances)
        position.entry_price, position.quantity, position.entry_time = price, quantity, opened_at
        position.state = "open"
        self.entered += 1

    def _leave(self, booked: _Booked, opened_at: datetime, bar: Bar) -> None:
        position = booked.position
        if position.target_price is None or position.stop_price is None:
            raise ValueError(f"The open position of {booked.decision_id} has no target or stop price.")
        due = "horizon" if opened_at >= position.expires_at else position.close_requested
        view = OpenPosition(position.side, position.target_price, position.stop_price, due)
        found = find_exit(view, bar)
        if found is not None:
            self._close(booked, found, opened_at if found.at_open else opened_at + self._terms.timeframe)

    def _close(self, booked: _Booked, found: Exit, at: datetime) -> None:
        position = booked.position
        if position.entry_price is None or position.quantity is None:
            raise ValueError(f"The open position of {booked.decision_id} has no entry.")
        price = slipped(found.price, opposite(position.side), self._terms.slippage_bps)
        outcome = Outcome(
            exit_price=price,
            exit_time=at,
            quantity=position.quantity,
            fees=(position.entry_price + price) * position.quantity * self._terms.fee_rate,
            realized_pnl=None,
            exit_reason=found.reason,
            fill_id="paper-exit",
            final=True,
            reference_price=found.price,
        )
        record_outcome(
            self._session, self.strategy.name, booked.decision_id, outcome, now=self._now, cost=self._terms.cost
        )
        position.state, position.closed_at = "closed", at
        del self._book[position.symbol]
        self.left += 1

    def signal(self, signal: Signal) -> None:
        """Order a position, or ask an opposite one to close at the next open; one live position a symbol."""
        booked = self._book.get(signal.symbol)
        if booked is not None:
            if booked.position.state == "open" and booked.position.side != signal.action:
                booked.position.close_requested = "signal"
            return
        if not signal.fresh or (signal.action == "SELL" and self._terms.sides == "long"):
            return
        position = Position(
            strategy=self.strategy.name,
            sample_id=signal.sample_id,
            symbol=signal.symbol,
            side=signal.action,
            state="ordered",
            ordered_at=signal.decided_at,
            target_fraction=signal.barriers.target,
            stop_fraction=signal.barriers.stop,
            expires_at=signal.decided_at + self._terms.horizon,
        )
        self._session.add(position)
        self._book[signal.symbol] = _Booked(position, signal.decision_id)
