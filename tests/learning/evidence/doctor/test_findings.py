"""Each code of the doctor: provoked by the least that should provoke it, and silent just before."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backend.clock import iso
from backend.crontab import parse_schedule
from backend.learning.evidence.doctor import CATALOGUE, diagnose
from backend.learning.evidence.doctor.facts import Decisions, Facts, Outcomes, Terms
from backend.learning.evidence.doctor.finding import Finding
from backend.learning.evidence.doctor.running_checks import newest_due
from backend.learning.evidence.status import STOPPED
from backend.operations.codes import CATALOGUE_OF_CODES, Code, Severity
from backend.settings import Settings
from tests.learning.evidence.conftest import NOW, STRATEGY

LACKING = "binance has no ETHUSDC (QT_SYMBOLS); BTCUSDC, SOLUSDC are traded."
HEALTHY_MOVES = tuple(0.01 * (-1) ** index for index in range(100))


@pytest.fixture
def facts(settings: Settings) -> Facts:
    """A strategy about which there is nothing to say."""
    return Facts(
        strategy=STRATEGY,
        now=NOW,
        settings=settings,
        created_at=NOW - timedelta(days=10),
        terms=Terms("simulated", "5m", 12),
        decisions=Decisions(
            total=500,
            historical=0,
            outcomes_known=400,
            own_outcomes_known=400,
            oldest_horizon_at=NOW - timedelta(days=9),
            oldest_pending="d1",
            recent_actions={"BUY": 10, "SELL": 10, "HOLD": 480},
            recent_hold_reasons={"below_min_confidence": 480},
            present_hold_reason=None,
            recent_confidences=(0.5, 0.52) * 20,
        ),
        outcomes=Outcomes(moves=HEALTHY_MOVES, historical_moves=0, feature_rows=200, constant_features=()),
        last_run={"run_id": "run-1", "state": "success", "started_at": "t", "result": {}},
        last_due=NOW - timedelta(hours=9),
        last_slot=NOW - timedelta(hours=9),
        active={"version_id": "v1", "serving_version_id": "v1", "degraded": False},
        damaged={},
        live={
            "version_id": "v1", "previous": "v0", "judged": 100, "correct": 56, "live_accuracy": 0.56, "windows": 100,
        },
        market={
            "source": "simulated", "state": "running", "market_time": NOW, "updated_at": iso(NOW), "detail": None,
            "clock_offset_seconds": None,
        },
        alarms={},
        quarantined={},
        without_price={},
    )  # fmt: skip


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
    (Code.NO_DECISIONS, {"decisions__total": 0, "market__state": "off"}),
    (Code.ONLY_HOLD, {"decisions__recent_actions": {"HOLD": 4}}),
    (Code.THRESHOLD_UNREACHABLE, {"decisions__recent_confidences": (0.5,) * 20}),
    (Code.COSTS_EXCEED_MOVES, {"outcomes__moves": (0.0023,) * 50 + (-0.0022,) * 50}),
    (Code.NO_CLOSED_OUTCOMES, {"decisions__own_outcomes_known": 0}),
    (Code.OUTCOMES_UNOBSERVABLE, {"without_price": {"EURUSD": (20, 40)}}),
    (Code.ZERO_LABEL_VARIANCE, {"outcomes__moves": (0.01,) * 10}),
    (Code.CONSTANT_FEATURES, {"outcomes__constant_features": ("rsi",)}),
    (Code.SAMPLES_QUARANTINED, {"quarantined__alike_returns": 1}),
    (Code.RETRAINING_OVERDUE, {"last_slot": NOW - timedelta(hours=33)}),
    (Code.RETRAINING_OVERDUE, {"last_slot": None}),
    (Code.RETRAINING_FAILED, {"last_run": failed("training_failed")}),
    (Code.SAME_DATA, {"last_run": failed("no_new_samples", "skipped")}),
    (Code.LIVE_ACCURACY_LOW, {"live__correct": 44}),
    (Code.SKILL_LOST, {"alarms": {"skill_lost": ("v1 has lost the skill it showed.",)}, "skill": {"lost": True}}),
    (Code.ERRORS_DRIFTED, {"alarms": {"errors_drifted": ("v1: Its errors grew from 1.0 to 2.0.",)}}),
    (Code.FEATURES_DRIFTED, {"alarms": {"features_drifted": ("v1: rsi lies farther from the rest.",)}}),
    (Code.MARKET_FEED_STALE, {"market__state": "stale"}),
    (Code.TRADER_STOPPED, refused()),
    (Code.CLOCK_SKEW, {"market__market_time": NOW + timedelta(seconds=61)}),
    (Code.CLOCK_SKEW, {"market__clock_offset_seconds": 11.0}),
    (Code.CLOCK_SKEW, {"market__clock_offset_seconds": -11.0}),
    (Code.SYMBOLS_UNKNOWN, {"alarms": {"symbols_unknown": (LACKING,)}}),
    (Code.SELF_AUDIT_FAILED, {"alarms": {"self_audit_failed": ("The verdicts are not to be trusted.",)}}),
    (Code.WRITES_FAIL, {"unwritable": "The database x cannot be used: database or disk is full. Mend it."}),
    (Code.DELIVERY_FAILING, {"alarms": {"delivery_failing": ("The webhook answered 500 three times.",)}}),
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
    (Code.NO_CLOSED_OUTCOMES, {"decisions__total": 0, "decisions__own_outcomes_known": 0}),
    (Code.OUTCOMES_UNOBSERVABLE, {"without_price": {"EURUSD": (19, 19)}}),
    (Code.OUTCOMES_UNOBSERVABLE, {"without_price": {"EURUSD": (20, 41)}}),
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
    (Code.SKILL_LOST, {"alarms": {"errors_drifted": ("v1: Its errors grew.",)}}),
    (Code.ERRORS_DRIFTED, {"alarms": {"skill_lost": ("v1 has lost its skill.",)}}),
    (Code.FEATURES_DRIFTED, {"alarms": {"errors_drifted": ("v1: Its errors grew.",)}}),
    (Code.TRADER_STOPPED, refused() | {"market__detail": None}),
    (Code.TRADER_STOPPED, refused() | {"market__detail": STOPPED}),
    (Code.TRADER_STOPPED, refused() | {"market__state": "stale"}),
    (Code.TRADER_STOPPED, refused() | {"settings__market": "off"}),
    (Code.TRADER_STOPPED, refused() | {"settings__strategy": "another"}),
    (Code.CLOCK_SKEW, {"market__market_time": NOW + timedelta(seconds=60)}),
    (Code.CLOCK_SKEW, {"market__clock_offset_seconds": 10.0}),
    (Code.CLOCK_SKEW, {"market__clock_offset_seconds": -10.0}),
    (Code.CLOCK_SKEW, {"market__clock_offset_seconds": 0.5, "market__market_time": NOW + timedelta(hours=1)}),
    (Code.SYMBOLS_UNKNOWN, {"alarms": {"clock_skew": ("ETHUSDC",)}}),
    (Code.ARTIFACT_CORRUPT, {"active": {"version_id": None, "serving_version_id": None, "degraded": False}}),
]


def test_about_a_healthy_strategy_there_is_nothing_to_say(facts: Facts) -> None:
    assert diagnose(facts) == {"status": "ok", "strategy": STRATEGY, "healthy": True, "findings": []}


@pytest.mark.parametrize(("code", "changes"), PROVOKED)
def test_the_code_is_found_alone_with_evidence_and_a_remedy(facts: Facts, code: Code, changes: dict[str, Any]) -> None:
    told = changed(facts, **changes)
    report = diagnose(told, unwritable_because=told.unwritable)

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
    assert {code for code, _ in PROVOKED} == set(CATALOGUE) == set(Code) == set(CATALOGUE_OF_CODES)


@pytest.mark.parametrize(
    ("market", "timeframe", "horizon", "said"),
    [
        ("replay", "1h", 12, "QT_HORIZON_CANDLES=24 with QT_STRATEGY=default-24"),
        ("replay", "1h", 24, "on longer candles"),
        ("replay", "1d", 12, "on longer candles"),
        ("external", "1h", 12, "Send a decision of EURUSD with its price, HOLD will do, 720 minutes after each"),
    ],
)
def test_where_no_price_comes_at_the_horizon_the_remedy_fits_who_should_tell_it(
    facts: Facts, market: str, timeframe: str, horizon: int, said: str
) -> None:
    lost = {"BTCUSD": (3, 40), "EURUSD": (30, 40)}
    finding = found(
        changed(facts, without_price=lost, terms=Terms(market, timeframe, horizon)), Code.OUTCOMES_UNOBSERVABLE
    )

    assert finding is not None
    assert said in finding.remedy
    assert "EURUSD: 30 of 40" in finding.explanation
    assert finding.evidence["symbols"] == {"EURUSD": {"without_price": 30, "passed": 40}}


def test_that_no_outcome_is_known_is_not_told_twice(facts: Facts) -> None:
    nothing = changed(facts, decisions__own_outcomes_known=0, without_price={"EURUSD": (20, 20)})

    assert found(nothing, Code.NO_CLOSED_OUTCOMES) is None
    assert found(nothing, Code.OUTCOMES_UNOBSERVABLE) is not None


def test_a_training_that_a_stop_cut_off_has_nothing_to_mend(facts: Facts) -> None:
    finding = found(changed(facts, last_run=failed("lost")), Code.RETRAINING_FAILED)

    assert finding is not None
    assert (
        finding.remedy == "Nothing is to be mended: the service stopped in the middle of it. Run it again: qt retrain."
    )


def test_the_four_holds_of_the_user_document_are_explained_by_their_reason(facts: Facts) -> None:
    stuck = changed(
        facts, decisions__recent_actions={"HOLD": 4}, decisions__recent_hold_reasons={"below_min_confidence": 4}
    )

    finding = found(stuck, Code.ONLY_HOLD)

    assert finding is not None
    assert finding.evidence == {
        "decisions": 4,
        "reasons": {"below_min_confidence": 4},
        "min_confidence": 0.51,
        "exploration_rate": 0.02,
        "outcomes_known": 400,
    }
    assert "below_min_confidence" in finding.explanation
    assert finding.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("market", "said"), [("off", "from the price of a later decision"), ("simulated", "from candles")]
)
def test_the_outcome_of_a_hold_is_promised_from_where_it_can_come(facts: Facts, market: str, said: str) -> None:
    finding = found(changed(facts, decisions__recent_actions={"HOLD": 4}, settings__market=market), Code.ONLY_HOLD)

    assert finding is not None
    assert said in finding.explanation
    assert ("candles" in finding.explanation) == (market != "off")


OWN = {"settings__market": "simulated", "settings__strategy": STRATEGY}


@pytest.mark.parametrize(
    ("reason", "changes", "said"),
    [
        ("below_min_confidence", {"settings__min_confidence": 1.0}, "QT_MIN_CONFIDENCE=0.51"),
        ("below_min_confidence", OWN | {"settings__exploration_rate": 0.0}, "QT_EXPLORATION_RATE=0.02"),
        ("below_min_confidence", {}, "on the 400 outcomes that are known, and read its report: qt retrain"),
        ("below_min_confidence", {"decisions__outcomes_known": 7}, "100 outcomes are known (7 are now)"),
        ("zero_score", {"decisions__outcomes_known": 0}, "(0 are now; the first is due at 2026-02-21T12:00:00Z)"),
        ("below_break_even", {"settings__require_edge": True}, "QT_REQUIRE_EDGE=0"),
        ("ai_trading_disabled", {}, "QT_ENABLE_AI_TRADING=1"),
        ("cold_start_no_trend", {}, "qt retrain"),
        ("no_rule_for_these_features", {}, "qt retrain"),
        ("no_active_model", {"live": None}, "qt retrain"),
        ("no_active_model", {}, "the next decision, which v1 makes: qt status"),
        ("no_verified_model", {}, "qt rebuild v1"),
        ("schema_mismatch", {"strategy": "bot"}, "qt retrain --strategy bot"),
    ],
)
def test_each_reason_to_hold_has_its_own_remedy(facts: Facts, reason: str, changes: dict[str, Any], said: str) -> None:
    stuck = changed(facts, decisions__recent_actions={"HOLD": 4}, decisions__recent_hold_reasons={reason: 4})

    finding = found(changed(stuck, **changes), Code.ONLY_HOLD)

    assert finding is not None
    assert reason in finding.explanation
    assert said in finding.remedy


@pytest.mark.parametrize("reason", ["below_min_confidence", "zero_score", "ai_trading_disabled", "below_break_even"])
def test_nobody_is_told_to_lower_the_threshold_to_where_it_asks_for_nothing(facts: Facts, reason: str) -> None:
    stuck = changed(facts, decisions__recent_actions={"HOLD": 4}, decisions__recent_hold_reasons={reason: 4})

    finding = found(stuck, Code.ONLY_HOLD)

    assert finding is not None
    assert "QT_MIN_CONFIDENCE=0.0" not in finding.remedy


@pytest.mark.parametrize(("holds", "severity"), [(3, Severity.INFO), (299, Severity.INFO), (300, Severity.WARNING)])
def test_to_wait_for_a_trend_is_no_fault_for_a_while(facts: Facts, holds: int, severity: Severity) -> None:
    stuck = changed(
        facts,
        decisions__recent_actions={"HOLD": holds},
        decisions__recent_hold_reasons={"cold_start_no_trend": holds},
    )

    finding = found(stuck, Code.ONLY_HOLD)

    assert finding is not None
    assert finding.severity is severity


def test_the_remedy_is_for_what_keeps_it_from_trading_now(facts: Facts) -> None:
    stuck = changed(
        facts,
        decisions__recent_actions={"HOLD": 64},
        decisions__recent_hold_reasons={"ai_trading_disabled": 44, "zero_score": 20},
        decisions__present_hold_reason="zero_score",
    )

    finding = found(stuck, Code.ONLY_HOLD)

    assert finding is not None
    assert "20 of them because of zero_score" in finding.explanation
    assert "QT_ENABLE_AI_TRADING" not in finding.remedy


def test_where_no_version_serves_the_rule_is_promised_only_where_it_knows_the_features(facts: Facts) -> None:
    finding = found(changed(facts, active__degraded=True, active__serving_version_id=None), Code.ARTIFACT_CORRUPT)

    assert finding is not None
    assert "where it knows the features, the rest is HOLD" in finding.explanation


@pytest.mark.parametrize("highest", [0.5088, 0.5004, 0.5])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"settings__min_confidence": 0.51}, "qt retrain"),
        ({"settings__min_confidence": 0.6}, "QT_MIN_CONFIDENCE=0.51,"),
        (OWN | {"settings__exploration_rate": 0.0}, "QT_EXPLORATION_RATE=0.02"),
    ],
)
def test_an_unreachable_threshold_is_not_lowered_to_what_does_not_pay(
    facts: Facts, highest: float, changes: dict[str, Any], said: str
) -> None:
    told = changed(facts, decisions__recent_confidences=(highest,) * 30, **changes)

    finding = found(told, Code.THRESHOLD_UNREACHABLE)

    assert finding is not None
    assert finding.evidence["highest_confidence"] == highest
    assert said in finding.remedy


def test_where_no_version_is_active_no_threshold_keeps_it_from_trading(facts: Facts) -> None:
    told = changed(facts, decisions__recent_confidences=(0.505,) * 30, active__version_id=None)

    assert found(told, Code.THRESHOLD_UNREACHABLE) is None


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        (OWN, Severity.INFO),
        (OWN | {"settings__exploration_rate": 0.0}, Severity.WARNING),
        (OWN | {"settings__enable_execution": False}, Severity.WARNING),
        (OWN | {"settings__min_confidence": 0.52}, Severity.WARNING),
        (OWN | {"decisions__recent_confidences": (0.505,) * 30}, Severity.WARNING),
        ({}, Severity.WARNING),
    ],
)
def test_a_version_without_skill_that_holds_is_no_fault_while_exploration_goes_on(
    facts: Facts, changes: dict[str, Any], severity: Severity
) -> None:
    told = changed(facts, **{"decisions__recent_confidences": (0.5,) * 30} | changes)

    finding = found(told, Code.THRESHOLD_UNREACHABLE)

    assert finding is not None
    assert finding.severity is severity


@pytest.mark.parametrize(
    ("move", "horizon", "said"),
    [(0.00121, 12, "QT_HORIZON_CANDLES=48 with QT_STRATEGY=default-48"), (0.00001, 12, "QT_TIMEFRAME=1d"),
     (0.0, 12, "QT_TIMEFRAME=1d")],
)  # fmt: skip
def test_the_horizon_that_would_pay_is_computed_from_the_moves(
    facts: Facts, move: float, horizon: int, said: str
) -> None:
    small = changed(facts, outcomes__moves=(move,) * 40, terms__horizon_candles=horizon)

    finding = found(small, Code.COSTS_EXCEED_MOVES)

    assert finding is not None
    assert said in finding.remedy


def test_historical_moves_are_told_apart(facts: Facts) -> None:
    small = changed(facts, outcomes__moves=(0.001,) * 40, outcomes__historical_moves=30)

    finding = found(small, Code.COSTS_EXCEED_MOVES)

    assert finding is not None
    assert "newest 40 moves, 30 of them historical, were smaller" in finding.explanation
    assert finding.evidence["historical"] == 30


@pytest.mark.parametrize(
    ("changes", "severity", "said"),
    [
        ({"market__state": "running"}, Severity.INFO, "qt status"),
        ({"market__state": "off"}, Severity.WARNING, "POST /ai/decisions?strategy=default"),
        (OWN | {"market__state": "off"}, Severity.WARNING, "qt start"),
        ({"market__state": "off", "decisions__historical": 70}, Severity.WARNING, "POST /ai/decisions"),
    ],
)
def test_a_strategy_without_decisions_is_told_how_to_get_the_first(
    facts: Facts, changes: dict[str, Any], severity: Severity, said: str
) -> None:
    finding = found(changed(facts, decisions__total=0, **changes), Code.NO_DECISIONS)

    assert finding is not None
    assert finding.severity is severity
    assert said in finding.remedy
    assert ("70 historical samples" in finding.explanation) == ("decisions__historical" in changes)


@pytest.mark.parametrize(
    ("offset", "severity", "said"),
    [
        (12.4, Severity.WARNING, "12 s ahead of this machine's"),
        (-75.0, Severity.ERROR, "75 s behind this machine's"),
        (3600.0, Severity.ERROR, "it is slow"),
        (-3600.0, Severity.ERROR, "it is fast"),
    ],
)
def test_a_clock_that_is_off_says_by_how_much_and_what_that_means(
    facts: Facts, offset: float, severity: Severity, said: str
) -> None:
    finding = found(changed(facts, market__clock_offset_seconds=offset), Code.CLOCK_SKEW)

    assert finding is not None
    assert finding.severity is severity
    assert said in finding.explanation
    assert finding.evidence["clock_offset_seconds"] == offset


@pytest.mark.parametrize(
    ("told", "said", "severity"),
    [
        (LACKING, "QT_SYMBOLS=BTCUSDC,SOLUSDC,", Severity.WARNING),
        ("binance has no BTCUSDC, ETHUSDC, SOLUSDC (QT_SYMBOLS); nothing is left to trade.", "QT_SYMBOLS=BTCUSDT,",
         Severity.ERROR),
    ],
)  # fmt: skip
def test_symbols_that_the_exchange_lacks_are_left_out_of_the_setting(
    facts: Facts, told: str, said: str, severity: Severity
) -> None:
    finding = found(changed(facts, alarms={"symbols_unknown": (told,)}), Code.SYMBOLS_UNKNOWN)

    assert finding is not None
    assert said in finding.remedy
    assert finding.explanation == told
    assert finding.severity is severity


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"market__updated_at": iso(NOW - timedelta(hours=2))}, "qt stop, then qt start"),
        ({"market__updated_at": iso(NOW - timedelta(seconds=30))}, "qt status"),
        ({"market__updated_at": iso(NOW - timedelta(minutes=30)), "market__detail": "It said 429."}, "qt status"),
    ],
)
def test_a_stale_feed_tells_a_silent_market_from_a_trader_that_is_gone(
    facts: Facts, changes: dict[str, Any], said: str
) -> None:
    finding = found(changed(facts, market__state="stale", **changes), Code.MARKET_FEED_STALE)

    assert finding is not None
    assert said in finding.remedy
    assert ("It said 429." in finding.explanation) == ("market__detail" in changes)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("training_failed", "qt retrain"),
        ("lost", "qt retrain"),
        ("too_few_valid_samples", "GET /ai/retraining-runs/run-7"),
        ("degenerate_data", "GET /ai/retraining-runs/run-7"),
    ],
)
def test_a_failed_retraining_is_mended_where_its_reason_lies(facts: Facts, reason: str, said: str) -> None:
    finding = found(changed(facts, last_run=failed(reason)), Code.RETRAINING_FAILED)

    assert finding is not None
    assert said in finding.remedy


@pytest.mark.parametrize(("previous", "said"), [("v0", "Go back to v0: qt rollback"), (None, "qt deactivate")])
def test_lost_skill_has_a_way_back_even_where_nothing_came_before(
    facts: Facts, previous: str | None, said: str
) -> None:
    low = found(changed(facts, live__correct=30, live__previous=previous), Code.LIVE_ACCURACY_LOW)
    alarmed = changed(facts, live__previous=previous, alarms={"skill_lost": ("v1 has lost the skill it showed.",)})
    lost = found(alarmed, Code.SKILL_LOST)

    for finding in (low, lost):
        assert finding is not None
        assert said in finding.remedy
        assert "qt deactivate" in finding.remedy
        assert "qt retrain" in finding.remedy
        assert "features" in finding.remedy


@pytest.mark.parametrize(("word", "severity"), [("grew", Severity.WARNING), ("shrank", Severity.INFO)])
def test_only_errors_that_grew_are_a_warning(facts: Facts, word: str, severity: Severity) -> None:
    told = changed(facts, alarms={"errors_drifted": (f"v1: Its errors in units of volatility {word} from 1 to 2.",)})
    finding = found(told, Code.ERRORS_DRIFTED)

    assert finding is not None
    assert finding.severity is severity


@pytest.mark.parametrize(
    ("why", "said"),
    [("database or disk is full.", "df -h"), ("attempt to write a readonly database.", "this sentence")],
)
def test_what_cannot_be_stored_is_told_with_what_the_database_said(facts: Facts, why: str, said: str) -> None:
    finding = found(replace(facts, unwritable=why), Code.WRITES_FAIL)

    assert finding is not None
    assert why in finding.explanation
    assert said in finding.remedy


@pytest.mark.parametrize("code", list(Code))
def test_the_catalogues_severity_is_one_that_the_doctor_gives(facts: Facts, code: Code) -> None:
    told = [found(changed(facts, **changes), one) for one, changes in PROVOKED if one is code]

    assert CATALOGUE_OF_CODES[code].severity in {finding.severity for finding in told if finding}


TYPED = re.compile(r"\bqt [a-z]|(GET|POST) /ai/|QT_[A-Z_]+=?|df -h|timedatectl")


@pytest.mark.parametrize(("code", "changes"), PROVOKED)
def test_every_remedy_is_something_that_can_be_typed(facts: Facts, code: Code, changes: dict[str, Any]) -> None:
    finding = found(changed(facts, **changes), code)

    assert finding is not None
    assert TYPED.search(finding.remedy), finding.remedy


def test_another_strategys_remedies_name_it(facts: Facts) -> None:
    other = changed(facts, strategy="bot", last_slot=None)

    finding = found(other, Code.RETRAINING_OVERDUE)

    assert finding is not None
    assert finding.remedy == "Run it now: qt retrain --strategy bot."


def test_outcomes_that_are_not_due_yet_are_only_information(facts: Facts) -> None:
    waiting = changed(facts, decisions__own_outcomes_known=0, decisions__oldest_horizon_at=NOW + timedelta(minutes=30))

    finding = found(waiting, Code.NO_CLOSED_OUTCOMES)

    assert finding is not None
    assert finding.severity is Severity.INFO
    assert "2026-03-02T12:30:00Z" in finding.remedy


def test_due_is_told_in_the_markets_own_time(facts: Facts) -> None:
    replayed = changed(facts, decisions__own_outcomes_known=0, market__market_time=NOW - timedelta(days=9, hours=1))

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


@pytest.mark.parametrize(("schedule", "hours"), [("0 3 * * *", 9), ("every 5m", 1), ("every 6h", 6)])
def test_a_slot_has_an_hour_to_begin_however_often_the_schedule_comes(schedule: str, hours: int) -> None:
    due = newest_due(parse_schedule(schedule), NOW)

    assert due == NOW - timedelta(hours=hours)
    assert newest_due(None, NOW) is None
