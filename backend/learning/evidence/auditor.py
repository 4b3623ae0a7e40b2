"""Who judges the worlds of a self-audit: child processes at idle priority, or the calling process."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from ai_engine import pipeline, self_audit
from ai_engine.self_audit import Judgement, Task
from backend.learning.evidence.audit_child import STAGE
from backend.learning.versions.children import ChildFailedError, Children, Progress

PROGRAM = "backend.learning.evidence.audit_child"
DEADLINE_SECONDS = 7200.0
MOST_CHILDREN = 2

Judged = tuple[list[Judgement], dict[str, str]]
"""What was said of each world, and the versions of the libraries that said it."""


class Auditor(Protocol):
    """Judges every world of a task."""

    def __call__(self, task: Task, progress: Progress) -> Judged: ...


class InProcessAuditor:
    """Judges in the calling process."""

    def __call__(self, task: Task, progress: Progress) -> Judged:
        """Judge one world after the other."""
        found: list[Judgement] = []
        for number in task.worlds:
            found += self_audit.judge(task, [number])
            progress(STAGE, len(found) / len(task.worlds))
        return found, pipeline.libraries()


class SubprocessAuditor(Children):
    """Judges in at most two children at idle priority, which die with this process; what one of them says, all say."""

    def __init__(self, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        super().__init__(PROGRAM, "self-audit", deadline_seconds)

    def __call__(self, task: Task, progress: Progress) -> Judged:
        """Judge; ChildFailedError where a child did not come to an end, and the others are ended with it."""
        count = min(MOST_CHILDREN, os.cpu_count() or 1)
        shares = [task.worlds[first::count] for first in range(count)]
        together = _Together(progress, [len(share) / len(task.worlds) for share in shares])
        with ThreadPoolExecutor(count, thread_name_prefix="self-audit") as pool:
            asked = [pool.submit(self._judge, task, share, together.of(place)) for place, share in enumerate(shares)]
            for one in asked:
                one.add_done_callback(lambda ended: together.stop() if ended.exception() else None)
        answers = [one.exception() or one.result() for one in asked]
        failures = [one for one in answers if isinstance(one, BaseException)]
        first = next((one for one in failures if not isinstance(one, _CutOffError)), None)
        if first is not None:
            raise first
        heads = [one for one in answers if isinstance(one, dict)]
        return [Judgement(*one) for head in heads for one in head["judged"]], heads[0]["libraries"]

    def _judge(self, task: Task, share: range, progress: Progress) -> dict[str, Any]:
        head, _ = self.ask((task, share), progress)
        return head


class _CutOffError(ChildFailedError):
    """Another child failed, so this one's answer is not waited for."""


class _Together:
    """The progress of several children as one."""

    def __init__(self, progress: Progress, weights: list[float]) -> None:
        self._progress, self._weights = progress, weights
        self._done = [0.0] * len(weights)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End the others when they next say how far they are."""
        self._stopped.set()

    def of(self, place: int) -> Callable[[str, float], None]:
        """What one child is told to report to."""

        def tell(stage: str, share: float) -> None:
            if self._stopped.is_set():
                raise _CutOffError
            self._done[place] = share * self._weights[place]
            self._progress(stage, sum(self._done))

        return tell
