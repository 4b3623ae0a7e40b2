"""Figures for a monitoring system: each equals SQL that was written apart from it, and what is unknown is left out."""

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from backend.database import Database
from backend.learning.evidence.metric_families import OTHER, Durations, Family
from backend.learning.evidence.metrics import MOST_STRATEGIES, View, figures
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.models import AIModelVersion, AITrainingSample, Base, FeatureSchema, Feed, JobRun, Strategy
from backend.settings import Settings
from tests.metric_rows import FEATURES, NOW, fill, run, strategy

Told = dict[str, Family | Durations]


def read(database: Database, settings: Settings, now: datetime = NOW) -> Told:
    view = View(settings, Serving(ArtifactStore(settings.model_dir)), now, NOW - timedelta(hours=9), NOW)
    return {family.name: family for family in database.read(figures, view)}


def values(told: Told, name: str) -> dict[tuple[str, ...], float]:
    family = told[name]
    assert isinstance(family, Family)
    return {labels: value for labels, value in family.values.items() if value}


@pytest.fixture
def filled(database: Database) -> Database:
    database.write(fill)
    return database


@pytest.fixture
def told(filled: Database, settings: Settings) -> Told:
    return read(filled, settings)


@pytest.fixture
def sql(filled: Database, settings: Settings) -> Iterator[Any]:
    """Asks the file itself: rows whose last column is the value and the others the labels."""
    connection = sqlite3.connect(settings.database_url.removeprefix("sqlite:///"))

    def ask(query: str) -> dict[tuple[str, ...], float]:
        return {
            tuple("" if label is None else str(label) for label in row[:-1]): row[-1]
            for row in connection.execute(query)
        }

    yield ask
    connection.close()


ROWS = "FROM ai_training_samples WHERE"
TRADED = "executed AND outcome_known AND label_source = 'executed'"
ORACLES = {
    "decisions": f"SELECT strategy, predicted_action, count(*) {ROWS} origin = 'decision' GROUP BY 1, 2",
    "samples": f"SELECT strategy, 'known', count(*) {ROWS} outcome_known GROUP BY 1"
    " UNION ALL SELECT strategy, 'unobservable', count(*)"
    f" {ROWS} NOT outcome_known AND state = 'unobservable' GROUP BY 1"
    f" UNION ALL SELECT strategy, 'pending', count(*) {ROWS} NOT outcome_known AND state <> 'unobservable' GROUP BY 1",
    "outcomes": f"SELECT strategy, target_class, label_source, count(*) {ROWS} outcome_known GROUP BY 1, 2, 3",
    "samples_quarantined": f"SELECT strategy, count(*) {ROWS} quarantine_reason IS NOT NULL GROUP BY 1",
    "trades_open": f"SELECT strategy, count(*) {ROWS} state = 'open' GROUP BY 1",
    "trades_closed": f"SELECT strategy, count(*) {ROWS} {TRADED} GROUP BY 1",
    "realized_pnl_quote": f"SELECT strategy, sum(realized_pnl) {ROWS} {TRADED} GROUP BY 1",
    "trade_fees_quote": f"SELECT strategy, sum(fees) {ROWS} {TRADED} AND realized_pnl IS NOT NULL GROUP BY 1",
    "model_versions": "SELECT strategy, verdict, CASE WHEN recommended THEN 'true' ELSE 'false' END, count(*)"
    " FROM ai_model_versions GROUP BY 1, 2, 3",
    "active_model_info": "SELECT strategy, version_id, verdict, 1 FROM ai_model_versions WHERE is_active",
    "live_accuracy_ratio": "SELECT strategy, 1.0 * correct_predictions / (matured_predictions - neutral_predictions)"
    " FROM ai_model_versions WHERE is_active AND matured_predictions > neutral_predictions",
    "validation_accuracy_ratio": "SELECT strategy, validation_accuracy FROM ai_model_versions"
    " WHERE is_active AND validation_accuracy IS NOT NULL",
    "active_model_trades": "SELECT strategy, total_trades FROM ai_model_versions WHERE is_active AND total_trades",
    "active_model_pnl_quote": "SELECT strategy, total_pnl FROM ai_model_versions WHERE is_active AND total_pnl",
    "active_model_activated_timestamp_seconds": "SELECT strategy, unixepoch(activated_at) FROM ai_model_versions"
    " WHERE is_active AND activated_at IS NOT NULL",
    "runs": "SELECT strategy, job, state, json_extract(result, '$.reason'), count(*) FROM job_runs"
    " WHERE state <> 'running' AND run_id <> 'run-6' GROUP BY 1, 2, 3, 4"
    " UNION ALL SELECT 'simulated', 'ai-retraining', 'error', 'lost', 2",
    "runs_running": "SELECT strategy, job, count(*) FROM job_runs WHERE state = 'running' GROUP BY 1, 2",
    "run_last_end_timestamp_seconds": "SELECT strategy, job, state, max(unixepoch(finished_at)) FROM job_runs"
    " WHERE state <> 'running' GROUP BY 1, 2, 3",
    "alarms_open": "SELECT code, severity, strategy, count(*) FROM alarms WHERE closed_at IS NULL GROUP BY 1, 2, 3",
    "alarms_raised": "SELECT code, count(*) FROM alarms GROUP BY 1",
    "events": "SELECT code, state, count(*) FROM events GROUP BY 1, 2",
    "deliveries": "SELECT channel, state, count(*) FROM deliveries GROUP BY 1, 2",
    "market_clock_offset_seconds": "SELECT strategy, clock_offset_seconds FROM feeds WHERE clock_offset_seconds",
    "database_size_bytes": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
}
TOLD_OTHERWISE = {
    "active_model_predictions", "active_model_degraded", "run_duration_seconds", "retraining_due_timestamp_seconds",
    "retraining_next_timestamp_seconds", "feed_state", "feed_lag_seconds",
}  # fmt: skip


