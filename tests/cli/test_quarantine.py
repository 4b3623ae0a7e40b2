"""``qt quarantine``: what waits is listed and ruled on."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from backend.cli.assembly import assembled
from backend.clock import utc_now
from backend.models import AuditEntry
from tests.learning.decisions.conftest import Bench


@pytest.fixture
def held(migrated: Any) -> int:
    """A decision whose price at the horizon is a thousand times too high, in the strategy that commands use."""
    with assembled() as assembly:
        now = utc_now()
        bench = Bench(assembly.database, assembly.settings, now, strategy="default")
        sample_id = bench.decide("d1", now - timedelta(hours=2))
        bench.decide("wrong", now - timedelta(minutes=58), price=100_000.0)
    return sample_id


def test_what_waits_is_shown_with_why(migrated: Any, held: int) -> None:
    shown = migrated("quarantine")

    assert f"{held}" in shown.out
    assert "return_out_of_bounds, such as" in shown.out
    assert migrated("quarantine", "--json").json["samples"][0]["id"] == held
    assert migrated("quarantine", "--state", "dropped").out == "Nothing was dropped.\n"
    assert migrated("quarantine", "--rule", "alike_returns", "--json").json["count"] == 0


def test_a_row_is_released_or_dropped_with_a_reason(migrated: Any, held: int) -> None:
    dropped = migrated("quarantine", "drop", held, "--reason", "a slipped point")
    released = migrated("quarantine", "release", held, "--reason", "it was right")

    assert (dropped.code, released.code) == (0, 0)
    assert "its money stays in the books" in dropped.out
    assert "trains and counts again" in released.out
    with assembled() as assembly:
        query = select(AuditEntry.action, AuditEntry.reason).where(AuditEntry.subject == str(held))
        told = assembly.database.read(lambda session: session.execute(query.order_by(AuditEntry.id)).all())
    assert told == [("sample_dropped", "a slipped point"), ("sample_released", "it was right")]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["drop"], 2, "SAMPLE"),
        (["drop", 1], 2, "--reason"),
        (["forget", 1, "--reason", "a"], 2, "forget"),
        (["drop", 4711, "--reason", "a"], 1, "no sample 4711"),
    ],
)
def test_what_is_missing_is_said(migrated: Any, held: int, arguments: list[Any], code: int, said: str) -> None:
    answer = migrated("quarantine", *arguments)

    assert answer.code == code
    assert said in answer.err
    assert len(answer.err.splitlines()) == 1
