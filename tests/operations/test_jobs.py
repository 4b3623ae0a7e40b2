"""Runs of jobs: whatever comes of the work, its run is closed once, and says so."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from backend.database import Database
from backend.operations import heartbeat, runs
from backend.operations.heartbeat import Heartbeat
from backend.operations.jobs import Answer, Begun, Job, Progress, WorkFailedError, WorkStoppedError

SUCCESS: Answer = {"status": "success", "version_id": "v1"}
Closed = list[tuple[str, Answer]]


def job(database: Database, now: datetime, closed: Closed | None = None, **told: Any) -> Job:
    """A job of no strategy in particular, which notes what it was closed with."""

    def close(session: Session, begun: Begun, answer: Answer, at: datetime) -> None:
        runs.finish(session, begun.run_id, at, answer["status"], answer)
        if closed is not None:
            closed.append((begun.strategy, answer))

    return Job(database, lambda: now, runs.SELF_AUDIT, "self-audit", "audit_failed", close, **told)


def failing(error: BaseException) -> Callable[[Progress], Answer]:
    def work(_progress: Progress) -> Answer:
        raise error

    return work


def state_of(database: Database, begun: Begun) -> tuple[str, str | None]:
    run = database.read(runs.get_run, begun.run_id)
    return run["state"], run["reason"]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("status", ["success", "skipped", "error"])
def test_a_run_is_closed_with_what_the_work_answers(database: Database, now: datetime, status: str) -> None:
    closed: Closed = []
    audit = job(database, now, closed)
    begun = audit.begin("bot", "tests", None)

    answer = audit.carry_out(begun, lambda _progress: {"status": status, "reason": "why"})

    assert answer == {"status": status, "reason": "why", "strategy": "bot", "run_id": begun.run_id}
    assert closed == [("bot", {"status": status, "reason": "why"})]
    assert state_of(database, begun) == (status, "why")


def test_work_that_closes_its_own_success_is_not_closed_twice(database: Database, now: datetime) -> None:
    closed: Closed = []
    training = job(database, now, closed, success_is_closed=True)

    training.carry_out(training.begin("bot", "tests", None), lambda _progress: SUCCESS)

    assert closed == []


@pytest.mark.parametrize(
    ("error", "reason", "detail"),
    [
        (WorkFailedError("The child ended."), "audit_failed", "The child ended."),
        (OSError("no space left"), "audit_failed", "no space left"),
        (WorkStoppedError(), "lost", "The service stopped during the self-audit."),
    ],
)
def test_work_that_comes_to_no_end_is_an_answer(
    database: Database, now: datetime, error: Exception, reason: str, detail: str
) -> None:
    audit = job(database, now)
    begun = audit.begin("bot", "tests", None)

    answer = audit.carry_out(begun, failing(error))

    assert (answer["status"], answer["reason"], answer["detail"]) == ("error", reason, detail)
    assert state_of(database, begun) == ("error", reason)


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), KeyboardInterrupt()])
def test_what_nobody_foresaw_closes_the_run_and_goes_on(
    database: Database, now: datetime, error: BaseException
) -> None:
    audit = job(database, now)
    begun = audit.begin("bot", "tests", None)

    with pytest.raises(type(error)):
        audit.carry_out(begun, failing(error))

    assert state_of(database, begun) == ("error", "audit_failed")


def test_a_second_run_and_a_slot_that_was_run_are_refused(database: Database, now: datetime) -> None:
    audit = job(database, now)
    first = audit.begin("bot", "tests", now)

    with pytest.raises(runs.RunInProgressError) as running:
        audit.begin("bot", "tests", None)
    audit.carry_out(first, lambda _progress: SUCCESS)
    with pytest.raises(runs.SlotTakenError):
        audit.begin("bot", "tests", now)

    assert (running.value.reason, running.value.extra["run_id"]) == ("self_audit_in_progress", first.run_id)


def test_a_run_in_the_background_tells_the_log_what_came_of_it(
    database: Database, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    audit = job(database, now)
    begun = audit.begin("bot", "tests", None)

    with caplog.at_level(logging.INFO):
        audit.start(begun, lambda _progress: SUCCESS)
        wait_until(lambda: "self-audit of bot ended" in caplog.text)

    assert "The self-audit of bot ended with success: v1" in caplog.text
    assert state_of(database, begun) == ("success", None)


def beat_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL_SECONDS", 0.01)


def test_a_heartbeat_tells_how_far_the_run_is(
    database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat_fast(monkeypatch)
    audit = job(database, now)
    begun = audit.begin("bot", "tests", None)
    told: list[tuple[str, float]] = []

    def work(progress: Progress) -> Answer:
        progress("judging_worlds", 0.25)
        wait_until(lambda: database.read(runs.get_run, begun.run_id)["progress"] == 0.25)
        return SUCCESS

    audit.carry_out(begun, work, lambda stage, share: told.append((stage, share)))

    assert told == [("judging_worlds", 0.25)]


def test_work_ends_where_somebody_else_closed_its_run(
    database: Database, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat_fast(monkeypatch)
    audit = job(database, now)
    begun = audit.begin("bot", "tests", None)

    def work(progress: Progress) -> Answer:
        database.write(lambda session: session.execute(text("UPDATE job_runs SET state = 'error'")))
        for _ in range(2_000):
            progress("judging_worlds", 0.5)
            time.sleep(0.01)
        return SUCCESS

    with pytest.raises(runs.RunLostError):
        audit.carry_out(begun, work)


@pytest.mark.parametrize(
    "outage", [OperationalError("UPDATE", {}, Exception("the server is gone")), PoolTimeoutError("no connection left")]
)
def test_a_heart_beats_on_after_an_outage_of_the_database(
    now: datetime, monkeypatch: pytest.MonkeyPatch, outage: Exception
) -> None:
    beat_fast(monkeypatch)
    beats: list[int] = []
    twice = threading.Event()

    class Unsteady(Database):
        def __init__(self) -> None:
            pass

        def write(self, *_told: Any, **_options: Any) -> Any:
            beats.append(1)
            if len(beats) == 1:
                raise outage
            twice.set()
            return True

    with Heartbeat(Unsteady(), "run-1", lambda: now):
        assert twice.wait(20)
