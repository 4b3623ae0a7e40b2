"""A SQLite file: copied while others write, looked at, and exchanged for another in one rename."""

import contextlib
import itertools
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from backend import system
from backend.database import unusable
from backend.errors import ConflictError, UnavailableError
from backend.operations.backup_archive import Progress
from backend.operations.backup_facts import ROWS_OF, VERSIONS, Facts, facts_of

PAGES_AT_ONCE = 2_000
BESIDE = ("-wal", "-shm", "-journal")
BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
UNREADABLE = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


@dataclass(frozen=True, slots=True)
class SqliteSource:
    """The database that is backed up."""

    file: Path
    url: str
    kind: str = "sqlite"

    def copy(self, into: Path, progress: Progress) -> None:
        """Copy it as it is at one moment, whoever writes meanwhile, and prove the copy whole.

        One read transaction is held throughout: without it every write of another process would start the copy anew.
        """

        def tell(_status: int, remaining: int, total: int) -> None:
            progress("copying the database", 1 - remaining / max(total, 1))

        with self._explained(), _connected(self.file) as source, _connected(into, create=True) as copy:
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            source.backup(copy, pages=PAGES_AT_ONCE, progress=tell)
            copy.execute("PRAGMA journal_mode=DELETE")
        with self._explained():
            check_whole(into)

    def facts(self, copied: Path) -> Facts:
        """What the copy holds."""
        with self._explained():
            return facts(copied)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise unusable(self.url, str(error)) from error


def facts(file: Path) -> Facts:
    """What a SQLite file holds."""
    with _connected(file) as connection:
        tables = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        counts = {table: connection.execute(query).fetchone()[0] for table, query in ROWS_OF.items() if table in tables}
        return facts_of(revision, counts, connection.execute(VERSIONS).fetchall())


def check_whole(file: Path) -> None:
    """sqlite3.DatabaseError where the file's pages do not hang together."""
    with _connected(file) as connection:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(str(found))


def refuse_in_use(file: Path, url: str) -> None:
    """ConflictError while another process has the database open; nothing is changed."""
    if file.exists():
        _alone(file, url, "PRAGMA locking_mode=EXCLUSIVE", "BEGIN EXCLUSIVE", "ROLLBACK")


def release(file: Path, url: str) -> bool:
    """Let the file alone hold all of the database, which leaving the write-ahead log does, and needs it for oneself.

    False where there is no database there, or none that can be read; ConflictError while another process has it open.
    """
    return file.exists() and _alone(file, url, "PRAGMA journal_mode=DELETE")


def _alone(file: Path, url: str, *statements: str) -> bool:
    """Run what only the one user of a database can; False where it cannot be read at all."""
    try:
        with _connected(file, timeout=0.0) as connection:
            for statement in statements:
                connection.execute(statement).fetchone()
    except sqlite3.DatabaseError as error:
        code = error.sqlite_errorcode & 0xFF
        if code in BUSY:
            raise ConflictError(
                f"{file} is in use. Stop the service first (qt stop, or Ctrl-C where qt serve runs) and close every"
                " other program that has it open.",
                reason="database_in_use",
            ) from error
        if code not in UNREADABLE:
            raise unusable(url, str(error)) from error
        return False
    return True


def exchange(file: Path, new: Path, now: datetime, *, readable: bool) -> Path | None:
    """Put ``new`` in the place of ``file`` in one rename; where the old one is kept, None where there was none.

    ``new`` lies in the same folder. At every moment the name stands for the old database or for the new one.
    """
    aside = _free_name(file.with_name(f"{file.name}.before-restore-{now:%Y%m%dT%H%M%SZ}"))
    kept = file.exists()
    if kept:
        _same_owner(file, new)
        _keep(file, aside)
    if not readable:
        for suffix in BESIDE:  # what belongs to a database that cannot be read must not be taken for the new one's
            beside = file.with_name(file.name + suffix)
            if beside.exists():
                beside.replace(aside.with_name(aside.name + suffix))
    try:
        new.replace(file)
    except OSError as error:
        raise UnavailableError(
            f"{file} could not be replaced ({error.strerror or error}); it is as it was. Close what has it open.",
            reason="database_in_use",
        ) from error
    system.sync_folder(file.parent)
    return aside if kept else None


def _free_name(wanted: Path) -> Path:
    """The name, or with a number where a database is kept under it already."""
    names = (wanted.with_name(f"{wanted.name}-{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([wanted], names) if not name.exists())


def _keep(file: Path, aside: Path) -> None:
    """A second name for the old database, or a copy where the file system knows no second names."""
    try:
        aside.hardlink_to(file)
    except OSError:
        shutil.copy2(file, aside)


def _same_owner(old: Path, new: Path) -> None:
    """Whoever could read and write the old one can the new one."""
    shutil.copymode(old, new)
    found = old.stat()
    if hasattr(os, "chown"):
        with contextlib.suppress(PermissionError):
            os.chown(new, found.st_uid, found.st_gid)


@contextlib.contextmanager
def _connected(file: Path, *, timeout: float = 30.0, create: bool = False) -> Iterator[sqlite3.Connection]:
    address = f"{file.absolute().as_uri()}?mode={'rwc' if create else 'rw'}"
    connection = sqlite3.connect(address, uri=True, timeout=timeout, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()
