"""When and at what price a paper position is entered and left: pure rules over one candle.

Everything a candle leaves open is read against the trader: fills slip the wrong way, and where stop and
target both lie inside one candle the stop is taken to have come first.
"""

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from backend.market.feed import Bar

BUY, SELL = "BUY", "SELL"
TARGET_SIGMAS = 1.5
STOP_SIGMAS = 1.0
VOLATILITY_CANDLES = 100
SMALLEST_STOP = 0.001
LARGEST_BARRIER = 0.5


@dataclass(frozen=True, slots=True)
class Barriers:
    """Distances of target and stop from the entry price, as fractions of it."""

    target: float
    stop: float


@dataclass(frozen=True, slots=True)
class OpenPosition:
    """What the rules need to know of a position; ``due`` is a reason to leave at this candle's open."""

    side: str
    target_price: float
    stop_price: float
    due: str | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """A price level reached inside a candle, before slippage, and why it ended the trade."""

    price: float
    reason: str
    at_open: bool


def direction(side: str) -> int:
    """+1 for a position opened by BUY, -1 for one opened by SELL."""
    if side not in {BUY, SELL}:
        raise ValueError(f"A side is BUY or SELL, not {side!r}.")
    return 1 if side == BUY else -1


def slipped(price: float, side: str, slippage_bps: float) -> float:
    """The fill price of an order on ``side`` that meets the market at ``price``: always the worse one."""
    return price * (1 + direction(side) * slippage_bps / 10_000)


def opposite(side: str) -> str:
    """The side that closes a position opened by ``side``."""
    return SELL if direction(side) > 0 else BUY


def barriers(closes: NDArray[np.float64], horizon_candles: int, cost: float) -> Barriers:
    """Target and stop from the last candles' volatility, scaled to the horizon by the square root of time.

    The stop lies no nearer than a round trip's ``cost`` or ``SMALLEST_STOP``, the target no nearer than twice
    that, so that a quiet market does not make trades that can only lose.
    """
    returns = np.diff(np.log(closes[-(VOLATILITY_CANDLES + 1) :]))
    sigma = float(np.std(returns)) * horizon_candles**0.5 if len(returns) else 0.0
    if not isfinite(sigma):
        raise ValueError("Closing prices must be finite and positive.")
    nearest = max(cost, SMALLEST_STOP)
    target = min(max(TARGET_SIGMAS * sigma, 2 * nearest), LARGEST_BARRIER)
    stop = min(max(STOP_SIGMAS * sigma, nearest), LARGEST_BARRIER)
    return Barriers(target=target, stop=stop)


def barrier_prices(side: str, entry_price: float, fractions: Barriers) -> tuple[float, float]:
    """``(target_price, stop_price)`` of a position entered at ``entry_price``."""
    sign = direction(side)
    return entry_price * (1 + sign * fractions.target), entry_price * (1 - sign * fractions.stop)


def find_exit(position: OpenPosition, bar: Bar) -> Exit | None:
    """How the position ends inside ``bar``, or None.

    A close that is due (horizon, opposite signal) happens at the open. Then the adverse side first: a stop
    the market opened beyond fills at the open, another at its price. A target is a resting order and fills at
    its price, also when the market opened beyond it.
    """
    opened, high, low, _, _ = bar
    if position.due is not None:
        return Exit(opened, position.due, at_open=True)
    long = direction(position.side) > 0
    beyond_stop = opened <= position.stop_price if long else opened >= position.stop_price
    if beyond_stop:
        return Exit(opened, "stop", at_open=True)
    if low <= position.stop_price if long else high >= position.stop_price:
        return Exit(position.stop_price, "stop", at_open=False)
    if high >= position.target_price if long else low <= position.target_price:
        return Exit(position.target_price, "target", at_open=False)
    return None
