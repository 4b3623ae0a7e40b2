"""The trader as a thread: one process holds the role by a lease, paces the market, and says how it fares."""

import logging
import threading
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from backend import system
from backend.clock import Clock
from backend.database import Database
from backend.errors import InvalidInputError, QuantumTraderError
from backend.learning.evidence.status import STOPPED
from backend.learning.versions.serving import Serving
from backend.market.feed import Feed
from backend.market.files import FileMarket, expand
from backend.market.klines import name_parts
from backend.market.simulated import SimulatedMarket
from backend.models import Feed as FeedRow
from backend.settings import Settings
from backend.trading.batches import batches
from backend.trading.context import TraderContext
from backend.trading.pace import Pace
from backend.trading.role import LeaseLostError, TraderRole
from backend.trading.round import Trader

log = logging.getLogger(__name__)

SHORTEST_WAIT_SECONDS = 0.05
REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the loop waits: between looks at the lease, and after a failure (twice as long each time)."""

    tick_seconds: float = 5.0
    first_retry_seconds: float = 1.0
    longest_retry_seconds: float = 60.0


def feed_of(settings: Settings, clock: Clock) -> Feed | None:
    """The market that the settings name; None where this trader has none to trade on."""
    if settings.market == "simulated":
        return SimulatedMarket(settings.symbols, settings.timeframe, now=clock)
    if settings.market == "replay" and settings.market_files is not None:
        return FileMarket(settings.market_files, settings.timeframe, _symbols_in_files(settings))
    return None


def _symbols_in_files(settings: Settings) -> tuple[str, ...] | None:
    """Those of the configured symbols that the files hold; None, which means all, where they hold none of them."""
    held = {name_parts(path)[0] for path in expand(settings.market_files or "")}
    return tuple(symbol for symbol in settings.symbols if symbol in held) or None


def say(session: Session, strategy: str, source: str, state: str, *, now: datetime, detail: str | None = None) -> None:
    """Write the feed's state where everybody can read it."""
    row = session.get(FeedRow, strategy)
    if row is None:
        row = FeedRow(strategy=strategy, source=source)
        session.add(row)
    row.state, row.updated_at, row.detail = state, now, detail


class TraderLoop:
    """Trades until it is stopped: takes the role, catches up at the market's speed, then follows real time."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        serving: Serving,
        clock: Clock,
        holder: str | None = None,
        patience: Patience = Patience(),
    ) -> None:
        self._database = database
        self._settings = settings
        self._serving = serving
        self._clock = clock
        self._role = TraderRole(database, settings.strategy, clock, holder or system.process_identity())
        self._feed: Feed | None = None
        self._trading = False
        self._patience = patience
        self._retry_seconds = patience.first_retry_seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trader", daemon=True)

    def start(self) -> None:
        """Begin in a thread of its own."""
        self._thread.start()

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Finish the round in hand, give the role back, end."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                if self._role.take():
                    self._trade()
                self._stopped.wait(self._patience.tick_seconds)
            except LeaseLostError as lost:
                log.warning("%s", lost.message)
            except Exception as error:  # whatever a round died of, the thread says so and goes on
                self._failed(error)
        self._leave()

    def _trade(self) -> None:
        """Take rounds until told to stop, or until nothing more can come."""
        trader = self._begin()
        if trader is None:
            return
        self._trading = True
        while self._catch_up(trader):
            if trader.feed.source == REPLAY:
                self._trading = False
                self._say("finished")
                self._role.give_back()
                self._stopped.wait()
            elif not self._stopped.wait(self._until_next(trader)) and not self._role.take():
                return

    def _begin(self) -> Trader | None:
        """The trader at its place; None, said and waited for, where the settings do not allow one."""
        try:
            if self._feed is None:
                self._feed = feed_of(self._settings, self._clock)
            if self._feed is None:
                raise InvalidInputError(f"QT_MARKET={self._settings.market} has no trader.", field="QT_MARKET")
            context = TraderContext(
                database=self._database,
                settings=self._settings,
                serving=self._serving,
                feed=self._feed,
                strategy=self._settings.strategy,
                clock=self._clock,
                guard=self._role.keep,
            )
            return Trader(context)
        except QuantumTraderError as refused:
            log.log(logging.ERROR, "The trader cannot start: %s", refused.message)
            self._say("off", refused.message)
            self._stopped.wait(self._patience.longest_retry_seconds)
            return None

    def _catch_up(self, trader: Trader) -> bool:
        """Take every round that has closed, at the market's speed; False when told to stop."""
        pace = Pace(self._settings.market_speed)
        for batch in batches(trader.feed.rounds(trader.after), pace.rounds_a_transaction):
            trader.steps(batch)
            self._retry_seconds = self._patience.first_retry_seconds
            if self._stopped.wait(pace.seconds_to_wait(len(batch))):
                return False
        return not self._stopped.is_set()

    def _until_next(self, trader: Trader) -> float:
        due = (trader.after + trader.timeframe - self._clock()).total_seconds()
        return min(max(due, SHORTEST_WAIT_SECONDS), self._patience.tick_seconds)

    def _failed(self, error: Exception) -> None:
        log.error("A round failed and left nothing behind; trying again in %.0f s", self._retry_seconds, exc_info=error)
        try:
            self._say("stale", f"{type(error).__name__}: {error}")
        except Exception:  # the database itself may be what failed
            log.exception("The failure could not be stored")
        self._stopped.wait(self._retry_seconds)
        self._retry_seconds = min(2 * self._retry_seconds, self._patience.longest_retry_seconds)

    def _leave(self) -> None:
        """A market that ended stays ``finished``; one that was left is ``off`` until somebody trades on it again."""
        if self._trading:
            self._say("off", STOPPED)
            self._role.give_back()

    def _say(self, state: str, detail: str | None = None) -> None:
        source, strategy = self._settings.market, self._settings.strategy
        self._database.write(say, strategy, source, state, now=self._clock(), detail=detail)
