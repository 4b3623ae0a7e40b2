"""Delivery: events leave here, later than they were stored and apart from whatever stored them.

Each target has a thread of its own, so that one that hangs holds up neither the others nor the end of the service.
Nothing is sent within a transaction: a short write claims, the message goes out, a short write records.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple
from uuid import uuid4

from backend import system
from backend.clock import Clock
from backend.database import Database
from backend.operations import delivery_queue as queue
from backend.operations.delivery_targets import targets_of
from backend.operations.delivery_types import Outcome, Parcel, Result, Target
from backend.settings import Settings

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 1.0
LATE_COMMITS = 100


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a courier's thread waits between two looks, and after one that failed."""

    look_every_seconds: float = 1.0
    after_failure_seconds: float = 30.0


class _Told(NamedTuple):
    """An attempt whose outcome is not stored yet."""

    parcels: Sequence[Parcel]
    outcome: Outcome


class Courier:
    """Sends one target its events, one message after the other."""

    def __init__(self, database: Database, target: Target, clock: Clock) -> None:
        self.target = target
        self._database = database
        self._clock = clock
        self._owner = f"{system.process_identity()}#{uuid4().hex[:8]}"
        self._after: int | None = None
        self._unstored: _Told | None = None
        self._untried: list[Parcel] = []
        self._stopped = threading.Event()
        self._let_go = False

    def begin(self, after: int) -> None:
        """Tell of events later than ``after``."""
        self._after = after

    def turn(self) -> int:
        """Send what is due; how many messages were tried."""
        self._settle()
        after = self._after
        if after is None or not self._database.read(queue.has_work, self.target, after, self._clock(), self._owner):
            return 0
        newest = self._database.read(queue.newest_event)
        messages = self._database.write(queue.claim, self.target, after, self._clock(), self._owner)
        # An event may be stored later than one with a higher number: look a little way back, always.
        self._after = max(after, min(newest, after + queue.EVENTS_A_LOOK) - LATE_COMMITS)
        return self._send(messages)

    def keep_on(self, pace: Pace) -> None:
        """Turn until told to stop; whatever goes wrong is logged and tried again."""
        pause = pace.look_every_seconds
        while not self._stopped.wait(pause):
            try:
                self.turn()
                pause = pace.look_every_seconds
            except Exception:
                logger.exception("Delivery (%s) could not go on; trying again.", self.target.label)
                pause = pace.after_failure_seconds

    def stop(self) -> None:
        """Begin no further message."""
        self._stopped.set()

    def let_go(self) -> None:
        """Store nothing any more: the database is about to close."""
        self._let_go = True

    def _send(self, messages: Sequence[Sequence[Parcel]]) -> int:
        self._untried = [parcel for parcels in messages for parcel in parcels]
        tried = 0
        while self._untried and not self._let_go:
            parcels = messages[tried]
            tried += 1
            self._untried = self._untried[len(parcels) :]
            outcome = _within(self.target.deadline_seconds, partial(self._attempt, parcels))
            self._unstored = _Told(parcels, outcome)
            if outcome.pause or self._stopped.is_set():
                self._settle(queue.retry_at(parcels[0].attempts, outcome, self._clock()))
            self._store()
        return tried

    def _attempt(self, parcels: Sequence[Parcel]) -> Outcome:
        try:
            return self.target.send(parcels, self._clock())
        except Exception as error:  # a sender's bug must not stop the others; its text might hold the address
            return Outcome(Result.UNCERTAIN, f"It failed unexpectedly ({type(error).__name__}).")

    def _settle(self, again_at: datetime | None = None) -> None:
        """Store what is known and return what was not tried: both stay in hand until the database has taken them."""
        self._store()
        if self._untried and not self._let_go:
            at = again_at or self._clock()
            self._database.write(queue.give_back, self._untried, at, self._owner)
            self._untried = []

    def _store(self) -> None:
        if self._unstored is None or self._let_go:
            return
        parcels, outcome = self._unstored
        if outcome.error is not None:
            logger.warning("Delivery (%s): %s", self.target.label, outcome.error)
        channel = self.target.channel
        self._database.write(queue.record, parcels, outcome, channel, self._clock(), self._owner)
        self._unstored = None


def _within(seconds: float, attempt: Callable[[], Outcome]) -> Outcome:
    """What came of the attempt; one that outlasts its time is left behind in its thread, which holds up no exit."""
    found: list[Outcome] = []
    thread = threading.Thread(target=lambda: found.append(attempt()), name="delivery-attempt", daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else Outcome(Result.UNCERTAIN, f"It did not end within {seconds:g} s.", pause=True)


class Deliverer:
    """Everybody's courier; without a target it does nothing at all."""

    def __init__(self, database: Database, settings: Settings, clock: Clock, pace: Pace = Pace()) -> None:
        self._database = database
        self._clock = clock
        self._pace = pace
        self._couriers = [Courier(database, target, clock) for target in targets_of(settings)]
        self._threads: list[threading.Thread] = []
        self._begun = False

    @property
    def targets(self) -> list[Target]:
        """Who is told."""
        return [courier.target for courier in self._couriers]

    def begin(self) -> None:
        """Note who is new, to be told what happens from now on; without a target there is nothing to note."""
        if self._begun:
            return
        after = {digest: place.after for digest, place in self._database.read(queue.known_targets).items()}
        if any(target.digest not in after for target in self.targets):
            after = self._database.write(queue.add_targets, self.targets, self._clock())
        for courier in self._couriers:
            courier.begin(after[courier.target.digest])
        self._begun = True

    def step(self) -> int:
        """Send everybody what is due, one after the other, and come back; how many messages were tried."""
        self.begin()
        return sum(courier.turn() for courier in self._couriers)

    def start(self) -> None:
        """Go on in threads of their own, until stopped or until the process ends."""
        self.begin()
        for courier in self._couriers:
            name = f"delivery-{courier.target.channel}"
            self._threads.append(threading.Thread(target=courier.keep_on, args=(self._pace,), name=name, daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Begin no further message; one on its way has a moment to end, then its claim says that it was interrupted."""
        for courier in self._couriers:
            courier.stop()
        deadline = time.monotonic() + patience_seconds
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        for courier in self._couriers:
            courier.let_go()
