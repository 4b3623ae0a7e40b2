"""What to do now: one sentence, in the order of the manual's list."""

from typing import Any

import pytest

from backend.learning.versions.advice import what_now
from backend.models import AIModelVersion

GOOD: dict[str, Any] = {
    "break_even_accuracy": 0.55,
    "costs_exceed_moves": False,
    "walk_forward": {"accuracy": 0.58},
    "baseline_accuracy": 0.52,
    "baseline_name": "always_up",
    "mae_zero_forecast": 0.006,
    "comparison": None,
    "recommendation_reasons": [],
}


def version(verdict: str, *, recommended: bool = False, is_active: bool = False, **report: Any) -> AIModelVersion:
    return AIModelVersion(
        version_id="v2",
        verdict=verdict,
        recommended=recommended,
        is_active=is_active,
        validation_accuracy=report.pop("accuracy", 0.6),
        validation_mae=report.pop("mae", 0.005),
        report=GOOD | report,
    )


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        (version("degenerate", costs_exceed_moves=True), "Do not activate it. It learned nothing"),
        (version("suspected_leakage"), "Find the feature that knows the outcome"),
        (version("evidence", recommended=True, costs_exceed_moves=True), "do not pay the costs, however often"),
        (version("insufficient_data", accuracy=0.54), "54.0% right loses money where only 55.0% pays"),
        (version("insufficient_data"), "Wait: let outcomes come in"),
        (version("insufficient_data", accuracy=None, break_even_accuracy=None), "Wait: let outcomes come in"),
        (
            version("no_evidence", baseline_accuracy=0.61),
            "'always up' is right in 61.0% of the same moves, it in 58.0%",
        ),
        (version("no_evidence", mae=0.006), "Rather not"),
        (version("no_evidence"), "Do not activate it: let none decide"),
        (
            version("evidence", recommendation_reasons=["the evidence is 3 (20 needed)"]),
            "the evidence is 3 (20 needed)",
        ),
        (version("evidence", recommended=True), "qt activate v2 --reason"),
        (version("no_evidence", is_active=True), "It decides."),
    ],
)
def test_the_first_line_that_applies_is_said(judged: AIModelVersion, said: str) -> None:
    assert said in what_now(judged, None)


def test_what_decides_now_matters() -> None:
    met = {"champion": "v1"}

    assert "leave v1 as it is" in what_now(version("no_evidence"), "v1")
    assert "never compared with v1" in what_now(version("evidence", recommended=True), "v1")
    assert "qt activate v2" in what_now(version("evidence", recommended=True, comparison=met), "v1")


def test_only_a_recommendation_says_activate() -> None:
    verdicts = ("degenerate", "insufficient_data", "suspected_leakage", "no_evidence", "evidence", "strong_evidence")

    assert not [one for one in verdicts if "qt activate" in what_now(version(one), None)]
