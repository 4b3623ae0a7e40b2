"""One turn of the trader after another: what has closed is taken, why nothing came is said, and how long to wait."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from backend import system
from backend.clock import Clock
from backend.database import Database, is_unavailable
from backend.errors import InvalidInputError, QuantumTraderError
from backend.learning.evidence.status import STOPPED, stale_after
from backend.learning.versions.serving import Serving
from backend.market.feed import Feed, FeedUnavailableError
from backend.operations.codes import Code
from backend.settings import Settings
from backend.trading.batches import batches
from backend.trading.context import TraderContext
from backend.trading.feed_state import Silence, say, say_answers, say_silent, say_symbols
from backend.trading.markets import REPLAY, exits_only, feed_of, holdings, is_exchange
from backend.trading.pace import Pace, delay_of, seconds_to_ask
from backend.trading.role import LeaseLostError, TraderRole
from backend.trading.round import Trader

log = logging.getLogger(__name__)

SHORTEST_WAIT_SECONDS = 0.05
LONGEST_REST_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the loop waits: between looks at the lease, and after a failure (twice as long each time)."""

    tick_seconds: float = 5.0
    first_retry_seconds: float = 1.0
    longest_retry_seconds: float = 60.0
    timer: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class Workplace:
    """What the trader of this process works with; ``market`` gives the feed for settings, clock and more symbols."""

    database: Database
    settings: Settings
    serving: Serving
    clock: Clock
    holder: str = field(default_factory=system.process_identity)
    patience: Patience = Patience()
    market: Callable[..., Feed] = feed_of


class Introduction:
    """What the start says of the market: the first that is known of it."""

    def __init__(self) -> None:
        self._known = threading.Event()
        self._sentence = "It has not answered yet; the trader goes on trying."

    def say(self, sentence: str) -> None:
        """Say it, where nothing was said before."""
        if not self._known.is_set():
            self._sentence = sentence
            self._known.set()

    def hear(self, timeout_seconds: float) -> str:
        """Wait for it so long."""
        self._known.wait(timeout_seconds)
        return self._sentence


