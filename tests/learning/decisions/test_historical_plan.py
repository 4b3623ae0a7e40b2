"""Which candles of the past give a row, told against a walk over them one by one."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_engine.candles import Candles
from ai_engine.features.catalogue import WINDOW
from backend.clock import to_ms
from backend.learning.decisions.historical_plan import MAX_HOLE_CANDLES, Places, Plan, Terms, plan_of

MINUTE = 60_000
FIRST = 1_700_000_040_000
"""An open time on the grid of minutes."""


def terms(horizon: int = 12) -> Terms:
    return Terms("default", "external", False, "1m", horizon, "long,short")


def candles(slots: list[int]) -> Candles:
    """Candles at those places of a grid of minutes; a candle's open and close tell where it stands."""
    opened = FIRST + MINUTE * np.array(slots, dtype=np.int64)
    close = 100.0 + np.array(slots, dtype=np.float64)
    return Candles(opened, close - 0.5, close + 1, close - 1, close, np.ones(len(slots)), MINUTE)


@dataclass(frozen=True)
class Row:
    """What one place tells."""

    at: int
    reference: float
    price: float
    priced_at: int


def rows(places: Places) -> list[Row]:
    columns = (places.times, places.references, places.prices, places.priced_at)
    return [Row(*(column[index].item() for column in columns)) for index in range(len(places.ends))]


def walked(series: Candles, horizon: int, stride: int) -> Iterator[Row]:
    """The same by the letter of the contract, slowly."""
    by_open = {int(time): index for index, time in enumerate(series.open_time)}
    by_close = {int(time): index for index, time in enumerate(series.close_time)}
    for end in range(WINDOW - 1, len(series)):
        at = int(series.close_time[end])
        window = series.open_time[end - WINDOW + 1 : end + 1]
        whole = max(np.diff(window)) <= (MAX_HOLE_CANDLES + 1) * MINUTE
        entry = next((by_open[time] for time in (at, at + MINUTE) if time in by_open), None)
        due = at + horizon * MINUTE
        exit_ = next((by_close[time] for time in (due, due + MINUTE) if time in by_close), None)
        if (at // MINUTE) % stride == 0 and whole and entry is not None and exit_ is not None:
            yield Row(at, series.open[entry].item(), series.close[exit_].item(), int(series.close_time[exit_]))


@settings(max_examples=60, deadline=None)
@given(
    missing=st.sets(st.integers(0, 620), max_size=40),
    hole=st.tuples(st.integers(0, 620), st.integers(0, 3 * MAX_HOLE_CANDLES)),
    horizon=st.integers(1, 30),
    stride=st.integers(1, 7),
)
def test_every_row_is_where_a_slow_walk_finds_it(
    missing: set[int], hole: tuple[int, int], horizon: int, stride: int
) -> None:
    gone = missing | set(range(hole[0], sum(hole)))
    series = candles([slot for slot in range(640) if slot not in gone])

    plan = plan_of({"AAAUSDT": series}, terms(horizon), stride)

    assert rows(plan.places["AAAUSDT"]) == list(walked(series, horizon, stride))
    on_grid = sum(1 for time in series.close_time if (time // MINUTE) % stride == 0)
    assert len(plan) + sum(plan.left_out.values()) == on_grid


def test_a_window_may_cross_a_short_hole_and_no_long_one() -> None:
    short = [*range(300), *range(300 + MAX_HOLE_CANDLES, 600)]
    long = [*range(300), *range(301 + MAX_HOLE_CANDLES, 601)]

    assert len(plan_of({"A": candles(short)}, terms(), 1)) > 0
    assert plan_of({"A": candles(long)}, terms(), 1).left_out["across_a_hole"] > 0
    assert len(plan_of({"A": candles(long)}, terms(), 1)) == 0


def test_what_is_left_out_is_counted_by_its_first_reason() -> None:
    plan = plan_of({"A": candles([*range(510), 512, *range(514, 540)])}, terms(horizon=2), 1)

    # 499 candles have no whole window before them. After 509 the next candle is 512, too late, and after 539 none.
    # 508 would be priced when 510 closes, or 511, and 538 when 540 does: there are none.
    assert plan.left_out == {"too_little_history": 499, "across_a_hole": 0, "no_next_candle": 2, "no_price": 2}


def test_a_file_shorter_than_a_window_gives_nothing() -> None:
    plan = plan_of({"A": candles(list(range(100)))}, terms(), 1)

    assert (len(plan), list(plan.batches())) == (0, [])
    assert plan.left_out["too_little_history"] == 100


@pytest.mark.parametrize(("horizon", "stride"), [(12, 3), (1, 1), (3, 1), (288, 72)])
def test_the_usual_stride_is_a_quarter_of_the_horizon(horizon: int, stride: int) -> None:
    assert terms(horizon).usual_stride == stride


def test_symbols_share_the_times_of_their_rows() -> None:
    shifted = {"A": candles(list(range(600))), "B": candles(list(range(1, 602)))}

    plan = plan_of(shifted, terms(), 5)

    shared = set(plan.places["A"].times.tolist()) & set(plan.places["B"].times.tolist())
    assert len(shared) >= len(plan.places["A"].ends) - 1


def test_batches_go_forward_in_time_and_hold_every_row_once() -> None:
    plan = plan_of({"B": candles(list(range(560))), "A": candles(list(range(20, 580)))}, terms(), 1)

    batches = list(plan.batches(7))

    told = [(int(time), symbol) for batch in batches for symbol, part in batch.items() for time in part.times]
    expected = [(int(time), symbol) for symbol, one in plan.places.items() for time in one.times]
    assert sorted(told) == sorted(expected)
    spans = [(min(min(part.times) for part in one.values()), max(max(part.times) for part in one.values()))
             for one in batches]  # fmt: skip
    assert all(last <= first for (_, last), (first, _) in pairwise(spans))
    assert {sum(len(part.ends) for part in one.values()) for one in batches[:-1]} == {7}


def test_the_span_is_the_first_and_the_last_decision() -> None:
    plan = plan_of({"A": candles(list(range(560))), "B": candles(list(range(10)))}, terms(), 1)
    times = plan.places["A"].times

    assert tuple(map(to_ms, plan.span)) == (times[0], times[-1])
    assert isinstance(plan, Plan)
