"""The program of the auditing child: worlds on standard input; progress, and what is said of each, on output."""

import sys
from dataclasses import astuple
from typing import Any

from ai_engine import pipeline, self_audit
from backend.learning.versions import child

STAGE = "judging_worlds"


def main() -> int:
    """Answer one request: a task and the numbers of the worlds that are this child's."""
    return child.answer(_audit)


def _audit(request: Any, tell: child.Tell) -> None:
    task, numbers = request
    judged: list[tuple[Any, ...]] = []
    for number in numbers:
        judged += [astuple(one) for one in self_audit.judge(task, [number])]
        tell({"stage": STAGE, "progress": len(judged) / len(numbers)})
    tell({"judged": judged, "libraries": pipeline.libraries()})


if __name__ == "__main__":
    sys.exit(main())
