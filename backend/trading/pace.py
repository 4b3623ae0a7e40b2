"""How fast rounds are taken: so many a second, gathered into transactions of a fraction of a second each."""

import time
from collections.abc import Callable
from datetime import timedelta

from backend.trading.batches import ROUNDS_A_TRANSACTION

TRANSACTION_SECONDS = 0.2
MADE_UP_FOR_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 1.25


def delay_of(timeframe: timedelta) -> float:
    """The seconds that an exchange is given to tell a candle that has closed."""
    return min(LONGEST_DELAY_SECONDS, timeframe.total_seconds() / 8)


def seconds_to_ask(overdue: timedelta, timeframe: timedelta, longest: float) -> float:
    """Until an exchange is asked for a candle that closed ``overdue`` ago, or will close: at most ``longest``.

    One that should have been told is asked for again after as long as it has been waited for, so never in a hurry.
    """
    delay = delay_of(timeframe)
    ahead = delay - overdue.total_seconds()
    return min(ahead if ahead > 0 else max(-ahead, delay), longest)


class Pace:
    """A speed in rounds a second, kept from the moment it is made; 0 is as fast as possible."""

    def __init__(self, speed: float, timer: Callable[[], float] = time.monotonic) -> None:
        self._speed = speed
        self._timer = timer
        self._due = timer()

    @property
    def rounds_a_transaction(self) -> int:
        """How many rounds to take at once."""
        if not self._speed:
            return ROUNDS_A_TRANSACTION
        return min(max(round(self._speed * TRANSACTION_SECONDS), 1), ROUNDS_A_TRANSACTION)

    def seconds_to_wait(self, taken: int) -> float:
        """How long to wait after ``taken`` rounds more; time lost is made up for within a second, not in a burst."""
        if not self._speed:
            return 0.0
        now = self._timer()
        self._due = max(self._due + taken / self._speed, now - MADE_UP_FOR_SECONDS)
        return max(0.0, self._due - now)
