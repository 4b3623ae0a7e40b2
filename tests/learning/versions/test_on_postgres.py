"""The same guarantees where writers really run side by side."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from backend.crontab import parse_schedule
from backend.database import Database
from backend.errors import ConflictError
from backend.learning.decisions.counters import on_recorded
from backend.learning.versions import shadow
from backend.learning.versions.activation import ActivationRequest, activate
from backend.learning.versions.find import locked
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.models import AIModelVersion, AuditEntry, Base, JobRun
from backend.operations import leases
from backend.scheduler import run_due
from backend.settings import Settings
from tests.learning.versions.house import House, Planted, plant

pytestmark = pytest.mark.postgres


@pytest.fixture
def house(postgres_url: str, settings: Settings, now: datetime) -> Iterator[House]:
    """An empty house on PostgreSQL."""
    database = Database(postgres_url)
    Base.metadata.create_all(database.engine)
    store = ArtifactStore(settings.model_dir)
    yield House(database, settings, store, Serving(store), now)
    database.close()


def at_once(calls: list[Callable[[], object]]) -> list[object]:
    """Start all calls together; what each returned, or the reason it was refused with."""
    barrier, answers = threading.Barrier(len(calls)), []

    def run(call: Callable[[], object]) -> None:
        barrier.wait()
        try:
            answers.append(call())
        except ConflictError as error:
            answers.append(error.reason)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_of_many_retrainings_at_once_one_runs(house: House) -> None:
    house.plant(Planted())

    answers = at_once([lambda: house.train()["status"]] * 4)

    assert answers.count("success") == 1
    assert set(answers) <= {"success", "retraining_in_progress", "skipped"}
    assert len(house.rows(AIModelVersion)) == 1


def test_a_slot_that_many_services_tick_runs_once(house: House) -> None:
    house.plant(Planted(created_at=house.time - timedelta(days=2)))
    schedule = parse_schedule("0 3 * * *")

    at_once([lambda: run_due(house.training, schedule)] * 4)

    assert [run.state for run in house.rows(JobRun)] == ["success"]


def test_activations_side_by_side_leave_one_active(house: House, trained: Callable[[int], list[str]]) -> None:
    ids = trained(3)
    requests = [ActivationRequest(version_id, "ada") for version_id in ids * 3]

    answers = at_once([lambda request=request: activate(house.versions, request)["status"] for request in requests])

    assert answers == ["success"] * 9
    assert sum(row.is_active for row in house.rows(AIModelVersion)) == 1


def test_an_activation_waits_for_a_round_that_counts_and_then_stores(
    house: House, trained: Callable[[int], list[str]]
) -> None:
    """A round settles, which moves counters, and then stores decisions, which name the strategy: no deadlock."""
    first, second = trained(2)
    activate(house.versions, ActivationRequest(first, "ada"))
    counted = threading.Event()

    def take_round(session: Session) -> str:
        on_recorded(session, first, 1)
        counted.set()
        time.sleep(0.5)
        plant(session, Planted(first=900, count=1))
        session.flush()
        return "stored"

    def press() -> object:
        counted.wait(10)
        return activate(house.versions, ActivationRequest(second, "ada"))["status"]

    answers = at_once([lambda: house.database.write(take_round), press])

    assert sorted(answers, key=str) == ["stored", "success"]
    assert [row.version_id for row in house.rows(AIModelVersion) if row.is_active] == [second]


def test_a_stop_that_waited_for_an_activation_stops_nothing(house: House, trained: Callable[[int], list[str]]) -> None:
    """The version was a shadow when the stop read it, and decides when the stop gets its turn."""
    first, second = trained(2)
    activate(house.versions, ActivationRequest(first, "ada"))
    began = threading.Event()

    def press(session: Session) -> str:
        locked(session, "bot")
        began.set()
        wait_for_a_waiter(house.database)
        for version in session.scalars(select(AIModelVersion)):
            version.is_active, version.is_shadow = False, version.version_id == first
        session.flush()
        session.scalars(select(AIModelVersion).where(AIModelVersion.version_id == second)).one().is_active = True
        return "activated"

    def end() -> object:
        began.wait(10)
        return shadow.stop(house.versions, second, "ada")["shadows"]

    answers = at_once([lambda: house.database.write(press), end])

    actions = [entry.action for entry in house.rows(AuditEntry)]
    assert sorted(answers, key=str) == [[first], "activated"]
    assert "stop_shadow" not in actions


def wait_for_a_waiter(database: Database) -> None:
    """Return once another transaction waits for a lock."""
    waits = text("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")
    for _ in range(500):
        if database.read(lambda session: session.scalar(waits)):
            return
        time.sleep(0.02)
    raise AssertionError("nobody waits")


def test_a_lease_wanted_by_many_is_given_to_one(house: House) -> None:
    def want(holder: str) -> int | None:
        return house.database.write(leases.acquire, "trader:bot", holder, house.time, timedelta(minutes=1))

    fences = at_once([lambda holder=holder: want(holder) for holder in "abcdef"])

    assert sorted(fences, key=str) == [1, None, None, None, None, None]
