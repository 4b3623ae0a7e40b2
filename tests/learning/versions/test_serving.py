"""What serves follows the row at every call; a damaged file never does."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import event, update
from sqlalchemy.orm import Session

from backend.learning.versions.activation import ActivationRequest, activate, deactivate
from backend.learning.versions.serving import MAX_MODELS, Serving
from backend.models import AIModelVersion
from tests.learning.versions.house import House

Train = Callable[[int], list[str]]


def turn_on(house: House, version_id: str) -> None:
    house.time += timedelta(seconds=1)
    activate(house.versions, ActivationRequest(version_id, "ada"))


def restart(house: House) -> None:
    """Forget everything this process holds in memory."""
    house.serving = Serving(house.store)


def set_verdict(session: Session, version_id: str, verdict: str) -> None:
    change = update(AIModelVersion).where(AIModelVersion.version_id == version_id)
    session.execute(change.values(verdict=verdict))


def set_activated(session: Session, version_id: str, at: datetime) -> None:
    change = update(AIModelVersion).where(AIModelVersion.version_id == version_id)
    session.execute(change.values(activated_at=at))


def test_nothing_serves_before_an_activation(house: House, trained: Train) -> None:
    trained(1)

    assert house.served() is None
    assert house.database.read(house.serving.state_of, "bot").degraded is False


def test_every_process_follows_the_row_at_its_next_call(house: House, trained: Train) -> None:
    first, second = trained(2)
    another_process = Serving(house.store)
    turn_on(house, first)
    before = house.database.read(another_process.model_for, "bot")
    turn_on(house, second)

    after = house.database.read(another_process.model_for, "bot")

    assert before is not None
    assert after is not None
    assert (before.version_id, after.version_id) == (first, second)
    deactivate(house.versions, "bot", "ada")
    assert house.database.read(another_process.model_for, "bot") is None


def test_a_cached_model_costs_one_query_and_no_file(house: House, trained: Train) -> None:
    (first,) = trained(1)
    turn_on(house, first)
    house.served()
    house.store.path_of(first).unlink()
    statements: list[str] = []
    event.listen(house.database.engine, "before_cursor_execute", lambda *told: statements.append(told[2]))

    assert house.served() == first
    assert len([statement for statement in statements if statement.startswith("SELECT")]) == 1


def test_a_file_damaged_while_served_goes_on_from_memory_and_is_missed_at_the_next_start(
    house: House, trained: Train
) -> None:
    first, second = trained(2)
    turn_on(house, first)
    turn_on(house, second)
    house.served()
    house.store.path_of(second).write_bytes(b"garbage")

    assert house.served() == second
    restart(house)
    assert house.served() == first


def test_a_damaged_active_file_lets_the_newest_earlier_version_serve_under_its_own_name(
    house: House, trained: Train
) -> None:
    first, second, third = trained(3)
    for version_id in (first, second, third):
        turn_on(house, version_id)
    house.store.path_of(third).unlink()
    restart(house)

    serving = house.database.read(house.serving.model_for, "bot")
    state = house.database.read(house.serving.state_of, "bot")

    assert serving is not None
    assert (serving.version_id, serving.degraded, serving.active_version_id) == (second, True, third)
    assert (state.active_version_id, state.serving_version_id, state.degraded) == (third, second, True)


def test_the_newest_earlier_version_stands_in_whether_or_not_a_person_once_activated_it(
    house: House, trained: Train
) -> None:
    first, second, third = trained(3)
    turn_on(house, first)
    turn_on(house, third)
    house.store.path_of(third).unlink()
    restart(house)

    assert house.served() == second
    house.store.path_of(second).unlink()
    restart(house)
    assert house.served() == first


@pytest.mark.parametrize("verdict", ["degenerate", "suspected_leakage"])
def test_a_refused_version_stands_in_only_where_a_person_once_activated_it(
    house: House, trained: Train, verdict: str
) -> None:
    first, second, third = trained(3)
    house.database.write(set_verdict, second, verdict)
    turn_on(house, third)
    house.store.path_of(third).unlink()
    restart(house)

    assert house.served() == first
    house.database.write(set_activated, second, house.time)
    assert house.served() == second


def test_a_later_version_never_stands_in(house: House, trained: Train) -> None:
    first, second = trained(2)
    turn_on(house, second)
    turn_on(house, first)
    house.store.path_of(first).unlink()
    restart(house)

    assert house.served() is None


def test_another_strategys_version_never_stands_in(house: House, trained: Callable[..., list[str]]) -> None:
    trained(1, strategy="other")
    house.time += timedelta(minutes=5)
    (mine,) = trained(1)
    turn_on(house, mine)
    house.store.path_of(mine).unlink()
    restart(house)

    assert house.served() is None


def test_a_restored_file_serves_again_without_restart(house: House, trained: Train) -> None:
    (first,) = trained(1)
    turn_on(house, first)
    path = house.store.path_of(first)
    blob = path.read_bytes()
    path.write_bytes(blob[:-1])
    restart(house)
    broken = house.served()
    path.write_bytes(blob)

    assert broken is None
    assert house.served() == first


def test_what_is_served_forecasts_as_it_did_at_training(house: House, trained: Train) -> None:
    (first,) = trained(1)
    turn_on(house, first)
    serving = house.database.read(house.serving.model_for, "bot")
    assert serving is not None
    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)

    row = house.rows_of(first)
    again = house.store.load(row.model_path, sha256=row.artifact_sha256, size=row.artifact_bytes)

    np.testing.assert_array_equal(serving.model.forecast(rows).scores, again.forecast(rows).scores)


def test_memory_holds_a_bounded_number_of_models(house: House, trained: Callable[..., list[str]]) -> None:
    (first,) = trained(1)
    row = house.rows_of(first)
    for number in range(MAX_MODELS + 5):
        row.version_id = f"v2026030{number % 9}_1201{number:02d}"
        house.serving.load(row)

    assert len(house.serving._models) == MAX_MODELS


def test_no_call_fails_while_versions_are_switched(house: House, trained: Train) -> None:
    versions = trained(2)
    turn_on(house, versions[0])
    seen, errors, done = set(), [], threading.Event()

    def decide() -> None:
        while not done.is_set():
            try:
                seen.add(house.served())
            except Exception as error:
                errors.append(error)

    readers = [threading.Thread(target=decide) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(20):
        turn_on(house, versions[number % 2])
    done.set()
    for reader in readers:
        reader.join()

    assert errors == []
    assert seen <= set(versions)
