"""Runs as rows: one at a time, one a slot, none left behind by a process that is gone."""

import socket
import subprocess
import sys
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from backend import system
from backend.database import Database
from backend.errors import NotFoundError
from backend.models import JobRun
from backend.operations import leases, runs
from backend.operations.runs import NewRun

MANUAL = NewRun("ai-retraining", "bot", "ada")
SECOND = timedelta(seconds=1)


def scheduled(slot: datetime) -> NewRun:
    return NewRun("ai-retraining", "bot", "scheduler", slot)


def owned_by(database: Database, owner: str | None) -> None:
    database.write(lambda session: session.execute(update(JobRun).values(owner=owner)))


def dead_process() -> str:
    """The identity of a process of this machine that has ended."""
    asked = [sys.executable, "-c", "from backend import system; print(system.process_identity())"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def test_a_run_goes_from_running_to_its_result(database: Database, now: datetime) -> None:
    run_id = database.write(runs.start, MANUAL, now)
    database.write(runs.progress, run_id, now + SECOND, "fitting", 0.4)
    half = database.read(runs.get_run, run_id)

    database.write(runs.finish, run_id, now + 2 * SECOND, "success", {"version_id": "v1"})

    assert (half["state"], half["stage"], half["progress"], half["finished_at"]) == ("running", "fitting", 0.4, None)
    done = database.read(runs.get_run, run_id)
    assert (done["state"], done["progress"], done["slot"]) == ("success", 1.0, None)
    assert (done["started_at"], done["finished_at"]) == ("2026-03-02T12:00:00Z", "2026-03-02T12:00:02Z")
    assert done["result"] == {"version_id": "v1"}


@pytest.mark.parametrize(("told", "stored"), [(-1.0, 0.0), (7.0, 1.0), (0.25, 0.25)])
def test_progress_stays_between_nothing_and_all(database: Database, now: datetime, told: float, stored: float) -> None:
    run_id = database.write(runs.start, MANUAL, now)

    database.write(runs.progress, run_id, now, "fitting", told)

    assert database.read(runs.get_run, run_id)["progress"] == stored


def test_a_process_that_ends_closes_its_own_runs_and_nobody_elses(database: Database, now: datetime) -> None:
    mine = database.write(runs.start, MANUAL, now)
    database.write(lambda session: session.execute(update(JobRun).values(result={"taken_over": True})))
    done = database.write(runs.start, NewRun("ai-retraining", "done", "ada"), now)
    database.write(runs.finish, done, now, "success", {"version_id": "v1"})
    theirs = database.write(runs.start, NewRun("ai-retraining", "other", "ada"), now)
    running_elsewhere = update(JobRun).where(JobRun.run_id == theirs).values(owner="elsewhere:1:x")
    database.write(lambda session: session.execute(running_elsewhere))

    own = database.read(runs.own_running)
    closed = database.write(runs.close_own, now + SECOND)

    assert own == closed == [mine]
    run = database.read(runs.get_run, mine)
    assert (run["state"], run["reason"], run["finished_at"]) == ("error", "lost", "2026-03-02T12:00:01Z")
    assert run["result"]["taken_over"] is True
    assert database.read(runs.get_run, theirs)["state"] == "running"
    assert database.read(runs.get_run, done)["state"] == "success"
    with pytest.raises(runs.RunLostError):
        database.write(runs.finish, mine, now, "success", {})


def test_a_second_run_is_refused_while_one_runs(database: Database, now: datetime) -> None:
    run_id = database.write(runs.start, MANUAL, now)

    with pytest.raises(runs.RunInProgressError) as caught:
        database.write(runs.start, MANUAL, now)

    assert caught.value.extra["run_id"] == run_id
    database.write(runs.start, NewRun("ai-retraining", "other", "ada"), now)


def test_a_slot_runs_once(database: Database, now: datetime) -> None:
    run_id = database.write(runs.start, scheduled(now), now)
    database.write(runs.finish, run_id, now, "skipped", {"reason": "no_new_samples"})

    with pytest.raises(runs.SlotTakenError):
        database.write(runs.start, scheduled(now), now)


def test_manual_runs_have_no_slot_and_never_clash(database: Database, now: datetime) -> None:
    for _ in range(3):
        run_id = database.write(runs.start, MANUAL, now)
        database.write(runs.finish, run_id, now, "skipped", {"reason": "no_new_samples"})

    found, _ = database.read(runs.list_runs)
    assert [run["slot"] for run in found] == [None] * 3


def test_the_run_of_a_living_process_is_never_lost_however_long_it_is_silent(database: Database, now: datetime) -> None:
    database.write(runs.start, MANUAL, now)

    assert database.write(runs.close_lost, now + timedelta(days=1)) == []


def test_the_run_of_a_process_that_ended_is_lost_at_once_and_its_lease_with_it(
    database: Database, now: datetime
) -> None:
    run_id = database.write(runs.start, MANUAL, now)
    gone = dead_process()
    owned_by(database, gone)
    database.write(
        lambda s: s.execute(
            text("INSERT INTO leases VALUES ('trader:bot', :holder, 1, '2026-03-02 13:00:00')"), {"holder": gone}
        )
    )

    assert database.write(runs.close_lost, now) == [run_id]

    run = database.read(runs.get_run, run_id)
    assert (run["state"], run["reason"], run["finished_at"]) == ("error", "lost", "2026-03-02T12:00:00Z")
    assert database.write(leases.acquire, "trader:bot", "new", now, timedelta(minutes=1)) == 2
    assert database.write(runs.start, MANUAL, now) != run_id


@pytest.mark.parametrize(
    ("host", "silent", "lost"),
    [
        ("elsewhere", 59, False),
        ("elsewhere", 61, True),
        (socket.gethostname(), 7, False),
        (socket.gethostname(), 9, True),
    ],
)
def test_a_process_this_machine_cannot_see_is_lost_when_it_stays_silent(
    database: Database, now: datetime, host: str, silent: int, lost: bool
) -> None:
    run_id = database.write(runs.start, MANUAL, now)
    owned_by(database, f"{host}:12:otherboot-1-99")

    closed = database.write(runs.close_lost, now + timedelta(seconds=silent))

    assert closed == ([run_id] if lost else [])


def test_a_run_of_nobody_is_lost_at_once_and_one_of_a_stranger_when_it_stays_silent(
    database: Database, now: datetime
) -> None:
    run_id = database.write(runs.start, MANUAL, now)
    owned_by(database, "who")
    early = database.write(runs.close_lost, now)
    owned_by(database, None)

    assert early == []
    assert database.write(runs.close_lost, now) == [run_id]


def lose(database: Database, now: datetime) -> None:
    owned_by(database, None)
    database.write(runs.close_lost, now)


def test_a_lost_slot_is_taken_over_once_under_the_same_id(database: Database, now: datetime) -> None:
    first = database.write(runs.start, scheduled(now), now)
    lose(database, now)

    again = database.write(runs.start, scheduled(now), now)
    lose(database, now)

    assert again == first
    with pytest.raises(runs.SlotTakenError):
        database.write(runs.start, scheduled(now), now)
    run = database.read(runs.get_run, first)
    assert (run["state"], run["reason"]) == ("error", "lost")


def test_a_slot_taken_over_ends_like_any_other(database: Database, now: datetime) -> None:
    run_id = database.write(runs.start, scheduled(now), now)
    lose(database, now)
    database.write(runs.start, scheduled(now), now)

    database.write(runs.finish, run_id, now, "success", {"version_id": "v1"})

    run = database.read(runs.get_run, run_id)
    assert (run["state"], run["result"]) == ("success", {"version_id": "v1", "taken_over": True})


def test_a_closed_run_can_neither_go_on_nor_finish(database: Database, now: datetime) -> None:
    run_id = database.write(runs.start, MANUAL, now)
    lose(database, now)

    assert database.write(runs.progress, run_id, now, "fitting", 0.5) is False
    with pytest.raises(runs.RunLostError):
        database.write(runs.finish, run_id, now, "success", {})


def test_a_run_closed_under_its_own_process_cannot_finish_a_second_time(database: Database, now: datetime) -> None:
    run_id = database.write(runs.start, MANUAL, now)
    database.write(runs.finish, run_id, now, "skipped", {})

    with pytest.raises(runs.RunLostError):
        database.write(runs.finish, run_id, now, "success", {})


def test_missed_slots_never_started(database: Database, now: datetime) -> None:
    slots = [now - hour * timedelta(hours=1) for hour in (3, 2)]
    database.write(runs.mark_missed, NewRun("ai-retraining", "bot", "scheduler"), slots, now)

    found, _ = database.read(runs.list_runs, strategy="bot")

    assert [run["state"] for run in found] == ["missed", "missed"]
    assert [run["started_at"] for run in found] == [None, None]
    assert found[0]["slot"] == "2026-03-02T10:00:00Z"


def test_runs_are_listed_newest_first_page_by_page(database: Database, now: datetime) -> None:
    ids = []
    for strategy in ("a", "b", "a"):
        ids.append(database.write(runs.start, NewRun("ai-retraining", strategy, "ada"), now))
        database.write(runs.finish, ids[-1], now, "skipped", {})

    first, cursor = database.read(runs.list_runs, limit=2)
    rest, more = database.read(runs.list_runs, limit=2, cursor=cursor)
    of_a, _ = database.read(runs.list_runs, strategy="a")

    assert [run["run_id"] for run in first + rest] == ids[::-1]
    assert more is None
    assert len(of_a) == 2


def test_an_unknown_run_is_404(database: Database) -> None:
    with pytest.raises(NotFoundError) as caught:
        database.read(runs.get_run, "run-none")

    assert caught.value.reason == "unknown_run"


def test_a_failed_start_leaves_no_row(database: Database, now: datetime) -> None:
    def start_then_fail(session: Session) -> None:
        runs.start(session, MANUAL, now)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        database.write(start_then_fail)

    assert database.read(runs.list_runs)[0] == []
    assert system.process_identity().count(":") == 2
