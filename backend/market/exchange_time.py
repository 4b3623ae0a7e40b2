"""How an exchange's clock is read: by asking for its time, and where it tells none, from the dates of its answers."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from backend.clock import Clock, to_ms
from backend.market import exchange_answers as answers
from backend.market.exchange_clock import ExchangeClock, Offset, Proof, read
from backend.market.exchange_restraint import RefusedError

Ask: TypeAlias = Callable[[Any], Awaitable[Any]]

TIMES = Proof(readings=2, apart_ms=10_000)
"""Asked for at once one after the other; a clock that runs fast is far on with the second."""
DATES = Proof(readings=3)
"""Asked for a while apart: a date comes from whatever lies on the way, and one from a store does not go on."""
TIME_COUNTS_MS = 300_000
END_OF_TIME_MS = 253_402_300_799_000


class Timekeeper:
    """An exchange's clock. What it says when it is asked for the time outweighs every date, as long as it says it."""

    def __init__(self, ask: Callable[[Ask], Any], now: Clock, *, tells_time: bool) -> None:
        self.clock = ExchangeClock()
        self.candle: Ask | None = None
        """What to ask for where only a date is wanted."""
        self._ask = ask
        self._now = now
        self._tells_time = tells_time
        self._told_at: int | None = None
        self._proof: Proof | None = None
        self._asking = False

    def check(self, *, at_once: bool = False) -> bool:
        """Ask for the time where that is due, or at once; False where it tells none."""
        at = to_ms(self._now())
        if not self.clock.check_due(at) and not (at_once and self._tells_time):
            return self._tells_time
        # Noted before it is answered: an exchange that fails here alone is not asked again at once.
        self.clock = self.clock.checked(at)
        self._asking = True
        try:
            told = self._tells_time and self._ask_time()
        except RefusedError as error:
            if not error.everywhere:
                self._ask_date()
            raise
        finally:
            self._asking = False
        if not told:
            self._ask_date()
        return told

    def hear(self, headers: Mapping[str, str], sent: int) -> None:
        """Note what the date of an answer tells: beside the time it makes that finer, or a reason to ask for it."""
        told = answers.date_ms(headers)
        if told is None:
            return
        seen = read(told, 1_000, sent, to_ms(self._now()))
        if not self._time_counts():
            self.clock = self.clock.heard(seen, self._proof)
        elif seen is None or not self.clock.contradicts(seen):
            self.clock = self.clock.heard(seen)
        elif not self._asking:
            self.clock = self.clock.to_be_checked()

    def reached(self, headers: Mapping[str, str], sent: int) -> int:
        """The time that it had surely reached when it made an answer, which may be older than the question."""
        surely, date = self.clock.surely(sent), answers.date_ms(headers)
        return surely if date is None or date + 1_000 > surely else date

    def _time_counts(self) -> bool:
        return self._told_at is not None and 0 <= to_ms(self._now()) - self._told_at < TIME_COUNTS_MS

    def _ask_time(self) -> bool:
        for _ in range(TIMES.readings):
            sent = to_ms(self._now())
            told = self._ask(lambda ccxt: ccxt.fetch_time())
            if not isinstance(told, int) or not 0 < told < END_OF_TIME_MS:
                return False
            self._take(read(told, 1 if told % 1_000 else 1_000, sent, to_ms(self._now())))
            if self.clock.doubted is None:
                break
        return True

    def _take(self, seen: Offset | None) -> None:
        if self._told_at is None:
            # What only dates told does not count any more.
            kept = self.clock
            self.clock = ExchangeClock(checked_at=kept.checked_at, check_after=kept.check_after)
        self.clock = self.clock.heard(seen, TIMES)
        self._told_at = to_ms(self._now())

    def _ask_date(self) -> None:
        """Ask for something only to see its date."""
        if self.candle is None or self._time_counts():
            return
        self._proof = DATES
        try:
            self._ask(self.candle)
        except RefusedError as error:
            if error.everywhere:
                raise
        finally:
            self._proof = None
