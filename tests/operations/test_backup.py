"""An installation into one file and back: complete, consistent while others write, and whole at every moment."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backend import migrations
from backend.database import Database
from backend.errors import ConflictError, InvalidInputError, UnavailableError
from backend.operations import backup_sqlite
from backend.operations.backup import BackupOrder, backup
from backend.operations.backup_sqlite import SqliteSource
from backend.operations.restore import RestoreOrder, SqliteTarget, restore

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]


def silent(_stage: str, _share: float) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Installation:
    """A database and its models in one folder."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "quantum_trader.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.file}"

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def target(self) -> SqliteTarget:
        return SqliteTarget(self.file, self.url, NOW)

    def begin(self, versions: int = 2, active: int | None = 1) -> "Installation":
        """A migrated database with that many versions, one of which may be active."""
        self.models.mkdir(parents=True, exist_ok=True)
        migrations.upgrade(self.url)
        with self.connected() as connection:
            connection.execute(
                "INSERT INTO strategies (name, market, timeframe, horizon_candles, sides, looks, created_at)"
                " VALUES ('default', 'external', '5m', 12, 'long', 0, '2026-03-01 00:00:00')"
            )
            connection.execute("INSERT INTO feature_schemas VALUES (1, 'h', '[\"rsi\"]', '2026-03-01 00:00:00')")
        for number in range(versions):
            self.publish(number, is_active=number == active)
        return self

    def publish(self, number: int, *, is_active: bool = False, content: bytes | None = None) -> Path:
        """A version's file and row."""
        name = f"v20260302_1200{number:02d}"
        blob = content or f"the file of {name}".encode() * 1000
        path = self.models / f"xgb_model_{name}.pkl"
        path.write_bytes(blob)
        member = backup_sqlite_member(path)
        with self.connected() as connection:
            connection.execute(
                "INSERT INTO ai_model_versions (version_id, model_type, strategy, trained_at, training_samples,"
                " validation_samples, verdict, recommended, is_active, is_shadow, total_predictions,"
                " matured_predictions, neutral_predictions, correct_predictions, total_trades, total_pnl, model_path,"
                " artifact_sha256, artifact_bytes, feature_schema_id, data_hash, report, lineage) VALUES"
                " (?, 'xgboost_continuous', 'default', '2026-03-02 12:00:00', 80, 20, 'no_evidence', 0, ?, 0, 0, 0, 0,"
                " 0, 0, 0.0, ?, ?, ?, 1, ?, '{}', '{}')",
                (name, is_active, f"ai_engine/models/{path.name}", *member, f"hash-{number}"),
            )
        return path

    @contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.file)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def content(self) -> dict[str, Any]:
        """Every row of every table, and every model file."""
        with self.connected() as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            rows = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in sorted(tables)}
        return rows | {path.name: path.read_bytes() for path in sorted(self.models.glob("[!.]*"))}

    def backup(self, name: str = "backup.tar.gz") -> dict[str, Any]:
        source = SqliteSource(self.file, self.url)
        return backup(source, BackupOrder(self.folder / name, self.models, NOW, overwrite=True), silent)

    def restore(self, file: Path) -> dict[str, Any]:
        return restore(self.target, RestoreOrder(file, self.models), silent)


def backup_sqlite_member(path: Path) -> tuple[str, int]:
    """SHA-256 and size, by another program than the one that is tested."""
    told = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.split()[0]
    return told, path.stat().st_size


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An installation to copy: migrations take a while."""
    return Installation(tmp_path_factory.mktemp("model")).begin()


@pytest.fixture
def here(model: Installation, tmp_path: Path) -> Installation:
    """An installation of the test's own."""
    shutil.copytree(model.folder, tmp_path / "here")
    return Installation(tmp_path / "here")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Installation:
    """A place where nothing is installed yet."""
    (tmp_path / "elsewhere").mkdir()
    return Installation(tmp_path / "elsewhere")


