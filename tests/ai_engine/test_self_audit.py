"""The self-audit's worlds, judged by the installed pipeline; and that it sees a pipeline whose purge is off."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from tests.ai_engine.audit_worlds import decided, ground, task

Draw = Callable[..., Any]


def test_a_refusal_of_the_pipeline_is_a_verdict_like_any_other() -> None:
    def refuse(_rows: Rows, _context: TrainingContext) -> Refused:
        return Refused("degenerate_data", {})

    audit = task(ground(rounds=20, stride=6, horizon=6))

    assert judge(audit, [3], train=refuse) == [Judgement(3, "degenerate_data", None, None)]


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