@pytest.mark.parametrize("name", ORACLES)
def test_a_figure_equals_independent_sql(told: Told, sql: Any, name: str) -> None:
    expected = sql(ORACLES[name])

    assert expected
    assert values(told, name) == pytest.approx(expected)


def test_every_figure_is_compared_with_something(told: Told) -> None:
    assert set(ORACLES) | TOLD_OTHERWISE == set(told)


def test_the_parts_of_a_versions_predictions_add_up_to_all_of_them(told: Told) -> None:
    parts = {judged: n for (of, judged), n in values(told, "active_model_predictions").items() if of == "simulated"}

    assert parts == {"right": 222, "wrong": 178, "neutral": 20, "not_yet": 80}
    assert sum(parts.values()) == 500
    assert parts["right"] / (parts["right"] + parts["wrong"]) == values(told, "live_accuracy_ratio")[("simulated",)]


def test_a_version_nobody_has_judged_yet_has_no_accuracy_rather_than_none_right(told: Told) -> None:
    for name in ("live_accuracy_ratio", "validation_accuracy_ratio", "active_model_activated_timestamp_seconds"):
        family = told[name]
        assert isinstance(family, Family)
        assert list(family.values) == [("simulated",)]


def test_a_damaged_active_file_is_told(told: Told) -> None:
    assert values(told, "active_model_degraded") == {("simulated",): 1, ("default",): 1}


def test_durations_are_those_of_successful_runs(told: Told) -> None:
    took = told["run_duration_seconds"]

    assert isinstance(took, Durations)
    assert sorted(took.seconds[("ai-retraining",)]) == [2.25, 3.25, 7.25]