def test_a_restored_installation_is_the_same_one(here: Installation, elsewhere: Installation) -> None:
    told = here.backup()

    restored = elsewhere.restore(Path(told["file"]))

    assert elsewhere.content() == here.content()
    assert (told["models"], restored["models"]) == (2, 2)
    assert restored["rows"]["ai_model_versions"] == 2
    assert (restored["old_database"], restored["without_file"]) == (None, [])
    assert told["database"]["revision"] == restored["revision"] == migrations.head()


def test_a_backup_tells_what_is_in_it_and_holds_no_settings(here: Installation) -> None:
    (here.folder / ".env").write_text("QT_ADMIN_TOKEN=a-secret-that-must-not-leave")

    told = here.backup("backup.tar")

    assert {"quantum_trader", "python"} <= set(told["program"])
    assert told["created_at"] == "2026-03-02T12:00:00Z"
    assert told["left_out"] == []
    assert told["bytes"] == Path(told["file"]).stat().st_size
    assert b"a-secret-that-must-not-leave" not in Path(told["file"]).read_bytes()
    assert Path(told["file"]).stat().st_mode & 0o077 == 0


def test_the_database_in_it_is_consistent_while_a_writer_writes(here: Installation, elsewhere: Installation) -> None:
    database, stop, written = Database(here.url), threading.Event(), threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1

            def two_rows(session: Any, number: int = number) -> None:
                connection = session.connection()
                for half in ("a", "b"):
                    connection.exec_driver_sql(
                        "INSERT INTO leases (name, holder, fence, expires_at) VALUES (?, ?, 1, '2026-03-02')",
                        (f"{number}-{half}", "x" * 100),
                    )

            database.write(two_rows)
            written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        written.wait(10)
        for number in range(5):
            told = here.backup(f"{number}.tar")
            elsewhere.restore(Path(told["file"]))
            with elsewhere.connected() as connection:
                halves = connection.execute("SELECT substr(name, -1), count(*) FROM leases GROUP BY 1").fetchall()
                check = connection.execute("PRAGMA integrity_check").fetchone()
            assert len(halves) == 2
            assert halves[0][1] == halves[1][1] > 0
            assert check == ("ok",)
    finally:
        stop.set()
        writer.join()
        database.close()


def test_a_writer_does_not_wait_for_a_backup(here: Installation) -> None:
    with here.connected() as connection:
        connection.execute("CREATE TABLE ballast (content BLOB)")
        connection.executemany("INSERT INTO ballast VALUES (?)", [(os.urandom(100_000),) for _ in range(300)])
    database, waits = Database(here.url), []

    def tell(stage: str, share: float) -> None:
        if stage == "copying the database" and share < 1:
            began = time.monotonic()
            query = "UPDATE strategies SET looks = looks + 1"
            database.write(lambda session: session.connection().exec_driver_sql(query) and None)
            waits.append(time.monotonic() - began)

    try:
        backup(SqliteSource(here.file, here.url), BackupOrder(here.folder / "b.tar", here.models, NOW), tell)
    finally:
        database.close()

    assert 3 <= len(waits) <= 10  # one for each piece: a copy that began anew would have more
    assert max(waits) < 1.0


def test_missing_and_damaged_files_are_left_out_and_named(here: Installation, elsewhere: Installation) -> None:
    paths = sorted(here.models.iterdir())
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:-1] + b"?")

    told = here.backup()
    restored = elsewhere.restore(Path(told["file"]))

    assert told["left_out"] == [
        {"version_id": "v20260302_120000", "reason": "artifact_missing"},
        {"version_id": "v20260302_120001", "reason": "artifact_corrupt"},
    ]
    assert [(one["version_id"], one["is_active"]) for one in restored["without_file"]] == [
        ("v20260302_120001", True),
        ("v20260302_120000", False),
    ]


