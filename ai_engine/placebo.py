"""Worlds without a signal, and with a known one, made of an installation's own data: what the self-audit judges.

After Nikolopoulos, Spurious predictability in financial machine learning (2026): run the whole workflow where there is
nothing to find, and count how often it finds something.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ai_engine.candles import Candles
from ai_engine.dataset import Rows
from ai_engine.types import FloatArray, IndexArray

SMALLEST_TURN = 0.1


def flipped(candles: Mapping[str, Candles], *, block_ms: int, seed: int) -> dict[str, Candles]:
    """Return the candles with their moves turned upside down in random blocks of time, the same for all symbols.

    Within a block of ``block_ms`` every log move is kept or mirrored by one fair coin, so that no direction can be
    forecast, while volatility, volume and the symbols' ties stay as they were. A mirrored candle opens, closes and
    reaches as far below the last close as the original did above.

    Parameters
    ----------
    candles
        By symbol; the first candle of each is kept.
    block_ms
        Longer than the horizon, so that moves within an outcome's window keep their ties.
    """
    moments = np.concatenate([one.open_time for one in candles.values()])
    first, last = int(moments.min()) // block_ms, int(moments.max()) // block_ms
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=last - first + 1)
    return {symbol: _mirrored(one, signs[one.open_time // block_ms - first]) for symbol, one in candles.items()}


def _mirrored(candles: Candles, signs: FloatArray) -> Candles:
    before = np.log(candles.close[:-1])
    sign = signs[1:]
    moves = {name: np.log(getattr(candles, name)[1:]) - before for name in ("open", "high", "low", "close")}
    level = np.concatenate(([np.log(candles.close[0])], np.log(candles.close[0]) + np.cumsum(sign * moves["close"])))
    high = np.where(sign > 0, moves["high"], -moves["low"])
    low = np.where(sign > 0, moves["low"], -moves["high"])

    def prices(first: float, relative: FloatArray) -> FloatArray:
        return np.concatenate(([first], np.exp(level[:-1] + relative)))

    return replace(
        candles,
        open=prices(candles.open[0], sign * moves["open"]),
        high=prices(candles.high[0], high),
        low=prices(candles.low[0], low),
        close=np.exp(level),
    )


def turned(rows: Rows, *, seed: int) -> Rows:
    """Return the rows with outcomes turned against features: each symbol's by the same part of its length.

    Between a tenth and nine tenths, so that no outcome stays near the features that saw it coming.
    """
    share = float(np.random.default_rng(seed).uniform(SMALLEST_TURN, 1.0 - SMALLEST_TURN))
    source = np.arange(len(rows))
    symbols = np.asarray(rows.symbols, dtype=np.str_)
    for symbol in np.unique(symbols):
        mine = _in_time(rows, np.flatnonzero(symbols == symbol))
        source[mine] = np.roll(mine, round(share * len(mine)))
    return replace(rows, forward_returns=rows.forward_returns[source], market_returns=rows.market_returns[source])


def planted(rows: Rows, *, accuracy: float, seed: int) -> Rows:
    """Return the rows with one feature that tells the direction in ``accuracy`` of them, its size telling nothing."""
    rng = np.random.default_rng(seed)
    returns = np.where(np.isnan(rows.forward_returns), rows.market_returns, rows.forward_returns)
    right = np.where(rng.random(len(rows)) < accuracy, 1.0, -1.0)
    X = rows.X.copy()
    column = int(rng.integers(X.shape[1]))
    X[:, column] = right * np.sign(np.nan_to_num(returns)) * np.abs(rng.normal(size=len(rows)))
    return replace(rows, X=X)


def _in_time(rows: Rows, index: IndexArray) -> IndexArray:
    ids = np.asarray(rows.decision_ids, dtype=np.str_)[index]
    return index[np.lexsort((ids, rows.times[index]))]
