"""What a benchmark claims: one line a claim with its figure and its limit; the exit code says whether all hold."""

import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from rich.progress import track

Answer = TypeVar("Answer")

# One thread a process: the processes are the parallelism.
QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Claims:
    """Claims in the order in which they were measured."""

    def __init__(self) -> None:
        self._held: list[bool] = []

    def at_most(self, what: str, value: float, limit: float) -> None:
        """The figure must not exceed the limit."""
        self._say(what, f"{value:.4g}", f"at most {limit:g}", value <= limit)

    def at_least(self, what: str, value: float, limit: float) -> None:
        """The figure must reach the limit."""
        self._say(what, f"{value:.4g}", f"at least {limit:g}", value >= limit)

    def within(self, what: str, value: float, low: float, high: float) -> None:
        """The figure must lie between the limits."""
        self._say(what, f"{value:.4g}", f"within {low:g} and {high:g}", low <= value <= high)

    def told(self, what: str, value: object) -> None:
        """A figure that stands beside the claims and is held to nothing."""
        print(f"      {what}: {value}")

    def end(self) -> None:
        """Leave with 0 where every claim holds, else with 1."""
        sys.exit(0 if all(self._held) else 1)

    def _say(self, what: str, value: str, limit: str, held: bool) -> None:
        self._held.append(held)
        print(f"{'holds' if held else 'FAILS'} {what}: {value} ({limit})", flush=True)


def over_seeds(judge: Callable[[int], Answer], seeds: Iterable[int], what: str) -> list[Answer]:
    """Return ``judge(seed)`` for every seed, in order, on all processors; ``judge`` is a module's own function."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    wanted = list(seeds)
    with ProcessPoolExecutor() as pool:
        return list(track(pool.map(judge, wanted), description=what, total=len(wanted)))
