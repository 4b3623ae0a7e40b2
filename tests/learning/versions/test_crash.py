"""The process is killed in the middle of a retraining: nothing half done is left, and the strategy is free again."""

import multiprocessing
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from ai_engine.pipeline import Refused, Trained, TrainingContext, train
from backend.database import Database
from backend.learning.versions.publish import undo_unsettled
from backend.learning.versions.retrain import RetrainService, retrain
from backend.learning.versions.store import ArtifactStore
from backend.models import AIModelVersion, JobRun, Strategy
from backend.operations import runs
from tests.learning.versions.house import House, Planted

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingStore(ArtifactStore):
    """Dies at one step of a publication."""

    step = "before"

    def write(self, version_id: str, blob: bytes, run_id: str = "run-0") -> Path:
        if self.step == "half written":
            self.model_dir.mkdir(parents=True)
            self._marker(version_id, run_id).write_bytes(blob[:100])
            die()
        path = super().write(version_id, blob, run_id)
        if self.step == "before the row":
            die()
        return path

    def settle(self, version_id: str, run_id: str = "run-0") -> None:
        if self.step == "after the row":
            die()
        super().settle(version_id, run_id)


class DyingTrainer:
    """Dies while it trains, or trains."""

    def __init__(self, step: str) -> None:
        self.step = step

    def __call__(self, rows: Any, context: TrainingContext, *_told: Any) -> Trained | Refused:
        if self.step == "training":
            die()
        return train(rows, context)


class Fixed:
    """A clock that can travel to another process."""

    def __init__(self, time: Any) -> None:
        self.time = time

    def __call__(self) -> Any:
        return self.time


def retrain_and_die(url: str, settings: Any, clock: Fixed, step: str) -> None:
    """In another process: retrain, and be killed at the step."""
    store = DyingStore(settings.model_dir)
    store.step = step
    service = RetrainService(Database(url), settings, store, DyingTrainer(step), clock)
    retrain(service, strategy="bot", actor="tests")


def killed_at(house: House, step: str) -> None:
    arguments = (house.database.url, house.settings, Fixed(house.time), step)
    child = multiprocessing.get_context("spawn").Process(target=retrain_and_die, args=arguments)
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("step", ["training", "half written", "before the row"])
def test_a_kill_before_the_row_leaves_neither_row_nor_file(house: House, step: str) -> None:
    house.plant(Planted())
    killed_at(house, step)
    assert [run.state for run in house.rows(JobRun)] == ["running"]

    house.database.write(runs.close_lost, house.time)
    undo_unsettled(house.database, house.store)

    (run,) = house.rows(JobRun)
    assert (run.state, (run.result or {})["reason"]) == ("error", "lost")
    assert house.rows(AIModelVersion) == []
    assert house.database.read(lambda s: s.get_one(Strategy, "bot").looks) == 0
    left = list(house.settings.model_dir.iterdir()) if house.settings.model_dir.exists() else []
    assert left == []
    assert house.train()["status"] == "success"


@pytest.mark.slow
def test_a_kill_after_the_row_keeps_a_whole_version(house: House) -> None:
    house.plant(Planted())
    killed_at(house, "after the row")

    house.database.write(runs.close_lost, house.time)
    undo_unsettled(house.database, house.store)

    (version,) = house.rows(AIModelVersion)
    assert [run.state for run in house.rows(JobRun)] == ["success"]
    assert [path.name for path in house.settings.model_dir.iterdir()] == [f"xgb_model_{version.version_id}.pkl"]
    house.store.load(version.model_path, sha256=version.artifact_sha256, size=version.artifact_bytes)


def test_a_new_retraining_itself_closes_the_lost_one(house: House) -> None:
    house.plant(Planted())
    killed_at(house, "training")

    assert house.train()["status"] == "success"
    assert [run.state for run in house.rows(JobRun)] == ["error", "success"]
