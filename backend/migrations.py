"""The schema's history as calls: bring a database to the newest revision, and ask whether it is there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import inspect
from sqlalchemy.engine import Connection

from backend.database import explained, open_engine, open_for_migrations, parsed, place_of, unusable
from backend.errors import UnavailableError
from backend.models import Base

ROOT = Path(__file__).resolve().parent.parent


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database to ``revision``, all or nothing; a missing SQLite file and its folder are created.

    UnavailableError, in one sentence, where the database cannot be used, is another program's, or is newer.
    """
    file = _file_of(url)
    with _told(url):
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        _run(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> None:
    """Take the database back to ``revision`` (``base``: no table is left)."""
    _run(url, lambda config: command.downgrade(config, revision))


def current_is_head(url: str) -> bool:
    """Whether every migration has been run on this database. A SQLite file that is missing is not created.

    UnavailableError where the database cannot be used, or is newer than this program.
    """
    file = _file_of(url)
    with _told(url):
        if file is not None and not file.exists():
            return False
        engine = open_engine(url)
        try:
            with engine.connect() as connection:
                return _known_revision(url, connection) == head()
        finally:
            engine.dispose()


def head() -> str | None:
    """The newest revision there is."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _file_of(url: str) -> Path | None:
    target = parsed(url)
    return Path(target.database) if target.get_backend_name() == "sqlite" and target.database else None


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Whatever is wrong with the database is one sentence."""
    try:
        with explained(url):
            yield
    except OSError as error:
        raise unusable(url, f"{error.strerror or error} ({error.filename})") from error
    except CommandError as error:
        raise unusable(url, str(error)) from error


def _known_revision(url: str, connection: Connection) -> str | None:
    """The database's revision; refused where a newer release of this program wrote it."""
    revision = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision is not None and revision not in known:
        raise UnavailableError(
            f"The database {place_of(url)} (QT_DATABASE_URL) is newer than this program: its revision {revision} is not"
            " known here. Install the release that wrote it, or name another database.",
            reason="database_newer",
        )
    return revision


def _refuse_foreign(url: str, connection: Connection) -> None:
    """Refuse tables of our names that no migration of ours has made."""
    ours = sorted(set(inspect(connection).get_table_names()) & set(Base.metadata.tables))
    if ours:
        raise UnavailableError(
            f"The database {place_of(url)} (QT_DATABASE_URL) holds a table {ours[0]} that this program did not make."
            " Name another database, or rename that table.",
            reason="database_foreign",
        )


def _config() -> Config:
    return Config(str(ROOT / "alembic.ini"))


def _run(url: str, action: Callable[[Config], None]) -> None:
    engine = open_for_migrations(url)
    try:
        with engine.connect() as connection, connection.begin():
            if _known_revision(url, connection) is None:
                _refuse_foreign(url, connection)
            config = _config()
            config.attributes["connection"] = connection
            action(config)
    finally:
        engine.dispose()
