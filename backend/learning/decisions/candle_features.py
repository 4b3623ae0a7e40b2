"""The catalogue's features for trades that bring none: from candles that had closed when each was decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from ai_engine.candles import Candles
from ai_engine.features.catalogue import FEATURE_NAMES, WINDOW
from ai_engine.features.compute import compute_history
from backend.clock import from_ms, iso, to_ms
from backend.errors import InvalidInputError
from backend.learning.decisions.checks import normal_symbol

FAR = 0.03


@dataclass(frozen=True, slots=True)
class Completed:
    """The rows with their features; ``refused`` says by index which have none and why.

    ``far`` counts rows whose entry price lies more than 3 % from the last close before it: a sign that the times are
    in another zone than was said.
    """

    rows: list[dict[str, Any]]
    refused: dict[int, str]
    far: int


def complete(rows: Sequence[Mapping[str, Any]], candles: Mapping[str, Candles]) -> Completed:
    """Add features to rows as an import takes them; each sees the 500 candles that had closed at its timestamp."""
    found: list[dict[str, Any]] = [dict(row) for row in rows]
    refused: dict[int, str] = {}
    ends: dict[str, list[tuple[int, int]]] = {}
    far = 0
    for index, row in enumerate(found):
        try:
            symbol, end = _place(row, candles)
        except InvalidInputError as error:
            refused[index] = error.message
            continue
        ends.setdefault(symbol, []).append((index, end))
        far += _is_far(row.get("entry_price"), float(candles[symbol].close[end]))
    for symbol, places in ends.items():
        matrix = compute_history(candles[symbol], np.array([end for _, end in places], dtype=np.int64))
        for (index, _), values in zip(places, matrix, strict=True):
            found[index]["features"] = dict(zip(FEATURE_NAMES, (float(value) for value in values), strict=True))
    return Completed(found, refused, far)


def _place(row: Mapping[str, Any], candles: Mapping[str, Candles]) -> tuple[str, int]:
    """The row's symbol, and which of its candles was the last to close before the decision."""
    if "symbol" not in row or "timestamp" not in row:
        raise InvalidInputError(f"{'symbol' if 'symbol' not in row else 'timestamp'} is missing; it is needed.")
    symbol = normal_symbol(str(row["symbol"]))
    if symbol not in candles:
        known = ", ".join(sorted(candles)[:10])
        raise InvalidInputError(f"features: no candle file holds {symbol}; the files hold {known}.")
    series, at = candles[symbol], to_ms(datetime.fromisoformat(row["timestamp"]))
    end = int(np.searchsorted(series.close_time, at, side="right")) - 1
    if end < WINDOW - 1:
        raise InvalidInputError(
            f"features: {WINDOW} candles of {symbol} must have closed at {row['timestamp']}; the files hold {end + 1}."
            " Add older files."
        )
    closed = int(series.close_time[end])
    if at - closed >= series.timeframe_ms:
        raise InvalidInputError(
            f"features: the last candle of {symbol} before {row['timestamp']} closed at {iso(from_ms(closed))}, more"
            " than one candle earlier. Add the files of that time."
        )
    return symbol, end


def _is_far(entry_price: object, close: float) -> bool:
    return isinstance(entry_price, float) and abs(entry_price / close - 1) > FAR
