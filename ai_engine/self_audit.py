"""The pipeline judges worlds without skill, and worlds with some: what a self-audit asks of it.

Which rows they are made of: :mod:`ai_engine.audit_ground`; how: :mod:`ai_engine.placebo`; what the judgements amount
to: :mod:`ai_engine.audit_result`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ai_engine import pipeline
from ai_engine.dataset import Rows
from ai_engine.pipeline import Refused, Trained, TrainingContext
from ai_engine.placebo import Ground, placebo, planted

ACCURACIES = (0.60, 0.70)

Train = Callable[[Rows, TrainingContext], Trained | Refused]
"""The pipeline under audit, see :func:`ai_engine.pipeline.train`."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be audited: ``placebos`` worlds without skill, then ``planted`` worlds with some.

    ``rows_available`` counts the usable rows, of which ``ground`` holds the newest.
    """

    ground: Ground
    context: TrainingContext
    rows_available: int
    placebos: int
    planted: int
    seed: int

    @property
    def worlds(self) -> range:
        """The numbers of all worlds, the placebos first."""
        return range(self.placebos + self.planted)

    def accuracy_of(self, number: int) -> float | None:
        """What is planted into the world; None for a placebo."""
        return None if number < self.placebos else ACCURACIES[(number - self.placebos) % len(ACCURACIES)]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the pipeline said of one world; its walk-forward's accuracy is None where nothing was judged."""

    number: int
    verdict: str
    accuracy: float | None


def judge(task: Task, numbers: Iterable[int], *, train: Train = pipeline.train) -> list[Judgement]:
    """Run the pipeline on these worlds."""
    return [_judgement(number, train(_world(task, number), task.context)) for number in numbers]


def _world(task: Task, number: int) -> Rows:
    rows, accuracy = placebo(task.ground, number=number, seed=task.seed), task.accuracy_of(number)
    return (
        rows
        if accuracy is None
        else planted(rows, accuracy=accuracy, rng=np.random.default_rng([task.seed, number, 1]))
    )


def _judgement(number: int, trained: Trained | Refused) -> Judgement:
    if isinstance(trained, Refused):
        return Judgement(number, trained.reason, None)
    return Judgement(number, trained.report["verdict"], trained.report["walk_forward"]["accuracy"])