def test_a_damaged_database_makes_no_backup(here: Installation) -> None:
    whole = bytearray(here.file.read_bytes())
    whole[4096 * 3 : 4096 * 5] = b"\xff" * 8192
    here.file.write_bytes(whole)

    with pytest.raises(UnavailableError, match="QT_DATABASE_URL"):
        here.backup()

    assert not list(here.folder.glob("*.tar.gz"))
    assert not list(here.folder.glob(".qt-backup-*"))


def test_the_old_database_is_kept_beside_the_new_one(here: Installation) -> None:
    told = here.backup()
    with here.connected() as connection:
        connection.execute("UPDATE strategies SET looks = 99")
    before = here.content()

    restored = here.restore(Path(told["file"]))

    kept = Path(restored["old_database"])
    assert kept.name == "quantum_trader.db.before-restore-20260302T120000Z"
    with sqlite3.connect(kept) as connection:
        assert connection.execute("SELECT looks FROM strategies").fetchall() == [(99,)]
    connection.close()
    assert here.content()["strategies"][0] != before["strategies"][0]


def test_every_old_database_is_kept(here: Installation) -> None:
    file = Path(here.backup()["file"])

    kept = [here.restore(file)["old_database"] for _ in range(3)]

    assert len(set(kept)) == 3
    assert all(Path(one).exists() for one in kept)


def after_a_crash(here: Installation) -> Installation:
    """A copy whose last change is in the write-ahead log alone."""
    holder = sqlite3.connect(here.file)
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=0", "UPDATE strategies SET looks = 42"):
        holder.execute(statement)
    holder.commit()
    crashed = here.folder / "crashed"
    crashed.mkdir()
    for path in here.folder.glob("quantum_trader.db*"):
        shutil.copy(path, crashed / path.name)
    holder.close()
    shutil.copytree(here.models, crashed / "models")
    return Installation(crashed)


@pytest.mark.parametrize("lost", [True, False])
def test_the_log_of_a_database_that_cannot_be_read_is_not_taken_for_the_new_ones(
    here: Installation, lost: bool
) -> None:
    told, good = here.backup(), here.content()
    crashed = after_a_crash(here)
    crashed.file.unlink()
    if not lost:
        crashed.file.write_bytes(b"this is no database\n" * 1000)

    crashed.restore(Path(told["file"]))

    assert crashed.content() == good


def test_what_only_the_log_of_the_old_database_held_is_kept_too(here: Installation) -> None:
    told = here.backup()
    crashed = after_a_crash(here)

    restored = crashed.restore(Path(told["file"]))

    with sqlite3.connect(restored["old_database"]) as connection:
        assert connection.execute("SELECT looks FROM strategies").fetchall() == [(42,)]
    connection.close()
    with crashed.connected() as connection:
        assert connection.execute("SELECT looks FROM strategies").fetchall() == [(0,)]


def test_a_database_that_somebody_has_open_is_refused(here: Installation) -> None:
    told = here.backup()
    database = Database(here.url)
    database.read(lambda session: session.connection().exec_driver_sql("SELECT 1").fetchall())
    before = here.content()

    try:
        with pytest.raises(ConflictError, match="Stop the service first") as refused:
            here.restore(Path(told["file"]))
    finally:
        database.close()

    assert refused.value.reason == "database_in_use"
    assert here.content() == before
    here.restore(Path(told["file"]))


def test_one_opened_while_the_backup_is_unpacked_is_refused_as_well(here: Installation) -> None:
    told, opened = here.backup(), []
    before = here.content()

    def tell(stage: str, _share: float) -> None:
        if stage == "placing the models":
            opened.append(Database(here.url))
            opened[0].read(lambda session: session.connection().exec_driver_sql("SELECT 1").fetchall())

    with pytest.raises(ConflictError):
        restore(here.target, RestoreOrder(Path(told["file"]), here.models), tell)
    opened[0].close()

    assert here.content() == before


