"""``qt backup`` and ``qt restore`` as a person runs them: beside a service that works, and refused while it does."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.cli.test_import_csv import rows_in
from tests.service import running_service

ROW = {
    "symbol": "BTCUSDC",
    "timestamp": "2025-11-12T10:30:00Z",
    "predicted_action": "BUY",
    "entry_price": 45000.0,
    "exit_price": 45500.0,
    "exit_time": "2025-11-12T11:30:00Z",
    "features": {"rsi": 41.5},
}


@pytest.fixture
def filled(migrated: Any, tmp_path: Path) -> Any:
    """Run a command where one trade is known."""
    file = tmp_path / "rows.json"
    file.write_text(json.dumps({"samples": [ROW]}))
    assert migrated("import", file).code == 0
    return migrated


def test_a_backup_and_back(filled: Any, environ: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "b.tar.gz"
    written = filled("backup", file)
    before = rows_in(environ)
    filled("import", _more(tmp_path))
    assert rows_in(environ) != before

    restored = filled("restore", file)

    assert rows_in(environ) == before
    assert written.out.startswith(f"Wrote {file} (")
    assert "1 samples, 0 model files" in written.out
    assert ".env" in written.out
    assert "The database that was there is kept as" in restored.out


def _more(folder: Path) -> Path:
    file = folder / "more.json"
    file.write_text(json.dumps({"samples": [ROW | {"timestamp": "2025-11-12T09:30:00Z"}]}))
    return file


def test_both_answer_as_json(filled: Any, tmp_path: Path) -> None:
    told = filled("backup", tmp_path / "b.tar", "--json").json
    back = filled("restore", tmp_path / "b.tar", "--json").json

    assert (told["status"], told["database"]["rows"]["ai_training_samples"]) == ("success", 1)
    assert (back["status"], back["rows"]["ai_training_samples"]) == ("success", 1)


def test_no_token_is_in_it(filled: Any, environ: dict[str, str], tmp_path: Path) -> None:
    filled("backup", tmp_path / "b.tar")

    assert environ["QT_ADMIN_TOKEN"].encode() not in (tmp_path / "b.tar").read_bytes()


def test_a_file_that_exists_is_kept_unless_told(filled: Any, tmp_path: Path) -> None:
    filled("backup", tmp_path / "b.tar")

    assert "--overwrite" in filled("backup", tmp_path / "b.tar").err
    assert filled("backup", tmp_path / "b.tar", "--overwrite").code == 0


def test_an_older_database_can_be_backed_up_before_it_is_migrated(filled: Any, tmp_path: Path, environ: Any) -> None:
    engine = create_engine(environ["QT_DATABASE_URL"])
    with engine.connect() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        connection.commit()
    engine.dispose()

    assert filled("backup", tmp_path / "b.tar", "--json").json["database"]["revision"] == "0001"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["backup", "{}/b.tar"], "qt migrate"),
        (["restore", "{}/none.tar"], "cannot be read"),
        (["restore", "{}/text.tar"], "is no backup"),
        (["backup", "{}/none/b.tar"], "The folder"),
        (["backup", "{}/b.zip"], ".tar.gz"),
    ],
)
def test_what_cannot_be_is_one_sentence(qt: Any, tmp_path: Path, command: list[str], said: str) -> None:
    (tmp_path / "text.tar").write_text("no tar " * 1000)

    answer = qt(*(part.format(tmp_path) for part in command))

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert said in answer.err
    assert not (tmp_path / "quantum_trader.db").exists()


def test_it_is_restored_where_nothing_was(
    filled: Any, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled("backup", tmp_path / "b.tar")
    before = rows_in(environ)
    elsewhere = f"sqlite:///{tmp_path / 'new' / 'folder' / 'q.db'}"
    monkeypatch.setenv("QT_DATABASE_URL", elsewhere)

    answer = filled("restore", tmp_path / "b.tar")

    assert answer.code == 0
    assert "kept as" not in answer.out
    assert rows_in({"QT_DATABASE_URL": elsewhere}) == before


def test_the_default_place_is_below_var(project: Path, qt_there: Any) -> None:
    token = {"QT_ADMIN_TOKEN": "a-token-for-the-backup-tests", "QT_MARKET": "off"}
    assert qt_there("migrate", **token).code == 0

    answer = qt_there("backup", "--json", **token)

    (file,) = (project / "var" / "backups").iterdir()
    assert answer.json["file"] == str(file)
    assert file.name.startswith("quantum_trader_2")
    with tarfile.open(file) as archive:
        assert archive.getnames() == ["manifest.json", "database.sqlite"]


@pytest.mark.slow
def test_a_running_service_is_backed_up_and_never_restored_over(
    qt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "b.tar.gz"
    with running_service(tmp_path) as service:
        for name, value in service.environment.items():
            if name.startswith("QT_"):
                monkeypatch.setenv(name, value)
        service.ok("POST", "/ai/training-samples", {"samples": [ROW]})

        written = qt("backup", file, "--json")
        refused = qt("restore", file)
        assert service.ok("GET", "/ai/training-samples?strategy=default")["count"] == 1

    restored = qt("restore", file, "--json")

    assert written.json["database"]["rows"]["ai_training_samples"] == 1
    assert (refused.code, refused.out) == (1, "")
    assert "Stop it first" in refused.err
    assert restored.json["rows"]["ai_training_samples"] == 1


def test_a_service_on_another_port_is_noticed_by_its_database(
    filled: Any, environ: dict[str, str], tmp_path: Path
) -> None:
    filled("backup", tmp_path / "b.tar")
    engine = create_engine(environ["QT_DATABASE_URL"])
    connection = engine.connect()
    connection.execute(text("PRAGMA journal_mode=WAL"))
    connection.execute(text("SELECT count(*) FROM strategies")).all()

    refused = filled("restore", tmp_path / "b.tar")
    connection.close()
    engine.dispose()

    assert refused.code == 1
    assert "is in use" in refused.err
    assert filled("restore", tmp_path / "b.tar").code == 0


def test_what_is_said_of_a_file_cannot_move_the_cursor(qt: Any, tmp_path: Path) -> None:
    answer = qt("restore", str(tmp_path / "\x1b[31mred\x07.tar"))

    assert answer.code == 1
    assert "?[31mred?.tar cannot be read" in answer.err
    assert answer.err.strip().isprintable()
