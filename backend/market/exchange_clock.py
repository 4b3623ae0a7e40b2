"""An exchange's clock, told from its answers: between which bounds it runs ahead of ours. All in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, replace

DRIFT = 0.0005
"""How much two clocks that nobody sets may part: more than the slewing of a time service."""
FIRST_CHECK_MS = 1_000
LONGEST_CHECK_MS = 60_000
UNKNOWN_MS = 1_000
"""How far our own clock is trusted where an exchange tells nothing of its own."""


@dataclass(frozen=True, slots=True)
class Offset:
    """Their clock minus ours lies between ``low`` and ``high``; seen when ours stood at ``at``."""

    low: float
    high: float
    at: int

    @property
    def middle(self) -> float:
        """The best guess."""
        return (self.low + self.high) / 2


def read(told: int, resolution: int, sent: int, received: int) -> Offset | None:
    """What an answer that tells a time, cut to its resolution, says of the clock that made it.

    The exchange wrote it at some moment between ``sent`` and ``received`` of ours. None where our own clock was
    set back in between.

    >>> read(told=10_000, resolution=1_000, sent=9_900, received=10_100)
    Offset(low=-100, high=1100, at=10100)
    """
    if received < sent:
        return None
    return Offset(told - received, told + resolution - sent, received)


def joined(known: Offset | None, seen: Offset) -> tuple[Offset, bool]:
    """What both readings allow, and whether they contradict each other: then one clock was set, and the new one counts.

    >>> joined(Offset(0, 1000, at=0), Offset(600, 1600, at=0))
    (Offset(low=600, high=1000, at=0), False)
    >>> joined(Offset(0, 1000, at=0), Offset(5000, 6000, at=0))
    (Offset(low=5000, high=6000, at=0), True)
    """
    if known is None:
        return seen, False
    apart = DRIFT * (seen.at - known.at)
    low, high = max(known.low - apart, seen.low), min(known.high + apart, seen.high)
    if apart < 0 or low > high:
        return seen, True
    return Offset(low, high, seen.at), False


@dataclass(frozen=True, slots=True)
class ExchangeClock:
    """What is known of an exchange's clock, and when to ask for it again: soon after it was set, else seldom."""

    offset: Offset | None = None
    checked_at: int | None = None
    check_after: int = FIRST_CHECK_MS

    def heard(self, seen: Offset | None) -> ExchangeClock:
        """The clock after one more reading."""
        if seen is None:
            return replace(self, checked_at=None)
        offset, set_meanwhile = joined(self.offset, seen)
        return replace(self, offset=offset, check_after=FIRST_CHECK_MS if set_meanwhile else self.check_after)

    def checked(self, at: int) -> ExchangeClock:
        """The clock after it was asked for on purpose."""
        return replace(self, checked_at=at, check_after=min(2 * self.check_after, LONGEST_CHECK_MS))

    def check_due(self, at: int) -> bool:
        """Whether to ask for it: never done, long ago, or our own clock was set back since."""
        return self.checked_at is None or not 0 <= at - self.checked_at < self.check_after

    def surely(self, at: int) -> int:
        """The time that the exchange's clock had reached at the least when ours stood at ``at``."""
        if self.offset is None:
            return at - UNKNOWN_MS
        return int(at + self.offset.low - DRIFT * abs(at - self.offset.at))

    def at_most(self, at: int) -> int:
        """The time that it cannot have passed."""
        if self.offset is None:
            return at + UNKNOWN_MS
        return int(at + self.offset.high + DRIFT * abs(at - self.offset.at)) + 1

    def about(self, at: int) -> int:
        """Its time as well as it is known."""
        return at if self.offset is None else int(at + self.offset.middle)
