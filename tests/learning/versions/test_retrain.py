"""Every answer of a retraining, and what it leaves behind."""

import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from sqlalchemy import select, text

from ai_engine import artifact
from ai_engine.dataset import Rows
from ai_engine.past import Past
from ai_engine.pipeline import Refused, Trained, TrainingContext, train
from backend.errors import ConflictError, NotFoundError
from backend.learning.decisions.synthetic import add_demo_rows
from backend.learning.versions.activation import ActivationRequest, activate
from backend.learning.versions.retrain import RetrainService, count_outcomes, retrain, start_retrain
from backend.models import AIModelVersion, AITrainingSample, AuditEntry, JobRun, Strategy
from backend.operations import runs
from backend.operations.jobs import Progress, WorkFailedError, end_own
from tests.learning.versions.house import House, Planted

SLOT = datetime(2026, 3, 2, 3, tzinfo=UTC)


def test_enough_outcomes_make_an_inactive_version(house: House) -> None:
    house.plant(Planted())

    answer = house.train()

    assert answer["status"] == "success"
    assert answer["version_id"] == "v20260302_120100"
    assert answer["message"] == "New model trained and saved. Activate via /ai/activate-model/v20260302_120100"
    report = answer["report"]
    assert isinstance(report, dict)
    used = sum(report[key] for key in ("training_samples", "validation_samples", "purged_rows", "embargoed_rows"))
    assert used == 120
    for key in ("training_samples", "validation_samples", "train_accuracy", "validation_accuracy"):
        assert answer[key] == report[key]
    assert house.served() is None


def test_a_version_leaves_one_file_one_row_one_run_one_audit_entry_and_one_look(house: House) -> None:
    house.plant(Planted())

    answer = house.train()

    (version,) = house.rows(AIModelVersion)
    blob = (house.settings.model_dir / f"xgb_model_{version.version_id}.pkl").read_bytes()
    assert [path.name for path in house.settings.model_dir.iterdir()] == [f"xgb_model_{version.version_id}.pkl"]
    assert artifact.sha256(blob) == version.artifact_sha256
    assert len(blob) == version.artifact_bytes
    assert version.is_active is False
    run = house.database.read(runs.get_run, str(answer["run_id"]))
    assert (run["state"], run["progress"], run["result"]["version_id"]) == ("success", 1.0, version.version_id)
    (entry,) = house.rows(AuditEntry)
    assert (entry.action, entry.subject, entry.actor) == ("retrain", version.version_id, "tests")
    assert house.database.read(lambda s: s.get_one(Strategy, "bot").looks) == 1


def test_the_reports_looks_counts_every_version(house: House) -> None:
    house.plant(Planted())
    first = house.train()
    house.plant(Planted(first=120, count=5))

    second = house.train()

    assert [first["report"]["looks"], second["report"]["looks"]] == [1, 2]  # type: ignore[index]


def test_too_few_outcomes_are_skipped_with_what_is_needed(house: House) -> None:
    house.plant(Planted(count=7))
    house.plant(Planted(first=7, count=3, known=False))

    answer = house.train(min_samples=8)

    wanted = {"status": "skipped", "reason": "insufficient_samples", "samples_count": 7, "required": 8}
    assert wanted.items() <= answer.items()
    assert answer["outcomes_pending"] == 3


@pytest.mark.parametrize(("wanted", "status"), [(30, "success"), (31, "skipped")])
def test_exactly_as_many_outcomes_as_required_are_enough(house: House, wanted: int, status: str) -> None:
    house.plant(Planted(count=30))

    assert house.train(min_samples=wanted)["status"] == status


def test_a_strategy_that_has_nothing_yet_is_skipped(house: House) -> None:
    answer = house.train(strategy="default")

    assert (answer["reason"], answer["samples_count"], answer["required"]) == ("insufficient_samples", 0, 100)


def test_fewer_than_ten_usable_rows_are_an_error_by_reason(house: House) -> None:
    house.plant(Planted(count=30))

    def spoil(session: object) -> None:
        rows = session.scalars(select(AITrainingSample)).all()  # type: ignore[attr-defined]
        for row in rows[:15]:
            row.features_blob = np.full(3, np.nan, dtype="<f4").tobytes()
        for row in rows[15:21]:
            row.quarantine_reason = "implausible_price"

    house.database.write(spoil)

    answer = house.train(min_samples=1)

    assert (answer["status"], answer["reason"], answer["valid_samples"]) == ("error", "too_few_valid_samples", 9)
    assert answer["rejected"] == {"implausible_price": 6, "nan_feature": 15}
    assert answer["outcomes_pending"] == 0


def test_ten_usable_rows_are_enough(house: House) -> None:
    house.plant(Planted(count=10))

    assert house.train(min_samples=1)["status"] == "success"


