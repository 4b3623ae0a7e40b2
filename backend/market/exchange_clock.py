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
    """What both readings allow, and whether they contradict each other: then it is the new one alone.

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
class Proof:
    """How many readings in a row make a jump believed, and how far apart they may be."""

    readings: int
    apart_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class ExchangeClock:
    """What is known of an exchange's clock, and when to ask for it again: soon after a doubt, else seldom.

    A reading that contradicts what is known is a doubt: until it is settled, what is sure holds for both.
    """

    offset: Offset | None = None
    checked_at: int | None = None
    check_after: int = FIRST_CHECK_MS
    doubted: Offset | None = None
    agreeing: int = 0

    def heard(self, seen: Offset | None, proof: Proof | None = None) -> ExchangeClock:
        """The clock after one more reading; one that contradicts is believed as the last of a proof, or only noted."""
        if seen is None:
            return replace(self, checked_at=None)
        offset, contradicts = joined(self.offset, seen)
        if not contradicts:
            return replace(self, offset=offset, doubted=None, agreeing=0)
        kept, agreeing = seen, 0
        if self.doubted is not None:
            kept, differs = joined(self.doubted, seen)
            near = proof is not None and _gap(self.doubted, seen) <= proof.apart_ms
            agreeing = 0 if differs and not near else self.agreeing
        agreeing += proof is not None
        if proof is not None and agreeing >= proof.readings:
            return replace(self, offset=kept, check_after=FIRST_CHECK_MS, doubted=None, agreeing=0)
        return replace(self, check_after=FIRST_CHECK_MS, doubted=kept, agreeing=agreeing)

    def contradicts(self, seen: Offset) -> bool:
        """Whether a reading and what is known cannot both be true."""
        return joined(self.offset, seen)[1]

    def to_be_checked(self) -> ExchangeClock:
        """The clock where something tells that it may have been set."""
        return replace(self, check_after=FIRST_CHECK_MS)

    def checked(self, at: int) -> ExchangeClock:
        """The clock after it was asked for on purpose."""
        return replace(self, checked_at=at, check_after=min(2 * self.check_after, LONGEST_CHECK_MS))

    def check_due(self, at: int) -> bool:
        """Whether to ask for it: never done, long ago, or our own clock was set back since."""
        return self.checked_at is None or not 0 <= at - self.checked_at < self.check_after

    def surely(self, at: int) -> int:
        """The time that the exchange's clock had reached at the least when ours stood at ``at``."""
        return min((int(at + one.low - DRIFT * abs(at - one.at)) for one in self._possible()), default=at - UNKNOWN_MS)

    def at_most(self, at: int) -> int:
        """The time that it cannot have passed."""
        latest = (int(at + one.high + DRIFT * abs(at - one.at)) + 1 for one in self._possible())
        return max(latest, default=at + UNKNOWN_MS)

    def about(self, at: int) -> int:
        """Its time as well as it is known."""
        return at if self.offset is None else int(at + self.offset.middle)

    def _possible(self) -> list[Offset]:
        return [one for one in (self.offset, self.doubted) if one is not None]


def _gap(one: Offset, other: Offset) -> float:
    return max(one.low, other.low) - min(one.high, other.high)
