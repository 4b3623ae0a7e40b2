"""The engine, and the only two ways to it: ``read`` a snapshot, ``write`` a use case.

``write`` is the one place that commits: the transaction is over before the answer leaves, so an answer never
promises what a failed commit took back.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, sessionmaker

from backend.errors import UnavailableError
from backend.settings import database_url_in_force

P = ParamSpec("P")
T = TypeVar("T")

BUSY_TIMEOUT_SECONDS = 30.0
CONNECT_TIMEOUT_SECONDS = 10
UNAVAILABLE = (DatabaseError, InterfaceError, PoolTimeoutError)
# PostgreSQL gave a transaction up so that another could go on: a deadlock, or what it read had changed.
GIVEN_UP = frozenset({"40P01", "40001"})
MOST_ATTEMPTS = 5
OUR_FAULT = (IntegrityError, ProgrammingError, DataError, NotSupportedError)
REMEDIES = {
    "sqlite": "Make it a SQLite file that can be read and written, restore it from a backup, or name another there.",
    "postgresql": "Start that server, or correct the address, the name and the password there.",
}


def parsed(url: str) -> URL:
    """The parts of the database's URL; UnavailableError, without repeating it, where it has another form."""
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise UnavailableError(
            "QT_DATABASE_URL cannot be understood. Write sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/NAME,"
            " with %40 for an @ in the password.",
            reason="database_url_invalid",
        ) from None


def place_of(url: str) -> str:
    """Where the database is, as people may read it: no user, no password, no option."""
    target = parsed(url)
    if target.get_backend_name() == "sqlite":
        return str(target.database)
    return f"{target.host or 'localhost'}:{target.port or 5432}/{target.database or ''}"


def is_unavailable(error: BaseException) -> bool:
    """Whether the database could not be reached or read, rather than having refused what we asked of it."""
    return isinstance(error, UNAVAILABLE) and not isinstance(error, OUR_FAULT)


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn a database that cannot be reached, opened or read into one sentence that names QT_DATABASE_URL."""
    try:
        yield
    except UNAVAILABLE as error:
        if not is_unavailable(error):
            raise
        raise unusable(url, str(getattr(error, "orig", None) or error)) from error


def unusable(url: str, why: str) -> UnavailableError:
    """The sentence for a database that cannot be used; of ``why`` the first line, with every secret struck out."""
    target = parsed(url)
    first = (why.strip().splitlines() or ["it does not answer"])[0].rstrip(".")
    for secret in (target.password, *target.query.values()):
        first = first.replace(str(secret), "***") if secret else first
    remedy = REMEDIES[target.get_backend_name()]
    return UnavailableError(
        f"The database {place_of(url)} (QT_DATABASE_URL) cannot be used: {first}. {remedy}",
        reason="database_unavailable",
    )


def open_engine(url: str) -> Engine:
    """An engine whose SQLite connections use WAL and explicit transactions; PostgreSQL as it is."""
    target = parsed(url)
    if target.get_backend_name() != "sqlite":
        patience = {} if "connect_timeout" in target.query else {"connect_timeout": CONNECT_TIMEOUT_SECONDS}
        return create_engine(target, pool_pre_ping=True, connect_args=patience)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def open_for_migrations(url: str) -> Engine:
    """An engine that may rebuild SQLite's tables: dropping one that others point to is refused while keys are enforced.

    That can only be switched outside of a transaction, so it is for the whole connection.
    """
    engine = open_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _enforce_no_keys)
    return engine.execution_options(qt_writing=True)


def _enforce_no_keys(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA foreign_keys=OFF")


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writing = connection.get_execution_options().get("qt_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


class Database:
    """One database; safe to share between threads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = open_engine(url)
        sqlite = self.engine.dialect.name == "sqlite"
        isolation = {} if sqlite else {"isolation_level": "REPEATABLE READ"}
        self._writer: AbstractContextManager[Any] = threading.Lock() if sqlite else nullcontext()
        self._read_session = sessionmaker(self.engine.execution_options(**isolation), autoflush=False)
        self._write_session = sessionmaker(self.engine.execution_options(qt_writing=True), expire_on_commit=False)

    def read(self, query: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``query(session, ...)`` on one consistent snapshot; nothing it changes is kept.

        Rows it returns keep what was loaded of them.
        """
        with self._read_session() as session:
            try:
                return query(session, *args, **kwargs)
            finally:
                session.expunge_all()  # the rollback would otherwise expire them
                session.rollback()

    def write(self, use_case: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``use_case(session, ...)`` in one write transaction and commit it; on any error nothing is kept.

        Where PostgreSQL gave the transaction up for another's sake it is run again from its beginning, five times at
        most: so it changes nothing but rows.
        """
        for _ in range(MOST_ATTEMPTS - 1):
            try:
                return self._write(lambda session: use_case(session, *args, **kwargs))
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in GIVEN_UP:
                    raise
        return self._write(lambda session: use_case(session, *args, **kwargs))

    def _write(self, use_case: Callable[[Session], T]) -> T:
        with self._writer, self._write_session() as session, session.begin():
            return use_case(session)

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


class _LazySessionLocal:
    """``SessionLocal()`` of the user documents: bound to the configured database on the first call."""

    def __init__(self) -> None:
        self._factory: sessionmaker[Session] | None = None
        self._lock = threading.Lock()

    def __call__(self) -> Session:
        with self._lock:
            if self._factory is None:
                self._factory = sessionmaker(open_engine(database_url_in_force()))
        return self._factory()


SessionLocal = _LazySessionLocal()
