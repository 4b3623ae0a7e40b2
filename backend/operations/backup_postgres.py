"""A PostgreSQL database: dumped by its own program, restored beside the old one, exchanged in one transaction."""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from backend import migrations
from backend.database import place_of, unusable
from backend.errors import ConflictError, UnavailableError
from backend.operations.backup_archive import Progress
from backend.operations.backup_facts import ROWS_OF, VERSIONS, Facts, facts_of
from backend.operations.restore import newer

Connect = Callable[[URL], Engine]
MAINTENANCE = "postgres"
INSUFFICIENT_PRIVILEGE = "42501"
LONGEST_NAME = 63
CLOSING_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class PostgresSource:
    """The database that is backed up."""

    url: URL
    connect: Connect
    kind: str = "postgresql"

    def copy(self, into: Path, progress: Progress) -> None:
        """Dump it as it is at one moment, whoever writes meanwhile."""
        progress("copying the database", 0.0)
        _run("pg_dump", self.url, "--format=custom", "--no-owner", "--no-privileges", f"--file={into}")
        progress("copying the database", 1.0)

    def facts(self, copied: Path) -> Facts:  # noqa: ARG002
        """What the database holds; it may have grown since the copy was made."""
        return _facts(self.url, self.connect)


@dataclass(frozen=True, slots=True)
class PostgresTarget:
    """The database that is exchanged; its user may create databases."""

    url: URL
    connect: Connect
    now: datetime
    work: Path
    kind: str = "postgresql"

    @property
    def workspace(self) -> Path:
        """Where the backup is unpacked."""
        return self.work

    def refuse_in_use(self) -> None:
        """ConflictError while anything else stays connected to it.

        What was closed a moment ago is seen a little longer, and the server's own vacuum works while it likes: it
        steps aside by itself.
        """
        deadline = time.monotonic() + CLOSING_SECONDS
        while (count := self._connections()) and time.monotonic() < deadline:
            time.sleep(CLOSING_SECONDS / 20)
        if count:
            raise ConflictError(
                f"{place_of(self._text)} is in use by {count} connections. Stop the service first (qt stop, or Ctrl-C"
                " where qt serve runs) and close every other program that has it open.",
                reason="database_in_use",
            )

    def _connections(self) -> int:
        query = text(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = :name AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        with self._maintenance() as connection:
            return int(connection.execute(query, {"name": self._name}).scalar_one())

    def stage(self, copied: Path) -> Facts:
        """Restore the dump into a database of its own and bring it to this program's revision."""
        staged = self.url.set(database=self._staged)
        with self._maintenance() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {_quoted(self._staged)}"))
            connection.execute(text(f"CREATE DATABASE {_quoted(self._staged)} TEMPLATE template0"))
        _run("pg_restore", staged, "--no-owner", "--no-privileges", "--exit-on-error", last=str(copied))
        before = _facts(staged, self.connect)
        try:
            migrations.upgrade(staged.render_as_string(hide_password=False))
        except UnavailableError as error:
            if error.reason == "database_newer":
                raise newer(before.revision) from error
            raise
        return _facts(staged, self.connect)

    def known_files(self) -> dict[str, str]:
        """The SHA-256 of each model file that the old database knows."""
        try:
            return {one.name: one.sha256 for one in _facts(self.url, self.connect).versions}
        except (DBAPIError, UnavailableError):
            return {}

    def switch(self) -> str | None:
        """Rename both databases in one transaction; the old one stays under another name."""
        suffix = f"_before_{self.now:%Y%m%dt%H%M%Sz}"
        kept = f"{self._name[: LONGEST_NAME - len(suffix)]}{suffix}"
        with self._maintenance() as connection:
            there = connection.execute(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": self._name})
            exists = there.first() is not None
            connection.exec_driver_sql("BEGIN")
            if exists:
                connection.exec_driver_sql(f"ALTER DATABASE {_quoted(self._name)} RENAME TO {_quoted(kept)}")
            connection.exec_driver_sql(f"ALTER DATABASE {_quoted(self._staged)} RENAME TO {_quoted(self._name)}")
            connection.exec_driver_sql("COMMIT")
        return kept if exists else None

    def abandon(self) -> None:
        """Remove the staged database; where that fails too, the next restore does it."""
        with contextlib.suppress(DBAPIError, UnavailableError), self._maintenance() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {_quoted(self._staged)}"))

    @property
    def _name(self) -> str:
        return self.url.database or ""

    @property
    def _staged(self) -> str:
        return f"{self._name[: LONGEST_NAME - 10]}_restoring"

    @property
    def _text(self) -> str:
        return self.url.render_as_string(hide_password=False)

    @contextlib.contextmanager
    def _maintenance(self) -> Iterator[Connection]:
        """A connection to the server's own database, each statement by itself."""
        engine = self.connect(self.url.set(database=MAINTENANCE)).execution_options(isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == INSUFFICIENT_PRIVILEGE:
                raise UnavailableError(
                    f"The user of {place_of(self._text)} may not create and rename databases. Let a superuser run:"
                    f" ALTER ROLE {self.url.username} CREATEDB",
                    reason="database_privilege_missing",
                ) from error
            raise
        finally:
            engine.dispose()


def _facts(url: URL, connect: Connect) -> Facts:
    engine = connect(url)
    try:
        with engine.connect() as connection:
            revision = connection.execute(text("SELECT version_num FROM alembic_version")).first()
            counts = {table: int(connection.execute(text(query)).scalar_one()) for table, query in ROWS_OF.items()}
            return facts_of(revision, counts, connection.execute(text(VERSIONS)).all())
    finally:
        engine.dispose()


def _run(program: str, url: URL, *options: str, last: str | None = None) -> None:
    """Run one of PostgreSQL's programs; the password goes by a file of its own, never among the arguments."""
    path = shutil.which(program)
    if path is None:
        raise UnavailableError(
            f"{program} is not on this machine. Install PostgreSQL's client programs (the package postgresql-client),"
            " or run this where they are.",
            reason="database_program_missing",
        )
    with tempfile.TemporaryDirectory(prefix="qt-") as folder:
        passwords = Path(folder) / "passwords"
        passwords.touch(mode=0o600)
        passwords.write_text(f"*:*:*:*:{_escaped(str(url.password or ''))}\n", encoding="utf-8")
        query = {**url.query, **({"passfile": str(passwords)} if url.password else {})}
        address = URL.create("postgresql", url.username, None, url.host, url.port, url.database, query)
        plain = address.render_as_string(hide_password=False)
        command = [path, *options, f"--dbname={plain}", "--no-password", *([last] if last else [])]
        answer = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if answer.returncode:
        raise _failed(program, url, answer.stderr)


def _failed(program: str, url: URL, said: str) -> UnavailableError:
    lines = [line.partition("error:")[2] or line for line in said.splitlines() if "error:" in line]
    why = lines[0].strip() if lines else said.strip() or "it gave no reason"
    return unusable(url.render_as_string(hide_password=False), f"{program}: {why}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _escaped(password: str) -> str:
    return password.replace("\\", "\\\\").replace(":", "\\:")
