"""What a retraining and a change of the active version tell: in their own transaction, in words with numbers."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session

from ai_engine.pipeline import Refused
from backend.errors import ConflictError
from backend.learning.versions.activation import ActivationRequest, activate, deactivate, rollback
from backend.learning.versions.news import REPLAY, training_finished
from backend.learning.versions.retrain import RetrainService, retrain
from backend.models import Alarm
from backend.operations.alarms import list_alarms
from backend.operations.events import list_events
from backend.operations.jobs import WorkFailedError, WorkStoppedError
from tests.learning.versions.house import House, Planted


def told(house: House) -> list[dict[str, Any]]:
    """Every event, oldest first."""
    return list(reversed(house.database.read(list_events)[0]))


def codes(house: House) -> list[tuple[str, str]]:
    return [(event["code"], event["state"]) for event in told(house)]


def failing(house: House, error: BaseException | Refused) -> RetrainService:
    """A service whose trainer ends like this."""

    def trainer(*_: Any, **__: Any) -> Refused:
        if isinstance(error, Refused):
            return error
        raise error

    return RetrainService(house.database, house.settings, house.store, trainer, house.clock)  # type: ignore[arg-type]


def test_a_training_that_finished_is_told_with_its_reports_own_sentence(house: House) -> None:
    house.plant(Planted())

    answer = house.train()

    (event,) = told(house)
    assert (event["code"], event["state"], event["severity"]) == ("training_finished", "news", "info")
    assert (event["strategy"], event["subject"]) == ("bot", answer["version_id"])
    assert event["sentence"] == answer["report"]["sentence"]  # type: ignore[index]
    assert event["detail"] == {
        "version_id": answer["version_id"],
        "run_id": answer["run_id"],
        "actor": "tests",
        "verdict": answer["report"]["verdict"],  # type: ignore[index]
        "recommended": answer["report"]["recommended"],  # type: ignore[index]
        "training_samples": answer["training_samples"],
        "validation_samples": answer["validation_samples"],
        "validation_accuracy": answer["validation_accuracy"],
    }


def test_a_run_that_is_skipped_is_no_news(house: House) -> None:
    house.plant(Planted())
    house.train()

    assert house.train()["reason"] == "no_new_samples"
    assert codes(house) == [("training_finished", "news")]


def test_a_version_that_is_recommended_is_told_with_how_to_let_it_decide(
    house: House, trained: Callable[[int], list[str]]
) -> None:
    (version_id,) = trained(1)
    version = house.rows_of(version_id)
    version.recommended = True

    house.database.write(training_finished, version, run_id="run-1", actor="tests", at=house.time)

    recommended = told(house)[-1]
    assert recommended["code"] == "version_recommended"
    assert recommended["sentence"].endswith(f"POST /ai/activate-model/{version_id}")


@pytest.mark.parametrize(
    ("error", "reason", "severity", "said"),
    [
        (WorkFailedError("the child was killed"), "training_failed", "error", "the child was killed"),
        (OSError("No space left on device"), "training_failed", "error", "No space left"),
        (ValueError("a bug"), "training_failed", "error", "a bug"),
        (Refused("degenerate_data", {"rejected": {}}), "degenerate_data", "warning", "degenerate_data"),
        (Refused("too_few_valid_samples", {"valid_samples": 7}), "too_few_valid_samples", "warning", "valid_samples 7"),
    ],
)
def test_a_training_that_failed_is_an_alarm_until_one_succeeds(
    house: House, error: BaseException | Refused, reason: str, severity: str, said: str
) -> None:
    house.plant(Planted())
    for _ in range(2):
        try:
            retrain(failing(house, error), strategy="bot", actor="tests")
        except ValueError:
            assert isinstance(error, ValueError)

    (alarm,) = house.database.read(list_alarms)[0]
    assert (alarm["code"], alarm["subject"], alarm["severity"]) == ("retraining_failed", "bot", severity)
    assert reason in alarm["detail"]
    assert said in alarm["detail"]
    assert told(house)[0]["detail"]["evidence"]["run_id"] in told(house)[0]["detail"]["remedy"]

    house.train()

    assert house.database.read(list_alarms)[0] == []
    assert codes(house) == [
        ("retraining_failed", "raised"),
        ("training_finished", "news"),
        ("retraining_failed", "closed"),
    ]


def test_a_training_cut_off_by_the_services_end_is_no_failure_yet(house: House) -> None:
    house.plant(Planted())

    answer = retrain(failing(house, WorkStoppedError()), strategy="bot", actor="tests")

    assert answer["reason"] == "lost"
    assert codes(house) == []


def test_who_activates_rolls_back_and_deactivates_is_told_with_what_decided_before(
    house: House, trained: Callable[[int], list[str]]
) -> None:
    first, second = trained(2)
    before = len(told(house))
    activate(house.versions, ActivationRequest(first, "ada", reason="the first"))
    activate(house.versions, ActivationRequest(second, "ada"))
    rollback(house.versions, "bot", "bob", "it lost money")
    deactivate(house.versions, "bot", "bob")

    events = told(house)[before:]

    assert [event["code"] for event in events] == [
        "version_activated", "version_activated", "version_rolled_back", "version_deactivated",
    ]  # fmt: skip
    assert [event["subject"] for event in events] == [first, second, first, first]
    assert [event["sentence"] for event in events] == [
        f"{first} decides for bot from now on, in place of the cold-start rule. By ada: the first.",
        f"{second} decides for bot from now on, in place of {first}. By ada.",
        f"{first} decides for bot again; {second} was rolled back. By bob: it lost money.",
        f"No version decides for bot any more; {first} did. By bob.",
    ]
    assert events[2]["detail"]["previous_version"] == second
    assert events[2]["detail"]["reason"] == "it lost money"


def test_what_changes_nothing_is_no_news(house: House, trained: Callable[[int], list[str]]) -> None:
    (version_id,) = trained(1)
    activate(house.versions, ActivationRequest(version_id, "ada"))
    before = len(told(house))

    activate(house.versions, ActivationRequest(version_id, "ada"))
    with pytest.raises(ConflictError):
        rollback(house.versions, "bot", "ada")
    deactivate(house.versions, "bot", "ada")
    deactivate(house.versions, "bot", "ada")

    assert [event["code"] for event in told(house)[before:]] == ["version_deactivated"]


def test_news_of_a_version_whose_row_was_not_stored_is_not_told(
    house: House, trained: Callable[[int], list[str]]
) -> None:
    (version_id,) = trained(1)
    before = len(told(house))
    version = house.rows_of(version_id)

    def fail(session: Session) -> None:
        training_finished(session, version, run_id="run-1", actor="tests", at=house.time)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        house.database.write(fail)

    assert len(told(house)) == before
    assert house.rows(Alarm) == []


def test_the_nights_of_a_replay_are_history_and_tell_nobody(house: House) -> None:
    house.plant(Planted())

    made = retrain(house.training, strategy="bot", actor=REPLAY)
    activate(house.versions, ActivationRequest(str(made["version_id"]), REPLAY, reason="qt replay"))
    house.plant(Planted(first=120))
    failed = retrain(failing(house, WorkFailedError("killed")), strategy="bot", actor=REPLAY)

    assert (made["status"], failed["status"]) == ("success", "error")
    assert told(house) == []
    assert house.rows(Alarm) == []
