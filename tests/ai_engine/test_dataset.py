"""Rows are refused by reason, sorted, weighted and hashed; the order in which they arrived has no effect."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_engine.dataset import Rows, build, data_hash, sample_weights, uniqueness
from ai_engine.types import TargetKind

Draw = Callable[..., Rows]
HOUR = 3_600_000


def changed(rows: Rows, index: int, **values: object) -> Rows:
    """The rows with one row's columns replaced."""
    columns = {}
    for name, value in values.items():
        column = getattr(rows, name)
        if isinstance(column, tuple):
            columns[name] = (*column[:index], value, *column[index + 1 :])
        else:
            columns[name] = column.copy()
            columns[name][index] = value
    return replace(rows, **columns)


@pytest.fixture(scope="session")
def rows(draw_rows: Draw, world: Draw) -> Rows:
    return draw_rows(world(rows=30, features=3, symbols=2, horizon=4))


def with_feature(rows: Rows, index: int, value: float) -> Rows:
    X = rows.X.copy()
    X[index, 1] = value
    return replace(rows, X=X)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda rows: with_feature(rows, 4, np.nan), "nan_feature"),
        (lambda rows: with_feature(rows, 4, np.inf), "infinite_feature"),
        (lambda rows: with_feature(rows, 4, -np.inf), "infinite_feature"),
        (lambda rows: changed(rows, 4, forward_returns=np.nan, market_returns=np.nan), "missing_return"),
        (lambda rows: changed(rows, 4, forward_returns=1.01), "implausible_return"),
        (lambda rows: changed(rows, 4, forward_returns=-np.inf), "implausible_return"),
        (lambda rows: changed(rows, 4, ends=int(rows.times[4])), "outcome_before_decision"),
        (lambda rows: changed(rows, 4, label_sources="synthetic"), "synthetic"),
        (lambda rows: changed(rows, 4, decision_ids=rows.decision_ids[3]), "duplicate_decision"),
    ],
)
def test_a_bad_row_is_left_out_and_counted_by_reason(rows: Rows, spoil: Callable[[Rows], Rows], reason: str) -> None:
    dataset = build(spoil(rows))

    assert dataset.rejected == {reason: 1}
    assert len(dataset) == 29


def test_a_return_of_exactly_one_hundred_per_cent_is_plausible(rows: Rows) -> None:
    assert build(changed(rows, 4, forward_returns=1.0)).rejected == {}


def test_a_large_return_that_a_person_vouched_for_trains(rows: Rows) -> None:
    large = changed(changed(rows, 4, forward_returns=3.0), 5, forward_returns=3.0)

    dataset = build(replace(large, vouched_ids=frozenset({rows.decision_ids[4]})))

    assert dataset.rejected == {"implausible_return": 1}
    assert (dataset.y == 3.0).sum() == 1


def test_nobody_can_vouch_for_a_return_that_is_no_number(rows: Rows) -> None:
    endless = replace(changed(rows, 4, forward_returns=np.inf), vouched_ids=frozenset(rows.decision_ids))

    assert build(endless).rejected == {"implausible_return": 1}


def test_a_row_with_two_faults_is_counted_once(rows: Rows) -> None:
    spoiled = changed(with_feature(rows, 4, np.nan), 4, label_sources="synthetic", ends=0)

    assert build(spoiled).rejected == {"synthetic": 1}


def test_synthetic_rows_train_only_when_asked_for(rows: Rows) -> None:
    demo = changed(rows, 4, label_sources="synthetic")

    assert len(build(demo)) == 29
    assert len(build(demo, include_synthetic=True)) == 30


def test_of_two_rows_with_one_decision_id_the_earlier_decided_stays(rows: Rows) -> None:
    doubled = changed(rows, 20, decision_ids=rows.decision_ids[3])

    kept = build(doubled)

    assert rows.times[3] in kept.times
    assert (kept.times == rows.times[20]).sum() == 1


def test_a_faulty_copy_does_not_push_out_the_good_row(rows: Rows) -> None:
    copy_first = changed(with_feature(rows, 2, np.nan), 2, decision_ids=rows.decision_ids[9])

    assert build(copy_first).rejected == {"nan_feature": 1}


@pytest.mark.parametrize(("trades", "kind", "left"), [(14, "horizon", 14), (15, "horizon", 15), (16, "trade", 14)])
def test_a_version_learns_one_kind_of_return_the_more_frequent_one(
    rows: Rows, trades: int, kind: str, left: int
) -> None:
    forward = rows.forward_returns.copy()
    forward[:trades] = np.nan
    mixed = replace(rows, forward_returns=forward, market_returns=np.full(30, 0.25))

    dataset = build(mixed)

    assert dataset.target_kind == TargetKind(kind)
    assert dataset.other_kind == left
    assert len(dataset) == 30 - left
    assert (dataset.y == 0.25).all() == (kind == "trade")


