"""Worlds without a signal, and with a known one, made of an installation's own data: what the self-audit judges.

After Nikolopoulos, Spurious predictability in financial machine learning (2026): run the whole workflow where there is
nothing to find, and count how often it finds something.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ai_engine.candles import Candles
from ai_engine.dataset import Rows
from ai_engine.features.compute import compute_history
from ai_engine.types import FeatureMatrix, FloatArray, IndexArray

NEAREST_TURN = 0.25
"""Outcomes are turned by a quarter of the history at least: nearer, a feature may still have seen them happen."""
GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What worlds are made of: rows and, where their features are the catalogue's, the candles they were computed from.

    Parameters
    ----------
    rows
        Usable rows in order of time, n of them.
    candles
        By symbol; empty where the features were posted and cannot be computed again.
    seen, priced
        Shape (n,): number of the last candle that the row's features saw, and of the one whose close is the price at
        its horizon, in its symbol's series. The candle after ``seen`` opens at the reference price.
    """

    rows: Rows
    candles: Mapping[str, Candles]
    seen: IndexArray
    priced: IndexArray

    @property
    def kind(self) -> str:
        """How a signal is taken out: ``candles`` mirrored and everything recomputed, or outcomes ``rotated``."""
        return "candles" if self.candles else "rotated"


def placebo(ground: Ground, *, number: int, seed: int) -> Rows:
    """Return the rows of one world in which no direction can be forecast; each number is another world.

    Candles: every candle's move is kept or mirrored by a fair coin, and features and outcomes are computed again.
    Without candles: features are turned against outcomes, whose signs are then drawn anew (see :func:`turned` and
    :func:`tossed`).
    """
    rng = np.random.default_rng([seed, number])
    if not ground.candles:
        return tossed(turned(ground.rows, share=_share(number, seed)), rng=rng)
    length = next(iter(ground.candles.values())).timeframe_ms
    return recomputed(ground, flipped(ground.candles, block_ms=length, rng=rng))


def _share(number: int, seed: int) -> float:
    """Shares spread evenly however many are drawn, so that worlds differ as much as they can (a Weyl sequence)."""
    start = float(np.random.default_rng(seed).random())
    return float(NEAREST_TURN + (1.0 - 2.0 * NEAREST_TURN) * ((start + number * GOLDEN) % 1.0))


def flipped(candles: Mapping[str, Candles], *, block_ms: int, rng: np.random.Generator) -> dict[str, Candles]:
    """Return the candles with their moves kept or mirrored in blocks of time, the same for all symbols.

    Within a block every log move is kept or mirrored by one fair coin. Volatility, volume and the symbols' ties stay
    as they were. A mirrored candle opens, closes and reaches as far below the last close as the original did above.

    Parameters
    ----------
    candles
        By symbol; the first candle of each is kept.
    block_ms
        One candle makes direction a coin whatever came before. Longer blocks would not: what the market owes to its
        own last moves (momentum, reversal) is the same upside down, so it survives within a block.
    """
    moments = np.concatenate([one.open_time for one in candles.values()])
    first, last = int(moments.min()) // block_ms, int(moments.max()) // block_ms
    signs = rng.choice([-1.0, 1.0], size=last - first + 1)
    return {symbol: _mirrored(one, signs[one.open_time // block_ms - first]) for symbol, one in candles.items()}


def _mirrored(candles: Candles, signs: FloatArray) -> Candles:
    before, sign = np.log(candles.close[:-1]), signs[1:]
    moves = {name: np.log(getattr(candles, name)[1:]) - before for name in ("open", "high", "low", "close")}
    start = float(np.log(candles.close[0]))
    level = np.concatenate(([start], start + np.cumsum(sign * moves["close"])))
    high = np.where(sign > 0, moves["high"], -moves["low"])
    low = np.where(sign > 0, moves["low"], -moves["high"])

    def prices(first: float, relative: FloatArray) -> FloatArray:
        return np.concatenate(([first], np.exp(level[:-1] + relative)))

    opened, closed = prices(candles.open[0], sign * moves["open"]), np.exp(level)
    return replace(
        candles,
        open=opened,
        high=np.maximum.reduce((prices(candles.high[0], high), opened, closed)),
        low=np.minimum.reduce((prices(candles.low[0], low), opened, closed)),
        close=closed,
    )


def recomputed(ground: Ground, candles: Mapping[str, Candles]) -> Rows:
    """Return the rows as these candles would have given them: the live path's features, reference and price."""
    rows = ground.rows
    X: FeatureMatrix = np.empty(rows.X.shape, dtype=np.float32)
    returns = np.empty(len(rows), dtype=np.float64)
    symbols = np.asarray(rows.symbols, dtype=np.str_)
    for symbol, series in candles.items():
        mine = np.flatnonzero(symbols == symbol)
        X[mine] = compute_history(series, ground.seen[mine])
        reference = series.open[ground.seen[mine] + 1]
        returns[mine] = (series.close[ground.priced[mine]] - reference) / reference
    return replace(rows, X=X, forward_returns=returns, market_returns=np.full(len(rows), np.nan))


def turned(rows: Rows, *, share: float) -> Rows:
    """Return the rows with outcomes turned against features by this share of the history, all symbols together.

    Each row keeps its time, its outcome and when that was known, and takes the features of another row of its symbol.
    So windows overlap, are purged and move together as they really do, and both series keep their own memory.
    """
    source = np.arange(len(rows))
    symbols = np.asarray(rows.symbols, dtype=np.str_)
    for symbol in np.unique(symbols):
        mine = np.flatnonzero(symbols == symbol)
        source[mine] = np.roll(mine, -round(share * len(mine)))
    return replace(rows, X=rows.X[source])


def tossed(rows: Rows, *, rng: np.random.Generator) -> Rows:
    """Return the rows with their outcomes kept or mirrored by one fair coin an outcome window, for all symbols alike.

    So a right direction is a coin, 0.5 in every world, whatever the market's drift and whatever a model makes of the
    rows it may know: those that it learned from were known before a block begins, a window before what it is asked
    about, and have other coins. A row that should have been purged shares its coin with those asked about, and
    gives it away. Overlapping windows keep two thirds of what they share.
    """
    coins = rng.choice([-1.0, 1.0], size=_windows(rows).max() + 1)[_windows(rows)]
    return replace(rows, forward_returns=coins * rows.forward_returns, market_returns=coins * rows.market_returns)


def _windows(rows: Rows) -> IndexArray:
    """The number of each row's stretch of time, from 0, each as long as the median outcome window."""
    length = max(int(np.median(rows.ends - rows.times)), 1)
    return np.asarray((rows.times - rows.times.min()) // length, dtype=np.intp)


def planted(rows: Rows, *, accuracy: float, rng: np.random.Generator) -> Rows:
    """Return the rows with one feature that tells the direction in ``accuracy`` of them, its size telling nothing.

    Whether it is right is drawn for a stretch of time as long as the median outcome window, for all symbols at once:
    a real forecast is right or wrong about the same moves together, and a coin a row would look far more certain.
    """
    returns = np.where(np.isnan(rows.forward_returns), rows.market_returns, rows.forward_returns)
    stretch = _windows(rows)
    right = np.where(rng.random(int(stretch.max()) + 1) < accuracy, 1.0, -1.0)[stretch]
    X = rows.X.copy()
    X[:, int(rng.integers(X.shape[1]))] = right * np.sign(returns) * np.abs(rng.normal(size=len(rows)))
    return replace(rows, X=X)
