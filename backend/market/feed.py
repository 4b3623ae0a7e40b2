"""What every market looks like to the trader: closed candles before a time, then rounds in event order."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from ai_engine.candles import Candles

Bar: TypeAlias = tuple[float, float, float, float, float]
"""Open, high, low, close and volume of one candle."""


@dataclass(frozen=True, slots=True)
class CandleRound:
    """The candles that closed at one time, symbols sorted; each opened one timeframe earlier."""

    close_time: datetime
    candles: dict[str, Bar]


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
    def start(self) -> datetime:
        """Close time of the first round a fresh trader decides on; its history lies before."""

    def history(self, symbol: str, before: datetime, count: int) -> Candles:
        """The last ``count`` candles with ``close_time <= before``; fewer where there are fewer."""

    def rounds(self, after: datetime | None, until: datetime | None = None) -> Iterator[CandleRound]:
        """Every round with ``after < close_time <= until``, from ``start`` when ``after`` is None.

        Ends where no further candle has closed yet; a feed in real time is asked again later.
        """
