"""Every key beside an accuracy is there from the first version on, in order, null where nothing is known."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ai_engine.dataset import Rows
from ai_engine.features.catalogue import schema_hash
from ai_engine.metrics import min_detectable_accuracy
from ai_engine.pipeline import Trained, TrainingContext, train

Draw = Callable[..., Rows]
COST = 0.002
CONTEXT = TrainingContext(strategy="default", timeframe_ms=300_000, horizon_candles=12, cost=COST, seed=7, looks=3)

KEYS = [
    "train_accuracy",
    "train_mae",
    "validation_accuracy",
    "validation_mae",
    "validation_accuracy_ci95",
    "ci_method",
    "training_samples",
    "validation_samples",
    "purged_rows",
    "embargoed_rows",
    "artifact_samples",
    "walk_forward",
    "baseline_accuracy",
    "baseline_name",
    "edge",
    "p_value",
    "effective_samples",
    "neutral_samples",
    "min_detectable_accuracy",
    "break_even_accuracy",
    "costs_exceed_moves",
    "net_return_after_costs",
    "mae_zero_forecast",
    "rank_ic",
    "split_time",
    "quarantined",
    "constant_features",
    "suspected_leakage",
    "target_kind",
    "looks",
    "e_value",
    "data_hash",
    "feature_schema_hash",
    "comparison",
    "verdict",
    "recommended",
    "recommendation_reasons",
    "sentence",
]


def report_of(rows: Rows, cost: float = COST) -> dict:
    result = train(rows, replace(CONTEXT, cost=cost))
    assert isinstance(result, Trained)
    return result.report


@pytest.fixture(scope="module")
def rows(draw_rows: Draw, world: Draw) -> Rows:
    return draw_rows(world(rows=500, oracle=0.8))


@pytest.fixture(scope="module")
def report(rows: Rows) -> dict:
    return report_of(rows)


def test_every_contracted_key_stands_in_order(report: dict) -> None:
    assert list(report)[: len(KEYS)] == KEYS


def test_what_nothing_is_known_of_is_null(report: dict) -> None:
    assert (report["e_value"], report["comparison"]) == (None, None)
    assert report["suspected_leakage"] == []


def test_the_walk_forward_stands_at_the_top_again(report: dict) -> None:
    walked = report["walk_forward"]

    for key in ("baseline_accuracy", "edge", "p_value"):
        assert report[key] == walked[key]
    assert walked["samples"] > 300
    assert walked["ci95"][0] < walked["accuracy"] < walked["ci95"][1]
    assert walked["shifts"] >= 39
    assert set(walked["challengers"]) == {"zero", "mean", "majority", "ridge", "xgboost"}
    assert walked["challengers"]["xgboost"]["mae"] < walked["challengers"]["zero"]["mae"]


def test_the_interval_of_the_newest_part_is_wilsons_where_nothing_overlaps(report: dict) -> None:
    low, high = report["validation_accuracy_ci95"]

    assert report["ci_method"] == "wilson"
    assert low < report["validation_accuracy"] < high


@pytest.mark.parametrize("count", [10, 60])
def test_the_report_is_strict_json(draw_rows: Draw, world: Draw, count: int) -> None:
    small = report_of(draw_rows(world(rows=count, horizon=30)))

    assert json.loads(json.dumps(small, allow_nan=False)) == small


def test_what_can_be_detected_follows_from_the_effective_samples_that_are_told(draw_rows: Draw, world: Draw) -> None:
    told = report_of(draw_rows(world(rows=400, oracle=0.7, horizon=7)))

    assert told["min_detectable_accuracy"] == min_detectable_accuracy(told["effective_samples"])


def test_every_usable_row_is_in_one_part(report: dict) -> None:
    parts = ("training_samples", "validation_samples", "purged_rows", "embargoed_rows")

    assert sum(report[part] for part in parts) == report["artifact_samples"] == report["usable_samples"] == 500


def test_the_numbers_of_the_newer_part_are_those_of_its_rows(rows: Rows, report: dict) -> None:
    newer = rows.forward_returns[500 - report["validation_samples"] :]

    assert report["neutral_samples"] == (np.abs(newer) <= COST).sum()
    assert report["mae_zero_forecast"] == pytest.approx(np.abs(newer).mean())
    assert report["edge"] == pytest.approx(report["walk_forward"]["accuracy"] - report["baseline_accuracy"])
    assert report["break_even_accuracy"] == pytest.approx(0.5 + 0.5 * COST / np.abs(rows.forward_returns).mean())


def test_a_strong_signal_is_strong_evidence_and_recommended_only_after_many_nights(report: dict) -> None:
    assert report["validation_mae"] < report["mae_zero_forecast"]
    assert report["edge"] > 0.1
    assert report["net_return_after_costs"] > 0
    assert report["rank_ic"] > 0.3
    assert (report["verdict"], report["recommended"]) == ("strong_evidence", False)
    assert report["recommendation_reasons"] == ["the evidence over all nights is not known yet (20 needed)"]


def test_nothing_is_claimed_of_moves_that_all_stay_inside_the_costs(rows: Rows) -> None:
    report = report_of(rows, cost=0.9)

    assert (report["verdict"], report["p_value"], report["validation_accuracy"]) == ("insufficient_data", None, None)
    assert report["sentence"].startswith("None of the ")


def test_a_feature_is_called_by_what_was_found_of_it(draw_rows: Draw, world: Draw) -> None:
    drawn = draw_rows(world(rows=400))
    told, outcome = {}, drawn.forward_returns.astype(np.float32)
    for name, column in (("exit_price", drawn.X[:, 0]), ("aroon", outcome), ("a_target", outcome)):
        X, names = drawn.X.copy(), list(drawn.feature_names)
        X[:, 0], names[0] = column, name
        told[name] = report_of(replace(drawn, X=X, feature_names=tuple(names)))

    assert [told[name]["suspected_leakage"] for name in told] == [["exit_price"], ["aroon"], ["a_target"]]
    assert "exit_price is named after an outcome" in told["exit_price"]["sentence"]
    assert "because aroon knows the outcome" in told["aroon"]["sentence"]
    assert "because a_target knows the outcome" in told["a_target"]["sentence"]


def test_a_market_that_mostly_rises_is_no_leak(draw_rows: Draw, world: Draw) -> None:
    drawn = draw_rows(world(rows=400))
    down = np.arange(400) % 8 == 0
    rising = np.where(down, -1.0, 1.0) * (COST + np.abs(drawn.forward_returns))
    report = report_of(replace(drawn, forward_returns=rising, market_returns=rising))

    assert report["walk_forward"]["accuracy"] > 0.8
    assert (report["verdict"], report["suspected_leakage"]) == ("no_evidence", [])
    assert "does not beat always up" in report["sentence"]


def test_the_sentence_names_the_rows_of_the_shipped_file(report: dict) -> None:
    assert "fitted on all 500 usable rows" in report["sentence"]


def test_costs_beyond_the_moves_leave_no_accuracy_that_pays(rows: Rows) -> None:
    report = report_of(rows, cost=0.05)

    assert report["costs_exceed_moves"] is True
    assert report["break_even_accuracy"] is None
    assert report["validation_accuracy"] is report["baseline_accuracy"] is report["edge"] is None
    assert report["neutral_samples"] == report["validation_samples"]
    assert report["verdict"] == "insufficient_data"


def test_overlapping_windows_of_a_short_span_are_insufficient(draw_rows: Draw, world: Draw) -> None:
    """Five hundred rows, but what the walk-forward forecasts is worth fewer than thirty outcomes."""
    report = report_of(draw_rows(world(rows=500, horizon=12)))

    assert report["verdict"] == "insufficient_data"
    assert report["effective_samples"] < 30
    assert report["purged_rows"] == 11


def test_a_booster_that_only_ever_says_one_number_is_degenerate(draw_rows: Draw, world: Draw) -> None:
    """A single row differs from the others: no split leaves enough rows on both sides."""
    rows = draw_rows(world(rows=300, features=1))
    X = np.zeros_like(rows.X)
    X[150] = 1.0

    report = report_of(replace(rows, X=X))

    assert report["verdict"] == "degenerate"
    assert "same number" in report["sentence"]


def test_times_and_lineage_are_told(rows: Rows, report: dict) -> None:
    assert report["split_time"] == "2023-11-16T07:35:00Z"
    assert report["window_start"] == "2023-11-14T22:15:00Z"
    assert report["feature_schema_hash"] == schema_hash(rows.feature_names)
    assert report["target_kind"] == "horizon"
    assert report["looks"] == 3
    assert report["rows_by_label_source"] == {"executed": 500}


def test_rows_of_the_other_kind_are_counted(rows: Rows) -> None:
    forward = rows.forward_returns.copy()
    forward[:100] = np.nan

    report = report_of(replace(rows, forward_returns=forward))

    assert (report["target_kind"], report["other_kind_samples"], report["usable_samples"]) == ("horizon", 100, 400)
