"""What a verdict rests on: the lead over the baseline that the report shows has an interval of its own."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ai_engine.dataset import Dataset, Rows, build
from ai_engine.judged import Judged, gather
from ai_engine.report import build as report_of
from ai_engine.split import Split
from ai_engine.types import FloatArray, Verdict
from ai_engine.verdict import judge
from ai_engine.walk_forward import OutOfSample

Draw = Callable[..., Rows]
COST = 0.002
NOTHING = np.array([], dtype=np.intp)


def judged(dataset: Dataset, scores: FloatArray, majority: FloatArray) -> Judged:
    count = len(dataset)
    every = np.arange(count)
    made = OutOfSample(
        rows=every,
        scores=scores,
        ridge=np.zeros(count),
        mean=np.zeros(count),
        majority=majority,
        blocks=every * 5 // count,
        scales=np.ones(count),
        smallest_training=100,
        smallest_test=count // 5,
    )
    parts = Split(every[:-10], every[-10:], NOTHING, NOTHING, None)
    return Judged(dataset, parts, dataset, dataset, None, None, made, None, None, False, COST, 1, "hash")


@pytest.fixture
def risen(draw_rows: Draw, world: Draw) -> Dataset:
    """A market that fell before and rises now, seven times in ten."""
    rows = draw_rows(world(rows=500, seed=4))
    up = np.where(np.random.default_rng(4).random(500) < 0.7, 1.0, -1.0)
    return build(replace(rows, forward_returns=up * np.maximum(np.abs(rows.forward_returns), 2 * COST)))


def test_an_edge_of_nothing_is_no_strong_evidence_however_far_the_old_majority_fell_behind(risen: Dataset) -> None:
    follows = np.ones(len(risen))
    mistaken = np.flatnonzero(risen.y < 0)[::40]
    follows[mistaken] = -1.0  # right where always up is wrong: a lead of a few rows
    found = gather(judged(risen, follows, np.full(len(risen), -1.0)))

    assert found.p_majority is not None
    assert found.p_majority < 0.01
    assert found.edge_interval is not None
    assert found.accuracy is not None
    assert found.baseline_accuracy is not None
    edge = found.accuracy - found.baseline_accuracy
    assert edge == pytest.approx(len(mistaken) / 500)
    assert sum(found.edge_interval) / 2 == pytest.approx(edge)
    held = replace(found, p_value=0.001, suspects=(), edge_interval=(-0.001, 0.02))
    assert judge(held) is Verdict.EVIDENCE
    assert judge(replace(held, edge_interval=(0.001, 0.02))) is Verdict.STRONG_EVIDENCE


def test_the_interval_of_the_edge_is_that_of_right_minus_always_the_commoner_direction(risen: Dataset) -> None:
    scores = np.random.default_rng(1).normal(size=len(risen))
    shown = report_of(judged(risen, scores, np.ones(len(risen))))["walk_forward"]
    lead = (np.sign(scores) == np.sign(risen.y)) * 1.0 - (risen.y > 0)
    low, high = shown["edge_ci95"]

    assert (type(low), type(high)) == (float, float)
    assert shown["edge"] == pytest.approx(lead.mean())
    assert (low + high) / 2 == pytest.approx(lead.mean())
    assert (high - low) / 2 == pytest.approx(1.96 * lead.std() / np.sqrt(500), rel=0.15)


def test_a_falling_market_is_led_by_always_down(risen: Dataset) -> None:
    fallen = replace(risen, y=-risen.y)
    found = gather(judged(fallen, np.full(500, -1.0), np.full(500, 1.0)))

    assert found.baseline_name == "always_down"
    assert found.edge_interval == (0.0, 0.0)


def test_moves_inside_the_costs_leave_no_edge(risen: Dataset) -> None:
    still = replace(risen, y=np.full(500, COST / 2))
    shown = report_of(judged(still, np.ones(500), np.ones(500)))["walk_forward"]

    assert (shown["edge"], shown["edge_ci95"]) == (None, None)
