"""The schema's history as calls: bring a database to the newest revision, and ask whether it is there.

Alembic is loaded only where something is migrated: every command of the terminal asks for the revision first, and would
wait almost half a second for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from backend.database import explained, open_engine, open_for_migrations, parsed, place_of, unusable
from backend.errors import UnavailableError
from backend.models import Base

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ROOT / "alembic" / "versions"
HISTORY = "alembic_version"


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database to ``revision``, all or nothing; a missing SQLite file and its folder are created.

    UnavailableError, in one sentence, where the database cannot be used, is another program's, or is newer.
    """
    file = _file_of(url)
    with _told(url):
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        _run(url, "upgrade", revision)


def downgrade(url: str, revision: str) -> None:
    """Take the database back to ``revision`` (``base``: no table is left)."""
    _run(url, "downgrade", revision)


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


def revisions() -> list[str]:
    """Every revision there is, the oldest first: a script's name begins with its own."""
    return sorted(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*.py"))


def head() -> str:
    """The newest revision there is."""
    return revisions()[-1]


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


def _known_revision(url: str, connection: Connection) -> str | None:
    """The database's revision; refused where a newer release of this program wrote it."""
    if not inspect(connection).has_table(HISTORY):
        return None
    revision: str | None = connection.scalar(text(f"SELECT version_num FROM {HISTORY}"))
    if revision is not None and revision not in revisions():
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


def _run(url: str, direction: Literal["upgrade", "downgrade"], revision: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    engine = open_for_migrations(url)
    try:
        with engine.connect() as connection, connection.begin():
            if _known_revision(url, connection) is None:
                _refuse_foreign(url, connection)
            config = Config(str(ROOT / "alembic.ini"))
            config.attributes["connection"] = connection
            getattr(command, direction)(config, revision)
    except CommandError as error:
        raise unusable(url, str(error)) from error
    finally:
        engine.dispose()
