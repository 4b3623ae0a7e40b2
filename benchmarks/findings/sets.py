"""Real candles -> the rows that the service would have learned from; and the same candles with every move a coin.

A row is made as ``qt warm-start`` makes it: the catalogue's features of the last 500 candles, the next candle's open as
reference, the return up to the horizon, a row every quarter of the horizon. Its ``market_return`` is that of an order
which is filled a candle later: what a bounce between bid and ask seems to earn is gone by then.
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ai_engine import features, labels
from ai_engine.candles import Candles
from ai_engine.dataset import Rows
from ai_engine.features.catalogue import FEATURE_NAMES
from ai_engine.features.compute import compute_history
from ai_engine.placebo import flipped
from ai_engine.types import FloatArray
from backend.clock import to_ms
from backend.errors import InvalidInputError
from backend.learning.decisions.historical_plan import Places, Terms, plan_of
from backend.market.files import FileMarket

HORIZON_CANDLES = 12
EVERY_CANDLE = 10_000_000
DAY_MS = 86_400_000
SOURCE = "counterfactual"


@dataclass(frozen=True, slots=True)
class DataSet:
    """Some files and how the nights go over them; ``since`` and ``until`` (days, UTC) bound the decisions."""

    name: str
    title: str
    files: tuple[str, ...]
    timeframe: str
    since: str
    until: str
    window_days: int
    every_days: int

    @property
    def terms(self) -> Terms:
        """The terms of a strategy of this timeframe, with the service's default horizon."""
        return Terms(self.name, "external", False, self.timeframe, HORIZON_CANDLES, "long,short")

    @property
    def span(self) -> tuple[int, int]:
        """First and last moment of decision, ms."""
        first, last = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in (self.since, self.until))
        return to_ms(first), to_ms(last)


SETS = (
    DataSet(
        "three-5m",
        "SOL, AVAX, BTC · 5 m",
        ("binance-spot/SOLUSDT-5m", "binance-spot/AVAXUSDT-5m", "binance-perp/BTCUSDT-5m"),
        "5m",
        "2023-11-03",
        "2024-10-01",
        window_days=30,
        every_days=14,
    ),
    DataSet(
        "five-1h",
        "BTC, ETH, SOL, XRP, SHIB · 1 h",
        tuple(f"binance-spot/{symbol}USDT-1h" for symbol in ("BTC", "ETH", "SOL", "XRP", "SHIB")),
        "1h",
        "2024-01-21",
        "2024-10-01",
        window_days=90,
        every_days=14,
    ),
    DataSet(
        "btc-1h",
        "BTC alone · 1 h",
        ("binance-spot/BTCUSDT-1h",),
        "1h",
        "2017-08-17",
        "2024-10-01",
        window_days=365,
        every_days=56,
    ),
    DataSet(
        "five-perp-5m",
        "BTC, ETH, SOL, XRP, LTC perpetuals · 5 m",
        tuple(f"binance-perp/{symbol}USDT-1m" for symbol in ("BTC", "ETH", "SOL", "XRP", "LTC")),
        "5m",
        "2025-05-06",
        "2025-06-03",
        window_days=14,
        every_days=3,
    ),
    DataSet(
        "alts-2018-5m",
        "ADA, ETH, LTC, TRX, DASH in BTC · 5 m",
        tuple(f"bittrex-spot/{symbol}BTC-5m" for symbol in ("ADA", "ETH", "LTC", "TRX", "DASH")),
        "5m",
        "2018-01-12",
        "2018-01-30",
        window_days=10,
        every_days=2,
    ),
)


def candles_of(data: DataSet, folder: Path) -> dict[str, Candles]:
    """Each symbol's candles, gathered to the set's timeframe.

    Raises
    ------
    InvalidInputError
        If the folder does not hold a file.
    """
    paths = [folder / f"{name}.csv.gz" for name in data.files]
    if missing := [str(path) for path in paths if not path.exists()]:
        raise InvalidInputError(f"No candle file {', '.join(missing)}. Name their folder with --data.", field="data")
    market = FileMarket(paths, data.timeframe)
    return {symbol: market.history(symbol, datetime.max.replace(tzinfo=UTC), EVERY_CANDLE) for symbol in market.symbols}


def rows_of(data: DataSet, folder: Path, cache: Path, coin: int | None = None) -> Rows:
    """All rows of a set; with ``coin``, those of a world where each candle's move is mirrored by a coin of that seed.

    Computed once, then read: the stored file is named after everything that decides it, code of the features included.
    """
    path = cache / f"{data.name}-{_fingerprint(data, folder, coin)}.npz"
    if not path.exists():
        candles = candles_of(data, folder)
        if coin is not None:
            candles = flipped(candles, block_ms=data.terms.timeframe_ms, rng=np.random.default_rng(coin))
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **_columns(data, candles))
        cache.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".part").write_bytes(buffer.getvalue())
        path.with_suffix(".part").rename(path)
    with np.load(path) as stored:
        times, symbols, y = stored["times"], tuple(stored["symbols"].tolist()), stored["y"]
        return Rows(
            decision_ids=tuple(f"{symbol}-{time}" for symbol, time in zip(symbols, times, strict=True)),
            symbols=symbols,
            times=times,
            ends=stored["ends"],
            X=stored["X"],
            feature_names=FEATURE_NAMES,
            forward_returns=y,
            market_returns=stored["late"],
            label_sources=(SOURCE,) * len(y),
        )


def _columns(data: DataSet, candles: Mapping[str, Candles]) -> dict[str, NDArray[Any]]:
    first, last = data.span
    plan = plan_of(candles, data.terms, data.terms.usual_stride)
    inside = {symbol: one.part((one.times >= first) & (one.times < last)) for symbol, one in plan.places.items()}
    parts = list(inside.values())
    return {
        "symbols": np.repeat(list(inside), [len(one.ends) for one in parts]),
        "times": np.concatenate([one.times for one in parts]),
        "ends": np.concatenate([np.maximum(one.priced_at, one.times + data.terms.horizon_ms) for one in parts]),
        "X": np.concatenate([compute_history(one.candles, one.ends) for one in parts]),
        "y": np.concatenate([_returns(one.references, one) for one in parts]),
        "late": np.concatenate([_returns(one.candles.open[one.ends + 2], one) for one in parts]),
    }


def _returns(entered: FloatArray, places: Places) -> FloatArray:
    pairs = zip(entered.tolist(), places.prices.tolist(), strict=True)
    return np.array([labels.forward_return(reference, price) for reference, price in pairs], dtype=np.float64)


def _fingerprint(data: DataSet, folder: Path, coin: int | None) -> str:
    digest = hashlib.sha256(repr((data.terms, data.span, coin)).encode())
    sources = sorted(Path(next(iter(features.__path__))).glob("*.py"))
    for path in (*sources, Path(__file__), *(folder / f"{name}.csv.gz" for name in data.files)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
