"""One word and one sentence: what the numbers allow a person to believe."""

from dataclasses import replace

import pytest

from ai_engine.types import Verdict
from ai_engine.verdict import Facts, judge, missing, recommendation_reasons, sentence

ENOUGH = Facts(
    constant=False,
    training_rows=240,
    validation_rows=62,
    artifact_rows=312,
    hits=34,
    scored=58,
    baseline_accuracy=0.534,
    baseline_name="always_up",
    effective_samples=58.0,
    windows=62,
    min_detectable_accuracy=0.661,
)


def test_enough_data_without_evidence_over_several_periods_is_no_evidence() -> None:
    assert judge(ENOUGH) is Verdict.NO_EVIDENCE


def test_a_constant_model_is_degenerate_before_anything_else() -> None:
    assert judge(replace(ENOUGH, constant=True, training_rows=3)) is Verdict.DEGENERATE


@pytest.mark.parametrize(
    ("lack", "word"),
    [
        ({"training_rows": 29}, "fit on"),
        ({"validation_rows": 29}, "newer rows"),
        ({"windows": 9}, "windows"),
        ({"effective_samples": 29.9}, "independent outcomes"),
    ],
)
def test_each_lack_of_data_is_said(lack: dict[str, float], word: str) -> None:
    facts = replace(ENOUGH, **lack)

    assert judge(facts) is Verdict.INSUFFICIENT_DATA
    assert len(missing(facts)) == 1
    assert word in sentence(facts, Verdict.INSUFFICIENT_DATA)


@pytest.mark.parametrize(
    "bound", [{"training_rows": 30, "validation_rows": 30, "windows": 10, "effective_samples": 30}]
)
def test_exactly_enough_is_enough(bound: dict[str, float]) -> None:
    assert missing(replace(ENOUGH, **bound)) == []


@pytest.mark.parametrize("facts", [ENOUGH, replace(ENOUGH, constant=True), replace(ENOUGH, windows=2)])
def test_the_sentence_says_what_the_shipped_file_was_fitted_on(facts: Facts) -> None:
    text = sentence(facts, judge(facts))

    assert "312 usable rows" in text
    assert text.endswith(".")
    assert text.count(". ") == 0


def test_the_sentence_has_the_numbers() -> None:
    text = sentence(ENOUGH, Verdict.NO_EVIDENCE)

    for number in ("34 of 58", "58.6%", "53.4%", "66.1%", "always up"):
        assert number in text


def test_one_of_a_kind_is_counted_in_the_singular() -> None:
    facts = replace(ENOUGH, training_rows=1, windows=1, effective_samples=1.0)

    assert missing(facts) == [
        "1 row to fit on (30 needed)",
        "1 outcome window without overlap (10 needed)",
        "about 1 independent outcome (30 needed)",
    ]


def test_one_lucky_split_is_not_called_evidence() -> None:
    assert "one split alone" in sentence(replace(ENOUGH, hits=50), Verdict.NO_EVIDENCE)


def test_nothing_to_score_is_said() -> None:
    facts = replace(ENOUGH, hits=0, scored=0, effective_samples=0.0, min_detectable_accuracy=None)

    assert "No newer move larger than the costs" in sentence(facts, judge(facts))


@pytest.mark.parametrize("verdict", [Verdict.NO_EVIDENCE, Verdict.INSUFFICIENT_DATA, Verdict.DEGENERATE])
def test_a_version_that_is_not_recommended_says_why(verdict: Verdict) -> None:
    assert any(verdict.value in reason for reason in recommendation_reasons(verdict))
