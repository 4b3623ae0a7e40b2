"""What the judgements of a self-audit amount to."""

from dataclasses import replace

import numpy as np
import pytest

from ai_engine.audit_result import result
from ai_engine.placebo import Ground
from ai_engine.self_audit import Judgement, Task
from tests.ai_engine.audit_worlds import CANDLE, ground, task


def said(audit: Task, verdicts: dict[int, str], accuracy: float = 0.5, spread: float = 0.05) -> list[Judgement]:
    """Judgements of every world; ``no_evidence`` where no other word is given."""
    rng = np.random.default_rng(3)
    return [
        Judgement(number, verdicts.get(number, "no_evidence"), accuracy + spread * float(rng.normal()))
        for number in audit.worlds
    ]


@pytest.fixture(scope="module")
def small() -> Ground:
    return ground(rounds=60, stride=6, horizon=6)


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


def test_posted_worlds_are_held_against_a_coin_too_and_each_stands_for_itself(small: Ground) -> None:
    overlapping = replace(small.rows, ends=small.rows.times + 60 * CANDLE)  # ten decisions a window
    nowhere = np.full(len(overlapping), -1)
    audit = task(Ground(overlapping, {}, nowhere, nowhere))

    found = result(audit, said(audit, {0: "evidence"}, accuracy=0.53))

    assert (found["kind"], found["window_rows"]) == ("rotated", 10)
    assert found["false_approval_ci95"] == pytest.approx([0.0018, 0.0545], abs=1e-4)  # Wilson, 1 of 100
    assert found["placebo_accuracy"]["baseline"] == 0.5
    assert found["faults"] == ["placebo_accuracy"]


@pytest.mark.parametrize("accuracy", [None, 0.5])
def test_where_no_world_could_be_judged_every_rate_and_whether_it_holds_are_unknown(
    small: Ground, accuracy: float | None
) -> None:
    audit = task(small)
    silent = [Judgement(number, "insufficient_data", accuracy) for number in audit.worlds]

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
