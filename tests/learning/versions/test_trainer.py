"""The training child: a real process that answers as the same code here does, and ends with its parent."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ai_engine.dataset import Rows
from ai_engine.past import NOTHING_BEFORE
from ai_engine.pipeline import Refused, Trained, TrainingContext
from backend import system
from backend.learning.versions import frames
from backend.learning.versions.trainer import InProcessTrainer, SubprocessTrainer
from backend.operations.jobs import WorkFailedError, WorkStoppedError

CONTEXT = TrainingContext(
    strategy="bot", timeframe_ms=300_000, horizon_candles=1, cost=0.0024, seed=1, looks=1, include_synthetic=False
)


def rows(count: int = 60) -> Rows:
    random = np.random.default_rng(5)
    times = 1_700_000_100_000 + np.arange(count, dtype=np.int64) * 300_000
    moved = random.normal(size=count) * 0.01
    return Rows(
        decision_ids=tuple(f"d{number}" for number in range(count)),
        symbols=("BTCUSDC",) * count,
        times=times,
        ends=times + 300_000,
        X=random.normal(size=(count, 3)).astype(np.float32),
        feature_names=("a", "b", "c"),
        forward_returns=moved,
        market_returns=moved,
        label_sources=("executed",) * count,
    )


def test_the_child_makes_the_same_bytes_and_the_same_report_as_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stages: list[str] = []

    there = SubprocessTrainer()(rows(), CONTEXT, lambda stage, _share: stages.append(stage))
    here = InProcessTrainer()(rows(), CONTEXT)

    assert isinstance(there, Trained)
    assert there == here
    assert "fitting" in stages


def test_a_refusal_of_the_child_is_a_refusal_here() -> None:
    refused = SubprocessTrainer()(rows(5), CONTEXT)

    assert isinstance(refused, Refused)
    assert refused.reason == "too_few_valid_samples"
    assert refused.detail["valid_samples"] == 5


def test_an_error_in_the_child_is_told_with_its_last_lines() -> None:
    broken = Rows(**{name: getattr(rows(), name) for name in Rows.__slots__} | {"X": np.zeros((60, 2), np.float32)})

    with pytest.raises(WorkFailedError, match="3 feature names") as failed:
        SubprocessTrainer()(broken, CONTEXT)

    assert str(failed.value).startswith("The training process ended with code 1 and no answer. ")
    assert str(failed.value).endswith("ValueError: X has shape (60, 2) but 3 feature names.")


def in_thread(trainer: SubprocessTrainer, errors: list[Exception]) -> threading.Thread:
    def call() -> None:
        try:
            trainer(rows(), CONTEXT)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    return thread


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_a_child_that_is_killed_is_a_failure_that_names_the_signal() -> None:
    trainer, errors = SubprocessTrainer(), []
    thread = in_thread(trainer, errors)
    wait_for(lambda: bool(trainer._children))

    next(iter(trainer._children)).send_signal(signal.SIGKILL)
    thread.join(20)

    assert isinstance(errors[0], WorkFailedError)
    assert "SIGKILL" in str(errors[0])
    assert "memory" in str(errors[0])


def test_a_training_that_takes_too_long_is_ended() -> None:
    with pytest.raises(WorkFailedError, match=r"longer than 0\.05 seconds"):
        SubprocessTrainer(deadline_seconds=0.05)(rows(), CONTEXT)


def test_closing_ends_what_runs_and_refuses_what_comes() -> None:
    trainer, errors = SubprocessTrainer(), []
    thread = in_thread(trainer, errors)
    wait_for(lambda: bool(trainer._children))

    trainer.close()
    thread.join(20)

    assert isinstance(errors[0], WorkStoppedError)
    with pytest.raises(WorkStoppedError):
        trainer(rows(), CONTEXT)


PARENT = """
import sys, threading
from tests.learning.versions.test_trainer import CONTEXT, rows
from backend.learning.versions.trainer import SubprocessTrainer
trainer = SubprocessTrainer()
def say() -> None:
    while not trainer._children: pass
    print(next(iter(trainer._children)).pid, flush=True)
threading.Thread(target=say).start()
trainer(rows(20_000), CONTEXT)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_the_child_dies_with_its_parent() -> None:
    root = str(Path(__file__).resolve().parents[3])
    environment = {**os.environ, "PYTHONPATH": root}
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, env=environment, cwd=root)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert system.pid_alive(child)

    parent.kill()
    parent.wait()
    parent.stdout.close()

    wait_for(lambda: not system.pid_alive(child))


def test_the_child_ends_when_its_input_does() -> None:
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "backend.learning.versions.training_child", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    frames.send(child.stdin, {}, pickle.dumps((rows(20_000), CONTEXT, NOTHING_BEFORE)))
    first = frames.receive(child.stdout)
    child.stdin.close()

    rest = child.stdout.read()
    code = child.wait(30)
    child.stdout.close()

    assert first is not None
    assert b"trained" not in rest
    assert code == 1


def test_a_child_without_a_request_ends_by_itself() -> None:
    child = subprocess.run(
        [sys.executable, "-P", "-m", "backend.learning.versions.training_child", str(os.getpid())],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
    )

    assert child.returncode == 1
    assert child.stdout == b""


def test_the_child_knows_no_setting_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_ADMIN_TOKEN", "must-not-travel")
    trainer, errors = SubprocessTrainer(), []
    thread = in_thread(trainer, errors)
    wait_for(lambda: bool(trainer._children))
    pid = next(iter(trainer._children)).pid

    if sys.platform == "linux":
        assert b"must-not-travel" not in Path(f"/proc/{pid}/environ").read_bytes()
    thread.join(60)
    assert errors == []
