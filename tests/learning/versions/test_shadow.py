"""Who scores beside the active version: by themselves, because somebody asked, and never both ways at once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from ai_engine.features.catalogue import schema_hash
from backend.errors import QuantumTraderError
from backend.learning.versions import shadow
from backend.learning.versions.activation import ActivationRequest, activate, deactivate, rollback
from backend.learning.versions.queries import get_model, list_models
from backend.learning.versions.serving import Serving
from backend.models import AIModelVersion, AuditEntry, FeatureSchema, Strategy
from tests.learning.versions.house import NAMES, House, Planted

Train = Callable[[int], list[str]]


def shadows(house: House) -> dict[str, str | None]:
    """Which versions score, and why, newest first."""
    found = house.database.read(lambda s: [(v.version_id, v.shadow_origin) for v in shadow.shadows_of(s, "bot")])
    return dict(found)


def scoring(house: House) -> list[str]:
    """The versions that a process would really let score, oldest first."""
    return [one.version_id for one in house.database.read(house.serving.shadows_for, "bot")]


def turn_on(house: House, version_id: str) -> None:
    house.time += timedelta(seconds=1)
    activate(house.versions, ActivationRequest(version_id, "ada"))


def refusal(call: Callable[[], object]) -> QuantumTraderError:
    with pytest.raises(QuantumTraderError) as caught:
        call()
    return caught.value


def change(house: House, version_id: str, **values: Any) -> None:
    statement = update(AIModelVersion).where(AIModelVersion.version_id == version_id).values(**values)
    house.database.write(lambda session: session.execute(statement))


def name(number: int) -> str:
    return f"v20260301_0000{number:02d}"


def add(session: Session, house: House, number: int, verdict: str = "no_evidence", **values: Any) -> AIModelVersion:
    """A version's row, without a file."""
    version = AIModelVersion(
        version_id=name(number),
        strategy="bot",
        trained_at=house.time,
        training_samples=80,
        validation_samples=20,
        verdict=verdict,
        model_path=f"xgb_model_{name(number)}.pkl",
        artifact_sha256="0" * 64,
        artifact_bytes=1,
        feature_schema_id=session.query(FeatureSchema).filter_by(hash=schema_hash(NAMES)).one().id,
        data_hash=name(number),
        report={},
        lineage={},
        **values,
    )
    session.add(version)
    session.flush()
    return version


def publish(house: House, numbers: range, **values: Any) -> None:
    """Rows as nights leave them, one after the other."""

    def use_case(session: Session) -> None:
        for number in numbers:
            shadow.begin(session, add(session, house, number, **values))

    house.database.write(use_case)


@pytest.fixture
def nights(house: House) -> House:
    """A strategy for which five versions were trained."""
    house.plant(Planted(count=1))
    publish(house, range(5))
    return house


def test_a_version_scores_from_its_training_on(house: House, trained: Train) -> None:
    first, second = trained(2)

    assert shadows(house) == {second: "automatic", first: "automatic"}
    assert scoring(house) == [first, second]


def test_the_newest_three_candidates_score_by_themselves_and_the_older_ones_stop(nights: House) -> None:
    assert shadows(nights) == {name(4): "automatic", name(3): "automatic", name(2): "automatic"}


@pytest.mark.parametrize("verdict", ["degenerate", "suspected_leakage"])
def test_a_version_that_nobody_should_use_neither_scores_nor_stops_another(nights: House, verdict: str) -> None:
    publish(nights, range(5, 6), verdict=verdict)

    assert list(shadows(nights)) == [name(4), name(3), name(2)]


def test_whoever_decides_is_no_shadow_and_whom_it_replaces_scores_on(house: House, trained: Train) -> None:
    first, second, third = trained(3)

    turn_on(house, first)
    assert list(shadows(house)) == [third, second]
    turn_on(house, second)
    assert list(shadows(house)) == [third, first]
    turn_on(house, third)

    assert shadows(house) == {second: "automatic"}
    assert scoring(house) == [second]


def test_after_going_back_the_version_that_was_left_scores_in_turn(house: House, trained: Train) -> None:
    first, second = trained(2)
    turn_on(house, first)
    turn_on(house, second)
    house.time += timedelta(seconds=1)

    rollback(house.versions, "bot", "ada")

    assert list(shadows(house)) == [second]


def test_a_version_that_ceases_to_decide_scores_on_where_none_does(house: House, trained: Train) -> None:
    (first,) = trained(1)
    turn_on(house, first)
    assert shadows(house) == {}

    deactivate(house.versions, "bot", "ada")
    deactivate(house.versions, "bot", "ada")

    assert scoring(house) == [first]


def test_a_shadow_that_the_release_before_activated_is_none(house: House, trained: Train) -> None:
    first, second = trained(2)
    change(house, second, is_active=True)  # that release knows of no shadows, and leaves the mark

    told = {one["version_id"]: one for one in house.database.read(list_models)[0]}
    assert (told[second]["is_active"], told[second]["is_shadow"], told[second]["shadow_origin"]) == (True, False, None)
    assert list(shadows(house)) == scoring(house) == [first]

    turn_on(house, first)

    assert shadows(house) == {second: "automatic"}


def test_activating_the_active_version_again_makes_no_shadow_of_it(house: House, trained: Train) -> None:
    (first,) = trained(1)

    turn_on(house, first)
    turn_on(house, first)

    assert shadows(house) == {}


def test_whoever_was_asked_for_stays_when_newer_ones_come(house: House, trained: Train) -> None:
    (first,) = trained(1)

    told = shadow.ask(house.versions, first, "ada")
    publish(house, range(4))

    assert (told["is_shadow"], told["shadow_origin"], told["shadows"]) == (True, "asked", [first])
    assert shadows(house) == {
        name(3): "automatic",
        name(2): "automatic",
        name(1): "automatic",
        first: "asked",
    }


