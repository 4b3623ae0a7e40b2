"""Bursts and rulings where writers really run side by side."""

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

from backend.database import Database
from backend.learning.decisions.quarantine import Ruling, rule_on
from backend.models import Base
from backend.settings import Settings
from tests.learning.decisions.conftest import T0, VERSION, Bench

pytestmark = pytest.mark.postgres
ENTERED = {"side": "BUY", "entry_price": 100.0, "quantity": 1.0, "entry_time": T0, "exit_price": 101.0}


@pytest.fixture
def apart(postgres_url: str, settings: Settings, now: datetime) -> Iterator[Bench]:
    """A bench on PostgreSQL."""
    database = Database(postgres_url)
    Base.metadata.create_all(database.engine)
    yield Bench(database, settings, now)
    database.close()


def at_once(*calls: Callable[[], object]) -> None:
    """All calls together; whatever one raises fails the test."""
    barrier, failed = threading.Barrier(len(calls)), []

    def run(call: Callable[[], object]) -> None:
        barrier.wait()
        try:
            call()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_the_last_two_of_a_burst_told_at_once_see_each_other(apart: Bench) -> None:
    names = [f"d{number}" for number in range(10)]
    for name in names:
        apart.decide(name, price=None)
    for name in names[:8]:
        apart.tell(name, **ENTERED)

    at_once(lambda: apart.tell(names[8], **ENTERED), lambda: apart.tell(names[9], **ENTERED))

    assert {apart.sample(name).quarantine_reason for name in names} == {"alike_returns"}


def test_a_drop_and_an_outcome_at_once_leave_true_counters(apart: Bench) -> None:
    apart.add_version()
    held = apart.forecast("d1", 0.01)
    apart.decide("wrong", T0 + timedelta(minutes=64), price=100_000.0)
    assert apart.sample("d1").quarantine_reason == "return_out_of_bounds"
    ruling = Ruling(held, "dropped", "looked at it", "admin")

    at_once(
        lambda: apart.database.write(rule_on, ruling, now=apart.now, cost=apart.settings.cost),
        lambda: apart.tell("d1", **ENTERED),
    )

    assert apart.sample("d1").quarantine_decision == "dropped"
    assert apart.counters(VERSION)["total_pnl"] == pytest.approx(1.0)
    assert apart.counters(VERSION)["matured_predictions"] == 0
