"""An exchange as a market: its closed candles by its own clock, through ccxt, in rounds."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from ai_engine.candles import Candles
from backend.clock import Clock, utc_now
from backend.market.feed import CandleRound


class ExchangeMarket:
    """A feed of one exchange's public candles; every call may raise FeedUnavailableError."""

    def __init__(
        self,
        exchange_id: str,
        symbols: Sequence[str],
        timeframe: str,
        *,
        url: str | None = None,
        now: Clock = utc_now,
    ) -> None:
        self.source = exchange_id
        self.timeframe = timeframe
        self.symbols = tuple(sorted(set(symbols)))
        self.unknown_symbols: tuple[str, ...] = ()
        self.clock_offset_seconds: float | None = None
        self._url = url
        self._now = now

    def prepare(self) -> None:
        """Connect, load the markets, find the symbols, read the exchange's clock."""
        raise NotImplementedError

    @property
    def start(self) -> datetime:
        """Close time of the newest candle that had closed when it was prepared."""
        raise NotImplementedError

    def history(self, symbol: str, before: datetime, count: int) -> Candles:
        """The last ``count`` candles with ``close_time <= before``."""
        raise NotImplementedError

    def rounds(self, after: datetime | None, until: datetime | None = None) -> Iterator[CandleRound]:
        """Every round from ``after`` on whose candles have closed by the exchange's clock."""
        raise NotImplementedError

    def late(self) -> dict[str, Candles]:
        """Candles at or before the last yielded round that came only now, each handed out once."""
        raise NotImplementedError

    def now(self) -> datetime:
        """The exchange's time, as well as it is known."""
        raise NotImplementedError

    def close(self) -> None:
        """End whatever is under way, and close the connection."""
        raise NotImplementedError
