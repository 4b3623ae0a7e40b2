"""Who decides: activation, its gate, rollback through history, and files that are not what was published."""

import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from backend.database import Database
from backend.errors import ConflictError, InvalidInputError, NotFoundError, QuantumTraderError
from backend.learning.versions.activation import (
    ActivationRequest,
    VersionService,
    activate,
    deactivate,
    rollback,
)
from backend.learning.versions.store import ArtifactStore
from backend.models import Activation, AIModelVersion, AuditEntry
from tests.learning.versions.house import House, Planted

Train = Callable[[int], list[str]]


def turn_on(house: House, version_id: str, **options: Any) -> dict[str, Any]:
    house.time += timedelta(seconds=1)
    return activate(house.versions, ActivationRequest(version_id, "ada", **options))


def turn_back(house: House) -> dict[str, Any]:
    house.time += timedelta(seconds=1)
    return rollback(house.versions, "bot", "ada")


def refusal(call: Callable[[], object]) -> QuantumTraderError:
    with pytest.raises(QuantumTraderError) as caught:
        call()
    return caught.value


def active(house: House) -> list[str]:
    return [version.version_id for version in house.rows(AIModelVersion) if version.is_active]


def judge(house: House, version_id: str, verdict: str, *, recommended: bool = False) -> None:
    statement = text("UPDATE ai_model_versions SET verdict = :verdict, recommended = :yes WHERE version_id = :id")
    house.database.write(
        lambda session: session.execute(statement, {"verdict": verdict, "yes": recommended, "id": version_id})
    )


def test_activation_answers_as_documented_and_serves_at_once(house: House, trained: Train) -> None:
    (first,) = trained(1)

    answer = turn_on(house, first)

    assert answer["status"] == "success"
    assert (answer["activated_version"], answer["previous_version"]) == (first, None)
    assert answer["model_type"] == "xgboost_continuous"
    assert answer["message"] == "Model activated. The next decision is made by it."
    assert {"train_accuracy", "validation_accuracy"} <= answer.keys()
    assert house.served() == first


def test_activating_another_replaces_the_first(house: House, trained: Train) -> None:
    first, second = trained(2)
    turn_on(house, first)

    answer = turn_on(house, second, reason="newer")

    assert answer["previous_version"] == first
    assert active(house) == [second]
    old, new = house.rows(AIModelVersion)
    assert old.replaced_at == new.activated_at == house.time
    assert new.replaced_at is None
    entry = house.rows(AuditEntry)[-1]
    assert (entry.actor, entry.action, entry.subject, entry.reason) == ("ada", "activate", second, "newer")
    assert entry.detail is not None
    assert entry.detail["previous_version"] == first


def test_activating_the_active_version_again_changes_nothing(house: House, trained: Train) -> None:
    first, second = trained(2)
    turn_on(house, first)
    once = turn_on(house, second)
    since = house.rows(AIModelVersion)[1].activated_at
    house.time += timedelta(hours=1)

    twice = turn_on(house, second)

    assert (once["changed"], twice["changed"]) == (True, False)
    assert twice == once | {"changed": False, "message": twice["message"]}
    assert all(word in twice["message"] for word in (second, "active already", "nothing has changed", "deactivate it"))
    assert house.rows(AIModelVersion)[1].activated_at == since, "what speaks against it counts on"
    assert len(house.rows(Activation)) == 2
    assert len([entry for entry in house.rows(AuditEntry) if entry.action == "activate"]) == 2


def test_a_version_nobody_recommends_activates_with_a_warning_that_says_what_is_not_known(
    house: House, trained: Train
) -> None:
    (first,) = trained(1)
    judge(house, first, "no_evidence")

    warning = turn_on(house, first)["warning"]

    assert "no_evidence" in warning
    assert "better than a coin" in warning
    assert house.rows(AIModelVersion)[0].report["sentence"] in warning


def test_a_recommended_version_activates_without_a_warning(house: House, trained: Train) -> None:
    (first,) = trained(1)
    judge(house, first, "evidence", recommended=True)

    assert turn_on(house, first)["warning"] is None


