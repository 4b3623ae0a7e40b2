"""Rounds out of candles that come in any pages and any order: each once, whole where it can be, in time order."""

from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.market.exchange_rounds import (
    FEWEST_FAILURES,
    LONGEST_GRACE_MS,
    LONGEST_PATIENCE_MS,
    REMEMBERED,
    SHORTEST_PATIENCE_MS,
    Asked,
    Known,
    RoundBook,
)
from backend.market.feed import Bar

LENGTH = 60_000
FIRST = 100 * LENGTH
SYMBOLS = ("A", "B", "C")
FAR = 10**12


def bar(symbol: str, opened: int) -> Bar:
    price = 1.0 + ord(symbol) + opened / LENGTH
    return price, price + 1, price - 1, price + 0.5, 7.0


def bars(symbol: str, *numbers: int) -> dict[int, Bar]:
    """Candles that open so many lengths after the first."""
    return {FIRST + number * LENGTH: bar(symbol, FIRST + number * LENGTH) for number in numbers}


def closes(number: int) -> int:
    return FIRST + (number + 1) * LENGTH


def book(*symbols: str, last: int = FIRST, known: Known | None = None, length: int = LENGTH) -> RoundBook:
    return RoundBook(symbols or SYMBOLS, length, last, {} if known is None else known)


def drained(rounds: RoundBook, asked: Mapping[str, Asked] | None = None, now: int = FAR) -> dict[int, set[str]]:
    found = {}
    while taken := rounds.take(now, asked or {}):
        found[taken[0]] = set(taken[1])
    return found


held = st.sets(st.tuples(st.sampled_from(SYMBOLS), st.integers(0, 15)), max_size=48)


@given(held, st.randoms(use_true_random=False), st.integers(1, 6))
def test_whatever_the_pages_each_round_comes_once_in_order_with_all_that_exists(
    exists: set[tuple[str, int]], random: Random, page: int
) -> None:
    series = {symbol: sorted(number for name, number in exists if name == symbol) for symbol in SYMBOLS}
    rounds, found = book(), {}
    while any(series.values()):
        symbol = random.choice([name for name in SYMBOLS if series[name]])
        rounds.add(symbol, bars(symbol, *series[symbol][:page]))
        del series[symbol][:page]
        found.update(drained(rounds))
    done = {symbol: Asked(answered_at=FAR) for symbol in SYMBOLS}
    rest = drained(rounds, done)

    expected: dict[int, set[str]] = {}
    for symbol, number in exists:
        expected.setdefault(closes(number), set()).add(symbol)
    assert not set(found) & set(rest)
    assert found | rest == expected
    assert list(found | rest) == sorted(expected)
    assert rounds.late() == {}


