"""Self-audits as runs: what they answer, what they raise and close, when they are due, and that none is left behind."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ai_engine import pipeline
from ai_engine.audit_ground import MOST_ROWS
from ai_engine.self_audit import Judgement, Task, judge
from backend.api.schemas.reports import SelfAuditNote
from backend.api.schemas.self_audit import SelfAuditSuccess
from backend.database import Database
from backend.learning.evidence.auditor import SubprocessAuditor
from backend.learning.evidence.self_audit import AuditService, self_audit, start_self_audit
from backend.learning.evidence.self_audit_state import audit_due, next_due, state_of
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.models import AIModelVersion, Alarm, JobRun
from backend.operations import runs
from backend.operations.jobs import Progress, WorkFailedError, WorkStoppedError
from backend.operations.runs import RETRAINING, SELF_AUDIT
from backend.settings import Settings
from tests.learning.versions.house import House, Planted

SUNDAY = datetime(2026, 3, 1, 5, tzinfo=UTC)
FEW: dict[str, Any] = {"strategy": "bot", "actor": "tests", "placebos": 10, "planted": 10}


class SayingAuditor:
    """Says the same of every placebo or of all, finds every planted signal, and may wait, fail or be stopped."""

    def __init__(self, verdict: str = "no_evidence", fails: Exception | None = None, *, of_all: bool = False) -> None:
        self.verdict, self.fails, self.of_all = verdict, fails, of_all
        self.go = threading.Event()
        self.go.set()
        self.tasks: list[Task] = []

    def __call__(self, task: Task, progress: Progress) -> tuple[list[Judgement], dict[str, str]]:
        self.tasks.append(task)
        progress("judging_worlds", 0.5)
        self.go.wait(20)
        if self.fails:
            raise self.fails
        said = [
            Judgement(number, self.verdict if self.of_all or task.accuracy_of(number) is None else "evidence", 0.5)
            for number in task.worlds
        ]
        return said, {"numpy": "0"}


@pytest.fixture
def house(database: Database, settings: Settings) -> House:
    """A house with 120 known outcomes, a minute after a Sunday's slot."""
    store = ArtifactStore(settings.model_dir)
    made = House(database, settings, store, Serving(store), SUNDAY + timedelta(minutes=1))
    made.plant(Planted())
    return made


def service(house: House, auditor: Any = None) -> AuditService:
    return AuditService(house.database, house.settings, auditor or SayingAuditor(), house.clock)


def audits(house: House) -> list[JobRun]:
    return [run for run in house.rows(JobRun) if run.job == SELF_AUDIT]


def state(house: House, strategy: str = "bot") -> dict[str, Any]:
    return house.database.read(state_of, strategy, house.settings)


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_audit_answers_its_rates_and_what_they_rest_on(house: House) -> None:
    answer = self_audit(service(house), **FEW)

    assert answer["status"] == "success"
    assert answer["strategy"] == "bot"
    assert (answer["placebos"], answer["false_approvals"], answer["holds"]) == (10, 0, True)
    assert [one["detection_rate"] for one in answer["planted"]] == [1.0, 1.0]
    assert (answer["rows"], answer["rows_available"], answer["kind"]) == (120, 120, "rotated")
    assert answer["known_outcomes"] == 120
    assert answer["started_at"] == answer["finished_at"] == "2026-03-01T05:01:00Z"
    (run,) = audits(house)
    assert (run.state, run.progress, run.run_id) == ("success", 1.0, answer["run_id"])


def judged_here(task: Task, _progress: Progress) -> tuple[list[Judgement], dict[str, str]]:
    return judge(task, task.worlds), pipeline.libraries()


@pytest.mark.slow
def test_the_real_pipeline_in_real_children_says_what_it_says_here(house: House) -> None:
    there = self_audit(service(house, SubprocessAuditor()), **FEW)
    here = self_audit(service(house, judged_here), **FEW)

    assert there["status"] == "success", there
    assert sum(there["verdicts"].values()) == 10
    assert (there["judged"], there["holds"], there["placebo_accuracy"]) == (0, None, None)
    assert {**there, "run_id": ""} == {**here, "run_id": ""}


