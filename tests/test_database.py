"""The door for writes on a real PostgreSQL: what it gave up for another's sake is done again, and nothing else is."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from backend.database import MOST_ATTEMPTS, Database

pytestmark = pytest.mark.postgres


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    """Two rows, ``a`` and ``b``, that count how often they were written."""
    database = Database(postgres_url)
    database.write(lambda session: session.execute(text("CREATE TABLE counted (name text PRIMARY KEY, times int)")))
    database.write(lambda session: session.execute(text("INSERT INTO counted VALUES ('a', 0), ('b', 0)")))
    yield database
    database.close()


def counted(database: Database) -> dict[str, int]:
    query = text("SELECT name, times FROM counted")
    return {row.name: row.times for row in database.read(lambda session: session.execute(query).all())}


def count(session: Session, name: str) -> None:
    session.execute(text("SET LOCAL deadlock_timeout = '20ms'"))
    session.execute(text("UPDATE counted SET times = times + 1 WHERE name = :name"), {"name": name})


def test_of_two_writes_that_wait_for_each_other_both_are_done_once(database: Database) -> None:
    both_hold_one, calls = threading.Barrier(2), {"ab": 0, "ba": 0}

    def write(session: Session, names: str) -> None:
        calls[names] += 1
        count(session, names[0])
        if calls[names] == 1:
            both_hold_one.wait(10)
        count(session, names[1])

    threads = [threading.Thread(target=database.write, args=(write, names)) for names in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert counted(database) == {"a": 2, "b": 2}
    assert sum(calls.values()) == 3


@pytest.mark.parametrize(("state", "attempts"), [("40P01", 5), ("40001", 5), ("23505", 1), ("22012", 1), ("57014", 1)])
def test_what_always_fails_is_tried_five_times_where_it_was_given_up_and_once_where_it_is_wrong(
    database: Database, state: str, attempts: int
) -> None:
    calls = []

    def fail(session: Session) -> None:
        calls.append(state)
        count(session, "a")
        session.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"))

    with pytest.raises(DBAPIError):
        database.write(fail)

    assert (len(calls), MOST_ATTEMPTS) == (attempts, 5)
    assert counted(database) == {"a": 0, "b": 0}


def test_what_succeeds_at_the_last_attempt_is_kept_once(database: Database) -> None:
    calls = []

    def succeed_late(session: Session) -> int:
        calls.append("a")
        count(session, "a")
        if len(calls) < MOST_ATTEMPTS:
            session.execute(text("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END $$"))
        return len(calls)

    assert database.write(succeed_late) == MOST_ATTEMPTS
    assert counted(database) == {"a": 1, "b": 0}


def test_a_deadlock_that_does_not_end_is_told_as_it_is(database: Database) -> None:
    def fail(session: Session) -> None:
        session.execute(text("DO $$ BEGIN RAISE EXCEPTION 'no way' USING ERRCODE = '40P01'; END $$"))

    with pytest.raises(OperationalError, match="no way"):
        database.write(fail)
