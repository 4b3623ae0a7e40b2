"""A stage for a live market: an exchange on this machine, the market that asks it, and a clock that stands still."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from ai_engine.candles import Candles, timeframe_ms
from backend.clock import to_ms
from backend.market.exchange import ExchangeMarket
from backend.market.exchange_client import Manners
from backend.market.feed import CandleRound, FeedUnavailableError
from tests.market.exchange_server import LocalExchange

NOW = datetime(2026, 3, 2, 12, 3, 20, 417_000, tzinfo=UTC)
SYMBOLS = ("BTCUSDC", "ETHUSDC")


class StillClock:
    """A clock that moves only when it is told to."""

    def __init__(self, moment: datetime = NOW) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def pass_by(self, seconds: float) -> None:
        """Let so much time go by."""
        self.moment += timedelta(seconds=seconds)


class Stage:
    """One exchange, and the markets made for it; everything is closed at the end."""

    def __init__(self, symbols: Sequence[str] = SYMBOLS, timeframe: str = "1m") -> None:
        self.clock = StillClock()
        self.exchange = LocalExchange(symbols, clock=self.clock)
        self.timeframe = timeframe
        self.length = timedelta(milliseconds=timeframe_ms(timeframe))
        self._markets: list[ExchangeMarket] = []

    def __enter__(self) -> Self:
        self.exchange.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for market in self._markets:
            market.close()
        self.exchange.stop()

    def market(
        self,
        symbols: Sequence[str] = SYMBOLS,
        *,
        exchange_id: str = "binance",
        timeframe: str | None = None,
        timeout_seconds: float = 5.0,
    ) -> ExchangeMarket:
        """A market that asks this exchange through ccxt."""
        market = ExchangeMarket(
            exchange_id,
            symbols,
            timeframe or self.timeframe,
            url=self.exchange.url,
            now=self.clock,
            manners=Manners(timeout_seconds, spaced=False),
        )
        self._markets.append(market)
        return market

    def true_round(self, close_time: datetime, symbols: Sequence[str] = SYMBOLS) -> dict[str, tuple[float, ...]]:
        """The candles that the exchange's own books hold for a close time."""
        opened = close_time - self.length
        return {symbol: self.exchange.bar(symbol, self.timeframe, opened) for symbol in sorted(symbols)}


def patiently(market: ExchangeMarket, clock: StillClock, after: datetime, tries: int = 40) -> list[CandleRound]:
    """Rounds as a trader reads them: it waits as long as it is told after each failure, and goes on."""
    rounds: list[CandleRound] = []
    for _ in range(tries):
        try:
            rounds += market.rounds(rounds[-1].close_time if rounds else after)
            if rounds and rounds[-1].close_time + timedelta(milliseconds=timeframe_ms(market.timeframe)) > market.now():
                return rounds
            clock.pass_by(1)
        except FeedUnavailableError as error:
            clock.pass_by(error.retry_after_seconds)
    raise AssertionError(f"{len(rounds)} rounds after {tries} tries")


def same(found: Candles, expected: Candles) -> bool:
    """Whether two series hold the same candles."""
    columns = ("open_time", "open", "high", "low", "close", "volume")
    return len(found) == len(expected) and all(
        (getattr(found, name) == getattr(expected, name)).all() for name in columns
    )


def opens(candles: Candles) -> list[int]:
    """The open times of candles."""
    return [int(opened) for opened in candles.open_time]


def ms(moment: datetime) -> int:
    """Short for milliseconds."""
    return to_ms(moment)
