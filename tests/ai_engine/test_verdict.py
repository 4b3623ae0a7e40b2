"""One word and one sentence: what the numbers allow a person to believe."""

from dataclasses import replace

import pytest

from ai_engine.types import TargetKind, Verdict
from ai_engine.verdict import Facts, doubts, judge, missing, recommendation_reasons, sentence

SHOWN = Facts(
    constant=False,
    artifact_rows=400,
    smallest_training=130,
    smallest_test=50,
    rows=260,
    hits=140,
    scored=220,
    baseline_accuracy=0.51,
    baseline_name="always_up",
    unbeaten=(),
    effective_samples=220.0,
    windows=250,
    shifts=250,
    p_value=0.004,
    p_majority=0.01,
    edge_interval=(0.03, 0.22),
    newest_accuracy=0.61,
    suspects=(),
)

NEAR_ALWAYS_UP = {"hits": 191, "baseline_accuracy": 190 / 220, "edge_interval": (-0.01, 0.02)}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, Verdict.STRONG_EVIDENCE),
        ({"p_majority": 0.2}, Verdict.EVIDENCE),
        ({"p_majority": None}, Verdict.EVIDENCE),
        ({"edge_interval": (0.0, 0.2)}, Verdict.EVIDENCE),
        ({"edge_interval": None}, Verdict.EVIDENCE),
        ({"p_value": 0.051}, Verdict.NO_EVIDENCE),
        ({"p_value": None}, Verdict.NO_EVIDENCE),
        ({"baseline_accuracy": 140 / 220}, Verdict.NO_EVIDENCE),
        ({"newest_accuracy": 0.49}, Verdict.NO_EVIDENCE),
        ({"newest_accuracy": None}, Verdict.NO_EVIDENCE),
        ({"suspects": ("realized_pnl",)}, Verdict.SUSPECTED_LEAKAGE),
        ({"hits": 177}, Verdict.SUSPECTED_LEAKAGE),
        ({"hits": 177, "p_value": 0.2}, Verdict.SUSPECTED_LEAKAGE),
        ({"hits": 177, "newest_accuracy": 0.4}, Verdict.SUSPECTED_LEAKAGE),
        ({"hits": 177, "baseline_accuracy": 0.7, "p_value": 0.2, "edge_interval": None}, Verdict.SUSPECTED_LEAKAGE),
        ({"hits": 190, "baseline_accuracy": 190 / 220, "p_value": 1.0}, Verdict.NO_EVIDENCE),
        (NEAR_ALWAYS_UP | {"p_value": 0.2}, Verdict.NO_EVIDENCE),
        (NEAR_ALWAYS_UP | {"p_value": 0.2, "edge_interval": None}, Verdict.NO_EVIDENCE),
        (NEAR_ALWAYS_UP | {"p_value": 0.2, "edge_interval": (0.001, 0.01)}, Verdict.SUSPECTED_LEAKAGE),
        (NEAR_ALWAYS_UP, Verdict.SUSPECTED_LEAKAGE),
        ({"hits": 210, "baseline_accuracy": 190 / 220}, Verdict.SUSPECTED_LEAKAGE),
        ({"shifts": 38}, Verdict.INSUFFICIENT_DATA),
        ({"constant": True}, Verdict.DEGENERATE),
    ],
)
def test_the_first_word_that_applies_is_the_verdict(change: dict[str, object], word: Verdict) -> None:
    assert judge(replace(SHOWN, **change)) is word


def test_the_words_are_asked_in_their_order() -> None:
    everything_wrong = replace(SHOWN, constant=True, shifts=0, suspects=("exit_price",), p_value=1.0)

    assert judge(everything_wrong) is Verdict.DEGENERATE
    assert judge(replace(everything_wrong, constant=False)) is Verdict.INSUFFICIENT_DATA
    assert judge(replace(everything_wrong, constant=False, shifts=39)) is Verdict.SUSPECTED_LEAKAGE


@pytest.mark.parametrize(
    ("lack", "word"),
    [
        ({"smallest_training": 29}, "fit a part on"),
        ({"smallest_test": 29}, "judge a part on"),
        ({"shifts": 38}, "wrong alignments"),
        ({"windows": 9}, "windows"),
        ({"effective_samples": 29.9}, "worth about 29 independent ones (30 needed)"),
    ],
)
def test_each_lack_of_data_is_said(lack: dict[str, float], word: str) -> None:
    facts = replace(SHOWN, **lack)

    assert judge(facts) is Verdict.INSUFFICIENT_DATA
    assert len(missing(facts)) == 1
    assert word in sentence(facts, Verdict.INSUFFICIENT_DATA)


def test_exactly_enough_is_enough() -> None:
    least = {"smallest_training": 30, "smallest_test": 30, "shifts": 39, "windows": 10, "effective_samples": 30}

    assert missing(replace(SHOWN, **least)) == []


def test_too_little_data_says_how_much_more_would_show_an_edge() -> None:
    little = replace(SHOWN, scored=62, hits=38, effective_samples=62.0, smallest_test=12)

    said = sentence(little, judge(little))

    assert said.startswith("62 outcomes that the model had not seen cannot tell this model from a coin")
    assert "about 180 more are needed to see an edge of 8 points" in said


