"""Features for trades that bring none: those that a decision made at that moment would have seen."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_engine.candles import Candles
from ai_engine.features.catalogue import FEATURE_NAMES
from ai_engine.features.compute import compute
from backend.clock import iso, to_ms
from backend.learning.decisions.candle_features import complete

BEGIN = datetime(2025, 11, 1, tzinfo=UTC)
CANDLE = timedelta(minutes=5)


def series(count: int = 700, seed: int = 1, price: float = 100.0) -> Candles:
    """A random walk of five-minute candles."""
    rng = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(rng.normal(0, 0.001, count)))
    opened = np.concatenate([[price], close[:-1]])
    times = to_ms(BEGIN) + np.arange(count, dtype=np.int64) * 300_000
    high, low = np.maximum(opened, close) * 1.0005, np.minimum(opened, close) * 0.9995
    return Candles(times, opened, high, low, close, rng.uniform(1, 10, count), 300_000)


BTC = series()


def trade(at: datetime, **more: Any) -> dict[str, Any]:
    return {"symbol": "BTC/USDC", "timestamp": iso(at), "entry_price": 100.0, **more}


def closed(number: int) -> datetime:
    """When that candle closed."""
    return BEGIN + (number + 1) * CANDLE


@given(number=st.integers(499, 699), seconds=st.integers(0, 299))
@settings(max_examples=30, deadline=None)
def test_a_trade_sees_the_candles_that_had_closed_and_no_other(number: int, seconds: int) -> None:
    completed = complete([trade(closed(number) + timedelta(seconds=seconds))], {"BTCUSDC": BTC})

    seen = compute(BTC.upto(to_ms(closed(number))))
    assert completed.refused == {}
    assert completed.rows[0]["features"] == dict(zip(FEATURE_NAMES, map(float, seen), strict=True))


def test_later_candles_change_nothing() -> None:
    row = trade(closed(550))

    whole = complete([row], {"BTCUSDC": BTC})
    cut = complete([row], {"BTCUSDC": BTC.upto(to_ms(closed(550)))})

    assert whole == cut


def test_every_symbol_has_its_own_candles_and_rows_keep_their_order() -> None:
    eth = series(seed=2, price=10.0)
    rows = [trade(closed(600)), trade(closed(650)) | {"symbol": "ETHUSDC"}, trade(closed(500))]

    found = complete(rows, {"BTCUSDC": BTC, "ETHUSDC": eth})

    for row, candles, number in zip(found.rows, (BTC, eth, BTC), (600, 650, 500), strict=True):
        expected = compute(candles.upto(to_ms(closed(number))))
        assert list(row["features"].values()) == [float(value) for value in expected]
    assert [row["timestamp"] for row in found.rows] == [row["timestamp"] for row in rows]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (trade(closed(498)), "500 candles of BTCUSDC must have closed"),
        (trade(BEGIN - timedelta(days=1)), "the files hold 0"),
        (trade(closed(699) + CANDLE), "more than one candle earlier"),
        (trade(closed(600)) | {"symbol": "DOGEUSDC"}, "no candle file holds DOGEUSDC; the files hold BTCUSDC"),
        ({"timestamp": "2025-11-02T00:00:00Z"}, "symbol is missing"),
        ({"symbol": "BTCUSDC"}, "timestamp is missing"),
        (trade(closed(600)) | {"symbol": "?"}, "symbol must be"),
    ],
)
def test_a_trade_without_candles_before_it_is_refused_alone(row: dict[str, Any], said: str) -> None:
    found = complete([row, trade(closed(600))], {"BTCUSDC": BTC})

    assert list(found.refused) == [0]
    assert said in found.refused[0]
    assert "features" not in found.rows[0]
    assert len(found.rows[1]["features"]) == len(FEATURE_NAMES)


def test_a_gap_in_the_candles_right_before_is_refused() -> None:
    keep = np.r_[0:600, 605:700]
    columns = (getattr(BTC, name)[keep] for name in ("open_time", "open", "high", "low", "close", "volume"))
    gapped = Candles(*columns, 300_000)

    found = complete([trade(closed(602)), trade(closed(606))], {"BTCUSDC": gapped})

    assert list(found.refused) == [0]


def test_prices_far_from_the_candles_are_counted() -> None:
    near = float(BTC.close[600])

    found = complete(
        [trade(closed(600), entry_price=near * factor) for factor in (1.0, 1.02, 0.98, 1.05, 0.5)], {"BTCUSDC": BTC}
    )

    assert found.far == 2


def test_the_rows_given_stay_as_they_were() -> None:
    row = trade(closed(600))

    complete([row], {"BTCUSDC": BTC})

    assert "features" not in row
