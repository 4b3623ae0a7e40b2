"""Who fits a model: a fresh child process at idle priority, or the calling process where speed matters more."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ai_engine import pipeline
from ai_engine.artifact import ArtifactError
from ai_engine.dataset import Rows
from ai_engine.past import NOTHING_BEFORE, Past
from ai_engine.pipeline import Refused, Trained, TrainingContext
from backend.learning.versions import frames
from backend.learning.versions.training_child import prove

Progress = Callable[[str, float], None]

PROJECT_ROOT = Path(__file__).resolve().parents[3]
DEADLINE_SECONDS = 1800.0
KEPT_ERROR_LINES = 20
ONE_QUIET_THREAD = {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "1"}


class TrainingFailedError(Exception):
    """The training did not come to an end; the message says why, in a sentence."""


class TrainingStoppedError(Exception):
    """The service is shutting down; the training did not fail, it was cut off."""


class Trainer(Protocol):
    """Fits one version; ``past`` is for its judgement alone, no byte of its file depends on it."""

    def __call__(
        self, rows: Rows, context: TrainingContext, progress: Progress | None = None, past: Past = NOTHING_BEFORE
    ) -> Trained | Refused: ...


class InProcessTrainer:
    """Fits in the calling process."""

    def __call__(
        self, rows: Rows, context: TrainingContext, progress: Progress | None = None, past: Past = NOTHING_BEFORE
    ) -> Trained | Refused:
        """Fit, and read the artifact back."""
        trained = pipeline.train(rows, context, progress, past)
        if isinstance(trained, Trained):
            try:
                prove(trained)
            except ArtifactError as error:
                raise TrainingFailedError(f"The artifact could not be read back: {error}") from error
        return trained


class SubprocessTrainer:
    """Fits in a fresh child process that dies with this one, or after ``deadline_seconds``."""

    def __init__(self, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self._deadline_seconds = deadline_seconds
        self._children: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __call__(
        self, rows: Rows, context: TrainingContext, progress: Progress | None = None, past: Past = NOTHING_BEFORE
    ) -> Trained | Refused:
        """Fit; TrainingFailedError where the child did not come to an end."""
        request = pickle.dumps((rows, context, past), protocol=pickle.HIGHEST_PROTOCOL)
        with self._child() as child:
            overdue = threading.Event()
            deadline = threading.Timer(self._deadline_seconds, _kill, (child, overdue))
            deadline.daemon = True
            deadline.start()
            errors = _Tail(_open(child.stderr))
            try:
                answer = _converse(child, request, progress)
            finally:
                deadline.cancel()
                child.kill()
                child.wait()
            if answer is None:
                raise self._failure(child.returncode, overdue.is_set(), errors.text())
        return answer

    def close(self) -> None:
        """End every training in progress; later calls are refused."""
        with self._lock:
            self._closed = True
            for child in self._children:
                child.kill()

    @contextlib.contextmanager
    def _child(self) -> Iterator[subprocess.Popen[bytes]]:
        with self._lock:
            if self._closed:
                raise TrainingStoppedError
            child = _spawn()
            self._children.add(child)
        try:
            yield child
        finally:
            with self._lock:
                self._children.discard(child)
            for stream in (child.stdin, child.stdout, child.stderr):
                with contextlib.suppress(BrokenPipeError):
                    _open(stream).close()

    def _failure(self, code: int, overdue: bool, errors: str) -> Exception:
        if self._closed:
            return TrainingStoppedError()
        if overdue:
            return TrainingFailedError(f"The training took longer than {self._deadline_seconds:g} seconds.")
        return TrainingFailedError(f"The training process {_ended(code)}. {errors}".strip())


def _spawn() -> subprocess.Popen[bytes]:
    paths = [str(PROJECT_ROOT), os.environ.get("PYTHONPATH", "")]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("QT_")}
    environment = {**inherited, **ONE_QUIET_THREAD, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "backend.learning.versions.training_child", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )


def _kill(child: subprocess.Popen[bytes], overdue: threading.Event) -> None:
    overdue.set()
    child.kill()


def _converse(child: subprocess.Popen[bytes], request: bytes, progress: Progress | None) -> Trained | Refused | None:
    """Hand over the rows and follow the child; None where it ended without an answer."""
    with contextlib.suppress(BrokenPipeError):
        frames.send(_open(child.stdin), {}, request)
    while (message := frames.receive(_open(child.stdout))) is not None:
        head, body = message
        if "trained" in head:
            return Trained(artifact=body, **head["trained"])
        if "refused" in head:
            return Refused(**head["refused"])
        if progress is not None:
            progress(head["stage"], head["progress"])
    child.wait()
    return None


def _open(stream: Any) -> BinaryIO:
    opened: BinaryIO = stream
    return opened


def _ended(code: int) -> str:
    if code >= 0:
        return f"ended with code {code} and no answer"
    name = signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"
    hint = "; the machine may be out of memory" if name == "SIGKILL" else ""
    return f"was ended by {name}{hint}"


class _Tail:
    """The last lines of a stream, read as they come so that the writer never waits."""

    def __init__(self, stream: BinaryIO) -> None:
        self._lines: deque[bytes] = deque(maxlen=KEPT_ERROR_LINES)
        self._reader = threading.Thread(target=self._follow, args=(stream,), daemon=True)
        self._reader.start()

    def _follow(self, stream: BinaryIO) -> None:
        for line in stream:
            self._lines.append(line[:500])

    def text(self) -> str:
        """The lines, once the writer has ended."""
        self._reader.join(timeout=5.0)
        return b"".join(self._lines).decode(errors="replace").strip()[-2000:]
