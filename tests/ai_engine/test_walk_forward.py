"""The walk-forward forecasts every later row once, by a model that could not have known it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_engine.dataset import Dataset, Rows, build
from ai_engine.walk_forward import BLOCKS, folds, forecast

Draw = Callable[..., Rows]
CANDLE = 300_000


def silent(_share: float) -> None:
    """Nobody watches."""


@pytest.fixture
def dataset(draw_rows: Draw, world: Draw) -> Dataset:
    return build(draw_rows(world(rows=300, symbols=3, horizon=4, oracle=0.7)))


def test_no_training_row_ends_after_its_block_begins(dataset: Dataset) -> None:
    for fold in folds(dataset, timeframe_ms=CANDLE):
        assert dataset.ends[fold.train].max() <= dataset.times[fold.test].min()


def test_blocks_are_cut_between_rounds_and_cover_the_later_rows_once(dataset: Dataset) -> None:
    parts = folds(dataset, timeframe_ms=CANDLE)

    tested = np.concatenate([fold.test for fold in parts])
    assert len(parts) == BLOCKS
    assert len(np.unique(tested)) == len(tested)
    for fold in parts:
        inside = np.isin(dataset.times, dataset.times[fold.test])
        assert set(np.flatnonzero(inside)) == set(fold.test)


def test_about_a_third_is_kept_to_begin_with_and_the_embargo_leaves_a_gap(dataset: Dataset) -> None:
    first = folds(dataset, timeframe_ms=CANDLE)[0]

    assert 0.25 * len(dataset) < len(first.train) <= 0.36 * len(dataset)
    assert dataset.times[first.test].min() - dataset.times[first.train].max() > CANDLE


def test_training_grows_from_block_to_block(dataset: Dataset) -> None:
    sizes = [len(fold.train) for fold in folds(dataset, timeframe_ms=CANDLE)]

    assert sizes == sorted(sizes)


@settings(max_examples=60, deadline=None)
@given(
    gaps=st.lists(st.integers(0, 3), min_size=12, max_size=80),
    holding=st.integers(1, 6),
    symbols=st.integers(1, 3),
)
def test_nothing_crosses_a_border_whatever_the_times(gaps: list[int], holding: int, symbols: int) -> None:
    times = np.repeat(np.cumsum(gaps), symbols).astype(np.int64) * CANDLE
    count = len(times)
    rows = Rows(
        decision_ids=tuple(str(number) for number in range(count)),
        symbols=tuple(f"S{number % symbols}" for number in range(count)),
        times=times,
        ends=times + holding * CANDLE,
        X=np.zeros((count, 1), dtype=np.float32),
        feature_names=("f",),
        forward_returns=np.linspace(-0.1, 0.1, count),
        market_returns=np.full(count, np.nan),
        label_sources=("executed",) * count,
    )
    dataset = build(rows)

    for fold in folds(dataset, timeframe_ms=CANDLE):
        assert len(fold.test)
        if len(fold.train):
            assert dataset.ends[fold.train].max() <= dataset.times[fold.test].min()


def test_one_round_leaves_nothing_to_forecast(draw_rows: Draw, world: Draw) -> None:
    rows = draw_rows(world(rows=20, symbols=20))

    assert folds(build(rows), timeframe_ms=CANDLE) == []
    assert forecast(build(rows), timeframe_ms=CANDLE, cost=0.002, seed=1, progress=silent) is None


def test_what_comes_later_changes_no_forecast(dataset: Dataset) -> None:
    """A forecast may depend on nothing but rows whose outcome was known: later returns are turned upside down."""
    made = forecast(dataset, timeframe_ms=CANDLE, cost=0.002, seed=1, progress=silent)
    assert made is not None
    border = dataset.times[made.rows[made.blocks == 2][0]]
    later = dataset.ends > border
    otherwise = replace(dataset, y=np.where(later, -3 * dataset.y, dataset.y))

    again = forecast(otherwise, timeframe_ms=CANDLE, cost=0.002, seed=1, progress=silent)

    assert again is not None
    early = made.blocks <= 2
    for name in ("scores", "ridge", "mean", "majority"):
        np.testing.assert_array_equal(getattr(made, name)[early], getattr(again, name)[early])
    assert not np.array_equal(made.scores[~early], again.scores[~early])


def test_progress_is_told_block_by_block(dataset: Dataset) -> None:
    told: list[float] = []

    forecast(dataset, timeframe_ms=CANDLE, cost=0.002, seed=1, progress=told.append)

    assert told == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
