"""The folder of artifacts: whole files under their final names, nothing else read, nothing half done kept."""

import os
from pathlib import Path

import pytest

from ai_engine.artifact import sha256
from backend.errors import UnavailableError
from backend.learning.versions.publish import folder_name, undo_unsettled
from backend.learning.versions.store import MAX_ARTIFACT_BYTES, ArtifactStore, NameTakenError, UnusableArtifactError
from backend.operations import runs
from tests.learning.versions.house import House, Planted

VERSION = "v20260302_120000"
BLOB = b"published bytes"


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "models")


def read(store: ArtifactStore, path: str | Path) -> bytes:
    return store.read_verified(path, sha256=sha256(BLOB), size=len(BLOB))


def test_a_prepared_folder_exists_and_holds_nothing(store: ArtifactStore) -> None:
    store.prepare()
    store.prepare()

    assert list(store.model_dir.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/models"])
def test_a_folder_that_cannot_hold_models_is_refused_by_the_settings_name(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(UnavailableError, match=r"QT_MODEL_DIR=.*cannot hold models \("):
        ArtifactStore(tmp_path / place).prepare()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is unwritable for this user")
def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir(mode=0o500)

    with pytest.raises(UnavailableError, match="Permission denied"):
        ArtifactStore(tmp_path / "models").prepare()


def test_what_is_written_reads_back(store: ArtifactStore) -> None:
    path = store.write(VERSION, BLOB)

    assert path.name == "xgb_model_v20260302_120000.pkl"
    assert read(store, path) == BLOB
    assert read(store, "ai_engine/models/xgb_model_v20260302_120000.pkl") == BLOB


def test_only_dotted_names_stand_beside_published_files(store: ArtifactStore) -> None:
    store.write(VERSION, BLOB)
    beside = [path.name for path in store.model_dir.iterdir() if path.suffix != ".pkl"]

    store.settle(VERSION)

    assert all(name.startswith(".") for name in beside)
    assert [path.name for path in store.model_dir.iterdir()] == ["xgb_model_v20260302_120000.pkl"]


def test_a_taken_name_is_refused_and_its_file_stays(store: ArtifactStore) -> None:
    store.write(VERSION, BLOB)
    store.settle(VERSION)

    with pytest.raises(NameTakenError):
        store.write(VERSION, b"other", "run-1")

    assert read(store, store.path_of(VERSION)) == BLOB
    assert store.unsettled() == []


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "xgb_model_v1.pkl", "", ".hidden", "xgb_model_vx.pkl/.."])
def test_nothing_but_published_names_is_ever_read(store: ArtifactStore, path: str) -> None:
    store.write(VERSION, BLOB)

    with pytest.raises(UnusableArtifactError) as caught:
        read(store, path)

    assert caught.value.reason == "artifact_missing"


def test_a_path_elsewhere_reads_the_folders_own_file(store: ArtifactStore, tmp_path: Path) -> None:
    planted = tmp_path / "xgb_model_v20260302_120000.pkl"
    planted.write_bytes(b"not ours")
    store.write(VERSION, BLOB)

    assert read(store, planted) == BLOB


def test_a_file_of_another_size_is_refused_before_it_is_read(store: ArtifactStore) -> None:
    path = store.write(VERSION, BLOB)
    with path.open("r+b") as handle:
        handle.truncate(10**13)

    with pytest.raises(UnusableArtifactError, match="10000000000000 bytes"):
        read(store, path)


def test_other_bytes_of_the_same_size_are_refused(store: ArtifactStore) -> None:
    path = store.write(VERSION, BLOB)
    path.write_bytes(BLOB.replace(b"b", b"d", 1))

    with pytest.raises(UnusableArtifactError) as caught:
        read(store, path)

    assert caught.value.reason == "artifact_corrupt"


def test_a_size_no_artifact_has_is_refused_although_the_row_names_it(store: ArtifactStore) -> None:
    path = store.write(VERSION, BLOB)
    with path.open("r+b") as handle:
        handle.truncate(MAX_ARTIFACT_BYTES + 1)

    with pytest.raises(UnusableArtifactError):
        store.read_verified(path, sha256=sha256(BLOB), size=MAX_ARTIFACT_BYTES + 1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
def test_a_pipe_in_a_files_place_does_not_hang(store: ArtifactStore) -> None:
    store.model_dir.mkdir()
    os.mkfifo(store.path_of(VERSION))

    with pytest.raises(UnusableArtifactError):
        read(store, store.path_of(VERSION))


def test_the_folder_is_named_relative_to_the_project_where_it_lies_in_it(tmp_path: Path) -> None:
    assert folder_name(tmp_path / "ai_engine" / "models", tmp_path) == "ai_engine/models"
    assert folder_name(Path("/var/models"), tmp_path) == "/var/models"


def crash_after_the_file(house: House) -> str:
    """Leave what a process leaves that dies between its file and its row."""
    house.plant(Planted())
    run_id = house.database.write(runs.start, runs.NewRun("ai-retraining", "bot", "tests"), house.time)
    house.store.write(VERSION, BLOB, run_id)
    return run_id


def test_a_file_whose_run_died_before_its_row_is_taken_back(house: House) -> None:
    run_id = crash_after_the_file(house)
    house.database.write(runs.finish, run_id, house.time, "error", {"reason": "lost"})

    assert undo_unsettled(house.database, house.store) == [VERSION]
    assert list(house.store.model_dir.iterdir()) == []


def test_a_file_whose_run_goes_on_is_left_alone(house: House) -> None:
    crash_after_the_file(house)

    assert undo_unsettled(house.database, house.store) == []
    assert len(list(house.store.model_dir.iterdir())) == 2


def test_a_file_of_another_database_is_left_alone(house: House) -> None:
    house.store.write(VERSION, BLOB, "run-0123456789abcdef")

    assert undo_unsettled(house.database, house.store) == []
    assert house.store.path_of(VERSION).exists()


def test_a_crash_after_the_row_keeps_the_version(house: House) -> None:
    house.plant(Planted())
    answer = house.train()
    version_id, run_id = str(answer["version_id"]), str(answer["run_id"])
    marker = house.store.model_dir / f".{run_id}.{version_id}.publishing"
    marker.write_bytes(b"")

    assert undo_unsettled(house.database, house.store) == []
    assert not marker.exists()
    assert house.store.path_of(version_id).exists()
