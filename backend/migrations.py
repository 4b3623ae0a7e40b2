"""The schema's history as calls: bring a database to the newest revision, and ask whether it is there."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection, make_url

from backend.database import open_engine

ROOT = Path(__file__).resolve().parent.parent


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database to ``revision``, all or nothing; a missing SQLite file and its folder are created."""
    target = make_url(url)
    if target.get_backend_name() == "sqlite" and target.database:
        Path(target.database).parent.mkdir(parents=True, exist_ok=True)
    _run(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> None:
    """Take the database back to ``revision`` (``base``: no table is left)."""
    _run(url, lambda config: command.downgrade(config, revision))


def current_is_head(url: str) -> bool:
    """Whether every migration has been run on this database. A SQLite file that is missing is not created."""
    target = make_url(url)
    if target.get_backend_name() == "sqlite" and target.database and not Path(target.database).exists():
        return False
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            return _revision_of(connection) == head()
    finally:
        engine.dispose()


def head() -> str | None:
    """The newest revision there is."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _revision_of(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    return Config(str(ROOT / "alembic.ini"))


def _run(url: str, action: Callable[[Config], None]) -> None:
    engine = open_engine(url).execution_options(qt_writing=True)
    try:
        with engine.connect() as connection, connection.begin():
            config = _config()
            config.attributes["connection"] = connection
            action(config)
    finally:
        engine.dispose()
