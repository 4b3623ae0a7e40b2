"""What every computing child does first: give way to everything else, and end with its parent."""

import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, BinaryIO

from backend import system
from backend.learning.versions import frames

Tell = Callable[..., None]
"""Sends a head, and bytes where there are some, to the parent."""


def answer(work: Callable[[Any, Tell], None]) -> int:
    """Read one request from standard input, let ``work`` answer it, and return the process's exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    system.die_with_parent(int(sys.argv[1]))
    system.lower_priority()
    answers = _own_output()
    request = frames.receive(sys.stdin.buffer)
    if request is None:
        return 1
    threading.Thread(target=_end_with_input, args=(sys.stdin.fileno(),), daemon=True).start()
    work(pickle.loads(request[1]), lambda head, body=b"": frames.send(answers, head, body))
    return 0


def _own_output() -> BinaryIO:
    """The real standard output; whatever a library prints goes to standard error instead."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def _end_with_input(descriptor: int) -> None:
    """The parent holds the other end open while it lives.

    Past Python's buffer: a thread that waits in there holds its lock, and the interpreter aborts instead of ending.
    """
    os.read(descriptor, 1)
    os._exit(1)
