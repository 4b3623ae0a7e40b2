"""Fixtures every test may use: a migrated database, settings, and the real candles where they are present."""

import itertools
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from sqlalchemy import create_engine, text

from backend.database import Database
from backend.models import Base
from backend.settings import Settings, load_settings
from tests import postgres

ROOT = Path(__file__).resolve().parent.parent
ADMIN_TOKEN = "an-admin-token-for-tests-only"
TRADER_TOKEN = "a-trader-token-for-tests-only"
NUMBERS = itertools.count(1)
MEMORY = Path("/dev/shm")
ROOM_BYTES = 2 * 1024**3


def pytest_configure() -> None:
    """Spare the suite what proves nothing: waiting for a disk, and compiling the same sources in a hundred processes.

    What tests write lies in memory where there is room (a killed process leaves the same files there); ``TMPDIR``,
    where somebody has set it, is kept.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM_BYTES:
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None


@contextmanager
def as_it_was() -> Iterator[None]:
    """Whatever starts a service inside leaves the log as it was before."""
    root, configuration = logging.getLogger(), structlog.get_config()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.configure(**configuration)


@pytest.fixture(scope="module", autouse=True)
def untouched_logging_after_the_module() -> Iterator[None]:
    """A service shared by a module's tests leaves the next module its own log."""
    with as_it_was():
        yield


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    """A service started within a test leaves the next test its own log."""
    with as_it_was():
        yield


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A real PostgreSQL server of this test run's own."""
    place = postgres.programs()
    if place is None:
        pytest.skip("the PostgreSQL server's programs are not on this machine")
    with postgres.running_server(place) as address:
        yield address


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The address of an empty PostgreSQL database."""
    name = f"qt_{next(NUMBERS)}"
    engine = create_engine(f"{postgres_server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"{postgres_server}/{name}"


@pytest.fixture
def market_data() -> Path:
    """The folder of real candle files; the test is skipped where it is absent."""
    folder = ROOT.parent / "shared" / "market-data"
    if not folder.is_dir():
        pytest.skip("real candle files are not beside this checkout")
    return folder


@pytest.fixture
def now() -> datetime:
    """A fixed wall clock."""
    return datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a service without a market, with everything it writes under the test's own folder."""
    return load_settings(
        environ={
            "QT_ADMIN_TOKEN": ADMIN_TOKEN,
            "QT_TRADER_TOKEN": TRADER_TOKEN,
            "QT_MARKET": "off",
            "QT_DATABASE_URL": f"sqlite:///{tmp_path / 'quantum_trader.db'}",
            "QT_MODEL_DIR": str(tmp_path / "models"),
        },
        env_file=None,
    )


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with every table; the migrations' own tests prove that they make the same."""
    path = tmp_path_factory.mktemp("tables") / "empty.db"
    database = Database(f"sqlite:///{path}")
    Base.metadata.create_all(database.engine)
    with database.engine.connect() as connection:
        connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    database.close()
    return path


@pytest.fixture
def database(settings: Settings, empty_database: Path) -> Iterator[Database]:
    """An empty SQLite database of the test's own, where its settings say."""
    shutil.copy(empty_database, settings.database_url.removeprefix("sqlite:///"))
    database = Database(settings.database_url)
    yield database
    database.close()
