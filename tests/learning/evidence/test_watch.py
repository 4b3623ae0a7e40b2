"""The watch raises what nobody else sees, closes what is gone, and writes only where something changed."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend.crontab import parse_schedule
from backend.database import Database
from backend.learning.evidence.status import STOPPED
from backend.learning.evidence.watch import WatchService, watch
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.models import AIModelVersion, Delivery, Event, Feed, JobRun
from backend.operations import delivery_queue as queue
from backend.operations.alarms import close_alarm, list_alarms, open_alarms, raise_alarm
from backend.operations.codes import Code, News, Severity
from backend.operations.delivery_types import Channel, Outcome, Target
from backend.operations.events import list_events, tell
from tests.learning.evidence.conftest import NOW, STRATEGY, Records

NIGHTLY = parse_schedule("0 3 * * *")


class Counting(Database):
    """Knows how often something was written through it."""

    writes = 0

    def write(self, use_case: Any, *args: Any, **kwargs: Any) -> Any:
        self.writes += 1
        return super().write(use_case, *args, **kwargs)


@dataclass
class Tower:
    """A watch over the records, at a time that moves by hand."""

    records: Records
    database: Counting
    market: str = "simulated"
    time: datetime = NOW
    scheduled: bool = False
    services: list[WatchService] = field(default_factory=list)

    def look(self) -> int:
        records = self.records
        settings = replace(records.settings, market=self.market, strategy=STRATEGY)
        schedule = NIGHTLY if self.scheduled else None
        return watch(WatchService(self.database, settings, records.serving, schedule, lambda: self.time))

    def look_without_writing(self) -> None:
        before = self.database.writes
        assert self.look() == 0
        assert self.database.writes == before

    def open(self) -> list[tuple[str, str]]:
        return [(alarm.code, alarm.subject) for alarm in self.database.read(open_alarms)]

    def told(self) -> list[tuple[str, str]]:
        return [(event["code"], event["state"]) for event in reversed(self.database.read(list_events)[0])]

    def change(self, table: Any, **values: Any) -> None:
        self.database.write(lambda session: session.execute(update(table).values(**values)))


@pytest.fixture
def tower(records: Records) -> Any:
    database = Counting(records.database.url)
    records.begin()
    yield Tower(records, database)
    database.close()


def feed_is_silent(tower: Tower) -> None:
    tower.records.feed(updated_at=NOW - timedelta(hours=1))


def trader_does_not_run(tower: Tower) -> None:
    tower.records.feed(state="off", detail="QT_TIMEFRAME differs from what the strategy began with.")


def clock_is_off(tower: Tower) -> None:
    tower.records.feed(market_time=NOW + timedelta(minutes=5))


def retraining_is_overdue(tower: Tower) -> None:
    tower.scheduled = True
    tower.records.known(0.01)


def run_was_lost(tower: Tower) -> None:
    tower.records.run("run-lost", state="error", result={"status": "error", "reason": "lost"})


def accuracy_is_low(tower: Tower) -> None:
    tower.records.version(
        trained_at=NOW - timedelta(days=30), matured_predictions=200, correct_predictions=80, live_accuracy=0.4
    )
    for number in range(2):
        tower.records.known(
            0.01, model_version="v20260301_030000", timestamp=NOW - timedelta(days=10 * number), predicted_action="BUY"
        )


def file_is_missing(tower: Tower) -> None:
    tower.records.version()


CONDITIONS: dict[Code, Callable[[Tower], None]] = {
    Code.MARKET_FEED_STALE: feed_is_silent,
    Code.TRADER_STOPPED: trader_does_not_run,
    Code.CLOCK_SKEW: clock_is_off,
    Code.RETRAINING_OVERDUE: retraining_is_overdue,
    Code.RETRAINING_FAILED: run_was_lost,
    Code.LIVE_ACCURACY_LOW: accuracy_is_low,
    Code.ARTIFACT_CORRUPT: file_is_missing,
}
ENDS: dict[Code, Callable[[Tower], None]] = {
    Code.MARKET_FEED_STALE: lambda tower: tower.change(Feed, updated_at=tower.time),
    Code.TRADER_STOPPED: lambda tower: tower.change(Feed, state="running", detail=None, updated_at=tower.time),
    Code.CLOCK_SKEW: lambda tower: tower.change(Feed, market_time=tower.time, updated_at=tower.time),
    Code.RETRAINING_OVERDUE: lambda tower: tower.records.run("run-3", slot=NOW.replace(hour=3)),
    Code.LIVE_ACCURACY_LOW: lambda tower: tower.change(AIModelVersion, correct_predictions=150),
    Code.ARTIFACT_CORRUPT: lambda tower: tower.change(AIModelVersion, is_active=False),
}


def test_where_nothing_is_wrong_nothing_is_written(tower: Tower) -> None:
    tower.records.feed()
    tower.records.run("run-1")
    tower.records.known(0.01)

    tower.look_without_writing()

    assert tower.open() == []


def test_an_empty_database_is_looked_at_without_complaint(records: Records) -> None:
    database = Counting(records.database.url)

    Tower(records, database).look_without_writing()

    assert database.writes == 0
    database.close()


@pytest.mark.parametrize("code", CONDITIONS)
def test_what_is_wrong_is_raised_once_with_its_numbers(tower: Tower, code: Code) -> None:
    CONDITIONS[code](tower)

    raised = tower.look()
    mine = [alarm for alarm in tower.database.read(list_alarms)[0] if alarm["code"] == code]
    for _ in range(3):
        tower.time += timedelta(seconds=30)
        tower.look_without_writing()

    assert raised == len(tower.open()) >= 1
    assert [(alarm["subject"], alarm["strategy"], alarm["closed_at"]) for alarm in mine] == [(STRATEGY, STRATEGY, None)]
    assert tower.told().count((str(code), "raised")) == 1
    event = next(event for event in tower.database.read(list_events)[0] if event["code"] == code)
    assert event["sentence"] == mine[0]["detail"]
    assert event["detail"]["evidence"]
    assert event["detail"]["remedy"]


@pytest.mark.parametrize("code", ENDS)
def test_what_is_gone_is_closed_and_told(tower: Tower, code: Code) -> None:
    CONDITIONS[code](tower)
    tower.look()
    tower.time += timedelta(minutes=11)
    ENDS[code](tower)

    tower.look()

    assert (str(code), STRATEGY) not in tower.open()
    assert tower.told().count((str(code), "closed")) == 1
    tower.look_without_writing()


def test_what_comes_back_is_a_new_alarm(tower: Tower) -> None:
    feed_is_silent(tower)
    tower.look()
    tower.change(Feed, updated_at=tower.time)
    tower.look()
    tower.time += timedelta(hours=1)
    tower.look()

    alarms, _ = tower.database.read(list_alarms, state="all")

    assert [alarm["closed_at"] is None for alarm in alarms] == [True, False]
    assert [state for _, state in tower.told()] == ["raised", "closed", "raised"]


def test_what_wavers_about_its_limit_is_not_told_at_every_turn(tower: Tower) -> None:
    clock_is_off(tower)
    for turn in range(20):
        tower.change(Feed, market_time=tower.time + timedelta(minutes=5 * (turn % 2 == 0)), updated_at=tower.time)
        tower.look()
        tower.time += timedelta(seconds=30)

    assert tower.told() == [("clock_skew", "raised")]


def test_a_failed_retraining_stays_alarmed_until_one_succeeds(tower: Tower) -> None:
    run_was_lost(tower)
    tower.look()
    tower.records.run("run-2", state="skipped", result={"reason": "no_new_samples"})

    tower.look_without_writing()

    assert tower.open() == [("retraining_failed", STRATEGY)]


def test_a_lost_self_audit_is_no_failed_retraining(tower: Tower) -> None:
    tower.records.run("run-audit", job="self-audit", state="error", result={"status": "error", "reason": "lost"})

    tower.look_without_writing()

    assert tower.open() == []


def test_a_lost_slot_that_runs_again_is_no_failure(tower: Tower) -> None:
    run_was_lost(tower)
    tower.change(JobRun, state="running")

    tower.look_without_writing()

    assert tower.open() == []


def test_an_alarm_that_the_trader_raised_in_its_own_words_is_left_alone(tower: Tower) -> None:
    tower.records.feed(state="stale", detail="binance answers 418.", updated_at=NOW)
    told = {"strategy": STRATEGY, "severity": Severity.WARNING, "detail": "binance answers 418.", "at": NOW}
    tower.database.write(raise_alarm, Code.MARKET_FEED_STALE, STRATEGY, **told)  # type: ignore[arg-type]

    tower.look_without_writing()

    assert [alarm.detail for alarm in tower.database.read(open_alarms)] == ["binance answers 418."]


def test_a_feed_that_is_silent_before_its_strategy_exists_is_watched_too(records: Records) -> None:
    database = Counting(records.database.url)
    tower = Tower(records, database, market="binance")
    records.feed(state="stale", source="binance", market_time=None)
    told = {"strategy": STRATEGY, "severity": Severity.ERROR, "detail": "It cannot be reached.", "at": NOW}
    database.write(raise_alarm, Code.MARKET_FEED_STALE, STRATEGY, **told)  # type: ignore[arg-type]

    tower.look_without_writing()

    assert tower.open() == [("market_feed_stale", STRATEGY)]
    database.close()


def test_a_market_that_nobody_trades_any_more_is_no_alarm(tower: Tower) -> None:
    feed_is_silent(tower)
    tower.market = "off"

    tower.look_without_writing()

    assert tower.open() == []


def test_one_that_was_alarmed_about_is_given_up_when_nobody_trades_it_for_a_day(tower: Tower) -> None:
    feed_is_silent(tower)
    tower.look()
    tower.market = "off"
    tower.time += timedelta(hours=20)
    tower.look_without_writing()

    tower.time += timedelta(hours=5)
    tower.look()

    assert tower.open() == []


def test_a_process_without_a_market_does_not_silence_the_one_whose_trader_is_refused(tower: Tower) -> None:
    trader_does_not_run(tower)
    tower.look()
    tower.market = "off"
    tower.look_without_writing()

    tower.time += timedelta(minutes=6)
    tower.look()

    assert tower.open() == []


def test_a_trader_that_was_stopped_on_purpose_is_no_alarm(tower: Tower) -> None:
    tower.records.feed(state="off", detail=STOPPED)

    tower.look_without_writing()

    assert tower.open() == []


def test_that_only_the_figures_moved_on_is_no_reason_to_write(tower: Tower) -> None:
    accuracy_is_low(tower)
    tower.look()
    told = tower.told()
    assert ("live_accuracy_low", "raised") in told
    tower.change(AIModelVersion, matured_predictions=210, correct_predictions=81, live_accuracy=81 / 210)

    tower.look_without_writing()

    assert tower.told() == told


def test_an_open_alarm_names_the_version_that_decides_now(tower: Tower) -> None:
    file_is_missing(tower)
    tower.look()
    newer = "v20260301_040000"
    tower.change(AIModelVersion, model_path=f"xgb_model_{newer}.pkl", version_id=newer)

    assert tower.look() == 1

    (alarm,) = tower.database.read(open_alarms)
    assert newer in alarm.detail
    assert tower.told() == [("artifact_corrupt", "raised")]
    tower.look_without_writing()


def test_what_gets_worse_is_said_without_being_told_again(tower: Tower) -> None:
    told = {"strategy": STRATEGY, "severity": Severity.WARNING, "detail": "The one before is damaged.", "at": NOW}
    tower.database.write(raise_alarm, Code.ARTIFACT_CORRUPT, STRATEGY, **told)  # type: ignore[arg-type]
    file_is_missing(tower)

    assert tower.look() == 1

    (alarm,) = tower.database.read(list_alarms)[0]
    assert alarm["severity"] == "error"
    assert "v20260301_030000" in alarm["detail"]
    assert tower.told() == [("artifact_corrupt", "raised")]


def test_several_processes_that_look_at_once_raise_it_once(tower: Tower) -> None:
    for make in (feed_is_silent, run_was_lost, accuracy_is_low):
        make(tower)
    databases = [Counting(tower.database.url) for _ in range(4)]
    barrier = threading.Barrier(len(databases), timeout=20)

    def work(database: Counting) -> None:
        serving = Serving(ArtifactStore(tower.records.settings.model_dir))
        own = Tower(replace(tower.records, serving=serving), database)
        barrier.wait()
        for _ in range(3):
            own.look()

    threads = [threading.Thread(target=work, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in databases:
        database.close()

    told = tower.told()
    assert len(told) == len(set(told)) == len(tower.open()) == 4


def test_what_ended_between_the_look_and_the_write_is_not_raised(tower: Tower) -> None:
    feed_is_silent(tower)

    class Overtaken(Counting):
        def write(self, use_case: Any, *args: Any, **kwargs: Any) -> Any:
            tower.change(Feed, updated_at=NOW)
            return super().write(use_case, *args, **kwargs)

    overtaken = Overtaken(tower.database.url)

    assert Tower(tower.records, overtaken).look() == 0
    assert tower.told() == []
    overtaken.close()


# --- Those who cannot be reached ---

TARGET = Target(Channel.WEBHOOK, "d" * 64, "QT_WEBHOOK_URL", lambda *_: Outcome, 1.0, 1)  # type: ignore[arg-type,return-value]


def deliver(tower: Tower, state: str, attempts: int, error: str | None = None) -> None:
    """One more event, and what became of it."""

    def store(session: Session) -> None:
        event = tell(session, News.TEST, strategy=None, subject=None, sentence="x", detail={}, at=tower.time)
        session.flush()
        row = Delivery(event_id=event.event_id, channel="webhook", target=TARGET.digest, state=state, attempts=attempts)
        row.last_error = error
        session.add(row)

    tower.database.write(store)


@pytest.mark.parametrize(("state", "attempts"), [("failed", 1), ("failed", 5), ("waiting", 3), ("sending", 4)])
def test_a_target_that_is_not_reached_is_alarmed_about_until_it_is(tower: Tower, state: str, attempts: int) -> None:
    tower.database.write(queue.add_targets, [TARGET], NOW)
    deliver(tower, "sent", 1)
    tower.look_without_writing()
    deliver(tower, state, attempts, "It answered 503.")
    tower.look()

    (alarm,) = tower.database.read(list_alarms)[0]
    assert (alarm["code"], alarm["subject"], alarm["strategy"]) == ("delivery_failing", "webhook:dddddddd", None)
    assert alarm["detail"] == "The newest event did not reach QT_WEBHOOK_URL. It answered 503."
    tower.look_without_writing()

    deliver(tower, "sent", 1)
    tower.look()
    assert tower.open() == []


@pytest.mark.parametrize(("state", "attempts"), [("waiting", 2), ("sending", 1), ("failed", 0)])
def test_one_more_attempt_or_an_event_that_was_too_old_is_no_alarm(tower: Tower, state: str, attempts: int) -> None:
    tower.database.write(queue.add_targets, [TARGET], NOW)
    deliver(tower, state, attempts)

    tower.look_without_writing()

    assert tower.open() == []


def test_a_failing_target_stays_alarmed_about_from_night_to_night_and_an_unused_one_is_forgotten(tower: Tower) -> None:
    tower.database.write(queue.add_targets, [TARGET], NOW)
    deliver(tower, "failed", 5, "It answered 503.")
    tower.look()
    tower.time += timedelta(hours=26)
    tower.look_without_writing()
    assert tower.open() == [("delivery_failing", "webhook:dddddddd")]
    tower.time += timedelta(hours=10)

    tower.look()

    assert tower.open() == []


OTHERS = replace(TARGET, digest="e" * 64, label="QT_NOTIFY_URLS, address 1 of 1")


@pytest.mark.parametrize("targets", [[TARGET, OTHERS], [OTHERS, TARGET]])
def test_a_failing_target_is_alarmed_about_though_another_service_has_others(
    tower: Tower, targets: list[Target]
) -> None:
    for target in targets:
        tower.database.write(queue.add_targets, [target], NOW)
    deliver(tower, "failed", 5, "It answered 503.")

    tower.look()

    (alarm,) = tower.database.read(list_alarms)[0]
    assert alarm["detail"] == "The newest event did not reach QT_WEBHOOK_URL. It answered 503."


def test_one_that_was_corrected_is_no_alarm_any_more_unless_somebody_still_tries_the_old_one(tower: Tower) -> None:
    tower.database.write(queue.add_targets, [TARGET], NOW)
    deliver(tower, "failed", 5, "It answered 503.")
    tower.look()
    corrected = replace(TARGET, digest="c" * 64)
    tower.database.write(queue.add_targets, [corrected], tower.time + timedelta(minutes=1))
    tower.time += timedelta(minutes=2)

    tower.look()
    assert tower.open() == []

    deliver(tower, "failed", 5, "It answered 503.")
    tower.look()
    assert tower.open() == [("delivery_failing", "webhook:dddddddd")]


def test_what_waits_for_nobody_is_given_up(tower: Tower) -> None:
    deliver(tower, "waiting", 0)
    tower.time += timedelta(days=2)
    tower.look()

    def states(session: Session) -> list[str]:
        return list(session.scalars(select(Delivery.state)))

    assert tower.database.read(states) == ["failed"]
    tower.look_without_writing()


def test_another_codes_alarms_are_not_the_watchs(tower: Tower) -> None:
    told = {"strategy": STRATEGY, "severity": Severity.WARNING, "detail": "XYZ is unknown.", "at": NOW}
    tower.database.write(raise_alarm, Code.SYMBOLS_UNKNOWN, STRATEGY, **told)  # type: ignore[arg-type]

    tower.look_without_writing()

    assert tower.open() == [("symbols_unknown", STRATEGY)]
    tower.database.write(close_alarm, Code.SYMBOLS_UNKNOWN, STRATEGY, at=NOW)
    assert tower.database.read(lambda session: session.query(Event).count()) == 2
