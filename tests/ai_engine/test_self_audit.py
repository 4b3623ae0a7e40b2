"""The self-audit: which rows, what the judgements amount to, and that it sees a pipeline whose purge is off."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from ai_engine import self_audit, split, walk_forward
from ai_engine.dataset import Dataset, Rows, build
from ai_engine.features.catalogue import FEATURE_NAMES
from ai_engine.pipeline import Refused, Trained, TrainingContext, train
from ai_engine.placebo import Ground
from ai_engine.self_audit import Judgement, Task, ground_of, judge, result
from ai_engine.split import Split
from ai_engine.walk_forward import Fold
from tests.ai_engine.audit_worlds import CANDLE, context, decided, ground

Draw = Callable[..., Any]


def task(made: Ground, *, placebos: int = 100, planted: int = 40, horizon: int = 6) -> Task:
    return Task(made, context(horizon), len(made.rows), placebos, planted, seed=7)


def said(audit: Task, verdicts: dict[int, str], accuracy: float = 0.5, spread: float = 0.05) -> list[Judgement]:
    """Judgements of every world; ``no_evidence`` where no other word is given."""
    rng = np.random.default_rng(3)
    return [
        Judgement(number, verdicts.get(number, "no_evidence"), accuracy + spread * float(rng.normal()), 0.5)
        for number in audit.worlds
    ]


@pytest.fixture(scope="module")
def small() -> Ground:
    return ground(rounds=60, stride=6, horizon=6)


def posted(small: Ground, baseline_rounds: int = 60) -> Ground:
    nowhere = np.full(len(small.rows), -1)
    assert baseline_rounds == len(np.unique(small.rows.times))
    return Ground(small.rows, {}, nowhere, nowhere)


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


def test_counts_rates_and_intervals_are_those_of_the_judgements(small: Ground) -> None:
    audit = task(small)
    words = {
        0: "evidence",
        1: "strong_evidence",
        2: "suspected_leakage",
        3: "degenerate",
        100: "evidence",
        101: "evidence",
    }

    found = result(audit, said(audit, words))

    assert (found["placebos"], found["false_approvals"], found["false_approval_rate"]) == (100, 2, 0.02)
    assert found["false_approval_ci95"] == pytest.approx([0.0055, 0.0700], abs=1e-4)  # Wilson, 2 of 100
    assert [one["accuracy"] for one in found["planted"]] == [0.60, 0.70]
    assert [(one["worlds"], one["detected"]) for one in found["planted"]] == [(20, 1), (20, 1)]
    assert found["planted"][0]["ci95"] == pytest.approx([0.0089, 0.2361], abs=1e-4)  # Wilson, 1 of 20
    assert found["verdicts"] == {
        "degenerate": 1, "evidence": 1, "no_evidence": 96, "strong_evidence": 1, "suspected_leakage": 1
    }  # fmt: skip
    assert found["holds"]
    assert found["faults"] == []
    assert "2.0% were called evidence (95 %: 0.6% to 7.0%)" in found["sentence"]


@pytest.mark.parametrize(("false", "holds"), [(5, True), (9, True), (12, False), (40, False)])
def test_it_does_not_hold_where_false_approvals_lie_above_five_per_cent_beyond_chance(
    small: Ground, false: int, holds: bool
) -> None:
    audit = task(small)

    found = result(audit, said(audit, dict.fromkeys(range(false), "evidence")))

    assert found["holds"] is holds
    assert found["faults"] == ([] if holds else ["false_approvals"])
    assert ("not to be trusted" in found["sentence"]) is not holds


@pytest.mark.parametrize(("accuracy", "holds"), [(0.45, True), (0.505, True), (0.53, False)])
def test_it_does_not_hold_where_the_placebos_are_forecast_better_than_by_chance(
    small: Ground, accuracy: float, holds: bool
) -> None:
    audit = task(small)

    found = result(audit, said(audit, {}, accuracy))

    mean = found["placebo_accuracy"]
    assert mean["baseline"] == 0.5
    assert mean["ci95"][0] < mean["mean"] < mean["ci95"][1]
    assert found["holds"] is holds
    assert found["faults"] == ([] if holds else ["placebo_accuracy"])


def test_turned_outcomes_are_held_against_the_markets_own_drift(small: Ground) -> None:
    audit = task(posted(small))
    drifting = [replace(one, accuracy=0.57, baseline=0.58) for one in said(audit, {})]

    found = result(audit, drifting)

    assert found["kind"] == "rotated"
    assert found["placebo_accuracy"]["baseline"] == pytest.approx(0.58)
    assert found["holds"]


def test_turned_worlds_that_are_nearly_one_do_not_count_as_many(small: Ground) -> None:
    overlapping = replace(small.rows, ends=small.rows.times + 60 * CANDLE)  # ten decisions a window
    nowhere = np.full(len(overlapping), -1)
    audit = task(Ground(overlapping, {}, nowhere, nowhere))

    found = result(audit, said(audit, {0: "evidence"}))

    assert found["window_rows"] == 10
    assert found["independent_placebos"] == 3  # half of 60 rounds, ten a window
    assert found["false_approval_ci95"][1] > 0.5


@pytest.mark.parametrize("accuracy", [None, 0.5])
def test_where_no_world_could_be_judged_every_rate_and_whether_it_holds_are_unknown(
    small: Ground, accuracy: float | None
) -> None:
    audit = task(small)
    silent = [Judgement(number, "insufficient_data", accuracy, accuracy) for number in audit.worlds]

    found = result(audit, silent)

    assert (found["judged"], found["false_approvals"], found["faults"]) == (0, 0, [])
    assert found["holds"] is None
    for name in ("false_approval_rate", "false_approval_ci95", "placebo_accuracy"):
        assert found[name] is None
    assert [(one["detection_rate"], one["ci95"]) for one in found["planted"]] == [(None, None), (None, None)]
    assert found["sentence"].startswith("Nothing could be judged: of 100 worlds without skill")


def test_a_leak_that_the_accuracy_alone_gives_away_is_a_fault_also_where_no_world_could_be_judged(
    small: Ground,
) -> None:
    audit = task(small)

    found = result(audit, said(audit, dict.fromkeys(audit.worlds, "insufficient_data"), accuracy=0.6))

    assert (found["judged"], found["holds"], found["faults"]) == (0, False, ["placebo_accuracy"])
    assert (found["false_approval_rate"], found["false_approval_ci95"]) == (None, None)
    assert found["placebo_accuracy"]["mean"] > 0.58
    assert found["sentence"].startswith("The verdicts of this installation are not to be trusted")


def test_a_refusal_of_the_pipeline_is_a_verdict_like_any_other(small: Ground) -> None:
    def refuse(_rows: Rows, _context: TrainingContext) -> Refused:
        return Refused("degenerate_data", {})

    assert judge(task(small), [3], train=refuse) == [Judgement(3, "degenerate_data", None, None)]


def test_the_installed_pipeline_is_what_is_audited_and_a_seed_decides_all(draw_rows: Draw, world: Draw) -> None:
    nowhere = np.full(60, -1)
    audit = task(Ground(draw_rows(world(rows=60, features=3)), {}, nowhere, nowhere), placebos=1, planted=1)
    heard: list[int] = []

    once = judge(audit, audit.worlds, told=lambda: heard.append(1))
    again = judge(audit, reversed(audit.worlds))

    assert once == again[::-1]
    assert len(heard) == 2
    assert self_audit.judge.__kwdefaults__["train"] is train


def unpurged_folds(dataset: Dataset, *, timeframe_ms: int) -> list[Fold]:
    """The walk-forward's folds without purge and embargo."""
    assert timeframe_ms > 0
    times = np.unique(dataset.times)
    borders = walk_forward._borders(np.searchsorted(dataset.times, times), len(dataset))
    return [Fold(np.arange(first), np.arange(first, last)) for first, last in pairwise(borders)]