class TraderTurns:
    """The trader's state from turn to turn: its role, its market, and what is wrong with them."""

    def __init__(self, place: Workplace, stopped: threading.Event) -> None:
        self._place = place
        self._stopped = stopped
        self._role = TraderRole(place.database, place.settings.strategy, place.clock, place.holder)
        self._began = place.clock()
        self._trader: Trader | None = None
        self._trading = False
        self._complaint: str | None = None
        self._retry_seconds = place.patience.first_retry_seconds
        self._rests_until = 0.0
        self.feed: Feed | None = None
        self.trouble: Code | None = None
        self.introduction = Introduction()

    def turn(self) -> float | None:
        """Take all that has closed; the seconds to wait before the next turn, None where nothing more can come."""
        tick = self._place.patience.tick_seconds
        try:
            if not self._role.take():
                self._trader = self.trouble = None
                self.introduction.say(f"Another process trades for strategy {self._role.strategy}.")
                return tick
            rest = self._rests_until - self._place.patience.timer()
            if rest > 0 and self._complaint is not None:
                self._say_silent(self._complaint)
                return min(rest, tick)
            wait = self._trade()
        except FeedUnavailableError as error:
            return self._rest(error)
        except LeaseLostError as lost:
            self._trader = None
            log.warning("%s", lost.message)
            return tick
        except Exception as error:  # whatever a round died of, the thread says so and goes on
            return self._failed(error)
        self.trouble, self._retry_seconds = None, self._place.patience.first_retry_seconds
        return wait

    def leave(self) -> None:
        """A market that ended stays ``finished``; one that was left is ``off`` until somebody trades on it again."""
        if self.feed is not None:
            self.feed.close()
        if not self._trading:
            return
        try:
            self._say("off", STOPPED)
            self._role.give_back()
        except Exception:  # the database is gone, and so is this process in a moment
            log.exception("The end of trading could not be stored")

    def _trade(self) -> float | None:
        trader = self._trader = self._trader or self._begin()
        if trader is None:
            return self._place.patience.longest_retry_seconds
        self._trading = True
        trader.feed.prepare()
        if _is_due(trader):
            self._catch_up(trader)
            trader.take_late(trader.feed.late())
        if trader.feed.source == REPLAY and not self._stopped.is_set():
            self._trading = False
            self._say("finished")
            self._role.give_back()
            return None
        if not self._stopped.is_set():  # told to stop on the way, it does not know how far the market is
            self._judge_silence(trader)
        return self._until_next(trader)

    def _begin(self) -> Trader | None:
        """The trader at its place; None, said and waited for, where the settings do not allow one."""
        place = self._place
        try:
            also = [one.symbol for one in place.database.read(holdings, place.settings.strategy)]
            if self.feed is None:
                self.feed = place.market(place.settings, place.clock, also)
            self.feed.prepare()
            lacking = place.database.write(say_symbols, place.settings.strategy, self.feed, now=place.clock())
            if lacking is not None:
                log.warning("%s", lacking)
            if not self.feed.symbols:
                raise InvalidInputError(lacking or "The market has no symbol.", field="QT_SYMBOLS")
            context = TraderContext(
                database=place.database,
                settings=place.settings,
                serving=place.serving,
                feed=self.feed,
                strategy=place.settings.strategy,
                clock=place.clock,
                guard=self._role.keep,
                exits_only=exits_only(place.settings, self.feed, also),
            )
            trader = Trader(context)
        except (FeedUnavailableError, LeaseLostError):
            raise
        except QuantumTraderError as refused:
            log.log(logging.ERROR, "The trader cannot start: %s", refused.message)
            self._say("off", refused.message)
            self.introduction.say(f"The trader does not run: {refused.message}")
            return None
        self.introduction.say(lacking or f"{', '.join(self.feed.symbols)} on {self.feed.source}, on paper.")
        return trader

    def _catch_up(self, trader: Trader) -> None:
        """Take every round that has closed, at the market's speed, until told to stop."""
        pace, elsewhere = Pace(self._place.settings.market_speed), is_exchange(trader.feed.source)
        for batch in batches(trader.feed.rounds(trader.after), pace.rounds_a_transaction):
            # An exchange may have taken longer to answer than the lease lasts.
            if elsewhere and not self._role.take():
                raise LeaseLostError(self._role.strategy)
            trader.take_late(trader.feed.late())
            trader.steps(batch)
            self.trouble, self._retry_seconds = None, self._place.patience.first_retry_seconds
            if self._stopped.wait(pace.seconds_to_wait(len(batch))):
                return

    def _until_next(self, trader: Trader) -> float:
        due, tick = trader.after + trader.timeframe, self._place.patience.tick_seconds
        if is_exchange(trader.feed.source):
            return seconds_to_ask(trader.feed.now() - due, trader.timeframe, tick)
        return min(max((due - self._place.clock()).total_seconds(), SHORTEST_WAIT_SECONDS), tick)

    def _judge_silence(self, trader: Trader) -> None:
        """A market that answers is silent all the same where it has no newer candle; a complaint that is over ends."""
        feed = trader.feed
        if feed.now() - trader.after > stale_after(feed.timeframe):
            self._say_silent(f"{feed.source} answers, but has no newer candle.")
        elif self._complaint is not None:
            log.info("%s answers again.", feed.source)
            self._complaint = None
            self._place.database.write(say_answers, self._role.strategy, now=self._place.clock())

    def _rest(self, error: FeedUnavailableError) -> float:
        """Say why the market cannot be asked, and ask again when it says so, within bounds."""
        patience = self._place.patience
        rest = min(max(error.retry_after_seconds, patience.first_retry_seconds), LONGEST_REST_SECONDS)
        self._rests_until = patience.timer() + rest
        self._trading = True
        if not self._stopped.is_set():
            self._say_silent(error.message)
            self.introduction.say(f"{error.message} The trader goes on trying.")
        return min(rest, patience.tick_seconds)

    def _failed(self, error: Exception) -> float:
        wait = self._retry_seconds
        self._trader = None
        self._retry_seconds = min(2 * wait, self._place.patience.longest_retry_seconds)
        if not self._stopped.is_set():
            log.error("A round failed and left nothing behind; trying again in %.0f s", wait, exc_info=error)
            self.trouble = Code.WRITES_FAIL if is_unavailable(error) else self.trouble
            self._say_silent(f"{type(error).__name__}: {error}")
        return wait

    def _say_silent(self, why: str) -> None:
        """Store why no candle comes; where not even that can be stored, memory knows it."""
        place, feed = self._place, self.feed
        silence = Silence(
            source=place.settings.market,
            timeframe=place.settings.timeframe,
            why=why,
            at=place.clock() if feed is None else feed.now(),
            since=self._began,
            clock_offset_seconds=None if feed is None else feed.clock_offset_seconds,
        )
        if why != self._complaint:
            log.warning("%s", why)
        self._complaint = why
        try:
            place.database.write(say_silent, self._role.strategy, silence, now=place.clock())
        except Exception as error:  # the database itself may be what failed
            if self.trouble is None:
                log.exception("The failure could not be stored")
            self.trouble = Code.WRITES_FAIL if is_unavailable(error) else self.trouble

    def _say(self, state: str, detail: str | None = None) -> None:
        source, strategy = self._place.settings.market, self._role.strategy
        self._place.database.write(say, strategy, source, state, now=self._place.clock(), detail=detail)


def _is_due(trader: Trader) -> bool:
    """Whether there may be something to ask an exchange for; a market of our own may always be asked."""
    overdue = trader.feed.now() - trader.after - trader.timeframe
    return not is_exchange(trader.feed.source) or overdue.total_seconds() >= delay_of(trader.timeframe)
