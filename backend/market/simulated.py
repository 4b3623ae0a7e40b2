"""The simulated market: plausible candles of any symbol, a pure function of seed, symbol, timeframe and time."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from ai_engine.candles import Candles, timeframe_ms
from backend.clock import Clock, from_ms, to_ms, utc_now
from backend.errors import NotFoundError
from backend.market.feed import CandleRound, OwnMarket
from backend.market.simulated_path import Array, Path, block_candles, generator

SOURCE = "simulated"
DAYS_BEFORE_NOW = timedelta(days=30)
MARKET_SHARE = 0.6
VOLUME_NOTIONAL = 3_000_000.0
VOLUME_NOISE = 0.4
VOLUME_IMBALANCE = 0.10
_FIVE_MINUTES = 300_000
_KNOWN = {"BTC": (60_000.0, 0.0020), "ETH": (3_000.0, 0.0023), "SOL": (150.0, 0.0029)}
_QUOTES = ("USD", "USDT", "USDC", "BUSD", "FDUSD", "TUSD", "DAI", "EUR", "GBP")
_CACHED_BLOCKS = 4


@dataclass(frozen=True, slots=True)
class SimulatedBlock:
    """One symbol's candles of one block, with the latent drift before each, which no trader sees."""

    first: int
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    drift: Array


def describe(symbol: str) -> tuple[float, float]:
    """A symbol's base price, and the deviation of its five-minute log returns."""
    for base, known in _KNOWN.items():
        if symbol.removeprefix(base) in _QUOTES and symbol.startswith(base):
            return known
    digest = hashlib.blake2b(symbol.encode(), digest_size=8).digest()
    price, volatility = (int.from_bytes(part, "big") / 2**32 for part in (digest[:4], digest[4:]))
    return float(f"{10 ** (4 * price - 1):.3g}"), 0.0020 + 0.0015 * volatility


class SimulatedSymbol:
    """One symbol: the common market and its own path, mixed; keeps the newest blocks only."""

    def __init__(self, seed: int, symbol: str, length_ms: int, market: Path) -> None:
        self._key = (seed, symbol, length_ms, "candles")
        self._market = market
        self._own = Path(seed, symbol, length_ms)
        self._length_ms = length_ms
        self._base, volatility = describe(symbol)
        self._scale = volatility * float(np.sqrt(length_ms / _FIVE_MINUTES))
        self._ticks_per_unit = 10.0 ** (5 - int(np.floor(np.log10(self._base))))
        self._blocks: OrderedDict[int, SimulatedBlock] = OrderedDict()

    def block(self, number: int) -> SimulatedBlock:
        """The symbol's candles of one block."""
        found = self._blocks.get(number)
        if found is None:
            found = self._blocks[number] = self._make(number)
            while len(self._blocks) > _CACHED_BLOCKS:
                self._blocks.popitem(last=False)
        return found

    def _make(self, number: int) -> SimulatedBlock:
        market, own = self._market.block(number), self._own.block(number)
        count = len(own.variance)
        random = generator(*self._key, number)
        extremes = np.log(1.0 - random.random((2, count)))
        noise = random.standard_normal(count)
        path = self._scale * _mixed(market.log_price, own.log_price)
        variance = MARKET_SHARE * market.variance + (1 - MARKET_SHARE) * own.variance
        drift = _mixed(market.drift, own.drift)

        reach = np.sqrt(np.diff(path) ** 2 - 2 * self._scale**2 * variance * extremes)
        middle = path[:-1] + path[1:]
        price = self._rounded(path)
        high = np.maximum(self._rounded((middle + reach[0]) / 2), np.maximum(price[:-1], price[1:]))
        low = np.minimum(self._rounded((middle - reach[1]) / 2), np.minimum(price[:-1], price[1:]))
        surprise = np.diff(path) / (self._scale * np.sqrt(variance))
        volume = self._volume(variance, surprise, drift, noise)
        return SimulatedBlock(number * count, price[:-1], high, low, price[1:], volume, drift)

    def _rounded(self, log_ratio: Array) -> Array:
        """Prices on the symbol's grid, so that the last bits of ``exp`` never show."""
        ticks = np.rint(self._base * np.exp(log_ratio) * self._ticks_per_unit)
        return np.asarray(np.maximum(ticks, 1.0) / self._ticks_per_unit)

    def _volume(self, variance: Array, surprise: Array, drift: Array, noise: Array) -> Array:
        """More in loud candles, and slightly more in those that go the latent drift's way."""
        typical = np.log(VOLUME_NOTIONAL / self._base * self._length_ms / _FIVE_MINUTES)
        clipped = np.clip(surprise, -3, 3)
        leaning = VOLUME_IMBALANCE * clipped * np.clip(drift, -3, 3)
        volume = np.exp(typical + 0.5 * np.log(variance) + 0.3 * np.abs(clipped) + leaning + VOLUME_NOISE * noise)
        return np.asarray(np.maximum(np.round(volume, 3), 0.001))


