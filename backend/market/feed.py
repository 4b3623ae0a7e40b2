"""What every market looks like to the trader: closed candles before a time, then rounds in event order."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from ai_engine.candles import Candles
from backend.clock import Clock, utc_now
from backend.errors import UnavailableError

Bar: TypeAlias = tuple[float, float, float, float, float]
"""Open, high, low, close and volume of one candle."""


@dataclass(frozen=True, slots=True)
class CandleRound:
    """The candles that closed at one time, symbols sorted; each opened one timeframe earlier.

    ``fresh`` is false where the close lay so far back when the candles came that no order may follow from them.
    """

    close_time: datetime
    candles: dict[str, Bar]
    fresh: bool = True


class FeedUnavailableError(UnavailableError):
    """The market gives no candles now; it is to be asked again after ``retry_after_seconds``."""

    reason = "market_unreachable"

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message, reason=self.reason, retry_after_seconds=retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds


class Feed(Protocol):
    """A source of closed candles. Nothing it yields lies in the future of its market."""

    @property
    def source(self) -> str:
        """The market's name: ``simulated``, ``replay`` or an exchange id."""

    @property
    def timeframe(self) -> str:
        """The length of a candle, as in ``5m``."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols it has, sorted."""

    @property
    def unknown_symbols(self) -> tuple[str, ...]:
        """The symbols it was asked for and does not have, sorted."""

    @property
    def clock_offset_seconds(self) -> float | None:
        """The market's clock minus ours; None where it has none of its own."""

    @property
    def start(self) -> datetime:
        """Close time of the first round a fresh trader decides on; its history lies before."""

    def prepare(self) -> None:
        """Connect, find the symbols and read the market's clock; called first, and cheap when done before.

        Raises
        ------
        FeedUnavailableError
            If the market cannot be reached now, as may every call that asks it for something.
        """

    def history(self, symbol: str, before: datetime, count: int) -> Candles:
        """The last ``count`` candles with ``close_time <= before``; fewer where there are fewer."""

    def rounds(self, after: datetime | None, until: datetime | None = None) -> Iterator[CandleRound]:
        """Every round with ``after < close_time <= until``, from ``start`` when ``after`` is None.

        Ends where no further candle has closed yet; a feed in real time is asked again later.
        """

    def late(self) -> dict[str, Candles]:
        """Candles at or before the last yielded round that came only now, each handed out once.

        A feed begun anew does not know what its reader stored: it may name candles that are stored already.
        """

    def now(self) -> datetime:
        """The market's time."""

    def close(self) -> None:
        """Let go of what it holds; whatever it is being asked at that moment ends at once."""


class OwnMarket:
    """What a market that lies on this machine answers: it has no clock of its own, and nothing comes late."""

    unknown_symbols: tuple[str, ...] = ()
    clock_offset_seconds: float | None = None
    _now: Clock = staticmethod(utc_now)

    def prepare(self) -> None:
        """Nothing to connect to."""

    def late(self) -> dict[str, Candles]:
        """Nothing comes late."""
        return {}

    def now(self) -> datetime:
        """Our time."""
        return self._now()

    def close(self) -> None:
        """Nothing is held."""