def test_too_few_outcomes_are_skipped_as_a_retraining_skips_them(house: House) -> None:
    house.plant(Planted(strategy="young", count=40))

    answer = self_audit(service(house), strategy="young", actor="tests")

    assert (answer["status"], answer["reason"]) == ("skipped", "insufficient_samples")
    assert (answer["samples_count"], answer["required"]) == (40, 100)
    assert state(house, "young")["state"] == "skipped"
    assert state(house, "young")["result"] is None


def test_data_that_no_pipeline_could_use_is_an_error(house: House) -> None:
    house.plant(Planted(strategy="flat", constant=True))

    answer = self_audit(service(house), strategy="flat", actor="tests")

    assert (answer["status"], answer["reason"]) == ("error", "degenerate_data")


def test_only_one_audit_of_a_strategy_runs_at_a_time(house: House) -> None:
    slow = SayingAuditor()
    slow.go.clear()
    run_id = start_self_audit(service(house, slow), **FEW)
    wait_for(lambda: bool(slow.tasks))

    with pytest.raises(runs.RunInProgressError) as refused:
        self_audit(service(house), **FEW)

    assert refused.value.reason == "self_audit_in_progress"
    assert "GET /ai/self-audit" in refused.value.message
    slow.go.set()
    wait_for(lambda: audits(house)[0].state == "success")
    assert audits(house)[0].run_id == run_id


def test_an_audit_and_a_retraining_do_not_exclude_each_other(house: House) -> None:
    slow = SayingAuditor()
    slow.go.clear()
    start_self_audit(service(house, slow), **FEW)
    wait_for(lambda: bool(slow.tasks))

    assert house.train()["status"] == "success"

    slow.go.set()
    wait_for(lambda: audits(house)[0].state == "success")


@pytest.mark.parametrize(
    ("failure", "reason"),
    [(WorkFailedError("The self-audit process was ended."), "audit_failed"), (WorkStoppedError(), "lost")],
)
def test_a_child_that_fails_is_told_and_leaves_no_run_open(house: House, failure: Exception, reason: str) -> None:
    answer = self_audit(service(house, SayingAuditor(fails=failure)), **FEW)

    assert (answer["status"], answer["reason"]) == ("error", reason)
    assert [run.state for run in audits(house)] == ["error"]
    assert house.rows(Alarm) == []


def test_an_unforeseen_failure_closes_the_run_too(house: House) -> None:
    with pytest.raises(ZeroDivisionError):
        self_audit(service(house, SayingAuditor(fails=ZeroDivisionError())), **FEW)

    assert [(run.state, (run.result or {})["reason"]) for run in audits(house)] == [("error", "audit_failed")]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_a_killed_child_ends_the_other_one_and_closes_the_run(house: House) -> None:
    auditor = SubprocessAuditor()
    start_self_audit(service(house, auditor), **{**FEW, "placebos": 1000})
    wait_for(lambda: len(auditor._children) == min(2, os.cpu_count() or 1))

    os.kill(next(iter(auditor._children)).pid, signal.SIGKILL)

    wait_for(lambda: audits(house)[0].state != "running")
    (run,) = audits(house)
    assert (run.state, (run.result or {})["reason"]) == ("error", "audit_failed")
    assert "SIGKILL" in (run.result or {})["detail"]
    assert auditor._children == set()


def test_a_child_that_fails_ends_one_that_says_nothing_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    auditor = SubprocessAuditor()
    monkeypatch.setattr(auditor, "_program", "tests.learning.evidence.stuck_child")
    begun = time.monotonic()

    answer = self_audit(service(house, auditor), **FEW)

    assert answer["detail"].startswith("The self-audit process ended with code 3 and no answer")
    assert time.monotonic() - begun < 30  # the other one would have slept for a minute
    assert auditor._children == set()


def test_a_closed_auditor_ends_what_runs_as_lost(house: House) -> None:
    auditor = SubprocessAuditor()
    start_self_audit(service(house, auditor), **{**FEW, "placebos": 1000})
    wait_for(lambda: bool(auditor._children))

    auditor.close()

    wait_for(lambda: audits(house)[0].state != "running")
    assert (audits(house)[0].result or {})["reason"] == "lost"


