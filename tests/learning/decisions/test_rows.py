"""The rows that train: the window, what is counted beside it, the projection onto the names in force."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from backend.clock import to_ms
from backend.learning.decisions.rows import TrainingRead, read_training_rows
from backend.learning.decisions.strategies import admit_schema, new_strategy
from backend.models import AITrainingSample


def read(bench: Any, **terms: Any) -> TrainingRead:
    def query(session: Session) -> TrainingRead:
        return read_training_rows(session, bench.begin(session), **{"window_days": 30} | terms)

    return bench.database.read(query)


def change(bench: Any, decision_id: str, **values: Any) -> None:
    row = AITrainingSample
    bench.database.write(
        lambda session: session.execute(update(row).where(row.decision_id == decision_id).values(**values))
    )


def admit(bench: Any, *names: str) -> None:
    bench.database.write(lambda session: admit_schema(session, bench.begin(session), names, bench.now, "admin"))


def series(bench: Any, minutes: Any, count: int, step: float = 60) -> None:
    """Decisions each of which is settled by the next; the last is pending."""
    for number in range(count):
        features = np.array([number, -number], dtype=np.float32)
        bench.decide(f"d{number}", minutes(number * step), price=100.0 + number, features=features)


def test_rows_come_with_their_features_times_and_returns(bench: Any, minutes: Any) -> None:
    series(bench, minutes, 3)

    found = read(bench)
    rows = found.rows
    order = np.argsort(rows.times)

    assert (found.samples_count, found.outcomes_pending) == (2, 1)
    assert [rows.decision_ids[i] for i in order] == ["d0", "d1"]
    assert rows.feature_names == ("alpha", "beta")
    assert rows.X.dtype == np.float32
    assert rows.X[order].tolist() == [[0.0, 0.0], [1.0, -1.0]]
    assert rows.times[order].tolist() == [to_ms(minutes(0)), to_ms(minutes(60))]
    assert rows.forward_returns[order] == pytest.approx([1 / 100, 1 / 101])
    assert set(rows.label_sources) == {"counterfactual"}
    assert rows.symbols == ("BTCUSDC", "BTCUSDC")


def test_an_end_is_when_everything_the_row_says_had_happened(bench: Any, minutes: Any) -> None:
    bench.decide("quick")
    bench.execute("quick", entry_time=minutes(0))
    bench.leave("quick", exit_time=minutes(10))
    bench.decide("slow", symbol="ETHUSDC")
    bench.execute("slow", entry_time=minutes(0))
    bench.leave("slow", exit_time=minutes(500))
    bench.decide("late", symbol="SOLUSDC")
    bench.decide("price", minutes(63), symbol="SOLUSDC")

    rows = read(bench).rows

    ends = dict(zip(rows.decision_ids, rows.ends.tolist(), strict=True))
    assert ends == {"quick": to_ms(minutes(60)), "slow": to_ms(minutes(500)), "late": to_ms(minutes(63))}


def test_a_trade_without_a_price_at_its_horizon_has_only_its_market_return(bench: Any) -> None:
    bench.decide()
    bench.execute()
    bench.leave(exit_price=110.0)

    rows = read(bench).rows

    assert np.isnan(rows.forward_returns[0])
    assert rows.market_returns[0] == pytest.approx(0.1)


def test_the_window_counts_back_from_the_newest_known_outcome_not_from_today(bench: Any, minutes: Any) -> None:
    day = 24 * 60
    for number in range(4):
        at = minutes(-100 * day + number * day)
        bench.decide(f"d{number}", at)
        bench.decide(f"p{number}", at + timedelta(minutes=60))

    found = read(bench, window_days=1)

    assert (found.since, found.until) == (minutes(-98 * day), minutes(-97 * day))
    assert sorted(found.rows.decision_ids) == ["d2", "d3"]
    assert found.outcomes_pending == 2, "those of the window"


def test_open_trades_are_pending_and_unobservable_rows_are_not(bench: Any, minutes: Any) -> None:
    for number, state in enumerate(("pending", "open", "unobservable")):
        bench.decide(f"d{number}", minutes(number), symbol=f"COIN{number}")
        change(bench, f"d{number}", state=state)

    assert (read(bench).outcomes_pending, read(bench).outcomes_unobservable) == (2, 1)


def test_quarantined_rows_are_counted_by_reason_and_left_out(bench: Any, minutes: Any) -> None:
    series(bench, minutes, 4)
    change(bench, "d1", quarantine_reason="return_out_of_bounds")

    found = read(bench)

    assert found.quarantined == {"return_out_of_bounds": 1}
    assert found.samples_count == 3
    assert sorted(found.rows.decision_ids) == ["d0", "d2"]


def test_a_row_in_quarantine_does_not_move_the_window(bench: Any, minutes: Any) -> None:
    series(bench, minutes, 4)
    change(bench, "d2", quarantine_reason="return_out_of_bounds", timestamp=minutes(60 * 24 * 365))

    assert sorted(read(bench).rows.decision_ids) == ["d0", "d1"]


def test_synthetic_rows_count_for_nothing_unless_asked_for(bench: Any, minutes: Any) -> None:
    series(bench, minutes, 3)
    change(bench, "d1", origin="synthetic", label_source="synthetic")

    assert (read(bench).samples_count, read(bench).until) == (1, minutes(0))
    assert sorted(read(bench, include_synthetic=True).rows.label_sources) == ["counterfactual", "synthetic"]


def test_rows_of_an_older_schema_that_hold_all_names_are_projected(bench: Any, minutes: Any) -> None:
    wide = {"feature_names": ("alpha", "beta", "gamma"), "features": np.array([1, 2, 3], dtype=np.float32)}
    bench.decide("wide", minutes(0), **wide)
    bench.database.write(
        lambda session: admit_schema(session, bench.begin(session), ["gamma", "alpha"], bench.now, "a")
    )
    narrow = {"feature_names": ("alpha", "gamma"), "features": np.array([7, 9], dtype=np.float32)}
    bench.decide("narrow", minutes(60), **narrow)
    bench.decide("last", minutes(120), **narrow)

    found = read(bench)

    by_id = dict(zip(found.rows.decision_ids, found.rows.X.tolist(), strict=True))
    assert by_id == {"wide": [1.0, 3.0], "narrow": [7.0, 9.0]}
    assert found.other_schema == 0


def test_rows_that_lack_a_name_in_force_are_left_out_and_counted(bench: Any, minutes: Any) -> None:
    series(bench, minutes, 3)
    admit(bench, "alpha", "new")

    found = read(bench)

    assert (len(found.rows), found.other_schema, found.samples_count) == (0, 2, 2)
    assert found.rows.X.shape == (0, 2)


def test_a_strategy_without_rows_reads_as_empty(bench: Any, settings: Any) -> None:
    strategy = new_strategy("none", market="external", settings=settings)

    found = bench.database.read(read_training_rows, strategy, window_days=30)

    assert (len(found.rows), found.samples_count, found.outcomes_pending, found.until) == (0, 0, 0, None)


def test_other_strategies_are_not_read(bench: Any, minutes: Any) -> None:
    series(bench, minutes, 3)
    bench.strategy = "other"
    series(bench, minutes, 2)

    assert read(bench).samples_count == 1
