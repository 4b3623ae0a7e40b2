"""A database that cannot be used is one sentence with the setting's name, whichever command meets it."""

import os
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend import migrations
from backend.database import explained, open_engine, parsed, place_of
from backend.errors import UnavailableError

COMMANDS = ["migrate", "status", "doctor", "models", "samples"]
PASSWORD = "se%40cret-pass"


def file_url(path: Path) -> str:
    return f"sqlite:///{path}"


def not_a_database(folder: Path) -> str:
    (folder / "text.db").write_text("this is no database\n" * 1000)
    return file_url(folder / "text.db")


def truncated(folder: Path) -> str:
    file = folder / "half.db"
    migrations.upgrade(file_url(file))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    return file_url(file)


def a_directory(folder: Path) -> str:
    (folder / "folder.db").mkdir()
    return file_url(folder / "folder.db")


def below_a_file(folder: Path) -> str:
    (folder / "file").write_text("in the way")
    return file_url(folder / "file" / "deeper" / "quantum_trader.db")


def right_below_a_file(folder: Path) -> str:
    (folder / "file").write_text("in the way")
    return file_url(folder / "file" / "quantum_trader.db")


def unreachable(_folder: Path) -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return f"postgresql+psycopg://trader:{PASSWORD}@127.0.0.1:{port}/quantum?application_name=hidden-too"


def of_another_program(folder: Path) -> str:
    with sqlite3.connect(folder / "theirs.db") as connection:
        connection.execute("CREATE TABLE ai_training_samples (id INTEGER)")
    connection.close()
    return file_url(folder / "theirs.db")


def of_a_newer_release(folder: Path) -> str:
    url = file_url(folder / "newer.db")
    migrations.upgrade(url)
    with sqlite3.connect(folder / "newer.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    return url


def unparsable(_folder: Path) -> str:
    return f"postgresql+psycopg://trader:{PASSWORD}@127.0.0.1:port/quantum"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "broken", [not_a_database, truncated, a_directory, unreachable, of_a_newer_release, unparsable]
)
def test_every_command_says_it_in_one_sentence(
    qt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Callable[[Path], str], command: str
) -> None:
    monkeypatch.setenv("QT_DATABASE_URL", broken(tmp_path))

    answer = qt(command)

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert "QT_DATABASE_URL" in answer.err
    assert not [word for word in (PASSWORD, "se@cret", "hidden-too", "sqlalche.me", "Traceback") if word in answer.err]


@pytest.mark.parametrize("broken", [below_a_file, right_below_a_file, of_another_program])
def test_what_cannot_be_migrated_says_why(
    qt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Callable[[Path], str]
) -> None:
    monkeypatch.setenv("QT_DATABASE_URL", broken(tmp_path))

    answer = qt("migrate")

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert "QT_DATABASE_URL" in answer.err


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is unwritable for this user")
def test_a_folder_that_cannot_be_written_to_is_named(qt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    monkeypatch.setenv("QT_DATABASE_URL", file_url(locked / "deeper" / "quantum_trader.db"))

    answer = qt("migrate")

    assert answer.code == 1
    assert "Permission denied" in answer.err
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_a_database_of_a_newer_release_is_not_sent_to_migrate(
    qt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("QT_DATABASE_URL", of_a_newer_release(tmp_path))

    answer = qt(command)

    assert "newer than this program" in answer.err
    assert "9999" in answer.err
    assert "qt migrate" not in answer.err


def test_a_foreign_table_is_named_and_left_alone(tmp_path: Path) -> None:
    url = of_another_program(tmp_path)

    with pytest.raises(UnavailableError, match="holds a table ai_training_samples that this program did not make"):
        migrations.upgrade(url)

    with sqlite3.connect(tmp_path / "theirs.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("ai_training_samples",)]
    connection.close()


def test_a_database_that_breaks_while_a_command_reads_is_one_sentence_too(tmp_path: Path) -> None:
    url = not_a_database(tmp_path)
    engine = open_engine(url)

    with pytest.raises(UnavailableError, match="file is not a database") as told, explained(url):
        engine.connect()

    engine.dispose()
    assert told.value.reason == "database_unavailable"


def test_the_place_of_a_database_holds_no_secret() -> None:
    assert place_of(f"postgresql+psycopg://trader:{PASSWORD}@db.local/quantum?password=x") == "db.local:5432/quantum"
    assert place_of("sqlite:////var/quantum.db") == "/var/quantum.db"
    with pytest.raises(UnavailableError) as told:
        parsed(f"postgresql+psycopg://trader:{PASSWORD}@host:x/quantum")
    assert PASSWORD not in str(told.value)