def test_an_audit_that_does_not_hold_raises_an_alarm_which_the_next_one_that_holds_closes(house: House) -> None:
    answer = self_audit(service(house, SayingAuditor("evidence")), **FEW)

    assert not answer["holds"]
    (alarm,) = house.rows(Alarm)
    assert (alarm.code, alarm.subject, alarm.strategy, alarm.severity) == ("self_audit_failed", "bot", "bot", "error")
    assert alarm.detail == answer["sentence"]

    self_audit(service(house), **FEW)

    assert house.rows(Alarm)[0].closed_at is not None


def test_a_report_after_an_audit_that_could_judge_nothing_knows_no_rate(house: House) -> None:
    answer = self_audit(service(house, SayingAuditor("insufficient_data", of_all=True)), **FEW)
    house.train()

    assert SelfAuditSuccess.model_validate(answer).holds is None
    assert house.rows(Alarm) == []
    assert state(house)["history"][0]["holds"] is None
    note = house.rows(AIModelVersion)[-1].report["self_audit"]
    unknown = ("holds", "false_approval_rate", "false_approval_ci95", "placebo_accuracy")
    assert [note[name] for name in unknown] == [None] * 4
    assert "nothing could be judged" in note["sentence"]
    assert SelfAuditNote.model_validate(note).holds is None


def test_an_audit_that_could_judge_nothing_closes_no_alarm(house: House) -> None:
    self_audit(service(house, SayingAuditor("evidence")), **FEW)

    answer = self_audit(service(house, SayingAuditor("insufficient_data", of_all=True)), **FEW)

    assert (answer["judged"], answer["faults"]) == (0, [])
    assert house.rows(Alarm)[0].closed_at is None


def test_the_state_tells_never_running_done_and_the_newest_result(house: House) -> None:
    assert state(house) | {"state": "never", "run_id": None, "result": None, "history": []} == state(house)
    slow = SayingAuditor()
    self_audit(service(house, slow), **FEW)
    slow.go.clear()
    run_id = start_self_audit(service(house, slow), **FEW)
    wait_for(lambda: len(slow.tasks) == 2)

    running = state(house)
    slow.go.set()
    wait_for(lambda: state(house)["state"] == "done")

    assert (running["state"], running["run_id"]) == ("running", run_id)
    assert running["result"]["run_id"] != run_id
    assert [line["state"] for line in running["history"]] == ["running", "success"]
    assert running["history"][1]["false_approval_rate"] == 0.0
    assert state(house)["result"]["run_id"] == run_id


def test_a_report_says_what_the_newest_audit_before_it_measured(house: House) -> None:
    first = house.train()
    self_audit(service(house), **FEW)
    house.plant(Planted(first=120, count=20))
    second = house.train()

    reports = {row.version_id: row.report for row in house.rows(AIModelVersion)}

    assert reports[first["version_id"]]["self_audit"] is None
    note = reports[second["version_id"]]["self_audit"]
    assert (note["false_approval_rate"], note["holds"], note["placebos"]) == (0.0, True, 10)
    assert note["finished_at"] == "2026-03-01T05:02:00Z"
    assert note["sentence"].startswith("On 120 rows of this installation's own data a model without skill is called")
    assert "a true 60% model is found in 100%" in note["sentence"]


def test_no_other_answer_takes_an_audit_for_a_retraining(house: House) -> None:
    house.train()
    lost = self_audit(service(house, SayingAuditor(fails=WorkStoppedError())), **FEW)

    listed, _ = house.database.read(runs.list_runs, strategy="bot")

    assert lost["run_id"] not in [run["run_id"] for run in listed]
    assert {run["job"] for run in listed} == {RETRAINING}
    assert house.database.read(runs.list_runs, job=SELF_AUDIT)[0][0]["run_id"] == lost["run_id"]


def due(house: House) -> tuple[str, datetime] | None:
    return house.database.read(next_due, house.time)


