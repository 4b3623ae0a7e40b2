"""One decision's features: the whole catalogue on 500 candles, beside as many bare TA-Lib calls."""

from datetime import UTC, datetime

import numpy as np
import talib

from ai_engine.features.catalogue import FEATURE_NAMES, WINDOW
from ai_engine.features.compute import compute, compute_history
from backend.market.simulated import SimulatedMarket
from benchmarks.timing import report, seconds

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 500


def main() -> None:
    """Print a row alone, and a row of many at once."""
    market = SimulatedMarket(("BTCUSDC",), "5m", now=lambda: NOW)
    candles = market.history("BTCUSDC", NOW, WINDOW + ROWS)
    window, ends = candles.tail(WINDOW), np.arange(WINDOW - 1, WINDOW - 1 + ROWS)
    close = np.ascontiguousarray(window.close)

    floor = seconds(lambda: [talib.RSI(close, 14) for _ in FEATURE_NAMES], 20)
    floor_is = f"{len(FEATURE_NAMES)} bare RSI calls"
    report("one row of features", seconds(lambda: compute(window), 20), floor, floor_is)
    together = seconds(lambda: compute_history(candles, ends), 1) / ROWS
    report(f"one row of {ROWS} at once", together, floor, floor_is)


if __name__ == "__main__":
    main()