def unpurged_split(times: Any, ends: Any, *, timeframe_ms: int) -> Split:
    """The chronological split without purge and embargo."""
    assert len(ends) == len(times)
    assert timeframe_ms > 0
    border = split._split_time(times)
    nothing = np.empty(0, dtype=np.intp)
    return Split(np.flatnonzero(times < border), np.flatnonzero(times >= border), nothing, nothing, border)


@contextmanager
def without_purge() -> Iterator[None]:
    kept = walk_forward.folds, split.chronological
    walk_forward.folds, split.chronological = unpurged_folds, unpurged_split  # type: ignore[assignment]
    try:
        yield
    finally:
        walk_forward.folds, split.chronological = kept  # type: ignore[assignment]


def mutated(rows: Rows, terms: TrainingContext) -> Trained | Refused:
    """The pipeline with its purge switched off."""
    with without_purge():
        return train(rows, terms)


@pytest.mark.slow
def test_a_pipeline_whose_purge_is_off_does_not_hold_and_the_one_whose_purge_is_on_does() -> None:
    """Windows of 96 candles, 24 decisions, longer than a block of the walk-forward."""
    audit = task(ground(rounds=150, stride=4, horizon=96), placebos=10, planted=0, horizon=96)

    purged = result(audit, judge(audit, audit.worlds))
    leaking = result(audit, judge(audit, audit.worlds, train=mutated))

    assert purged["faults"] == [], purged["sentence"]
    assert leaking["holds"] is False
    assert leaking["faults"] == ["placebo_accuracy"]
    assert leaking["placebo_accuracy"]["mean"] > 0.57
    assert "where chance gives 50.0%" in leaking["sentence"]


def test_the_mutation_of_the_test_above_changes_nothing_but_the_purge() -> None:
    dataset, _ = decided(rounds=60, stride=4, horizon=1)
    together = build(ground(rounds=60, stride=4, horizon=1).rows)

    kept = walk_forward.folds(dataset, timeframe_ms=1)
    off = unpurged_folds(dataset, timeframe_ms=1)

    assert [fold.train.tolist() for fold in kept] == [fold.train.tolist() for fold in off]
    assert len(together) == len(dataset)
