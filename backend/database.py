"""The engine, and the only two ways to it: ``read`` a snapshot, ``write`` a use case.

``write`` is the one place that commits: the transaction is over before the answer leaves, so an answer never
promises what a failed commit took back.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.orm import Session, sessionmaker

from backend.settings import database_url_in_force

P = ParamSpec("P")
T = TypeVar("T")

BUSY_TIMEOUT_SECONDS = 30.0


def open_engine(url: str) -> Engine:
    """An engine whose SQLite connections use WAL and explicit transactions; PostgreSQL as it is."""
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


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
        """Run ``use_case(session, ...)`` in one write transaction and commit it; on any error nothing is kept."""
        with self._writer, self._write_session() as session, session.begin():
            return use_case(session, *args, **kwargs)

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
