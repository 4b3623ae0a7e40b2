"""The facts are what stands in the rows."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from ai_engine.features.catalogue import FEATURE_NAMES
from backend.learning.evidence.doctor import diagnose, read_facts
from backend.learning.evidence.doctor.facts import RECENT, Facts
from tests.learning.evidence.conftest import NOW, STRATEGY, Records


def facts_of(records: Records, last_due: datetime | None = None) -> Facts:
    return records.database.read(read_facts, STRATEGY, records.settings, NOW, records.serving, last_due)


def test_an_empty_database_has_no_decisions_and_no_crash(records: Records) -> None:
    report = diagnose(facts_of(records))

    assert [finding["code"] for finding in report["findings"]] == ["no_decisions"]
    assert report["healthy"] is False


def test_only_the_newest_decisions_count_as_recent(records: Records) -> None:
    records.begin()
    records.sample(predicted_action="BUY", timestamp=NOW - timedelta(days=2))
    for _ in range(RECENT):
        records.sample(reason="zero_score")

    facts = facts_of(records)

    assert facts.decisions.total == RECENT + 1
    assert facts.decisions.recent_actions == {"HOLD": RECENT}
    assert facts.decisions.recent_hold_reasons == {"zero_score": RECENT}


def test_confidences_are_those_of_a_version_and_not_a_bots_own(records: Records) -> None:
    records.begin()
    records.sample(prediction_confidence=0.9)
    records.sample(prediction_confidence=0.6, model_version="v1")

    assert facts_of(records).decisions.recent_confidences == (0.6,)


def test_moves_are_forward_returns_or_what_the_trade_saw_and_never_invented(records: Records) -> None:
    records.begin()
    records.known(0.01, timestamp=NOW - timedelta(hours=1))
    records.known(0.0, forward_return=None, market_return=0.02, timestamp=NOW - timedelta(hours=2))
    records.known(0.5, label_source="synthetic", origin="synthetic")

    assert facts_of(records).outcomes.moves == (0.01, 0.02)


def test_symbols_whose_horizons_found_no_price_are_counted_within_the_training_window(records: Records) -> None:
    records.begin()
    lost = {"state": "unobservable", "forward_return_source": "unobservable"}
    for symbol in ("EURUSD", "EURUSD", "GBPUSD"):
        records.sample(symbol=symbol, **lost)
    records.known(0.01, symbol="EURUSD")
    records.known(0.01, symbol="BTCUSDC")
    records.sample(symbol="EURUSD")
    records.sample(symbol="EURUSD", timestamp=NOW - timedelta(days=40), **lost)
    records.sample(symbol="EURUSD", origin="historical", **lost)

    assert facts_of(records).without_price == {"EURUSD": (2, 3), "GBPUSD": (1, 1)}


def test_a_feature_that_never_moved_is_named(records: Records) -> None:
    records.begin()
    for _ in range(50):
        records.known(0.01)

    outcomes = facts_of(records).outcomes

    assert (outcomes.feature_rows, outcomes.constant_features) == (50, ("calm",))


def test_a_feature_that_changed_long_ago_is_not_constant(records: Records) -> None:
    records.begin()
    for index in range(600):
        values = np.array([float(index < 300), 1.0], dtype="<f4").tobytes()
        records.known(0.01, features_blob=values, timestamp=NOW - timedelta(hours=600 - index))

    assert facts_of(records).outcomes.constant_features == ("lively",)


def test_rows_that_moved_in_every_feature_have_no_constant_one(records: Records) -> None:
    records.begin()
    for index in range(3):
        records.known(0.01, features_blob=np.array([index, -index], dtype="<f4").tobytes())

    assert facts_of(records).outcomes.constant_features == ()


def test_a_missed_slot_is_no_run_and_a_later_success_ends_a_failure(records: Records) -> None:
    due = NOW - timedelta(hours=9)
    records.begin()
    records.known(0.01)
    records.run("run-1", state="error", slot=due - timedelta(days=1), result={"reason": "training_failed"})
    records.run("run-2", state="missed", slot=due)

    overdue = facts_of(records, due)
    records.run("run-3", state="success", slot=due + timedelta(hours=1))
    done = facts_of(records, due)

    assert overdue.last_run is not None
    assert (overdue.last_run["run_id"], overdue.last_slot) == ("run-1", due - timedelta(days=1))
    assert {finding["code"] for finding in diagnose(overdue)["findings"]} >= {"retraining_overdue", "retraining_failed"}
    assert not {"retraining_overdue", "retraining_failed"} & {one["code"] for one in diagnose(done)["findings"]}


@pytest.mark.parametrize(("matured", "neutral", "correct"), [(120, 20, 40), (30, 0, 5)])
def test_live_accuracy_is_judged_without_neutral_rows(
    records: Records, matured: int, neutral: int, correct: int
) -> None:
    records.begin()
    records.version(matured_predictions=matured, neutral_predictions=neutral, correct_predictions=correct)

    facts = facts_of(records)

    assert facts.live is not None
    assert (facts.live["judged"], facts.live["correct"]) == (matured - neutral, correct)
    assert facts.live["windows"] == 0


@pytest.mark.parametrize(("hours", "windows"), [([0], 1), ([0, 0.5], 1), ([0, 0.5, 1], 2), ([0, 5], 6)])
def test_forecasts_within_one_horizon_are_one_independent_forecast(
    records: Records, hours: list[float], windows: int
) -> None:
    records.begin()
    records.version(version_id="v1", trained_at=NOW - timedelta(hours=20))
    records.known(0.01, timestamp=NOW - timedelta(hours=40), model_version="v1")  # dated before its training
    for hour in hours:
        records.known(0.01, timestamp=NOW - timedelta(hours=20 - hour), model_version="v1")

    facts = facts_of(records)

    assert facts.live is not None
    assert facts.live["windows"] == windows


A_TENTH = len(FEATURE_NAMES) // 10


@pytest.mark.parametrize(("still", "named"), [(A_TENTH, 0), (A_TENTH + 1, A_TENTH + 1), (40, 40)])
def test_a_few_of_our_own_features_may_stand_still(records: Records, still: int, named: int) -> None:
    """On a market without gaps or idle candles, what measures them says 0 for ever; that is no finding."""
    records.begin()
    random = np.random.default_rng(1)
    for _ in range(60):
        values = random.normal(size=len(FEATURE_NAMES))
        values[:still] = 0.0
        records.known(0.01, feature_schema_id=records.catalogue(), features_blob=values.astype("<f4").tobytes())

    assert len(facts_of(records).outcomes.constant_features) == named


def test_historical_and_demo_rows_are_no_decisions_of_its_own(records: Records) -> None:
    records.begin()
    records.known(0.01, origin="historical", label_source="historical")
    records.known(0.01, origin="synthetic", label_source="synthetic")

    decisions = facts_of(records).decisions

    assert (decisions.total, decisions.historical, decisions.outcomes_known) == (0, 1, 1)
    assert facts_of(records).outcomes.historical_moves == 1
    assert [one["code"] for one in diagnose(facts_of(records))["findings"]] == ["no_decisions"]


def test_open_alarms_are_read_by_code_those_of_others_and_closed_ones_left_out(records: Records) -> None:
    records.begin()
    records.alarm("symbols_unknown", STRATEGY, strategy=STRATEGY, detail="mine")
    records.alarm("delivery_failing", "webhook", detail="everybody's")
    records.alarm("symbols_unknown", "another", strategy="another", detail="another's")
    records.alarm("clock_skew", STRATEGY, strategy=STRATEGY, detail="over", closed_at=NOW)

    assert facts_of(records).alarms == {"symbols_unknown": ("mine",), "delivery_failing": ("everybody's",)}


def test_the_strategys_own_horizon_counts_and_not_the_settings_of_today(records: Records) -> None:
    records.begin()
    records.settings = replace(records.settings, horizon_candles=99)

    assert (facts_of(records).terms.timeframe, facts_of(records).terms.horizon_candles) == ("5m", 12)


def test_the_way_back_and_the_oldest_open_question_are_named(records: Records) -> None:
    records.begin()
    records.version(version_id="v1")
    records.sample(decision_id="late", horizon_at=NOW)
    records.sample(decision_id="first", horizon_at=NOW - timedelta(days=1))
    records.known(0.01)

    facts = facts_of(records)

    assert facts.decisions.oldest_pending == "first"
    assert facts.live is not None
    assert facts.live["previous"] is None


def test_what_holds_it_back_now_is_read_from_the_newest_decisions(records: Records) -> None:
    records.begin()
    for age in range(60, 0, -1):
        reason = "ai_trading_disabled" if age > 20 else "zero_score"
        records.sample(reason=reason, timestamp=NOW - timedelta(minutes=5 * age))

    decisions = facts_of(records).decisions

    assert decisions.recent_hold_reasons == {"ai_trading_disabled": 40, "zero_score": 20}
    assert decisions.present_hold_reason == "zero_score"