def test_the_schedules_slots_are_told_and_left_out_where_there_is_no_schedule(
    filled: Database, told: Told, settings: Settings
) -> None:
    view = View(settings, Serving(ArtifactStore(settings.model_dir)), NOW, None, None)
    without = {family.name: family for family in filled.read(figures, view)}

    assert values(told, "retraining_due_timestamp_seconds") == {(): (NOW - timedelta(hours=9)).timestamp()}
    assert values(told, "retraining_next_timestamp_seconds") == {(): NOW.timestamp()}
    for name in ("retraining_due_timestamp_seconds", "retraining_next_timestamp_seconds"):
        assert values(without, name) == {}


def test_the_feeds_lag_goes_by_the_markets_clock_and_ends_with_the_feed(told: Told) -> None:
    assert values(told, "feed_lag_seconds") == {("simulated",): 90 + 2.5}
    assert values(told, "feed_state") == {("simulated", "running"): 1, ("trend", "finished"): 1}


def test_a_feed_that_nobody_writes_any_more_is_stale_without_a_process_to_say_so(
    filled: Database, settings: Settings
) -> None:
    later = read(filled, settings, NOW + timedelta(hours=1))

    assert values(later, "feed_state")[("simulated", "stale")] == 1
    assert values(later, "feed_lag_seconds") == {("simulated",): 3600 + 90 + 2.5}


def test_a_feed_that_has_seen_no_candle_has_no_lag(filled: Database, settings: Settings) -> None:
    filled.write(lambda session: session.execute(update(Feed).values(market_time=None)))

    assert values(read(filled, settings), "feed_lag_seconds") == {}


def test_an_empty_service_is_known_to_have_done_nothing(database: Database, settings: Settings) -> None:
    told = read(database, settings)

    def whole(name: str) -> dict[tuple[str, ...], float]:
        family = told[name]
        assert isinstance(family, Family)
        return family.values

    assert whole("decisions") == {("default", action): 0 for action in ("BUY", "SELL", "HOLD")}
    assert whole("realized_pnl_quote") == {("default",): 0}
    assert set(whole("deliveries").values()) == set(whole("alarms_open").values()) == {0}
    for name in ("live_accuracy_ratio", "active_model_info", "feed_state", "feed_lag_seconds", "runs", "outcomes"):
        assert whole(name) == {}, name


def test_trades_of_unknown_quantity_have_no_profit_rather_than_none(filled: Database, settings: Settings) -> None:
    def forget(session: Session) -> None:
        session.execute(
            update(AITrainingSample).where(AITrainingSample.strategy == "default").values(realized_pnl=None)
        )

    filled.write(forget)

    told = read(filled, settings)
    family = told["realized_pnl_quote"]
    assert isinstance(family, Family)
    assert values(told, "trades_closed")[("default",)] > 0
    assert ("default",) not in family.values
    assert ("simulated",) in family.values


def counters(told: Told) -> dict[tuple[str, ...], float]:
    families = [family for family in told.values() if isinstance(family, Family) and family.kind == "counter"]
    found = {(family.name, *labels): value for family in families for labels, value in family.values.items()}
    durations = [family for family in told.values() if isinstance(family, Durations)]
    return found | {(one.name, *labels): len(all_) for one in durations for labels, all_ in one.seconds.items()}


def settle(session: Session) -> None:
    """Every outcome becomes known, an executed one replaces a counterfactual one, another is put into quarantine."""
    changed = {"state": "closed", "outcome_known": True, "executed": True, "label_source": "executed"}
    session.execute(update(AITrainingSample).where(AITrainingSample.id % 2 == 0).values(**changed, target_class="LOSS"))
    session.execute(update(AITrainingSample).values(quarantine_reason="alike", realized_pnl=-1.0))


def take_over(session: Session) -> None:
    """The lost run is run again, and succeeds."""
    again = {"state": "success", "result": {"status": "success", "taken_over": True}}
    session.execute(update(JobRun).where(JobRun.run_id == "run-6").values(**again))


def end_running(session: Session) -> None:
    """The running one ends."""
    session.execute(update(JobRun).where(JobRun.state == "running").values(state="error", result={"reason": "lost"}))