def tick(house: House, auditor: Any = None) -> None:
    """What the scheduler does every minute, and the audit's own thread to its end."""
    if audit_due(service(house, auditor)):
        wait_for(lambda: all(run.state != "running" for run in audits(house)))


def test_the_sunday_slot_is_audited_once_a_strategy(house: House) -> None:
    house.plant(Planted(strategy="other"))

    for _ in range(4):
        tick(house)

    assert sorted((run.strategy, run.slot, run.actor) for run in audits(house)) == [
        ("bot", SUNDAY, "scheduler"),
        ("other", SUNDAY, "scheduler"),
    ]
    assert due(house) is None


def test_several_processes_audit_a_slot_once(house: House) -> None:
    barrier = threading.Barrier(3)

    def run() -> None:
        barrier.wait()
        audit_due(service(house))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for(lambda: all(run.state != "running" for run in audits(house)))

    assert [run.slot for run in audits(house)] == [SUNDAY]


def test_a_slot_that_was_slept_through_is_caught_up_once_within_its_week(house: House) -> None:
    house.time = SUNDAY + timedelta(days=13)

    tick(house)
    tick(house)

    assert [run.slot for run in audits(house)] == [SUNDAY + timedelta(days=7)]


def test_a_week_without_a_new_outcome_is_skipped(house: House) -> None:
    tick(house)
    house.time += timedelta(days=7)
    tick(house)
    house.plant(Planted(first=120, count=5))
    house.time += timedelta(days=7)
    tick(house)

    told = [(run.state, (run.result or {}).get("reason")) for run in audits(house)]
    assert told == [("success", None), ("skipped", "no_new_samples"), ("success", None)]


def test_another_recipe_is_audited_without_a_new_outcome_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    tick(house)
    house.time += timedelta(days=7)
    monkeypatch.setattr("backend.learning.evidence.self_audit.RECIPE_VERSION", "xgboost-next")
    tick(house)

    assert [run.state for run in audits(house)] == ["success", "success"]


def test_a_strategy_in_the_middle_of_its_retraining_waits(house: House) -> None:
    run = house.database.write(runs.start, runs.NewRun(RETRAINING, "bot", "tests"), house.time)
    assert due(house) is None

    house.database.write(runs.finish, run, house.time, "success", {"status": "success"})

    assert due(house) == ("bot", SUNDAY)


def test_only_one_audit_runs_at_a_time_over_all_strategies(house: House) -> None:
    house.plant(Planted(strategy="other"))
    house.database.write(runs.start, runs.NewRun(SELF_AUDIT, "other", "tests"), house.time)

    assert due(house) is None


def test_a_strategy_that_began_after_the_slot_waits_for_the_next(house: House) -> None:
    house.plant(Planted(strategy="young", created_at=SUNDAY + timedelta(seconds=1)))
    tick(house)

    assert due(house) is None


def test_strategies_that_began_later_put_off_no_older_one_whatever_they_are_called(house: House) -> None:
    house.plant(Planted(strategy="a-new-one", created_at=SUNDAY - timedelta(hours=1)))

    assert due(house) == ("bot", SUNDAY)


def test_a_slot_lost_with_its_process_is_taken_over_once(house: House) -> None:
    new = runs.NewRun(SELF_AUDIT, "bot", "scheduler", SUNDAY)
    for _ in range(2):
        assert due(house) == ("bot", SUNDAY)
        run_id = house.database.write(runs.start, new, house.time)
        house.database.write(runs.finish, run_id, house.time, "error", {"status": "error", "reason": "lost"})

    assert due(house) is None


def test_many_rows_are_capped_and_the_answer_says_so(house: House) -> None:
    house.plant(Planted(first=120, count=MOST_ROWS))
    auditor = SayingAuditor()

    answer = self_audit(service(house, auditor), **FEW)

    assert (answer["rows"], answer["rows_available"]) == (MOST_ROWS, MOST_ROWS + 120)
    assert auditor.tasks[0].ground.rows.times.max() == replace(auditor.tasks[0].ground.rows).times[-1]