def test_a_constant_target_is_degenerate_and_nothing_is_saved(house: House) -> None:
    house.plant(Planted(constant=True))

    answer = house.train()

    assert (answer["status"], answer["reason"]) == ("error", "degenerate_data")
    assert not house.settings.model_dir.exists()
    assert house.rows(AIModelVersion) == []


def test_the_same_data_again_makes_no_second_version(house: House) -> None:
    house.plant(Planted())
    first = house.train()

    again = house.train()

    assert (again["status"], again["reason"]) == ("skipped", "no_new_samples")
    assert again["version_id"] == first["version_id"]
    assert len(list(house.settings.model_dir.iterdir())) == 1


def test_two_strategies_with_the_same_rows_each_get_their_version(house: House) -> None:
    house.plant(Planted())
    house.plant(Planted(strategy="other"))

    first = house.train()
    second = house.train(strategy="other")

    assert second["status"] == "success"
    assert first["version_id"] != second["version_id"]


def test_a_second_that_is_taken_by_a_row_or_a_file_gives_the_next(house: House) -> None:
    house.plant(Planted())
    house.plant(Planted(strategy="other"))
    house.train()
    house.store.path_of("v20260302_120101").write_bytes(b"somebody's")

    answer = retrain(house.training, strategy="other", actor="tests")

    assert answer["version_id"] == "v20260302_120102"
    assert house.store.path_of("v20260302_120101").read_bytes() == b"somebody's"


def test_an_unknown_strategy_is_not_trained(house: House) -> None:
    with pytest.raises(NotFoundError) as caught:
        house.train(strategy="nobody")

    assert caught.value.reason == "unknown_strategy"


class WaitingTrainer:
    """Trains for real once it is let go."""

    def __init__(self) -> None:
        self.started, self.go_on = threading.Event(), threading.Event()

    def __call__(self, rows: object, context: TrainingContext, *_told: object) -> Trained | Refused:
        self.started.set()
        assert self.go_on.wait(20)
        return train(rows, context)  # type: ignore[arg-type]


def test_a_second_retraining_of_the_strategy_is_refused_while_one_runs(house: House) -> None:
    house.plant(Planted())
    trainer = WaitingTrainer()
    service = RetrainService(house.database, house.settings, house.store, trainer, house.clock)
    run_id = start_retrain(service, strategy="bot", actor="first")
    assert trainer.started.wait(20)

    with pytest.raises(ConflictError) as caught:
        house.train()

    assert caught.value.reason == "retraining_in_progress"
    assert caught.value.extra["run_id"] == run_id
    trainer.go_on.set()
    while house.database.read(runs.get_run, run_id)["state"] == "running":
        trainer.started.wait(0.05)
    assert house.database.read(runs.get_run, run_id)["state"] == "success"


def test_of_two_threads_that_retrain_at_once_one_wins(house: House) -> None:
    house.plant(Planted())
    barrier, outcomes = threading.Barrier(2), []

    def one() -> None:
        barrier.wait()
        try:
            outcomes.append(retrain(house.training, strategy="bot", actor="tests")["status"])
        except ConflictError as error:
            outcomes.append(error.reason)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) in (["retraining_in_progress", "success"], ["skipped", "success"])
    assert len(list(house.settings.model_dir.iterdir())) == 1


def failing(error: Exception) -> object:
    def fail(rows: object, context: object, *_told: object) -> Trained:
        raise error

    return fail


def test_a_failed_training_says_why_and_frees_the_strategy(house: House) -> None:
    house.plant(Planted())
    trainer = failing(WorkFailedError("The training process was ended by SIGKILL."))
    service = RetrainService(house.database, house.settings, house.store, trainer, house.clock)  # type: ignore[arg-type]

    answer = retrain(service, strategy="bot", actor="tests")

    assert (answer["status"], answer["reason"]) == ("error", "training_failed")
    assert "SIGKILL" in answer["detail"]
    assert house.database.read(runs.get_run, answer["run_id"])["state"] == "error"
    assert house.train()["status"] == "success"


def test_an_unforeseen_error_closes_the_run_too(house: House) -> None:
    house.plant(Planted())
    service = RetrainService(
        house.database,
        house.settings,
        house.store,
        failing(ZeroDivisionError("oh")),
        house.clock,  # type: ignore[arg-type]
    )

    with pytest.raises(ZeroDivisionError):
        retrain(service, strategy="bot", actor="tests")

    (run,) = house.rows(JobRun)
    assert run.state == "error"
    assert "ZeroDivisionError" in (run.result or {})["detail"]


def test_a_folder_that_cannot_be_written_fails_the_training_and_leaves_no_row(house: House) -> None:
    house.plant(Planted())
    house.settings.model_dir.write_text("not a folder")

    answer = house.train()

    assert (answer["status"], answer["reason"]) == ("error", "training_failed")
    assert house.rows(AIModelVersion) == []