def test_one_that_has_no_log_and_is_read_while_the_backup_is_unpacked_is_refused_as_well(here: Installation) -> None:
    told = here.backup()
    with here.connected() as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    before, readers = here.content(), []

    def tell(stage: str, _share: float) -> None:
        if stage == "switching":
            readers.append(sqlite3.connect(here.file, isolation_level=None))
            readers[0].execute("BEGIN")
            readers[0].execute("SELECT * FROM strategies").fetchall()

    with pytest.raises(ConflictError, match="Stop the service first"):
        restore(here.target, RestoreOrder(Path(told["file"]), here.models), tell)
    readers[0].close()

    assert here.content() == before
    assert sorted(path.name for path in here.folder.iterdir()) == ["backup.tar.gz", "models", "quantum_trader.db"]


@pytest.mark.parametrize("content", [b"this is no database\n" * 1000, b""])
def test_an_old_database_that_cannot_be_read_is_replaced_and_kept(here: Installation, content: bytes) -> None:
    told, good = here.backup(), here.content()
    here.file.write_bytes(content)
    wal = here.file.with_name(f"{here.file.name}-wal")
    if content:
        wal.write_bytes(b"a log of another database")

    restored = here.restore(Path(told["file"]))

    assert here.content() == good
    assert Path(restored["old_database"]).read_bytes() == content
    assert not wal.exists()


def test_lost_models_come_back_and_damaged_ones_are_mended(here: Installation) -> None:
    told, good = here.backup(), here.content()
    first, second = sorted(here.models.iterdir())
    first.unlink()
    second.write_bytes(b"damaged")

    here.restore(Path(told["file"]))

    assert here.content() == good


def test_files_of_later_versions_stay(here: Installation) -> None:
    told = here.backup()
    later = here.publish(7)

    here.restore(Path(told["file"]))

    assert later.exists()


def test_another_installations_file_of_the_same_name_is_not_replaced(
    here: Installation, elsewhere: Installation
) -> None:
    told = here.backup()
    elsewhere.begin(versions=0)
    elsewhere.publish(0, content=b"another installation's version of the same second")
    before = elsewhere.content()

    with pytest.raises(ConflictError, match="QT_MODEL_DIR") as refused:
        elsewhere.restore(Path(told["file"]))

    assert refused.value.reason == "model_file_conflict"
    assert elsewhere.content() == before


def test_an_older_revision_is_brought_up_to_date(here: Installation, elsewhere: Installation) -> None:
    migrations.downgrade(here.url, "0001")
    told = here.backup()

    restored = elsewhere.restore(Path(told["file"]))

    assert told["database"]["revision"] == "0001"
    assert restored["revision"] == migrations.head()
    assert migrations.current_is_head(elsewhere.url)


def test_a_newer_revision_is_refused_and_nothing_is_changed(here: Installation) -> None:
    with here.connected() as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    told = here.backup()
    before = here.content()

    with pytest.raises(InvalidInputError, match="9999") as refused:
        here.restore(Path(told["file"]))

    assert refused.value.reason == "backup_newer"
    assert here.content() == before


def test_a_backup_of_another_kind_of_database_is_refused(here: Installation) -> None:
    told = here.backup()

    @dataclass(frozen=True)
    class Elsewhere(SqliteTarget):
        kind: str = "postgresql"

    with pytest.raises(InvalidInputError, match="holds a sqlite database") as refused:
        restore(Elsewhere(here.file, here.url, NOW), RestoreOrder(Path(told["file"]), here.models), silent)

    assert refused.value.reason == "backup_of_other_kind"