class SimulatedMarket(OwnMarket):
    """A feed that says that it is simulated; ``now`` only decides how far it may be read."""

    source = SOURCE

    def __init__(self, symbols: Sequence[str], timeframe: str, *, seed: int = 7, now: Clock = utc_now) -> None:
        self.timeframe = timeframe
        self.symbols = tuple(sorted(set(symbols)))
        self._now = now
        self._length_ms = timeframe_ms(timeframe)
        self._block_candles = block_candles(self._length_ms)
        market = Path(seed, "", self._length_ms)
        self._series = {symbol: SimulatedSymbol(seed, symbol, self._length_ms, market) for symbol in self.symbols}
        self._start: datetime | None = None
        self._lock = threading.RLock()

    @property
    def start(self) -> datetime:
        """Thirty days before the time of the first call."""
        if self._start is None:
            opened = to_ms(self._now() - DAYS_BEFORE_NOW) // self._length_ms
            self._start = from_ms(opened * self._length_ms)
        return self._start

    def history(self, symbol: str, before: datetime, count: int) -> Candles:
        """The last ``count`` candles with ``close_time <= before``, none of them still open."""
        if symbol not in self._series:
            known = ", ".join(self.symbols)
            raise NotFoundError(f"The simulated market has no {symbol}; it has {known}.", reason="unknown_symbol")
        end = to_ms(min(before, self._now())) // self._length_ms
        first = max(0, end - count)
        numbers = range(first // self._block_candles, -(-end // self._block_candles))
        blocks = [self._block(symbol, number) for number in numbers] if end > first else []
        inside = slice(first % self._block_candles, first % self._block_candles + end - first)
        opened, high, low, close, volume = (
            np.concatenate([getattr(block, name) for block in blocks] or [np.empty(0)])[inside]
            for name in ("open", "high", "low", "close", "volume")
        )
        times = np.arange(first, end, dtype=np.int64) * self._length_ms
        return Candles(times, opened, high, low, close, volume, self._length_ms)

    def rounds(self, after: datetime | None, until: datetime | None = None) -> Iterator[CandleRound]:
        """Rounds from ``after`` on, up to what has closed by now; ends there."""
        index = to_ms(self.start) // self._length_ms - 1 if after is None else to_ms(after) // self._length_ms
        while True:
            closes = from_ms((index + 1) * self._length_ms)
            if closes > self._now() or (until is not None and closes > until):
                return
            yield CandleRound(closes, {symbol: self._bar(symbol, index) for symbol in self.symbols})
            index += 1

    def _bar(self, symbol: str, index: int) -> tuple[float, float, float, float, float]:
        block = self._block(symbol, index // self._block_candles)
        at = index - block.first
        columns = (block.open, block.high, block.low, block.close, block.volume)
        opened, high, low, close, volume = (float(column[at]) for column in columns)
        return opened, high, low, close, volume

    def _block(self, symbol: str, number: int) -> SimulatedBlock:
        with self._lock:
            return self._series[symbol].block(number)


def _mixed(market: Array, own: Array) -> Array:
    """The common and the own part in one, with the variance of either."""
    return np.asarray(np.sqrt(MARKET_SHARE) * market + np.sqrt(1 - MARKET_SHARE) * own)