def test_a_row_that_cannot_be_stored_takes_its_file_back(house: House) -> None:
    house.plant(Planted())
    house.database.write(
        lambda s: s.execute(
            text("CREATE TRIGGER full BEFORE INSERT ON ai_model_versions BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        )
    )

    with pytest.raises(Exception, match="disk full"):
        house.train()

    assert list(house.settings.model_dir.iterdir()) == []


def test_a_run_closed_by_somebody_else_publishes_nothing(house: House) -> None:
    house.plant(Planted())

    def closed_meanwhile(rows: object, context: TrainingContext, *_told: object) -> Trained | Refused:
        house.database.write(lambda s: s.execute(text("UPDATE job_runs SET state = 'error'")))
        return train(rows, context)  # type: ignore[arg-type]

    service = RetrainService(house.database, house.settings, house.store, closed_meanwhile, house.clock)

    with pytest.raises(runs.RunLostError):
        retrain(service, strategy="bot", actor="tests")

    assert list(house.settings.model_dir.iterdir()) == []
    assert house.rows(AIModelVersion) == []


def test_a_scheduled_run_waits_for_two_percent_new_outcomes_but_a_call_does_not(house: House) -> None:
    house.plant(Planted())
    house.train()
    house.plant(Planted(first=120, count=2))

    scheduled = house.train(slot=SLOT)
    called = house.train()

    assert (scheduled["status"], scheduled["reason"]) == ("skipped", "too_few_new_samples")
    assert (scheduled["new_samples"], scheduled["required"]) == (2, 3)
    assert called["status"] == "success"


def test_a_slot_runs_once(house: House) -> None:
    house.plant(Planted())
    house.train(slot=SLOT)

    with pytest.raises(runs.SlotTakenError):
        house.train(slot=SLOT)


def test_demo_rows_are_no_new_outcomes(house: House) -> None:
    house.plant(Planted())
    house.train()
    before = house.database.read(count_outcomes, "bot")
    house.database.write(
        add_demo_rows, "bot", settings=replace(house.settings, strategy="bot"), now=house.time, actor="tests"
    )

    assert before == (120, 0)
    assert house.database.read(count_outcomes, "bot") == (120, 0)
    assert len(house.rows(AITrainingSample)) > 120


def test_progress_is_told_to_whoever_asked(house: House) -> None:
    house.plant(Planted())
    stages: list[str] = []

    house.train(progress=lambda stage, _share: stages.append(stage))

    assert stages[0] == "reading"
    assert stages[-1] == "publishing"
    assert "fitting" in stages


def test_rows_in_another_order_make_the_same_bytes(house: House) -> None:
    house.plant(Planted())
    house.plant(Planted(strategy="other", count=60, first=60))
    house.plant(Planted(strategy="other", count=60, first=0))
    house.train()
    house.train(strategy="other")

    one, other = house.rows(AIModelVersion)

    assert one.data_hash == other.data_hash


def test_a_service_that_ends_waits_for_its_runs_and_closes_those_that_hang(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.plant(Planted())
    begun, let_go = threading.Event(), threading.Event()

    def hanging(rows: object, context: TrainingContext, *_told: object) -> Trained | Refused:
        begun.set()
        let_go.wait(30)
        return train(rows, context)  # type: ignore[arg-type]

    service = RetrainService(house.database, house.settings, house.store, hanging, house.clock)
    run_id = start_retrain(service, strategy="bot", actor="tests")
    assert begun.wait(30)

    end_own(house.database, house.clock, patience_seconds=0.1)
    closed = house.database.read(runs.get_run, run_id)
    with caplog.at_level(logging.INFO):
        let_go.set()
        for thread in threading.enumerate():
            if thread.name == "ai-retraining-bot":
                thread.join(60)

    assert (closed["state"], closed["reason"]) == ("error", "lost")
    assert house.database.read(runs.get_run, run_id) == closed
    assert house.rows(AIModelVersion) == []
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(("activated", "recommended"), [(True, False), (False, True)])
def test_nothing_is_recommended_over_a_version_that_was_activated_during_the_training(
    house: House, activated: bool, recommended: bool
) -> None:
    house.plant(Planted())
    first = str(house.train()["version_id"])
    house.plant(Planted(first=120, count=40))

    def trainer(rows: Rows, context: TrainingContext, progress: Progress, past: Past) -> Trained | Refused:
        trained = train(rows, context, None, past)
        assert isinstance(trained, Trained)
        if activated:
            activate(house.versions, ActivationRequest(first, "ada"))
        return replace(trained, report=trained.report | {"recommended": True, "recommendation_reasons": []})

    answer = retrain(replace(house.training, trainer=trainer), strategy="bot", actor="tests")

    version = house.rows_of(str(answer["version_id"]))
    assert version.recommended is version.report["recommended"] is recommended
    reasons = [f"{first} was activated during the training and was not compared with"] if activated else []
    assert answer["report"]["recommendation_reasons"] == reasons
