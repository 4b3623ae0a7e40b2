"""Child processes that compute at idle priority: asked once, followed to their answer, ended with this process."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from backend.learning.versions import frames
from backend.operations.jobs import Progress, WorkFailedError, WorkStoppedError

Answer = tuple[dict[str, Any], bytes]

PROJECT_ROOT = Path(__file__).resolve().parents[3]
KEPT_ERROR_LINES = 20
ONE_QUIET_THREAD = {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "1"}


class Children:
    """Fresh processes of one program, each of which dies with this one, or after ``deadline_seconds``.

    ``what`` names the work in messages. The program reads one request, tells its progress as heads with ``stage`` and
    ``progress``, and answers with any other head.
    """

    def __init__(self, program: str, what: str, deadline_seconds: float) -> None:
        self._program, self._what = program, what
        self._deadline_seconds = deadline_seconds
        self._children: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def ask(self, request: Any, progress: Progress | None = None, group: "Group | None" = None) -> Answer:
        """One child's answer; WorkFailedError where it did not come to an end, or was ended with its ``group``."""
        message = pickle.dumps(request, protocol=pickle.HIGHEST_PROTOCOL)
        with self._child() as child, group.of(child) if group else contextlib.nullcontext():
            overdue = threading.Event()
            deadline = threading.Timer(self._deadline_seconds, _kill, (child, overdue))
            deadline.daemon = True
            deadline.start()
            errors = _Tail(_open(child.stderr))
            try:
                answer = _converse(child, message, progress)
            finally:
                deadline.cancel()
                child.kill()
                child.wait()
            if answer is None:
                raise self._failure(child.returncode, overdue.is_set(), errors.text())
        return answer

    def close(self) -> None:
        """End every child at work; later calls are refused."""
        with self._lock:
            self._closed = True
            for child in self._children:
                child.kill()

    @contextlib.contextmanager
    def _child(self) -> Iterator[subprocess.Popen[bytes]]:
        with self._lock:
            if self._closed:
                raise WorkStoppedError
            child = _spawn(self._program)
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
            return WorkStoppedError()
        if overdue:
            return WorkFailedError(f"The {self._what} took longer than {self._deadline_seconds:g} seconds.")
        return WorkFailedError(f"The {self._what} process {_ended(code)}. {errors}".strip())


class Group:
    """Children that answer one question between them, to be ended together."""

    def __init__(self) -> None:
        self._children: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._ended = False

    def end(self) -> None:
        """End all of them, also those that are still to come."""
        with self._lock:
            self._ended = True
            for child in self._children:
                child.kill()

    @contextlib.contextmanager
    def of(self, child: subprocess.Popen[bytes]) -> Iterator[None]:
        """The child belongs to the group while it lives."""
        with self._lock:
            self._children.add(child)
            if self._ended:
                child.kill()
        try:
            yield
        finally:
            with self._lock:
                self._children.discard(child)


def _spawn(program: str) -> subprocess.Popen[bytes]:
    paths = [str(PROJECT_ROOT), os.environ.get("PYTHONPATH", "")]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("QT_")}
    environment = {**inherited, **ONE_QUIET_THREAD, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", program, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )


def _kill(child: subprocess.Popen[bytes], overdue: threading.Event) -> None:
    overdue.set()
    child.kill()


def _converse(child: subprocess.Popen[bytes], request: bytes, progress: Progress | None) -> Answer | None:
    """Hand over the request and follow the child; None where it ended without an answer."""
    with contextlib.suppress(BrokenPipeError):
        frames.send(_open(child.stdin), {}, request)
    while (message := frames.receive(_open(child.stdout))) is not None:
        head, _ = message
        if "stage" not in head:
            return message
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