@pytest.mark.parametrize("verdict", ["suspected_leakage", "degenerate"])
def test_leaking_and_degenerate_versions_need_force_and_a_reason(house: House, trained: Train, verdict: str) -> None:
    (first,) = trained(1)
    judge(house, first, verdict)

    refused = refusal(lambda: turn_on(house, first))
    unexplained = refusal(lambda: turn_on(house, first, force=True, reason=" "))
    forced = turn_on(house, first, force=True, reason="to see what it does")

    assert (refused.status_code, refused.reason) == (409, "not_recommended")
    assert isinstance(unexplained, InvalidInputError)
    assert unexplained.extra["field"] == "reason"
    assert forced["status"] == "success"
    entry = house.rows(AuditEntry)[-1]
    assert (entry.reason, (entry.detail or {})["forced"]) == ("to see what it does", True)


def test_in_strict_mode_only_recommended_versions_activate_without_force(house: House, trained: Train) -> None:
    (first,) = trained(1)
    house.settings = replace(house.settings, activation_gate="strict")

    refused = refusal(lambda: turn_on(house, first))
    judge(house, first, "evidence", recommended=True)

    assert refused.reason == "not_recommended"
    assert turn_on(house, first)["status"] == "success"


def compared_with(house: House, version_id: str, champion: str | None) -> None:
    """Recommended, as things were at its training."""
    judge(house, version_id, "evidence", recommended=True)

    def change(session: Session) -> None:
        version = session.scalars(select(AIModelVersion).where(AIModelVersion.version_id == version_id)).one()
        version.report = {**version.report, "comparison": champion and {"champion": champion}}

    house.database.write(change)


@pytest.mark.parametrize("met", [None, 2], ids=["nothing was active", "another was active"])
def test_a_recommendation_does_not_hold_over_an_active_version_that_it_never_met(
    house: House, trained: Train, met: int | None
) -> None:
    versions = trained(3)
    champion, newer, _ = versions
    turn_on(house, champion)
    compared_with(house, newer, met and versions[met])
    house.settings = replace(house.settings, activation_gate="strict")

    refused = refusal(lambda: turn_on(house, newer))

    assert (refused.status_code, refused.reason) == (409, "not_recommended")
    assert f"never compared with {champion}, which decides now" in refused.message
    assert champion in refused.extra["recommendation_reasons"][-1]
    assert active(house) == [champion]
    forced = turn_on(house, newer, force=True, reason="to see")
    assert forced["warning"] == f"Not recommended: it was never compared with {champion}, which it replaces."
    assert turn_on(house, newer)["warning"] == forced["warning"], "the active version again"


def test_in_warn_mode_it_activates_and_the_warning_says_what_it_never_met(house: House, trained: Train) -> None:
    champion, newer, poor = trained(3)
    turn_on(house, champion)
    compared_with(house, newer, None)

    warning = turn_on(house, newer)["warning"]

    assert f"never compared with {champion}, which it replaces" in warning
    judge(house, poor, "no_evidence")
    both = turn_on(house, poor)["warning"]
    assert "better than a coin" in both
    assert f"never compared with {newer}, which it replaces" in both


def test_a_recommendation_holds_over_the_version_it_was_compared_with_and_over_none(
    house: House, trained: Train
) -> None:
    champion, newer = trained(2)
    turn_on(house, champion)
    compared_with(house, newer, champion)
    house.settings = replace(house.settings, activation_gate="strict")

    assert turn_on(house, newer)["warning"] is None
    deactivate(house.versions, "bot", "ada")
    assert turn_on(house, newer)["warning"] is None
    assert turn_on(house, newer)["warning"] is None


class Overtaken(Database):
    """Another person is faster by a moment."""

    first: Callable[[], object] | None = None

    def write(self, use_case: Any, *args: Any, **kwargs: Any) -> Any:
        if self.first is not None:
            self.first, first = None, self.first
            first()
        return super().write(use_case, *args, **kwargs)


def test_one_that_was_activated_while_the_file_was_proved_counts_too(house: House, trained: Train) -> None:
    champion, newer = trained(2)
    compared_with(house, newer, None)
    database = Overtaken(house.database.url)
    database.first = lambda: turn_on(house, champion)
    strict = replace(house.versions, database=database, settings=replace(house.settings, activation_gate="strict"))

    refused = refusal(lambda: activate(strict, ActivationRequest(newer, "bea")))

    database.close()
    assert f"never compared with {champion}" in refused.message
    assert active(house) == [champion]


