"""The same on PostgreSQL, with a real server and its own programs."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from backend import migrations
from backend.errors import ConflictError, InvalidInputError, UnavailableError
from backend.operations.backup import BackupOrder, backup
from backend.operations.backup_postgres import PostgresSource, PostgresTarget
from backend.operations.restore import RestoreOrder, restore

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(shutil.which("pg_dump") is None, reason="pg_dump is not on this machine"),
]


def silent(_stage: str, _share: float) -> None:
    """Nobody watches."""


def connect(url: URL) -> Engine:
    return create_engine(url)


@contextmanager
def connection_to(url: str, **options: Any) -> Iterator[Any]:
    engine = create_engine(url, **options)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def looks(url: str) -> Any:
    with connection_to(url) as connection:
        return connection.execute(text("SELECT looks FROM strategies")).scalar_one()


def set_looks(url: str, count: int) -> None:
    with connection_to(url) as connection:
        connection.execute(text("UPDATE strategies SET looks = :count"), {"count": count})
        connection.commit()


@pytest.fixture
def url(postgres_url: str) -> str:
    """A migrated database with one strategy."""
    migrations.upgrade(postgres_url)
    with connection_to(postgres_url) as connection:
        connection.execute(
            text(
                "INSERT INTO strategies (name, market, timeframe, horizon_candles, sides, looks, created_at)"
                " VALUES ('default', 'external', '5m', 12, 'long', 0, '2026-03-01 00:00:00Z')"
            )
        )
        connection.commit()
    return postgres_url


def back_up(url: str, folder: Path) -> Path:
    told = backup(PostgresSource(make_url(url), connect), BackupOrder(folder / "b.tar.gz", folder, NOW, True), silent)
    assert told["database"]["rows"]["strategies"] == 1
    return Path(told["file"])


def put_back(url: str, file: Path, folder: Path) -> dict[str, Any]:
    target = PostgresTarget(make_url(url), connect, NOW, folder / "work")
    return restore(target, RestoreOrder(file, folder / "models"), silent)


def databases(url: str) -> set[str]:
    with connection_to(url) as connection:
        return set(connection.execute(text("SELECT datname FROM pg_database")).scalars())


def test_a_restored_database_takes_the_old_ones_name_and_that_one_is_kept(url: str, tmp_path: Path) -> None:
    file = back_up(url, tmp_path)
    set_looks(url, 9)

    told = put_back(url, file, tmp_path)

    kept = make_url(url).set(database=told["old_database"]).render_as_string(hide_password=False)
    assert (looks(url), looks(kept)) == (0, 9)
    assert told["old_database"].endswith("_before_20260302t120000z")
    assert not [name for name in databases(url) if name.endswith("_restoring")]


def test_it_is_restored_where_no_database_was(url: str, tmp_path: Path) -> None:
    file = back_up(url, tmp_path)
    elsewhere = make_url(url).set(database=f"{make_url(url).database}_new").render_as_string(hide_password=False)

    told = put_back(elsewhere, file, tmp_path)

    assert told["old_database"] is None
    assert looks(elsewhere) == 0


def test_a_database_with_a_connection_is_refused(url: str, tmp_path: Path) -> None:
    file = back_up(url, tmp_path)

    with connection_to(url) as connection:
        connection.execute(text("SELECT 1"))
        with pytest.raises(ConflictError, match="in use by 1 connections") as refused:
            put_back(url, file, tmp_path)

    assert refused.value.reason == "database_in_use"


def test_a_connection_that_is_just_being_closed_is_waited_for(url: str, tmp_path: Path) -> None:
    file = back_up(url, tmp_path)

    with connection_to(url, poolclass=NullPool) as connection:
        connection.execute(text("SELECT 1"))
        closing = threading.Timer(0.5, connection.close)
        closing.start()
        told = put_back(url, file, tmp_path)
        closing.join()

    assert told["old_database"] is not None


def test_an_older_revision_is_brought_up_to_date(url: str, tmp_path: Path) -> None:
    migrations.downgrade(url, "0001")
    file = back_up(url, tmp_path)

    assert put_back(url, file, tmp_path)["revision"] == migrations.head()
    assert migrations.current_is_head(url)


def test_a_newer_revision_is_refused_and_the_old_database_stays(url: str, tmp_path: Path) -> None:
    with connection_to(url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.commit()
    file = back_up(url, tmp_path)
    set_looks(url, 9)

    with pytest.raises(InvalidInputError, match="9999"):
        put_back(url, file, tmp_path)

    assert looks(url) == 9
    assert not [name for name in databases(url) if name.endswith("_restoring")]


def test_a_database_that_is_not_there_is_one_sentence_without_the_password(url: str, tmp_path: Path) -> None:
    missing = make_url(url).set(database="nowhere", password="s3cret:word")
    source = PostgresSource(missing, connect)

    with pytest.raises(UnavailableError, match="nowhere") as told:
        backup(source, BackupOrder(tmp_path / "b.tar", tmp_path, NOW), silent)

    assert "s3cret" not in told.value.message
    assert "\n" not in told.value.message
    assert not list(tmp_path.iterdir())


def test_names_with_quotes_are_names(url: str, tmp_path: Path) -> None:
    file = back_up(url, tmp_path)
    odd = make_url(url).set(database='it"s odd').render_as_string(hide_password=False)

    put_back(odd, file, tmp_path)

    assert looks(odd) == 0
    assert 'it"s odd' in databases(url)


def test_a_user_without_the_right_is_told_which(url: str, tmp_path: Path) -> None:
    file = back_up(url, tmp_path)
    with connection_to(url, isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("DROP ROLE IF EXISTS humble"))
        connection.execute(text("CREATE ROLE humble LOGIN"))
    humble = make_url(url).set(username="humble").render_as_string(hide_password=False)

    with pytest.raises(UnavailableError, match="ALTER ROLE humble CREATEDB") as told:
        put_back(humble, file, tmp_path)

    assert told.value.reason == "database_privilege_missing"
    assert looks(url) == 0
