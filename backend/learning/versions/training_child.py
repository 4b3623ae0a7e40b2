"""The program of the training child: rows on standard input, progress and the finished version on output.

It parses the artifact it made once more before it hands it over.
"""

import sys
from typing import Any

from ai_engine import artifact, pipeline
from backend.learning.versions import child


def main() -> int:
    """Answer one training request."""
    return child.answer(_train)


def _train(request: Any, tell: child.Tell) -> None:
    rows, context, past = request
    trained = pipeline.train(rows, context, lambda stage, share: tell({"stage": stage, "progress": share}), past)
    if isinstance(trained, pipeline.Refused):
        tell({"refused": {"reason": trained.reason, "detail": trained.detail}})
        return
    prove(trained)
    said = {"report": trained.report, "recipe": trained.recipe, "libraries": trained.libraries}
    tell({"trained": {**said, "sha256": trained.sha256, "data_hash": trained.data_hash}}, trained.artifact)


def prove(trained: pipeline.Trained) -> None:
    """Read the artifact back as serving will; ArtifactError where it does not answer as the fitted model did."""
    artifact.verify(trained.artifact, sha256=trained.sha256, size=len(trained.artifact))
    artifact.load(trained.artifact).check_canaries()


if __name__ == "__main__":
    sys.exit(main())
