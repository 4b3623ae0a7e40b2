"""The walk-forward forecasts every later row once, by a model that could not have known it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_engine.dataset import Dataset, Rows, build
from ai_engine.pipeline import Trained, TrainingContext, train
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
        if len(fold.train) and len(fold.test):
            assert dataset.ends[fold.train].max() <= dataset.times[fold.test].min()


def test_one_round_leaves_nothing_to_forecast(draw_rows: Draw, world: Draw) -> None:
    rows = draw_rows(world(rows=20, symbols=20))

    assert folds(build(rows), timeframe_ms=CANDLE) == []
    assert forecast(build(rows), timeframe_ms=CANDLE, cost=0.002, seed=1, progress=silent) is None


def rounds_at(times: np.ndarray, *, holding: int) -> Rows:
    """Ten symbols decided at each of the times, in candles."""
    every = np.repeat(times, 10).astype(np.int64) * CANDLE
    count, random = len(every), np.random.default_rng(1)
    return Rows(
        decision_ids=tuple(str(number) for number in range(count)),
        symbols=tuple(f"S{number % 10}" for number in range(count)),
        times=every,
        ends=every + holding * CANDLE,
        X=random.normal(size=(count, 2)).astype(np.float32),
        feature_names=("f", "g"),
        forward_returns=0.01 * random.normal(size=count),
        market_returns=np.full(count, np.nan),
        label_sources=("executed",) * count,
    )


def test_a_fold_that_the_embargo_emptied_is_told_as_one_without_a_row_to_judge() -> None:
    # The second of five blocks lasts 13 candles and the embargo 25: nothing of it is left to forecast.
    times = np.concatenate((np.arange(48) * 10, 480 + np.arange(13), 1_000 + np.arange(39) * 10))
    dataset = build(rounds_at(times, holding=100))
    emptied = [len(fold.test) == 0 for fold in folds(dataset, timeframe_ms=CANDLE)]

    made = forecast(dataset, timeframe_ms=CANDLE, cost=0.002, seed=1, progress=silent)

    assert emptied == [False, True, False, False, False]
    assert made is not None
    assert made.smallest_test == 0
    assert made.smallest_training >= 30
    assert np.unique(made.blocks).tolist() == [0, 1, 2, 3]


def test_a_fold_that_the_purge_left_nothing_to_fit_on_is_told_as_one_with_as_little() -> None:
    dataset = build(rounds_at(np.arange(100), holding=40))
    small = [len(fold.train) for fold in folds(dataset, timeframe_ms=CANDLE)]

    made = forecast(dataset, timeframe_ms=CANDLE, cost=0.002, seed=1, progress=silent)

    assert small[0] == 0 < small[1]
    assert made is not None
    assert made.smallest_training == 0
    assert made.smallest_test >= 30
    assert np.unique(made.blocks).tolist() == [0, 1, 2, 3]


def test_a_version_of_which_a_period_was_left_out_has_insufficient_data_and_says_of_what() -> None:
    terms = TrainingContext("bot", CANDLE, horizon_candles=40, cost=0.0, seed=1, looks=1)

    made = train(rounds_at(np.arange(100), holding=40), terms)

    assert isinstance(made, Trained)
    assert made.report["verdict"] == "insufficient_data"
    assert "0 rows to fit a part on (30 needed)" in made.report["sentence"]


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
