"""Which rows the worlds of a self-audit are made of."""

from dataclasses import replace

import numpy as np

from ai_engine.audit_ground import ground_of
from ai_engine.features.catalogue import FEATURE_NAMES
from tests.ai_engine.audit_worlds import CANDLE, decided


def test_candles_are_used_where_the_features_are_the_catalogues_and_stored_candles_tell_them() -> None:
    dataset, series = decided(rounds=20, stride=3, horizon=6)
    own = replace(dataset, feature_names=tuple(f"own_{name}" for name in FEATURE_NAMES))

    assert ground_of(dataset, series, horizon_ms=6 * CANDLE).kind == "candles"
    assert ground_of(dataset, {}, horizon_ms=6 * CANDLE).kind == "rotated"
    assert ground_of(own, series, horizon_ms=6 * CANDLE).kind == "rotated"


def test_rows_whose_candles_are_not_stored_are_left_out() -> None:
    dataset, series = decided(rounds=20, stride=3, horizon=6)
    left = np.abs(np.arange(len(series["S1"])) - 530) > 2
    torn = {**series, "S1": series["S1"].rows(left)}

    made = ground_of(dataset, torn, horizon_ms=6 * CANDLE)

    assert made.kind == "candles"
    assert 20 < len(made.rows) < 40
    assert made.rows.symbols.count("S0") == 20


def test_of_many_rows_the_newest_whole_rounds_are_kept_thinned_to_three_a_window() -> None:
    dataset, series = decided(rounds=600, stride=1, horizon=12)

    made = ground_of(dataset, series, horizon_ms=12 * CANDLE, most=100)

    times = np.unique(made.rows.times)
    assert len(made.rows) == 100
    assert times[-1] == dataset.times[-1]
    assert set(np.diff(times)) == {4 * CANDLE}
    assert all(count == 2 for count in np.unique(made.rows.times, return_counts=True)[1])


def test_few_rows_are_all_used() -> None:
    dataset, series = decided(rounds=30, stride=1, horizon=12)

    made = ground_of(dataset, series, horizon_ms=12 * CANDLE, most=60)

    assert len(made.rows) == 60
    np.testing.assert_array_equal(made.rows.times, dataset.times)
