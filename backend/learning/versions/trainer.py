"""Who fits a model: a fresh child process at idle priority, or the calling process where speed matters more."""

from typing import Protocol

from ai_engine import pipeline
from ai_engine.artifact import ArtifactError
from ai_engine.dataset import Rows
from ai_engine.past import NOTHING_BEFORE, Past
from ai_engine.pipeline import Refused, Trained, TrainingContext
from backend.learning.versions.children import Children
from backend.learning.versions.training_child import prove
from backend.operations.jobs import Progress, WorkFailedError

PROGRAM = "backend.learning.versions.training_child"
DEADLINE_SECONDS = 1800.0


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
                raise WorkFailedError(f"The artifact could not be read back: {error}") from error
        return trained


class SubprocessTrainer(Children):
    """Fits in a fresh child process that dies with this one, or after ``deadline_seconds``."""

    def __init__(self, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        super().__init__(PROGRAM, "training", deadline_seconds)

    def __call__(
        self, rows: Rows, context: TrainingContext, progress: Progress | None = None, past: Past = NOTHING_BEFORE
    ) -> Trained | Refused:
        """Fit; WorkFailedError where the child did not come to an end."""
        head, body = self.ask((rows, context, past), progress)
        if "trained" in head:
            return Trained(artifact=body, **head["trained"])
        return Refused(**head["refused"])