def test_an_unknown_version_is_404_with_the_nearest(house: House, trained: Train) -> None:
    (first,) = trained(1)

    error = refusal(lambda: turn_on(house, "v20260302_120199"))

    assert isinstance(error, NotFoundError)
    assert error.extra["nearest"] == first


def test_a_strategy_that_contradicts_the_version_is_404(house: House, trained: Train) -> None:
    (first,) = trained(1)

    assert refusal(lambda: turn_on(house, first, strategy="other")).status_code == 404
    assert turn_on(house, first, strategy="bot")["status"] == "success"


def damage(path: Path, how: str, other: Path) -> None:
    blob = path.read_bytes()
    if how == "deleted":
        path.unlink()
    elif how == "a folder":
        path.unlink()
        path.mkdir()
    else:
        flipped = blob[:-1] + bytes([blob[-1] ^ 1])
        path.write_bytes(
            {"truncated": blob[:-100], "empty": b"", "swapped": other.read_bytes(), "one bit": flipped}[how]
        )


@pytest.mark.parametrize("how", ["deleted", "truncated", "empty", "swapped", "one bit", "a folder"])
def test_a_damaged_file_is_not_activated_and_the_old_version_serves_on(house: House, trained: Train, how: str) -> None:
    first, second = trained(2)
    turn_on(house, first)
    damage(house.store.path_of(second), how, house.store.path_of(first))

    error = refusal(lambda: turn_on(house, second, force=True, reason="must"))

    assert error.status_code == 409
    assert error.reason == ("artifact_missing" if how == "deleted" else "artifact_corrupt")
    assert active(house) == [first]
    assert house.served() == first


def test_a_version_with_features_the_strategy_no_longer_has_is_a_schema_mismatch(house: House, trained: Train) -> None:
    (first,) = trained(1)
    house.plant(Planted(strategy="narrow", names=("atr", "rsi")))
    house.database.write(
        lambda s: s.execute(
            text(
                "UPDATE strategies SET feature_schema_id ="
                " (SELECT feature_schema_id FROM strategies WHERE name = 'narrow') WHERE name = 'bot'"
            )
        )
    )

    error = refusal(lambda: turn_on(house, first))

    assert error.reason == "schema_mismatch"
    assert error.extra["missing"] == ["ema_gap"]


def test_rolling_back_returns_to_the_version_before_then_there_is_nothing(house: House, trained: Train) -> None:
    first, second = trained(2)
    turn_on(house, first)
    turn_on(house, second)

    answer = turn_back(house)
    error = refusal(lambda: turn_back(house))

    assert (answer["activated_version"], answer["previous_version"]) == (first, second)
    assert (error.status_code, error.reason) == (409, "nothing_to_roll_back")
    assert active(house) == [first]


def test_activating_a_b_a_rolls_back_to_b_and_then_to_a(house: House, trained: Train) -> None:
    first, second = trained(2)
    for version_id in (first, second, first):
        turn_on(house, version_id)

    went = [turn_back(house)["activated_version"] for _ in range(2)]

    assert went == [second, first]
    assert refusal(lambda: turn_back(house)).reason == "nothing_to_roll_back"


def test_after_deactivation_a_rollback_restores_what_was_active(house: House, trained: Train) -> None:
    (first,) = trained(1)
    turn_on(house, first)
    off = deactivate(house.versions, "bot", "ada", "a quiet day")
    served_while_off = house.served()

    answer = turn_back(house)

    assert (off["activated_version"], off["previous_version"]) == (None, first)
    assert served_while_off is None
    assert answer["activated_version"] == first
    assert house.served() == first


def test_deactivating_twice_is_the_same_as_once(house: House, trained: Train) -> None:
    (first,) = trained(1)
    turn_on(house, first)
    deactivate(house.versions, "bot", "ada")

    again = deactivate(house.versions, "bot", "ada")

    assert again["previous_version"] is None
    assert len(house.rows(Activation)) == 2


def test_a_strategy_without_versions_has_nothing_to_roll_back_or_deactivate(house: House) -> None:
    error = refusal(lambda: rollback(house.versions, "default", "ada"))

    assert error.reason == "nothing_to_roll_back"
    assert deactivate(house.versions, "default", "ada")["status"] == "success"
    assert refusal(lambda: rollback(house.versions, "nobody", "ada")).reason == "unknown_strategy"


