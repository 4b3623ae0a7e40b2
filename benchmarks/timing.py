"""Time a call, and say how it compares with the floor: the least work that could do the same."""

import time
from collections.abc import Callable

ROUNDS = 5


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Seconds a call, the best of several rounds: whatever else the machine does only makes it longer."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(repeats):
            call()
        best = min(best, (time.perf_counter() - began) / repeats)
    return best


def report(what: str, measured: float, floor: float, floor_is: str) -> None:
    """One line: the figure, its floor and their ratio."""
    print(
        f"{what}: {measured * 1e6:,.0f} us, {measured / floor:.1f} times the floor ({floor_is}: {floor * 1e6:,.0f} us)"
    )
