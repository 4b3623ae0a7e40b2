"""The schedule at work: every slot once whoever ticks, missed ones caught up, lost ones taken over."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from backend.crontab import ScheduleError, parse_schedule
from backend.database import Database
from backend.learning.versions.retrain import JOB, retrain
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.models import AIModelVersion, JobRun
from backend.operations import runs
from backend.scheduler import build_scheduler, due_slots, housekeeping, run_due
from backend.settings import Settings
from tests.learning.versions.house import House, Planted

NIGHTLY = parse_schedule("0 3 * * *")
HOURLY = parse_schedule("every 1h")
NIGHT = datetime(2026, 3, 2, 3, tzinfo=UTC)


@pytest.fixture
def house(database: Database, settings: Settings) -> House:
    """A house whose clock stands a moment after the nightly slot."""
    store = ArtifactStore(settings.model_dir)
    return House(database, settings, store, Serving(store), NIGHT + timedelta(seconds=1))


def states(house: House) -> list[tuple[str, str]]:
    return [(run.slot.strftime("%H:%M") if run.slot else "", run.state) for run in house.rows(JobRun)]


def test_the_newest_slot_is_run_for_every_strategy(house: House) -> None:
    house.plant(Planted())
    house.plant(Planted(strategy="other"))

    run_due(house.training, NIGHTLY)

    assert {run.strategy: run.state for run in house.rows(JobRun)} == {"bot": "success", "other": "success"}
    assert {run.slot for run in house.rows(JobRun)} == {NIGHT}
    assert {run.actor for run in house.rows(JobRun)} == {"scheduler"}


def test_a_second_tick_of_the_same_slot_does_nothing(house: House) -> None:
    house.plant(Planted())
    run_due(house.training, NIGHTLY)

    run_due(house.training, NIGHTLY)

    assert len(house.rows(JobRun)) == 1


def test_two_services_that_tick_at_once_run_the_slot_once(house: House) -> None:
    house.plant(Planted())
    house.plant(Planted(strategy="other"))
    barrier = threading.Barrier(3)

    def tick() -> None:
        barrier.wait()
        run_due(house.training, NIGHTLY)

    threads = [threading.Thread(target=tick) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(run.strategy for run in house.rows(JobRun)) == ["bot", "other"]
    assert len(house.rows(AIModelVersion)) == 2


def test_too_few_new_outcomes_are_recorded_as_skipped(house: House) -> None:
    house.plant(Planted())
    run_due(house.training, NIGHTLY)
    house.time += timedelta(days=1)

    run_due(house.training, NIGHTLY)

    run = house.rows(JobRun)[-1]
    assert (run.state, (run.result or {})["reason"]) == ("skipped", "too_few_new_samples")


def test_a_night_with_enough_new_outcomes_trains_again(house: House) -> None:
    house.plant(Planted())
    run_due(house.training, NIGHTLY)
    house.plant(Planted(first=120, count=10))
    house.time += timedelta(days=1)

    run_due(house.training, NIGHTLY)

    assert [run.state for run in house.rows(JobRun)] == ["success", "success"]


def test_after_a_pause_the_newest_slot_is_caught_up_and_older_ones_are_missed(house: House) -> None:
    house.plant(Planted())

    run_due(house.training, parse_schedule("every 8h"))

    assert sorted(states(house)) == [("00:00", "success"), ("08:00", "missed"), ("16:00", "missed")]


def test_an_older_slot_is_missed_and_not_run_where_the_newest_was_run(house: House) -> None:
    house.plant(Planted())
    run_due(house.training, NIGHTLY)

    run_due(house.training, parse_schedule("0 2,3 * * *"))

    assert sorted(states(house)) == [("02:00", "missed"), ("03:00", "success")]


def test_nothing_older_than_a_day_is_caught_up(house: House) -> None:
    house.plant(Planted())
    house.time = NIGHT + timedelta(hours=30)
    weekly = parse_schedule("0 3 * * mon")

    run_due(house.training, weekly)

    assert house.rows(JobRun) == []


def test_slots_from_before_the_strategy_began_are_not_its_own(house: House) -> None:
    house.plant(Planted(created_at=house.time))

    assert house.database.read(due_slots, HOURLY, house.time) == []
    (due,) = house.database.read(due_slots, HOURLY, house.time + timedelta(hours=2))
    assert due.to_run == (NIGHT + timedelta(hours=2),)
    assert due.missed == (NIGHT + timedelta(hours=1),)


def test_who_has_waited_longest_comes_first_whatever_the_names(house: House) -> None:
    began = house.time - timedelta(days=9)
    for name, later in (("zebra", 0), ("middle", 1), ("aa-new", 8), ("aa-old", 3)):
        house.plant(Planted(strategy=name, created_at=began + timedelta(days=later)))
    first = [due.strategy for due in house.database.read(due_slots, NIGHTLY, house.time)]

    run_id = house.database.write(runs.start, runs.NewRun(JOB, "zebra", "ada"), began + timedelta(days=2))
    house.database.write(runs.finish, run_id, began + timedelta(days=2), "skipped", {})
    then = [due.strategy for due in house.database.read(due_slots, NIGHTLY, house.time)]

    assert first == ["zebra", "middle", "aa-old", "aa-new"]
    assert then == ["middle", "zebra", "aa-old", "aa-new"]


def test_a_slot_lost_with_its_process_is_taken_over_once(house: House) -> None:
    house.plant(Planted())
    new = runs.NewRun(JOB, "bot", "scheduler", NIGHT)

    def lose() -> None:
        house.database.write(lambda s: s.execute(text("UPDATE job_runs SET state = 'running', owner = NULL")))
        housekeeping(house.training)

    run_id = house.database.write(runs.start, new, house.time)
    lose()
    run_due(house.training, NIGHTLY)
    (taken_over,) = house.rows(JobRun)
    lose()
    run_due(house.training, NIGHTLY)

    (run,) = house.rows(JobRun)
    assert (taken_over.run_id, taken_over.state) == (run_id, "success")
    assert run.state == "error"


def test_a_lost_call_is_never_rerun(house: House) -> None:
    house.plant(Planted(created_at=house.time))
    house.database.write(runs.start, runs.NewRun(JOB, "bot", "ada"), house.time)
    house.database.write(lambda s: s.execute(text("UPDATE job_runs SET owner = NULL")))

    housekeeping(house.training)
    run_due(house.training, NIGHTLY)

    assert states(house) == [("", "error")]


def test_a_slot_that_met_a_running_call_runs_later(house: House) -> None:
    house.plant(Planted())
    run_id = house.database.write(runs.start, runs.NewRun(JOB, "bot", "ada"), house.time)
    run_due(house.training, NIGHTLY)
    met = states(house)
    house.database.write(runs.finish, run_id, house.time, "skipped", {})

    run_due(house.training, NIGHTLY)

    assert met == [("", "running")]
    assert states(house) == [("", "skipped"), ("03:00", "success")]


def test_one_strategys_failure_does_not_keep_the_others_from_their_turn(house: House) -> None:
    house.plant(Planted(strategy="a"))
    house.plant(Planted(strategy="b"))
    good = house.training

    def fail_for_a(rows: object, context: object, *told: object) -> object:
        if context.strategy == "a":  # type: ignore[attr-defined]
            raise ZeroDivisionError
        return good.trainer(rows, context)  # type: ignore[arg-type]

    run_due(replace(good, trainer=fail_for_a), NIGHTLY)  # type: ignore[arg-type]

    assert {run.strategy: run.state for run in house.rows(JobRun)} == {"a": "error", "b": "success"}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_the_job_has_its_documented_id_and_its_next_slot_in_utc(house: House) -> None:
    scheduler = build_scheduler(house.training)
    scheduler.start(paused=True)

    job = scheduler.get_job("ai-retraining")

    now = datetime.now(UTC)
    assert job.next_run_time.utcoffset() == timedelta(0)
    assert (job.next_run_time.hour, job.next_run_time.minute) == (3, 0)
    assert now < job.next_run_time <= now + timedelta(days=1)
    assert (job.max_instances, job.coalesce) == (1, True)
    assert "0 3 * * *" in str(job.trigger)
    scheduler.shutdown()


def test_with_retraining_off_there_is_no_such_job(house: House) -> None:
    house.settings = replace(house.settings, ai_retraining_enabled=False)
    house.plant(Planted())
    scheduler = build_scheduler(house.training)
    scheduler.start()

    assert scheduler.get_job("ai-retraining") is None
    scheduler.shutdown(wait=True)
    assert house.rows(JobRun) == []


def test_a_schedule_that_cannot_be_read_stops_the_start(house: House) -> None:
    house.settings = replace(house.settings, ai_retrain_schedule="61 3 * * *")

    with pytest.raises(ScheduleError, match="QT_AI_RETRAIN_SCHEDULE"):
        build_scheduler(house.training)


def test_at_its_start_a_service_closes_what_was_lost_and_catches_up(house: House) -> None:
    house.plant(Planted())
    house.database.write(runs.start, runs.NewRun(JOB, "bot", "ada"), house.time)
    house.database.write(lambda s: s.execute(text("UPDATE job_runs SET owner = NULL")))
    scheduler = build_scheduler(house.training)

    scheduler.start()
    wait_for(lambda: ("03:00", "success") in states(house))
    scheduler.shutdown(wait=True)

    assert states(house) == [("", "error"), ("03:00", "success")]


def test_a_call_is_not_held_to_new_outcomes(house: House) -> None:
    house.plant(Planted())
    run_due(house.training, NIGHTLY)

    answer = retrain(house.training, strategy="bot", actor="ada")

    assert answer["reason"] == "no_new_samples"