def test_an_active_version_with_another_file_is_a_damaged_backup(here: Installation, elsewhere: Installation) -> None:
    active = here.models / "xgb_model_v20260302_120001.pkl"
    source = SqliteSource(here.file, here.url)

    @dataclass(frozen=True)
    class Lying(SqliteSource):
        def facts(self, copied: Path) -> Any:
            found = backup_sqlite.facts(copied)
            sha256, size = backup_sqlite_member(active)
            lies = [replace(one, sha256=sha256, size=size) if one.is_active else one for one in found.versions]
            return replace(found, versions=lies)

    active.write_bytes(b"somebody else's bytes")
    order = BackupOrder(here.folder / "lying.tar", here.models, NOW)
    backup(Lying(source.file, source.url), order, silent)

    with pytest.raises(InvalidInputError, match="v20260302_120001, which is active"):
        elsewhere.restore(order.file)

    assert not elsewhere.file.exists()


def test_a_truncated_backup_changes_nothing(here: Installation) -> None:
    file = Path(here.backup()["file"])
    file.write_bytes(file.read_bytes()[:-2000])
    before = here.content()

    with pytest.raises(InvalidInputError, match="Nothing was changed"):
        here.restore(file)

    assert here.content() == before
    assert not here.target.workspace.exists()


def test_a_database_without_a_revision_is_no_installation(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with sqlite3.connect(file) as connection:
        connection.execute(
            "CREATE TABLE ai_model_versions (id, version_id, strategy, model_path, artifact_sha256,"
            " artifact_bytes, is_active)"
        )
        connection.execute("CREATE TABLE alembic_version (version_num)")
    connection.close()

    with pytest.raises(UnavailableError, match="qt migrate"):
        backup(SqliteSource(file, f"sqlite:///{file}"), BackupOrder(tmp_path / "b.tar", tmp_path, NOW), silent)


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from backend.operations.restore import RestoreOrder, SqliteTarget, restore
file, backup, models, stage, nth = sys.argv[1:]
seen = 0
def tell(at, share):
    global seen
    if at == stage:
        seen += 1
        if seen == int(nth):
            os.kill(os.getpid(), signal.SIGKILL)
target = SqliteTarget(Path(file), f"sqlite:///{file}", datetime(2026, 3, 2, 12, tzinfo=UTC))
restore(target, RestoreOrder(Path(backup), Path(models)), tell)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize(
    ("stage", "nth", "left"),
    [
        ("verifying", 1, "old"), ("verifying", 3, "old"), ("migrating", 1, "old"),
        ("placing the models", 1, "old"), ("switching", 1, "old"), ("done", 1, "new"),
    ],
)  # fmt: skip
def test_killed_at_any_stage_it_leaves_the_old_or_the_new(here: Installation, stage: str, nth: int, left: str) -> None:
    backed_up = here.content()
    told = here.backup()
    here.publish(9)
    with here.connected() as connection:
        connection.execute("UPDATE strategies SET looks = 7")
    old = here.content()

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, here.file, told["file"], here.models, stage, str(nth)],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    found = here.content()
    expected = (
        old
        if left == "old"
        else {**backed_up, "xgb_model_v20260302_120009.pkl": found["xgb_model_v20260302_120009.pkl"]}
    )
    assert found == expected
    here.restore(Path(told["file"]))
    assert {name: rows for name, rows in here.content().items() if name in backed_up} == backed_up
    assert not here.target.workspace.exists()


def test_a_model_folder_that_cannot_be_made_is_named(here: Installation, tmp_path: Path) -> None:
    told = here.backup()
    (tmp_path / "file").write_text("in the way")
    before = here.content()

    with pytest.raises(UnavailableError, match="QT_MODEL_DIR") as refused:
        restore(here.target, RestoreOrder(Path(told["file"]), tmp_path / "file" / "models"), silent)

    assert refused.value.reason == "model_dir_unusable"
    assert here.content() == before


def test_the_restored_file_belongs_to_whom_the_old_one_belonged(here: Installation) -> None:
    told = here.backup()
    here.file.chmod(0o640)

    here.restore(Path(told["file"]))

    assert here.file.stat().st_mode & 0o777 == 0o640