def test_too_little_data_that_all_speaks_for_skill_is_not_called_a_coin() -> None:
    nearly_all = replace(SHOWN, scored=69, hits=68, effective_samples=69.0, smallest_test=18, baseline_accuracy=0.62)

    said = sentence(nearly_all, judge(nearly_all))

    assert judge(nearly_all) is Verdict.INSUFFICIENT_DATA
    assert "coin" not in said
    assert "in 68 of 69 moves larger than the costs that the model had not seen, 98.6% (always up: 62.0%)" in said
    assert "more than chance so far, but too little to rest on (18 later rows to judge a part on (30 needed))" in said
    assert "about 170 more are needed to see an edge of 8 points" in said


def test_moves_that_all_stay_inside_the_costs_are_said_to() -> None:
    inside = replace(
        SHOWN, hits=0, scored=0, effective_samples=0.0, baseline_accuracy=None, p_value=None, newest_accuracy=None
    )

    said = sentence(inside, judge(inside))

    assert said.startswith(
        "None of the 260 outcomes that the model had not seen moved more than the costs,"
        " so no direction could be judged; "
    )


def test_without_a_single_unseen_outcome_the_sentence_says_none() -> None:
    nothing = replace(SHOWN, rows=0, hits=0, scored=0, effective_samples=0.0, p_value=None, windows=0)

    assert sentence(nothing, judge(nothing)).startswith("0 outcomes that the model had not seen cannot tell")


def test_overlapping_outcomes_need_so_many_more_rows() -> None:
    overlapping = replace(SHOWN, scored=240, effective_samples=20.0)

    said = sentence(overlapping, judge(overlapping))

    assert "240 outcomes that the model had not seen, worth about 20 independent ones (30 needed), cannot tell" in said
    assert "about 2600 more" in said


def test_every_doubt_stands_in_the_sentence() -> None:
    doubtful = replace(SHOWN, p_value=0.3, baseline_accuracy=0.7, newest_accuracy=0.4)

    said = sentence(doubtful, judge(doubtful))

    assert len(doubts(doubtful)) == 3
    assert "30.0% of alignments" in said
    assert "does not beat always up" in said
    assert "40.0%, less than a coin" in said


def test_a_leak_is_named() -> None:
    leaking = replace(SHOWN, suspects=("exit_price", "pnl"))

    assert "exit_price and pnl" in sentence(leaking, judge(leaking))


def test_a_feature_with_an_outcomes_name_is_not_said_to_know_it() -> None:
    named = replace(SHOWN, hits=68, scored=155, suspects=("exit_distance",), only_named=("exit_distance",))

    said = sentence(named, judge(named))

    assert judge(named) is Verdict.SUSPECTED_LEAKAGE
    assert "43.9% (always up: 51.0%): not to be relied on, for exit_distance is named after an outcome" in said
    assert "leave out what is not known when deciding, and rename the rest" in said
    assert "too good" not in said
    assert "knows the outcome" not in said


def test_a_leak_that_is_measured_and_a_name_that_only_sounds_so_are_told_apart() -> None:
    both = replace(SHOWN, suspects=("target", "rsi"), only_named=("target",))

    said = sentence(both, judge(both))

    assert "too good to be a forecast, because rsi knows the outcome, and target is named after an outcome" in said


def test_an_accuracy_too_good_to_be_true_asks_for_its_cause() -> None:
    perfect = replace(SHOWN, hits=200)

    assert "more than 80% is too good to be a forecast" in sentence(perfect, judge(perfect))


@pytest.mark.parametrize("p_value", [0.004, 0.3])
def test_the_sentence_says_which_dumb_forecasts_do_as_well(p_value: float) -> None:
    facts = replace(SHOWN, p_value=p_value, unbeaten=("a ridge regression (63.9%)", "the mean (65.0%)"))

    said = "; on the same rows it does not beat a ridge regression (63.9%) and the mean (65.0%)"
    assert said in sentence(facts, judge(facts))
    assert "on the same rows" not in sentence(replace(facts, unbeaten=()), judge(facts))


@pytest.mark.parametrize("change", [{}, {"constant": True}, {"windows": 2}, {"p_value": 0.5}, {"suspects": ("pnl",)}])
def test_the_sentence_says_what_the_shipped_file_was_fitted_on(change: dict[str, object]) -> None:
    facts = replace(SHOWN, **change)

    assert sentence(facts, judge(facts)).endswith("the shipped file is fitted on all 400 usable rows.")


@pytest.mark.parametrize(
    ("verdict", "comparison", "e_value", "reasons"),
    [
        (Verdict.EVIDENCE, None, 20.0, 0),
        (Verdict.STRONG_EVIDENCE, "better", 300.0, 0),
        (Verdict.NO_EVIDENCE, None, 20.0, 1),
        (Verdict.EVIDENCE, "not_distinguishable", 20.0, 1),
        (Verdict.EVIDENCE, "worse", 20.0, 1),
        (Verdict.EVIDENCE, None, 19.99, 1),
        (Verdict.EVIDENCE, None, None, 1),
        (Verdict.INSUFFICIENT_DATA, "worse", None, 3),
    ],
)
def test_a_recommendation_needs_all_three(
    verdict: Verdict, comparison: str | None, e_value: float | None, reasons: int
) -> None:
    assert len(recommendation_reasons(verdict, comparison, e_value)) == reasons


def test_what_learned_from_imported_trades_is_not_told_to_wait_for_evidence_that_never_comes() -> None:
    (reason,) = recommendation_reasons(Verdict.EVIDENCE, None, None, kind=TargetKind.TRADE)

    assert "yet" not in reason
    assert "imported trades know only their own return" in reason
    assert recommendation_reasons(Verdict.EVIDENCE, None, 12.0, kind=TargetKind.TRADE) == [
        "the evidence over all nights is 12 (20 needed)"
    ]
