"""Each code of the doctor: provoked by the least that should provoke it, and silent just before."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backend.learning.evidence.doctor import CATALOGUE, diagnose
from backend.learning.evidence.doctor.facts import Decisions, Facts, Outcomes
from backend.learning.evidence.doctor.finding import Finding
from backend.learning.evidence.status import STOPPED
from backend.operations.codes import MEANINGS, Code, Severity
from backend.settings import Settings
from tests.learning.evidence.conftest import NOW, STRATEGY

HEALTHY_MOVES = tuple(0.01 * (-1) ** index for index in range(100))


@pytest.fixture
def facts(settings: Settings) -> Facts:
    """A strategy about which there is nothing to say."""
    return Facts(
        strategy=STRATEGY,
        now=NOW,
        settings=settings,
        created_at=NOW - timedelta(days=10),
        decisions=Decisions(
            total=500,
            outcomes_known=400,
            oldest_horizon_at=NOW - timedelta(days=9),
            recent_actions={"BUY": 10, "SELL": 10, "HOLD": 480},
            recent_hold_reasons={"below_min_confidence": 480},
            recent_confidences=(0.5, 0.52) * 20,
        ),
        outcomes=Outcomes(moves=HEALTHY_MOVES, feature_rows=200, constant_features=()),
        last_run={"run_id": "run-1", "state": "success", "started_at": "t", "result": {}},
        last_due=NOW - timedelta(hours=9),
        last_slot=NOW - timedelta(hours=9),
        active={"version_id": "v1", "serving_version_id": "v1", "degraded": False},
        damaged={},
        live={"version_id": "v1", "judged": 100, "correct": 56, "live_accuracy": 0.56, "windows": 100},
        market={"source": "simulated", "state": "running", "market_time": NOW, "updated_at": "t", "detail": None},
    )


def changed(facts: Facts, **changes: Any) -> Facts:
    """The facts with changes to a part of them, told as ``part__field``."""
    for path, value in changes.items():
        part, _, name = path.partition("__")
        if not name:
            facts = replace(facts, **{part: value})
        elif isinstance(before := getattr(facts, part), dict):
            facts = replace(facts, **{part: {**before, name: value}})
        else:
            facts = replace(facts, **{part: replace(before, **{name: value})})
    return facts


def found(facts: Facts, code: Code) -> Finding | None:
    return CATALOGUE[code](facts)


def failed(reason: str, state: str = "error") -> dict[str, Any]:
    return {"run_id": "run-7", "state": state, "started_at": "t", "result": {"reason": reason, "version_id": "v1"}}


def refused() -> dict[str, Any]:
    """What the feed says of the built-in trader where that would not begin."""
    own = {"settings__market": "simulated", "settings__strategy": STRATEGY}
    return {"market__state": "off", "market__detail": "Strategy default decides on 5m candles."} | own


PROVOKED: list[tuple[Code, dict[str, Any]]] = [
    (Code.NO_DECISIONS, {"decisions__total": 0}),
    (Code.ONLY_HOLD, {"decisions__recent_actions": {"HOLD": 4}}),
    (Code.THRESHOLD_UNREACHABLE, {"decisions__recent_confidences": (0.5,) * 20}),
    (Code.COSTS_EXCEED_MOVES, {"outcomes__moves": (0.0023,) * 50 + (-0.0022,) * 50}),
    (Code.NO_CLOSED_OUTCOMES, {"decisions__outcomes_known": 0}),
    (Code.ZERO_LABEL_VARIANCE, {"outcomes__moves": (0.01,) * 10}),
    (Code.CONSTANT_FEATURES, {"outcomes__constant_features": ("rsi",)}),
    (Code.RETRAINING_OVERDUE, {"last_slot": NOW - timedelta(hours=33)}),
    (Code.RETRAINING_OVERDUE, {"last_slot": None}),
    (Code.RETRAINING_FAILED, {"last_run": failed("training_failed")}),
    (Code.SAME_DATA, {"last_run": failed("no_new_samples", "skipped")}),
    (Code.LIVE_ACCURACY_LOW, {"live__correct": 44}),
    (Code.MARKET_FEED_STALE, {"market__state": "stale"}),
    (Code.TRADER_STOPPED, refused()),
    (Code.CLOCK_SKEW, {"market__market_time": NOW + timedelta(seconds=61)}),
    (Code.ARTIFACT_CORRUPT, {"active__degraded": True, "active__serving_version_id": None}),
    (Code.ARTIFACT_CORRUPT, {"damaged": {"v1": "The file differs."}}),
    (Code.ARTIFACT_CORRUPT, {"damaged": {"v0": "The file differs."}}),
]
NOT_YET: list[tuple[Code, dict[str, Any]]] = [
    (Code.ONLY_HOLD, {"decisions__recent_actions": {"HOLD": 2}}),
    (Code.ONLY_HOLD, {"decisions__recent_actions": {"HOLD": 499, "BUY": 1}}),
    (Code.ONLY_HOLD, {"decisions__recent_actions": {}}),
    (Code.THRESHOLD_UNREACHABLE, {"decisions__recent_confidences": (0.5,) * 19}),
    (Code.THRESHOLD_UNREACHABLE, {"decisions__recent_confidences": (0.5,) * 19 + (0.51,)}),
    (Code.COSTS_EXCEED_MOVES, {"outcomes__moves": (0.001,) * 29}),
    (Code.COSTS_EXCEED_MOVES, {"outcomes__moves": (0.001,) * 49 + (0.003,) * 51}),
    (Code.NO_CLOSED_OUTCOMES, {"decisions__total": 0, "decisions__outcomes_known": 0}),
    (Code.ZERO_LABEL_VARIANCE, {"outcomes__moves": (0.01,) * 9}),
    (Code.ZERO_LABEL_VARIANCE, {"outcomes__moves": (0.01,) * 9 + (0.02,)}),
    (Code.CONSTANT_FEATURES, {"outcomes__constant_features": ("rsi",), "outcomes__feature_rows": 49}),
    (Code.RETRAINING_OVERDUE, {"last_slot": None, "last_due": None}),
    (Code.RETRAINING_OVERDUE, {"last_slot": None, "last_due": NOW - timedelta(minutes=59)}),
    (Code.RETRAINING_OVERDUE, {"last_slot": None, "created_at": NOW - timedelta(hours=1)}),
    (Code.RETRAINING_OVERDUE, {"last_slot": None, "decisions__outcomes_known": 0}),
    (Code.RETRAINING_FAILED, {"last_run": None}),
    (Code.RETRAINING_FAILED, {"last_run": failed("insufficient_samples", "skipped")}),
    (Code.SAME_DATA, {"last_run": failed("insufficient_samples", "skipped")}),
    (Code.LIVE_ACCURACY_LOW, {"live__correct": 46}),
    (Code.LIVE_ACCURACY_LOW, {"live__correct": 0, "live__judged": 29}),
    (Code.LIVE_ACCURACY_LOW, {"live__correct": 30, "live__windows": 4}),
    (Code.LIVE_ACCURACY_LOW, {"live__correct": 30, "live__windows": 0}),
    (Code.LIVE_ACCURACY_LOW, {"live": None}),
    (Code.TRADER_STOPPED, refused() | {"market__detail": None}),
    (Code.TRADER_STOPPED, refused() | {"market__detail": STOPPED}),
    (Code.TRADER_STOPPED, refused() | {"market__state": "stale"}),
    (Code.TRADER_STOPPED, refused() | {"settings__market": "off"}),
    (Code.TRADER_STOPPED, refused() | {"settings__strategy": "another"}),
    (Code.CLOCK_SKEW, {"market__market_time": NOW + timedelta(seconds=60)}),
    (Code.ARTIFACT_CORRUPT, {"active": {"version_id": None, "serving_version_id": None, "degraded": False}}),
]


def test_about_a_healthy_strategy_there_is_nothing_to_say(facts: Facts) -> None:
    assert diagnose(facts) == {"status": "ok", "healthy": True, "findings": []}


@pytest.mark.parametrize(("code", "changes"), PROVOKED)
def test_the_code_is_found_alone_with_evidence_and_a_remedy(facts: Facts, code: Code, changes: dict[str, Any]) -> None:
    report = diagnose(changed(facts, **changes))

    codes = [finding["code"] for finding in report["findings"]]
    assert code in codes
    finding = report["findings"][codes.index(code)]
    assert finding["evidence"]
    assert finding["explanation"].endswith(".")
    assert finding["remedy"].endswith(".")
    assert report["healthy"] is all(one["severity"] == "info" for one in report["findings"])


@pytest.mark.parametrize(("code", "changes"), NOT_YET)
def test_just_before_it_is_true_nothing_is_said(facts: Facts, code: Code, changes: dict[str, Any]) -> None:
    assert found(changed(facts, **changes), code) is None


def test_every_code_of_the_catalogue_is_provoked_and_explained() -> None:
    assert {code for code, _ in PROVOKED} == set(CATALOGUE) == set(Code) == set(MEANINGS)


def test_the_four_holds_of_the_user_document_are_explained_by_their_reason(facts: Facts) -> None:
    stuck = changed(
        facts, decisions__recent_actions={"HOLD": 4}, decisions__recent_hold_reasons={"below_min_confidence": 4}
    )

    finding = found(stuck, Code.ONLY_HOLD)

    assert finding is not None
    assert finding.evidence == {"decisions": 4, "reasons": {"below_min_confidence": 4}}
    assert "below_min_confidence" in finding.explanation
    assert "QT_MIN_CONFIDENCE" in finding.remedy


@pytest.mark.parametrize(
    ("market", "said"), [("off", "from the price of a later decision"), ("simulated", "from candles")]
)
def test_the_outcome_of_a_hold_is_promised_from_where_it_can_come(facts: Facts, market: str, said: str) -> None:
    finding = found(changed(facts, decisions__recent_actions={"HOLD": 4}, settings__market=market), Code.ONLY_HOLD)

    assert finding is not None
    assert said in finding.explanation
    assert ("candles" in finding.explanation) == (market != "off")


@pytest.mark.parametrize(
    ("reason", "said"),
    [("no_verified_model", "Restore the active version's file"), ("schema_mismatch", "Retrain once")],
)
def test_a_hold_for_want_of_a_version_that_can_serve_has_its_own_remedy(facts: Facts, reason: str, said: str) -> None:
    stuck = changed(facts, decisions__recent_actions={"HOLD": 4}, decisions__recent_hold_reasons={reason: 4})

    finding = found(stuck, Code.ONLY_HOLD)

    assert finding is not None
    assert reason in finding.explanation
    assert said in finding.remedy


def test_where_no_version_serves_the_rule_is_promised_only_where_it_knows_the_features(facts: Facts) -> None:
    finding = found(changed(facts, active__degraded=True, active__serving_version_id=None), Code.ARTIFACT_CORRUPT)

    assert finding is not None
    assert "where it knows the features, the rest is HOLD" in finding.explanation


def test_an_unreachable_threshold_names_one_that_can_be_reached(facts: Facts) -> None:
    finding = found(changed(facts, decisions__recent_confidences=(0.5004,) * 30), Code.THRESHOLD_UNREACHABLE)

    assert finding is not None
    assert finding.evidence["highest_confidence"] == 0.5004
    assert "0.5 " in finding.remedy


def test_outcomes_that_are_not_due_yet_are_only_information(facts: Facts) -> None:
    waiting = changed(facts, decisions__outcomes_known=0, decisions__oldest_horizon_at=NOW + timedelta(minutes=30))

    finding = found(waiting, Code.NO_CLOSED_OUTCOMES)

    assert finding is not None
    assert finding.severity is Severity.INFO
    assert "2026-03-02T12:30:00Z" in finding.remedy


def test_due_is_told_in_the_markets_own_time(facts: Facts) -> None:
    replayed = changed(facts, decisions__outcomes_known=0, market__market_time=NOW - timedelta(days=9, hours=1))

    finding = found(replayed, Code.NO_CLOSED_OUTCOMES)

    assert finding is not None
    assert finding.severity is Severity.INFO


@pytest.mark.parametrize(
    ("correct", "judged", "low", "high"), [(44, 100, 0.3467, 0.5377), (10, 30, 0.1923, 0.5122), (0, 50, 0.0, 0.0714)]
)
def test_the_interval_is_wilsons(facts: Facts, correct: int, judged: int, low: float, high: float) -> None:
    finding = found(changed(facts, live__correct=correct, live__judged=judged), Code.LIVE_ACCURACY_LOW)

    assert finding is not None
    assert finding.evidence["ci95"] == pytest.approx([low, high], abs=2e-4)


def test_a_stand_in_is_named_where_there_is_one(facts: Facts) -> None:
    finding = found(changed(facts, active__degraded=True, active__serving_version_id="v0"), Code.ARTIFACT_CORRUPT)

    assert finding is not None
    assert "v0 serves instead" in finding.explanation


@pytest.mark.parametrize(
    ("damaged", "severity", "said"),
    [
        ({"v1": "gone"}, Severity.ERROR, "it serves from memory until the service is restarted"),
        ({"v0": "gone"}, Severity.WARNING, "The file of v0, to which a rollback would go"),
        ({"v1": "gone", "v0": "gone"}, Severity.ERROR, "The file of v0, to which a rollback would go"),
    ],
)
def test_a_file_that_is_damaged_on_disk_is_said_before_anything_needs_it(
    facts: Facts, damaged: dict[str, str], severity: Severity, said: str
) -> None:
    finding = found(changed(facts, damaged=damaged), Code.ARTIFACT_CORRUPT)

    assert finding is not None
    assert finding.severity is severity
    assert said in finding.explanation
    assert finding.evidence["damaged"] == damaged