@given(st.permutations(range(30)))
@settings(max_examples=25)
def test_rows_come_out_sorted_whatever_order_they_arrive_in(rows: Rows, reorder_rows: Draw, order: list[int]) -> None:
    expected = build(rows)

    dataset = build(reorder_rows(rows, np.array(order)))

    keys = list(zip(dataset.times, dataset.symbols, strict=True))
    assert keys == sorted(keys)
    for name in ("X", "y", "weights", "times", "ends", "rounds", "symbols", "label_sources"):
        np.testing.assert_array_equal(getattr(dataset, name), getattr(expected, name))
    assert data_hash(dataset) == data_hash(expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: with_feature(rows, 5, 1.5),
        lambda rows: changed(rows, 5, forward_returns=0.001),
        lambda rows: changed(rows, 5, ends=int(rows.ends[5]) + 1),
        lambda rows: changed(rows, 5, symbols="OTHER"),
        lambda rows: changed(rows, 5, label_sources="historical"),
        lambda rows: replace(rows, feature_names=("a", "b", "c")),
        lambda rows: changed(rows, 5, forward_returns=np.nan, market_returns=np.nan),
    ],
)
def test_the_hash_notices_every_change_of_what_trains(rows: Rows, change: Callable[[Rows], Rows]) -> None:
    assert data_hash(build(change(rows))) != data_hash(build(rows))


def test_the_hash_does_not_depend_on_the_names_of_decisions(rows: Rows) -> None:
    renamed = replace(rows, decision_ids=tuple(f"x-{name}" for name in rows.decision_ids))

    assert data_hash(build(renamed)) == data_hash(build(rows))


def test_the_hash_notices_another_recipe(rows: Rows) -> None:
    assert data_hash(build(rows), "next-recipe") != data_hash(build(rows))


def test_rounds_number_the_distinct_decision_times(rows: Rows) -> None:
    dataset = build(rows)

    assert dataset.rounds.tolist() == [row // 2 for row in range(30)]


def test_columns_of_different_lengths_are_refused(rows: Rows) -> None:
    with pytest.raises(ValueError, match="different lengths"):
        build(replace(rows, symbols=rows.symbols[:-1]))
    with pytest.raises(ValueError, match="feature names"):
        build(replace(rows, feature_names=("one",)))


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(1, 12), st.sampled_from("AB")),
        min_size=1,
        max_size=25,
    )
)
@settings(max_examples=60)
def test_uniqueness_equals_counting_open_windows_moment_by_moment(windows: list[tuple[int, int, str]]) -> None:
    times = np.array([start for start, _, _ in windows])
    ends = times + np.array([length for _, length, _ in windows])
    symbols = np.array([symbol for _, _, symbol in windows])

    expected = [
        np.mean(
            [
                1 / sum(t <= moment < e and s == symbol for t, e, s in zip(times, ends, symbols, strict=True))
                for moment in range(start, start + length)
            ]
        )
        for start, length, symbol in windows
    ]

    np.testing.assert_allclose(uniqueness(times, ends, symbols), expected)


def weights_of(times: list[int], sources: list[str]) -> np.ndarray:
    starts = np.array(times)
    return sample_weights(starts, starts + 1, np.array(["A"] * len(times)), np.array(sources))


def test_weights_have_mean_one_and_halve_over_the_window() -> None:
    weights = weights_of([0, 5 * HOUR, 10 * HOUR], ["executed"] * 3)

    assert weights.mean() == pytest.approx(1.0)
    assert weights[2] == pytest.approx(2**0.5 * weights[1]) == pytest.approx(2 * weights[0])


@pytest.mark.parametrize(("executed", "expected"), [(0, 1.0), (10, 0.25), (30, 0.125)])
def test_historical_rows_fade_as_executed_rows_arrive(executed: int, expected: float) -> None:
    historical = 10
    times = [0] * historical + [0] * executed
    symbols = np.array([f"S{number}" for number in range(len(times))])
    sources = np.array(["historical"] * historical + ["executed"] * executed)

    weights = sample_weights(np.array(times), np.array(times) + 1, symbols, sources)

    assert weights[0] / weights[-1] == pytest.approx(expected)


def test_historical_rows_count_half_beside_counterfactual_ones() -> None:
    symbols = np.array(["A", "B"])
    weights = sample_weights(np.zeros(2, int), np.ones(2, int), symbols, np.array(["historical", "counterfactual"]))

    assert weights[0] / weights[1] == pytest.approx(0.5)


def test_a_part_is_weighted_as_if_the_other_rows_did_not_exist(rows: Rows, reorder_rows: Draw) -> None:
    index = np.arange(12)

    part = build(rows).part(index)
    alone = build(reorder_rows(rows, index))

    np.testing.assert_array_equal(part.weights, alone.weights)
    assert part.weights.mean() == pytest.approx(1.0)
    np.testing.assert_array_equal(part.rounds, alone.rounds)
