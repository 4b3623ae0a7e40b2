"""The program of the training child: rows on standard input, progress and the finished version on output.

It gives way to everything else, dies with its parent, and parses the artifact it made once more before it
hands it over.
"""

import os
import pickle
import signal
import sys
import threading
from typing import BinaryIO

from ai_engine import artifact, pipeline
from backend import system
from backend.learning.versions import frames


def main() -> int:
    """Answer one training request."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    system.die_with_parent(int(sys.argv[1]))
    system.lower_priority()
    answers = _own_output()
    request = frames.receive(sys.stdin.buffer)
    if request is None:
        return 1
    threading.Thread(target=_end_with_input, args=(sys.stdin.buffer,), daemon=True).start()
    rows, context, past = pickle.loads(request[1])
    trained = pipeline.train(
        rows, context, lambda stage, share: frames.send(answers, {"stage": stage, "progress": share}), past
    )
    if isinstance(trained, pipeline.Refused):
        frames.send(answers, {"refused": {"reason": trained.reason, "detail": trained.detail}})
        return 0
    prove(trained)
    said = {"report": trained.report, "recipe": trained.recipe, "libraries": trained.libraries}
    frames.send(
        answers, {"trained": {**said, "sha256": trained.sha256, "data_hash": trained.data_hash}}, trained.artifact
    )
    return 0


def prove(trained: pipeline.Trained) -> None:
    """Read the artifact back as serving will; ArtifactError where it does not answer as the fitted model did."""
    artifact.verify(trained.artifact, sha256=trained.sha256, size=len(trained.artifact))
    artifact.load(trained.artifact).check_canaries()


def _own_output() -> BinaryIO:
    """The real standard output; whatever a library prints goes to standard error instead."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _end_with_input(stream: BinaryIO) -> None:
    """The parent holds the other end open while it lives."""
    stream.read(1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