def test_rolling_back_is_never_gated(house: House, trained: Train) -> None:
    first, second = trained(2)
    turn_on(house, first)
    turn_on(house, second)
    judge(house, first, "suspected_leakage")
    house.settings = replace(house.settings, activation_gate="strict")

    assert turn_back(house)["activated_version"] == first


def test_rolling_back_to_a_damaged_file_is_refused_and_changes_nothing(house: House, trained: Train) -> None:
    first, second = trained(2)
    turn_on(house, first)
    turn_on(house, second)
    house.store.path_of(first).unlink()

    error = refusal(lambda: turn_back(house))

    assert error.reason == "artifact_missing"
    assert active(house) == [second]
    assert all(entry.undone_at is None for entry in house.rows(Activation))


class Oracle:
    """A history kept as a plain list: what activation, rollback and deactivation should leave active."""

    def __init__(self) -> None:
        self.stack: list[str | None] = []

    @property
    def current(self) -> str | None:
        return self.stack[-1] if self.stack else None

    def push(self, version_id: str | None) -> None:
        if version_id != self.current:
            self.stack.append(version_id)

    def back(self) -> str | None:
        below = self.stack[:-1]
        while below and below[-1] in (None, self.current):
            below.pop()
        if below:
            self.stack = below
            return below[-1]
        return None


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["A", "B", "C", "off", "back"]), max_size=8))
def test_any_history_leaves_what_a_plain_list_says(house: House, trained: Train, steps: list[str]) -> None:
    if not house.rows(AIModelVersion):
        trained(3)
    wipe(house)
    names = dict(zip("ABC", (row.version_id for row in house.rows(AIModelVersion)), strict=True))
    oracle = Oracle()

    for step in steps:
        if step == "off":
            deactivate(house.versions, "bot", "ada")
            oracle.push(None)
        elif step == "back":
            target = oracle.back()
            if target is None:
                assert refusal(lambda: turn_back(house)).reason == "nothing_to_roll_back"
            else:
                assert turn_back(house)["activated_version"] == target
        else:
            turn_on(house, names[step])
            oracle.push(names[step])
        assert active(house) == [oracle.current][: 1 if oracle.current else 0]


def wipe(house: House) -> None:
    def forget(session: Any) -> None:
        session.execute(text("DELETE FROM activations"))
        session.execute(text("UPDATE ai_model_versions SET is_active = 0, activated_at = NULL"))

    house.database.write(forget)


def activate_many(url: str, folder: str, environ: dict[str, Any], version_id: str) -> None:
    """In another process: activate one version again and again."""
    database = Database(url)
    service = VersionService(database, environ["settings"], ArtifactStore(Path(folder)), environ["clock"])
    for _ in range(4):
        activate(service, ActivationRequest(version_id, "process"))


class Fixed:
    """A clock that can travel to another process."""

    def __init__(self, house: House) -> None:
        self.time = house.time

    def __call__(self) -> Any:
        return self.time


@pytest.mark.slow
def test_two_processes_that_activate_different_versions_leave_exactly_one_active(house: House, trained: Train) -> None:
    first, second = trained(2)
    spawn = multiprocessing.get_context("spawn")
    given_to_both = {"settings": house.settings, "clock": Fixed(house)}
    arguments = (house.database.url, str(house.store.model_dir), given_to_both)

    children = [spawn.Process(target=activate_many, args=(*arguments, version)) for version in (first, second)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)

    assert [child.exitcode for child in children] == [0, 0]
    assert len(active(house)) == 1
    newest = house.rows(Activation)[-1]
    assert active(house) == [newest.version_id]


def test_a_row_that_names_another_file_after_the_check_is_not_activated(house: House, trained: Train) -> None:
    _first, second = trained(2)

    class SlyStore(ArtifactStore):
        """Changes the row while the file is being checked."""

        def load(self, *args: Any, **kwargs: Any) -> Any:
            model = super().load(*args, **kwargs)
            house.database.write(lambda s: s.execute(text("UPDATE ai_model_versions SET artifact_sha256 = 'f00'")))
            return model

    service = replace(house.versions, store=SlyStore(house.store.model_dir))

    with pytest.raises(ConflictError) as caught:
        activate(service, ActivationRequest(second, "ada"))

    assert caught.value.reason == "activation_changed"
    assert active(house) == []