def test_what_a_person_began_and_stopped_is_in_the_audit_once(house: House, trained: Train) -> None:
    (first,) = trained(1)

    for call in (shadow.ask, shadow.ask, shadow.stop, shadow.stop):
        call(house.versions, first, "ada")

    entries = [(row.action, row.actor, row.subject) for row in house.rows(AuditEntry) if "shadow" in row.action]
    assert entries == [("shadow", "ada", first), ("stop_shadow", "ada", first)]
    assert shadows(house) == {}


def test_whoever_a_person_stopped_does_not_begin_again_with_the_next_night(nights: House) -> None:
    shadow.stop(nights.versions, name(3), "ada")

    publish(nights, range(5, 6))

    assert list(shadows(nights)) == [name(5), name(4), name(2)]


def test_an_activation_ends_what_was_asked_for(house: House, trained: Train) -> None:
    first, second = trained(2)
    shadow.ask(house.versions, second, "ada")

    turn_on(house, second)
    assert list(shadows(house)) == [first]
    turn_on(house, first)

    assert shadows(house) == {second: "automatic"}


def test_the_active_version_cannot_be_asked_for(house: House, trained: Train) -> None:
    (first,) = trained(1)
    turn_on(house, first)

    assert refusal(lambda: shadow.ask(house.versions, first, "ada")).reason == "already_active"
    assert shadow.stop(house.versions, first, "ada")["is_shadow"] is False


def test_asked_for_shadows_take_the_room_of_the_automatic_ones_and_a_ninth_is_refused(
    house: House, trained: Train
) -> None:
    first, second = trained(2)
    house.database.write(
        lambda s: (
            [add(s, house, number, is_shadow=True, shadow_origin="asked") for number in range(shadow.MOST_SHADOWS - 2)]
            and None
        )
    )

    shadow.ask(house.versions, first, "ada")
    assert shadows(house)[second] == "automatic"
    change(house, name(0), is_shadow=False, shadow_origin=None)
    publish(house, range(20, 21))
    shadow.ask(house.versions, second, "ada")
    assert shadows(house)[name(20)] == "automatic"
    change(house, name(0), is_shadow=True, shadow_origin="asked")
    publish(house, range(21, 22))

    assert len(shadows(house)) == shadow.MOST_SHADOWS
    assert set(shadows(house).values()) == {"asked"}
    shadow.stop(house.versions, first, "ada")
    change(house, name(21), is_shadow=True, shadow_origin="asked")
    refused = refusal(lambda: shadow.ask(house.versions, first, "ada"))
    assert refused.reason == "too_many_shadows"
    assert len(refused.extra["shadows"]) == shadow.MOST_SHADOWS
    assert shadow.ask(house.versions, second, "ada")["is_shadow"] is True


@pytest.mark.parametrize(("damage", "reason"), [("missing", "artifact_missing"), ("damaged", "artifact_corrupt")])
def test_a_file_that_could_not_decide_cannot_score_either(
    house: House, trained: Train, damage: str, reason: str
) -> None:
    (first,) = trained(1)
    shadow.stop(house.versions, first, "ada")
    path = house.store.path_of(first)
    path.unlink() if damage == "missing" else path.write_bytes(b"damaged")

    assert refusal(lambda: shadow.ask(house.versions, first, "ada")).reason == reason
    assert shadows(house) == {}


def admit(house: House, *names: str) -> None:
    """Let decisions have these features from now on."""

    def use_case(session: Session) -> None:
        schema = FeatureSchema(hash=schema_hash(names), names=list(names), created_at=house.time)
        session.add(schema)
        session.flush()
        session.get_one(Strategy, "bot").feature_schema_id = schema.id

    house.database.write(use_case)


def test_features_that_decisions_no_longer_have_are_refused_and_a_shadow_is_left_out_and_logged_once(
    house: House, trained: Train, caplog: pytest.LogCaptureFixture
) -> None:
    (first,) = trained(1)
    wider = (*NAMES, "zz")
    admit(house, *wider)
    assert scoring(house) == [first]

    admit(house, "atr", "rsi")

    assert [scoring(house) for _ in range(3)] == [[], [], []]
    assert caplog.text.count("decisions lack ema_gap") == 1
    assert refusal(lambda: shadow.ask(house.versions, first, "ada")).reason == "schema_mismatch"


def test_a_damaged_shadow_is_left_out_and_logged_once_and_the_others_score(
    house: House, trained: Train, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = trained(2)
    house.serving = Serving(house.store)
    house.store.path_of(first).write_bytes(b"damaged")

    assert [scoring(house) for _ in range(3)] == [[second]] * 3
    assert caplog.text.count(f"{first} cannot serve") == 1


def test_a_version_of_another_strategy_or_of_none_is_not_found(house: House, trained: Train) -> None:
    (first,) = trained(1)

    for call in (shadow.ask, shadow.stop):
        assert refusal(lambda call=call: call(house.versions, first, "ada", "other")).reason == "unknown_version"  # type: ignore[misc]
        assert refusal(lambda call=call: call(house.versions, "v20250101_000000", "ada")).reason == "unknown_version"  # type: ignore[misc]
    assert shadows(house) == {first: "automatic"}


def test_versions_say_that_they_score_and_why(house: House, trained: Train) -> None:
    first, second = trained(2)
    shadow.ask(house.versions, first, "ada")
    turn_on(house, second)

    listed, _ = house.database.read(list_models, strategy="bot")

    assert [(one["is_active"], one["is_shadow"], one["shadow_origin"]) for one in listed] == [
        (True, False, None),
        (False, True, "asked"),
    ]
    assert house.database.read(get_model, first)["shadow_origin"] == "asked"
