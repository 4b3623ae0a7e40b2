"""Walking an exchange's pages: every candle is found, whatever a page holds, over gaps, and the walk always ends."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.market.exchange_pages import Page, Walk, closed_until
from backend.market.feed import Bar

LENGTH = 60_000
BAR: Bar = (1.0, 1.0, 1.0, 1.0, 1.0)
END = 400


def following(held: set[int], since: int, limit: int) -> list[int]:
    """As Binance answers: the first candles from a time on."""
    return [opened for opened in sorted(held) if opened >= since][:limit]


def within(held: set[int], since: int, limit: int) -> list[int]:
    """As others answer: those candles of the span that so many candles would fill."""
    return [opened for opened in sorted(held) if since <= opened < since + limit * LENGTH]


def capped(held: set[int], since: int, limit: int) -> list[int]:
    """As those answer that hold fewer in a page than they say."""
    return following(held, since, min(limit, 7))


def exclusive(held: set[int], since: int, limit: int) -> list[int]:
    """As those answer that mean "after" by "since"."""
    return following(held - {since}, since, limit)


def newest(held: set[int], since: int, limit: int) -> list[int]:
    """As Kraken answers: the newest so many, however long ago the time asked for."""
    return [opened for opened in sorted(held) if opened >= since][-20:]


Answers = Callable[[set[int], int, int], list[int]]


def walked(held: set[int], answers: Answers, walk: Walk, end: int, running: int | None) -> tuple[set[int], int]:
    found: set[int] = set()
    for asked in range(1, 2_000):
        since, limit = walk.request(end)
        rows = answers(held | ({running} if running is not None else set()), since, limit)
        closed = {opened: BAR for opened in rows if opened != running}
        found |= set(closed)
        if walk.take(Page(closed, len(rows), max(rows, default=-1), 0), end):
            return found, asked
    raise AssertionError("the walk does not end")


@given(
    st.sets(st.integers(0, END - 1)),
    st.sampled_from([following, within, capped, exclusive]),
    st.integers(4, 60),
    st.integers(0, 20),
    st.booleans(),
)
def test_every_candle_is_found_and_the_walk_ends(
    numbers: set[int], answers: Answers, limit: int, overlap: int, runs: bool
) -> None:
    held = {number * LENGTH for number in numbers}
    overlap = max(min(overlap, limit // 4), answers is exclusive)
    walk = Walk(overlap * LENGTH, LENGTH, limit, overlap)

    found, asked = walked(held, answers, walk, END * LENGTH, END * LENGTH if runs else None)

    expected = held - {0} if answers is exclusive or overlap else held
    assert found >= {opened for opened in expected if opened >= overlap * LENGTH}
    assert asked <= 4 + 2 * END // max(min(limit, 7) - overlap, 1) * 2


def test_an_exchange_that_keeps_only_its_newest_candles_gives_these() -> None:
    held = {number * LENGTH for number in range(END)}

    found, asked = walked(held, newest, Walk(0, LENGTH, 100, 1), END * LENGTH, None)

    assert found == {number * LENGTH for number in range(END - 20, END)}
    assert asked == 1


def test_a_poll_asks_for_little_and_a_long_absence_for_whole_pages() -> None:
    walk = Walk(1_000 * LENGTH, LENGTH, 1_000, 60)

    assert walk.request(1_001 * LENGTH) == (940 * LENGTH, 63)
    assert walk.request(9_000 * LENGTH) == (940 * LENGTH, 1_000)


def test_a_row_beyond_the_end_proves_that_all_before_it_was_told() -> None:
    walk = Walk(0, LENGTH, 10, 0)

    assert walk.take(Page({}, 1, 5 * LENGTH, 0), 5 * LENGTH)
    assert walk.cursor == 0


@pytest.mark.parametrize(
    ("reached", "length", "until"),
    [
        (3_600_999, 60_000, 3_540_000),
        (3_601_000, 60_000, 3_600_000),
        (3_600_099, 1_000, 3_599_000),
        (3_600_100, 1_000, 3_600_000),
    ],
)
def test_a_candle_is_over_a_moment_after_its_end(reached: int, length: int, until: int) -> None:
    assert closed_until(reached, length) == until
