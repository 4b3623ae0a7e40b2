"""Rounds gathered for one transaction; where retraining follows market time, cut at its slots."""

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime

from backend.market.feed import CandleRound, FeedUnavailableError

ROUNDS_A_TRANSACTION = 32


def batches(rounds: Iterable[CandleRound], size: int) -> Iterator[list[CandleRound]]:
    """The rounds in lists of ``size``, the last one shorter; what a market told before it failed comes first."""
    batch: list[CandleRound] = []
    try:
        for one in rounds:
            batch.append(one)
            if len(batch) == size:
                yield batch
                batch = []
    except FeedUnavailableError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def nights(
    rounds: Iterable[CandleRound], slots: Iterable[datetime], size: int
) -> Iterator[tuple[list[CandleRound], list[datetime]]]:
    """Batches, each with the slots that come after its last round and before the next one.

    The round that closes exactly at a slot is taken before it. Slots after the last round come with the last batch.
    """
    waiting = deque(sorted(slots))
    batch: list[CandleRound] = []
    for one in rounds:
        due = []
        while waiting and waiting[0] < one.close_time:
            due.append(waiting.popleft())
        if due or len(batch) == size:
            yield batch, due
            batch = []
        batch.append(one)
    if batch or waiting:
        yield batch, list(waiting)
