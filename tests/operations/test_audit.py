"""The audit trail is kept exactly when the deed is."""

from datetime import datetime

import pytest
from sqlalchemy.orm import Session
from structlog.contextvars import bound_contextvars

from backend.database import Database
from backend.operations import audit


def test_an_entry_says_who_did_what_to_what_when_and_why(database: Database, now: datetime) -> None:
    database.write(
        audit.append,
        at=now,
        actor="ada",
        action="activate",
        strategy="bot",
        subject="v1",
        reason="better",
        detail={"previous_version": None},
        request_id="r1",
    )

    ((entry,), more) = database.read(audit.list_entries)

    assert entry == {
        "id": 1,
        "at": "2026-03-02T12:00:00Z",
        "actor": "ada",
        "action": "activate",
        "strategy": "bot",
        "subject": "v1",
        "reason": "better",
        "detail": {"previous_version": None},
        "request_id": "r1",
    }
    assert more is None


def test_what_is_unknown_is_null(database: Database, now: datetime) -> None:
    database.write(audit.append, at=now, actor="ada", action="retrain")

    ((entry,), _) = database.read(audit.list_entries)

    assert [entry[key] for key in ("strategy", "subject", "reason", "detail", "request_id")] == [None] * 5


def test_an_entry_carries_the_id_of_the_request_it_was_written_in(database: Database, now: datetime) -> None:
    with bound_contextvars(request_id="r7"):
        database.write(audit.append, at=now, actor="ada", action="activate")
    database.write(audit.append, at=now, actor="ada", action="deactivate")

    (after, within), _ = database.read(audit.list_entries)

    assert (within["request_id"], after["request_id"]) == ("r7", None)


def test_a_deed_that_fails_leaves_no_entry(database: Database, now: datetime) -> None:
    def fail(session: Session) -> None:
        audit.append(session, at=now, actor="ada", action="activate")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        database.write(fail)

    assert database.read(audit.list_entries) == ([], None)


def test_entries_come_newest_first_page_by_page_and_by_strategy(database: Database, now: datetime) -> None:
    for number in range(5):
        database.write(audit.append, at=now, actor="ada", action=f"a{number}", strategy="ab"[number % 2])

    first, cursor = database.read(audit.list_entries, limit=3)
    rest, more = database.read(audit.list_entries, limit=3, cursor=cursor)
    exact, none_left = database.read(audit.list_entries, limit=5)
    of_b, _ = database.read(audit.list_entries, strategy="b")

    assert [entry["action"] for entry in first + rest] == ["a4", "a3", "a2", "a1", "a0"]
    assert (more, none_left, len(exact)) == (None, None, 5)
    assert [entry["action"] for entry in of_b] == ["a3", "a1"]
