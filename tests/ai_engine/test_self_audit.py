"""The self-audit's worlds, judged by the installed pipeline; and that it sees a pipeline whose purge is off."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from ai_engine import self_audit, split, walk_forward
from ai_engine.audit_result import result
from ai_engine.dataset import Dataset, Rows, build
from ai_engine.pipeline import Refused, Trained, TrainingContext, train
from ai_engine.placebo import Ground
from ai_engine.self_audit import Judgement, judge
from ai_engine.split import Split
from ai_engine.walk_forward import Fold
from benchmarks.worlds import walk
from tests.ai_engine.audit_worlds import decided, ground, task

Draw = Callable[..., Any]


def test_a_refusal_of_the_pipeline_is_a_verdict_like_any_other() -> None:
    def refuse(_rows: Rows, _context: TrainingContext) -> Refused:
        return Refused("degenerate_data", {})

    audit = task(ground(rounds=20, stride=6, horizon=6))

    assert judge(audit, [3], train=refuse) == [Judgement(3, "degenerate_data", None)]


def test_the_installed_pipeline_is_what_is_audited_and_a_seed_decides_all(draw_rows: Draw, world: Draw) -> None:
    nowhere = np.full(60, -1)
    audit = task(Ground(draw_rows(world(rows=60, features=3)), {}, nowhere, nowhere), placebos=1, planted=1)

    once = judge(audit, audit.worlds)
    again = judge(audit, reversed(audit.worlds))

    assert once == again[::-1]
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
@pytest.mark.parametrize("own_features", [False, True])
def test_a_pipeline_whose_purge_is_off_does_not_hold_and_the_one_whose_purge_is_on_does(own_features: bool) -> None:
    """Windows of 24 decisions, about as long as a block of the walk-forward."""
    made = remembering() if own_features else ground(rounds=150, stride=4, horizon=96)
    audit = task(made, placebos=30 if own_features else 10, planted=0, horizon=96)

    purged = result(audit, judge(audit, audit.worlds))
    leaking = result(audit, judge(audit, audit.worlds, train=mutated))

    assert purged["kind"] == ("rotated" if own_features else "candles")
    assert purged["faults"] == [], purged["sentence"]
    assert leaking["holds"] is False
    assert leaking["faults"] == ["placebo_accuracy"]
    assert leaking["placebo_accuracy"]["mean"] > 0.57
    assert "where chance gives 50.0%" in leaking["sentence"]


def remembering() -> Ground:
    """A bot's own features, which remember nearly all of themselves, in a market that mostly rose."""
    rows = walk(3, rounds=200, horizon=24, features=12)
    X = np.cumsum(np.random.default_rng(3).normal(size=rows.X.shape), axis=0).astype(np.float32)
    nowhere = np.full(len(rows), -1)
    rows = replace(rows, X=X, forward_returns=rows.forward_returns + 0.002)
    return Ground(rows, {}, nowhere, nowhere)


def test_the_mutation_of_the_test_above_changes_nothing_but_the_purge() -> None:
    dataset, _ = decided(rounds=60, stride=4, horizon=1)
    together = build(ground(rounds=60, stride=4, horizon=1).rows)

    kept = walk_forward.folds(dataset, timeframe_ms=1)
    off = unpurged_folds(dataset, timeframe_ms=1)

    assert [fold.train.tolist() for fold in kept] == [fold.train.tolist() for fold in off]
    assert len(together) == len(dataset)
