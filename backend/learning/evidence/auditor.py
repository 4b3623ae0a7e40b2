"""Who judges the worlds of a self-audit: child processes at idle priority."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol

from ai_engine.self_audit import Judgement, Task
from backend.learning.versions.children import Children, Group
from backend.operations.jobs import Progress

PROGRAM = "backend.learning.evidence.audit_child"
DEADLINE_SECONDS = 7200.0
MOST_CHILDREN = 2

Judged = tuple[list[Judgement], dict[str, str]]
"""What was said of each world, and the versions of the libraries that said it."""


class Auditor(Protocol):
    """Judges every world of a task."""

    def __call__(self, task: Task, progress: Progress) -> Judged: ...


class SubprocessAuditor(Children):
    """Judges in at most two children at idle priority, which die with this process; what one of them says, all say."""

    def __init__(self, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        super().__init__(PROGRAM, "self-audit", deadline_seconds)

    def __call__(self, task: Task, progress: Progress) -> Judged:
        """Judge; WorkFailedError where a child did not come to an end, and the others are ended with it."""
        count = min(MOST_CHILDREN, os.cpu_count() or 1)
        shares = [task.worlds[first::count] for first in range(count)]
        together = _Together(progress, [len(share) / len(task.worlds) for share in shares])
        with ThreadPoolExecutor(count, thread_name_prefix="self-audit") as pool:
            asked = [pool.submit(self._judge, task, share, together, place) for place, share in enumerate(shares)]
        if together.failure is not None:
            raise together.failure
        heads = [one.result() for one in asked]
        return [Judgement(*one) for head in heads for one in head["judged"]], heads[0]["libraries"]

    def _judge(self, task: Task, share: range, together: "_Together", place: int) -> dict[str, Any]:
        with together.all_or_none():
            head, _ = self.ask((task, share), together.of(place), together.group)
        return head


class _Together:
    """Several children as one: their progress is one, and the first failure of one is that of all."""

    def __init__(self, progress: Progress, weights: list[float]) -> None:
        self._progress, self._weights = progress, weights
        self._done = [0.0] * len(weights)
        self._lock = threading.Lock()
        self.group = Group()
        self.failure: BaseException | None = None

    @contextmanager
    def all_or_none(self) -> Iterator[None]:
        """End all children where what is done inside fails: what is left of the others would be thrown away."""
        try:
            yield
        except BaseException as error:
            with self._lock:
                self.failure = self.failure or error
            self.group.end()
            raise

    def of(self, place: int) -> Progress:
        """What one child is told to report to."""

        def tell(stage: str, share: float) -> None:
            self._done[place] = share * self._weights[place]
            self._progress(stage, sum(self._done))

        return tell
