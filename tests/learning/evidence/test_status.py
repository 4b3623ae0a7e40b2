"""What the status says, against counts made another way."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from backend.learning.evidence.status import stale_after, status
from backend.models import AITrainingSample
from tests.learning.evidence.conftest import NOW, STRATEGY, Records

HOUR = timedelta(hours=1)


def said(records: Records, now: datetime = NOW) -> dict[str, Any]:
    return records.database.read(status, STRATEGY, records.settings, now, records.serving)


def every_kind(records: Records) -> None:
    records.begin()
    records.sample(predicted_action="BUY")
    records.sample(state="open", predicted_action="BUY", executed=True)
    records.sample(state="unobservable", predicted_action="SELL")
    records.sample(created_at=NOW - timedelta(days=1), timestamp=NOW - timedelta(days=3))
    records.known(0.01)
    records.known(0.01, label_source="executed", executed=True, realized_pnl=5.0, predicted_action="SELL")
    records.known(-0.01, label_source="executed", executed=True, realized_pnl=-2.0, origin="import")
    records.known(-0.01, label_source="synthetic", executed=True, realized_pnl=100.0, origin="synthetic")


def test_the_counts_equal_those_of_the_rows(records: Records) -> None:
    every_kind(records)
    rows = records.database.read(lambda session: session.scalars(select(AITrainingSample)).all())

    samples = said(records)["samples"]

    assert samples["total"] == len(rows) == 8
    assert samples["outcome_known"] == sum(row.outcome_known for row in rows)
    assert samples["unobservable"] == sum(row.state == "unobservable" for row in rows)
    assert samples["pending"] == sum(row.state in ("pending", "open") for row in rows)
    assert samples["today"] == sum(row.created_at.date() == NOW.date() for row in rows) == 7
    assert samples["by_action"] == Counter(row.predicted_action for row in rows)
    sources = Counter(row.label_source for row in rows if row.label_source)
    assert samples["by_label_source"] == {"historical": 0, **sources}
    assert samples["by_origin"] == {"historical": 0, **Counter(row.origin for row in rows)}
    mine = [row for row in rows if row.origin == "decision"]
    assert samples["decisions"] == {
        "total": len(mine),
        "outcome_known": sum(row.outcome_known for row in mine),
        "pending": sum(row.state in ("pending", "open") for row in mine),
        "unobservable": sum(row.state == "unobservable" for row in mine),
        "today": sum(row.created_at.date() == NOW.date() for row in mine),
    }


def test_trades_are_those_really_executed(records: Records) -> None:
    every_kind(records)

    assert said(records)["trades"] == {"open": 1, "closed": 2, "total_pnl": 3.0}


def test_profit_nobody_knows_is_null_and_that_of_no_trade_is_zero(records: Records) -> None:
    records.begin()
    before = said(records)["trades"]["total_pnl"]
    records.known(0.01, label_source="executed", executed=True, realized_pnl=None)

    assert before == 0.0
    assert said(records)["trades"] == {"open": 0, "closed": 1, "total_pnl": None}


def test_signals_are_the_last_day_of_market_time_and_no_imports(records: Records) -> None:
    records.begin()
    market_time = NOW - timedelta(days=20)
    records.feed(market_time=market_time)
    records.sample(timestamp=market_time, predicted_action="BUY")
    records.sample(timestamp=market_time - 23 * HOUR, predicted_action="SELL")
    records.sample(timestamp=market_time - 24 * HOUR, predicted_action="SELL")
    records.sample(timestamp=market_time + HOUR, predicted_action="SELL")
    records.sample(timestamp=market_time, predicted_action="BUY", origin="import")

    assert said(records)["signals"] == {"BUY": 1, "SELL": 1, "HOLD": 0}


def test_nothing_at_all_is_said_without_an_error(records: Records) -> None:
    answer = said(records)

    assert answer["samples"]["total"] == 0
    assert answer["market"]["state"] == "off"
    assert answer["market"]["market_time"] is None
    assert answer["active_model"] == {"version_id": None, "serving_version_id": None, "degraded": False}
    assert answer["retraining"]["last_run"] is None
    assert answer["retraining"]["running"] == []
    assert answer["retraining"]["samples_until_next"] == 100


@pytest.mark.parametrize(
    ("silent_for", "state"), [(timedelta(minutes=20), "running"), (timedelta(minutes=20, seconds=1), "stale")]
)
def test_a_feed_is_stale_three_candles_after_the_one_it_waits_for(
    records: Records, silent_for: timedelta, state: str
) -> None:
    records.begin()
    records.feed(updated_at=NOW - silent_for, market_time=NOW - silent_for)

    assert said(records)["market"]["state"] == state


@pytest.mark.parametrize("state", ["finished", "off"])
def test_a_feed_that_has_ended_is_never_stale(records: Records, state: str) -> None:
    records.begin()
    records.feed(state=state, updated_at=NOW - timedelta(days=5))

    assert said(records)["market"]["state"] == state


def test_short_candles_are_waited_for_fifteen_seconds(records: Records) -> None:
    assert stale_after("1s") == timedelta(seconds=16)
    assert stale_after("1h") == timedelta(hours=4)


def test_an_active_version_without_its_file_is_degraded(records: Records) -> None:
    records.begin()
    records.version()

    assert said(records)["active_model"] == {
        "version_id": "v20260301_030000",
        "serving_version_id": None,
        "degraded": True,
    }


def test_runs_in_progress_and_the_last_one_are_named(records: Records) -> None:
    records.run("run-1", slot=NOW - 9 * HOUR, finished_at=NOW - 8 * HOUR, result={"status": "success"})
    records.run("run-2", state="running")
    records.run("run-3", state="running", strategy="other")

    retraining = said(records)["retraining"]

    assert retraining["running"] == ["run-2", "run-3"]
    assert (retraining["last_run"]["run_id"], retraining["last_run"]["state"]) == ("run-1", "success")


@pytest.mark.parametrize(("known", "seen", "expected"), [(30, 0, 70), (100, 0, 0), (120, 120, 3), (120, 118, 1)])
def test_the_next_training_waits_for_enough_outcomes_and_enough_new_ones(
    records: Records, known: int, seen: int, expected: int
) -> None:
    records.begin()
    for _ in range(known):
        records.known(0.01)
    records.known(0.01, origin="synthetic", label_source="synthetic", timestamp=NOW - 50 * HOUR)
    if seen:
        records.version(lineage={"known_outcomes": seen})

    assert said(records)["retraining"]["samples_until_next"] == expected


def test_no_secret_stands_among_the_settings(records: Records) -> None:
    shown = str(said(records)["settings_in_force"])

    assert records.settings.admin_token.get_secret_value() not in shown
    assert "min_confidence" in shown
