"""In the place of the self-audit's child: the one that has the first world fails at once, the others say nothing."""

import sys
import time
from typing import Any

from backend.learning.versions import child


def work(request: Any, _tell: child.Tell) -> None:
    _task, numbers = request
    if 0 in numbers:
        sys.exit(3)
    time.sleep(60)


if __name__ == "__main__":
    sys.exit(child.answer(work))
