"""When an exchange may be asked again: what it told us to wait, and longer each time that it fails."""

from dataclasses import dataclass

from backend.clock import Clock, to_ms
from backend.market.feed import FeedUnavailableError


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after so many failures in a row: twice as long each time, within bounds."""

    first_seconds: float
    longest_seconds: float

    def after(self, failures: int) -> float:
        """Seconds to wait after this many failures.

        >>> [Backoff(1.0, 60.0).after(failures) for failures in (1, 2, 3, 7, 10_000)]
        [1.0, 2.0, 4.0, 60.0, 60.0]
        """
        return float(min(self.first_seconds * 2 ** min(max(failures, 1) - 1, 30), self.longest_seconds))


FAILED = Backoff(1.0, 60.0)
LIMITED = Backoff(10.0, 600.0)


class RefusedError(FeedUnavailableError):
    """One request failed; ``everywhere`` says that no other is sent either before the wait is over."""

    def __init__(self, fault: str, *, retry_after_seconds: float, everywhere: bool = False) -> None:
        super().__init__(
            f"{fault}; it is asked again in {retry_after_seconds:.0f} s.", retry_after_seconds=retry_after_seconds
        )
        self.fault = fault
        self.everywhere = everywhere


@dataclass(frozen=True, slots=True)
class Pause:
    """So many seconds from a moment of our clock on."""

    noted_at: int
    seconds: float

    def left(self, now: int) -> float:
        """Seconds that remain; all of them where our clock was set back since.

        >>> Pause(noted_at=5_000, seconds=3.0).left(6_000), Pause(noted_at=5_000, seconds=3.0).left(0)
        (2.0, 3.0)
        """
        return self.seconds - max(now - self.noted_at, 0) / 1_000


class Restraint:
    """Holds requests back: after a limit as long as the exchange asks, after failures longer and longer."""

    def __init__(self, now: Clock) -> None:
        self._now = now
        self._pause: Pause | None = None
        self._why = ""
        self._failures = 0
        self._limits = 0

    def check(self) -> None:
        """Raise RefusedError while nothing may be asked."""
        if self._pause is None:
            return
        left = self._pause.left(to_ms(self._now()))
        if left > 0:
            raise RefusedError(self._why, retry_after_seconds=left, everywhere=True)
        self._pause = None

    def limited(self, fault: str, asked_seconds: float | None) -> RefusedError:
        """Hold everything back because the exchange said so; the error that tells it."""
        self._limits += 1
        own = LIMITED.after(self._limits)
        return self._held(fault, own if asked_seconds is None else max(asked_seconds, FAILED.first_seconds))

    def failed(self, error: RefusedError) -> RefusedError:
        """Hold everything back because the exchange as a whole fails; the error that tells for how long."""
        if error.everywhere:
            return error
        self._failures += 1
        return self._held(error.fault, FAILED.after(self._failures))

    def recovered(self) -> None:
        """The exchange answers as it should."""
        self._failures = self._limits = 0

    def _held(self, fault: str, seconds: float) -> RefusedError:
        self._pause, self._why = Pause(to_ms(self._now()), seconds), fault
        return RefusedError(fault, retry_after_seconds=seconds, everywhere=True)