@given(held, held, st.integers(0, 15))
def test_what_comes_after_its_round_is_late_once_and_never_a_round(
    early: set[tuple[str, int]], more: set[tuple[str, int]], until: int
) -> None:
    rounds = book()
    done = {symbol: Asked(answered_at=FAR) for symbol in SYMBOLS}
    for symbol, number in early:
        rounds.add(symbol, bars(symbol, number))
    given_first = drained(rounds, done)
    last = max(given_first, default=FIRST)
    for symbol, number in more:
        rounds.add(symbol, bars(symbol, number))

    late = rounds.late()
    then = drained(rounds, done)

    too_late = {(symbol, number) for symbol, number in more - early if closes(number) <= last}
    assert {(symbol, (opened - FIRST) // LENGTH) for symbol, some in late.items() for opened in some} == too_late
    assert all(close > last for close in then)
    assert rounds.late() == {}


@given(held)
def test_a_candle_that_comes_again_changes_nothing(exists: set[tuple[str, int]]) -> None:
    rounds = book()
    done = {symbol: Asked(answered_at=FAR) for symbol in SYMBOLS}
    for _ in range(2):
        for symbol, number in sorted(exists):
            assert rounds.add(symbol, bars(symbol, number)) == []
    first = drained(rounds, done)

    for symbol, number in exists:
        assert rounds.add(symbol, bars(symbol, number)) == []

    assert sum(map(len, first.values())) == len(exists)
    assert drained(rounds, done) == {}
    assert rounds.late() == {}


def test_a_round_waits_for_every_symbol() -> None:
    rounds = book("A", "B")
    rounds.add("A", bars("A", 0))

    assert rounds.take(FAR, {}) is None
    rounds.add("B", bars("B", 0))

    assert rounds.take(0, {}) == (closes(0), {"A": bar("A", FIRST), "B": bar("B", FIRST)})


def test_a_later_candle_proves_that_one_is_missing() -> None:
    rounds = book("A", "B")
    rounds.add("A", bars("A", 0, 1))
    rounds.add("B", bars("B", 1))

    assert drained(rounds, now=0) == {closes(0): {"A"}, closes(1): {"A", "B"}}


def test_an_answer_without_the_candle_counts_from_a_moment_after_it_was_due() -> None:
    rounds = book("A", "B")
    rounds.add("A", bars("A", 0))
    due = closes(0)

    assert rounds.take(FAR, {"B": Asked(answered_at=due + LONGEST_GRACE_MS - 1)}) is None
    taken = rounds.take(0, {"B": Asked(answered_at=due + LONGEST_GRACE_MS)})

    assert taken is not None
    assert set(taken[1]) == {"A"}


@pytest.mark.parametrize(("length", "grace"), [(1_000, 250), (60_000, LONGEST_GRACE_MS), (86_400_000, 10_000)])
def test_that_moment_is_a_part_of_a_short_candle_and_seconds_of_a_long_one(length: int, grace: int) -> None:
    rounds = book("A", "B", last=0, length=length)
    rounds.add("A", {0: bar("A", 0)})

    assert rounds.take(0, {"B": Asked(answered_at=length + grace - 1)}) is None
    assert rounds.take(0, {"B": Asked(answered_at=length + grace)}) is not None


@pytest.mark.parametrize(
    ("length", "patience"), [(1_000, SHORTEST_PATIENCE_MS), (30_000, 15_000), (300_000, LONGEST_PATIENCE_MS)]
)
def test_a_symbol_that_fails_is_waited_for_as_long_again_after_it_began_to(length: int, patience: int) -> None:
    rounds = book("A", "B", last=0, length=length)
    rounds.add("A", {0: bar("A", 0)})
    began = length + 90_000
    fails = {"B": Asked(answered_at=FAR, failing_since=began, failures=FEWEST_FAILURES)}

    assert rounds.waiting(began, fails) == patience
    assert rounds.take(began + patience - 1, fails) is None
    assert rounds.waiting(began + patience, fails) == 0
    assert rounds.take(began + patience, fails) is not None


def test_a_symbol_that_has_failed_for_long_has_one_more_chance_or_a_moment_in_each_round() -> None:
    due = closes(0)
    long_ago = due - LONGEST_PATIENCE_MS

    for fails, now in [
        (Asked(failing_since=long_ago, failed_at=due, failures=FEWEST_FAILURES), due),
        (Asked(failing_since=long_ago, failed_at=due - 1, failures=FEWEST_FAILURES), due + LONGEST_GRACE_MS),
    ]:
        rounds = book("A", "B")
        rounds.add("A", bars("A", 0))
        assert (
            rounds.take(now - 1, {"B": Asked(failing_since=long_ago, failed_at=due - 1, failures=FEWEST_FAILURES)})
            is None
        )
        assert rounds.take(now, {"B": fails}) is not None


def test_no_round_is_taken_without_a_symbol_that_was_asked_in_vain_only_once_or_twice() -> None:
    """However fast the market's clock runs: after an outage a single cut answer must not lose a whole backlog."""
    rounds = book("A", "B")
    rounds.add("A", bars("A", 0, 1, 2))
    for failures in (1, 2):
        assert rounds.take(FAR, {"B": Asked(failing_since=0, failed_at=FAR, failures=failures)}) is None
    assert rounds.take(FAR, {"B": Asked(failing_since=0, failed_at=FAR, failures=FEWEST_FAILURES)}) is not None


def test_nothing_waits_where_nothing_came() -> None:
    rounds = book("A", "B")

    assert rounds.waiting(0, {"A": Asked(failing_since=0)}) is None
    rounds.add("A", bars("A", 5))
    assert rounds.waiting(0, {}, until=closes(4)) is None
    assert rounds.waiting(0, {}, until=closes(5)) == 0


def test_rounds_beyond_the_end_that_is_asked_for_stay() -> None:
    rounds = book("A")
    rounds.add("A", bars("A", 0, 1, 2))

    assert rounds.take(FAR, {}, until=closes(0)) is not None
    assert rounds.take(FAR, {}, until=closes(0)) is None
    assert list(drained(rounds)) == [closes(1), closes(2)]


def test_of_contradicting_candles_the_first_stays_and_the_other_is_named() -> None:
    rounds = book("A")
    other = {FIRST: (9.0, 9.0, 9.0, 9.0, 9.0)}
    rounds.add("A", bars("A", 0))

    assert rounds.add("A", other) == [FIRST]
    taken = rounds.take(FAR, {})
    assert taken == (closes(0), {"A": bar("A", FIRST)})
    assert rounds.add("A", other) == [FIRST]
    assert rounds.late() == {}


def test_what_history_handed_out_is_not_late() -> None:
    known: Known = {"A": bars("A", -3, -2)}
    rounds = book("A", known=known)

    rounds.add("A", bars("A", -3, -2, -1, 0))

    assert rounds.late() == {"A": bars("A", -1)}


def test_memory_is_bounded() -> None:
    known: Known = {}
    rounds = book("A", known=known)

    for number in range(3 * REMEMBERED):
        rounds.add("A", bars("A", number))
        assert rounds.take(FAR, {}) is not None

    assert REMEMBERED <= len(known["A"]) <= 2 * REMEMBERED
    assert max(known["A"]) == FIRST + (3 * REMEMBERED - 1) * LENGTH