def activate(session: Session) -> None:
    """Another version becomes the active one."""
    session.execute(update(AIModelVersion).values(is_active=False))
    session.execute(
        update(AIModelVersion).where(AIModelVersion.version_id == "v20260301_030003").values(is_active=True)
    )


def forget_demo_rows(session: Session) -> None:
    """The demo rows are removed again."""
    session.query(AITrainingSample).where(AITrainingSample.origin == "synthetic").delete()


@pytest.mark.parametrize("change", [settle, take_over, end_running, activate, forget_demo_rows])
def test_no_counter_falls_whatever_happens_later(filled: Database, settings: Settings, change: Any) -> None:
    before = counters(read(filled, settings))

    filled.write(change)

    after = counters(read(filled, settings))
    assert before
    assert {name: value for name, value in before.items() if after.get(name, -1) < value} == {}


def test_a_run_lost_twice_is_counted_twice(database: Database, settings: Settings) -> None:
    def lose(session: Session) -> None:
        session.add(run(1, "error", {"reason": "lost", "taken_over": True}, slot=NOW))

    database.write(lose)

    told = read(database, settings)
    assert values(told, "runs") == {(OTHER, "ai-retraining", "error", "lost"): 2}
    assert values(told, "run_last_end_timestamp_seconds") == {}, "a time of several strategies together is nobody's"


def test_strategies_beyond_a_hundred_share_one_name_and_lose_no_row(database: Database, settings: Settings) -> None:
    names = [f"bot-{number:03d}" for number in range(MOST_STRATEGIES + 5)]

    def write(session: Session) -> None:
        session.add(_schema())
        session.flush()
        session.add_all(strategy(name, NOW + timedelta(seconds=number)) for number, name in enumerate(names))
        session.flush()
        session.add_all(_decision(name) for name in names)

    database.write(write)

    told = values(read(database, settings), "decisions")
    assert len({of for of, _ in told}) == MOST_STRATEGIES + 1
    assert told[(OTHER, "HOLD")] == 5
    assert sum(told.values()) == len(names)
    assert {name for name in names if (name, "HOLD") not in told} == set(names[-5:])


def test_a_new_strategy_takes_no_name_from_an_older_one(database: Database, settings: Settings) -> None:
    def begin(count: int) -> Any:
        return lambda session: session.add_all(
            strategy(f"s{number:03d}", NOW + timedelta(seconds=number)) for number in range(count - 60, count)
        )

    database.write(lambda session: session.add(_schema()))
    database.write(begin(60))
    first = {of for of, _ in read(database, settings)["decisions"].values}  # type: ignore[union-attr]
    database.write(begin(120))
    second = {of for of, _ in read(database, settings)["decisions"].values}  # type: ignore[union-attr]

    assert first < second
    assert database.read(lambda session: session.query(Strategy).count()) == 120
    assert len(second - {"default"}) == MOST_STRATEGIES


def _schema() -> FeatureSchema:
    return FeatureSchema(id=1, hash="h", names=["calm"], created_at=NOW)


def _decision(of: str) -> AITrainingSample:
    return AITrainingSample(
        decision_id="d", strategy=of, symbol="BTCUSDC", timestamp=NOW, origin="decision", predicted_action="HOLD",
        feature_schema_id=1, features_blob=FEATURES, horizon_at=NOW, created_at=NOW,
    )  # fmt: skip


@pytest.mark.postgres
def test_postgresql_tells_the_same_as_sqlite(told: Told, settings: Settings, postgres_url: str) -> None:
    other = Database(postgres_url)
    Base.metadata.create_all(other.engine)
    other.write(fill)

    same = read(other, settings)
    other.close()

    assert values(same, "database_size_bytes")[()] > 0
    for name in set(told) - {"database_size_bytes", "run_duration_seconds"}:
        assert values(same, name) == pytest.approx(values(told, name)), name
    assert same["run_duration_seconds"] == told["run_duration_seconds"]
