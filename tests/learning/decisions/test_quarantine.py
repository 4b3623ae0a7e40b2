"""What a person says of rows that are kept out of training, and what that moves."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select

from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.learning.decisions.known_prices import rows_held
from backend.learning.decisions.quarantine import QuarantineFilter, Ruling, list_quarantine, rule_on
from backend.learning.decisions.rows import read_training_rows
from backend.models import AuditEntry
from tests.learning.decisions.conftest import T0, VERSION

BOUNDS = "return_out_of_bounds"


def rule(bench: Any, decision: str, sample_id: int, strategy: str | None = None) -> dict[str, Any]:
    ruling = Ruling(sample_id, decision, "looked at it", "admin", strategy)
    told: dict[str, Any] = bench.database.write(rule_on, ruling, now=bench.now, cost=bench.settings.cost)
    return told["sample"]


def listed(bench: Any, **chosen: Any) -> list[str]:
    found, _ = bench.database.read(list_quarantine, QuarantineFilter(bench.strategy, **chosen))
    return [one["decision_id"] for one in found]


def trained_on(bench: Any) -> Any:
    return bench.database.read(lambda session: read_training_rows(session, bench.begin(session), window_days=30))


@pytest.fixture
def held(bench: Any) -> int:
    """A forecast of the version that is held because the price at its horizon is a thousand times too high."""
    bench.add_version()
    sample_id: int = bench.forecast("d1", 0.01)
    bench.decide("d2", T0 + timedelta(minutes=64), price=100_000.0)
    assert bench.sample().quarantine_reason == BOUNDS
    return sample_id


def test_a_released_row_trains_and_counts_again(bench: Any, held: int) -> None:
    assert trained_on(bench).quarantined == {BOUNDS: 1}
    assert bench.counters(VERSION)["matured_predictions"] == 0

    told = rule(bench, "released", held)

    assert (told["quarantine_reason"], told["quarantine_decision"], told["held_for"]) == (None, "released", BOUNDS)
    assert trained_on(bench).quarantined == {}
    assert held in trained_on(bench).ids
    assert bench.counters(VERSION)["matured_predictions"] == 1


def test_the_rule_that_was_overruled_never_holds_the_row_again(bench: Any, held: int) -> None:
    rule(bench, "released", held)

    bench.decide("d3", T0 + timedelta(minutes=62), price=50_000.0)

    sample = bench.sample()
    assert (sample.forward_return, sample.quarantine_reason) == (pytest.approx(499.0), None)


def test_another_rule_may_hold_a_released_row_and_both_are_overruled_one_by_one(bench: Any, held: int) -> None:
    rule(bench, "released", held)
    entered = {"side": "BUY", "entry_price": 100.0, "quantity": 1.0, "entry_time": T0}
    bench.tell("d1", exit_price=101.0, **entered)
    assert bench.sample().quarantine_reason is None
    for number in range(9):
        bench.decide(f"more{number}", price=None)
        bench.tell(f"more{number}", exit_price=101.0, **entered)
    assert bench.sample().quarantine_reason == "alike_returns"
    assert bench.sample().quarantine_decision is None

    rule(bench, "released", held)

    assert bench.sample().released_reasons == f"{BOUNDS} alike_returns"
    bench.tell("d1", exit_price=101.0, **entered)
    assert bench.sample().quarantine_reason is None


def test_a_released_row_of_a_burst_is_still_one_of_a_burst(bench: Any, held: int) -> None:
    entered = {"side": "BUY", "entry_price": 100.0, "quantity": 1.0, "entry_time": T0}
    bench.tell("d1", exit_price=101.0, **entered)
    for number in range(9):
        bench.decide(f"more{number}", price=None)
        bench.tell(f"more{number}", exit_price=101.0, **entered)
    assert bench.sample().quarantine_reason == BOUNDS

    told = rule(bench, "released", held)

    assert (told["quarantine_reason"], bench.sample().released_reasons) == ("alike_returns", BOUNDS)
    assert bench.counters(VERSION)["matured_predictions"] == 1, "its forecast counts on"


def test_a_dropped_row_stays_out_whatever_becomes_of_its_prices(bench: Any, held: int) -> None:
    rule(bench, "dropped", held)

    bench.decide("d3", T0 + timedelta(minutes=61), price=101.0)

    sample = bench.sample()
    assert (sample.forward_return, sample.quarantine_decision) == (pytest.approx(0.01), "dropped")
    assert bench.counters(VERSION)["matured_predictions"] == 0
    assert trained_on(bench).quarantined == {"dropped": 1}
    assert held not in trained_on(bench).ids


@pytest.mark.parametrize(("ruled", "decision"), [(None, None), ("dropped", "dropped")])
def test_a_price_of_the_forecast_goes_before_one_of_the_trade(
    bench: Any, ruled: str | None, decision: str | None
) -> None:
    bench.add_version()
    sample_id = bench.forecast("d1", 0.01)
    bench.execute()
    assert bench.leave(exit_price=1_000.0).quarantine_reason == "trade_out_of_bounds"
    if ruled is not None:
        rule(bench, ruled, sample_id)

    bench.decide("d2", T0 + timedelta(minutes=62), price=50_000.0)

    assert (bench.sample().quarantine_reason, bench.sample().quarantine_decision) == (BOUNDS, decision)
    assert bench.counters(VERSION)["matured_predictions"] == 0
    if ruled is None:
        bench.decide("d3", T0 + timedelta(minutes=61), price=101.0)
        assert bench.sample().quarantine_reason == "trade_out_of_bounds", "the trade is no better for that"
        assert bench.counters(VERSION)["matured_predictions"] == 1


def test_a_dropped_loss_stays_in_the_books(bench: Any, held: int) -> None:
    bench.tell("d1", side="SELL", entry_price=100.0, quantity=1.0, entry_time=T0, exit_price=140.0)
    rule(bench, "dropped", held)

    assert bench.counters(VERSION)["total_pnl"] == pytest.approx(-40.0)
    assert bench.counters(VERSION)["total_trades"] == 1


def test_said_again_nothing_changes_and_nothing_is_written_down(bench: Any, held: int) -> None:
    first = rule(bench, "dropped", held)

    assert rule(bench, "dropped", held) == first
    rule(bench, "released", held)
    assert rule(bench, "released", held)["quarantine_decision"] == "released"

    query = select(AuditEntry).where(AuditEntry.subject == str(held)).order_by(AuditEntry.id)
    kept = bench.database.read(lambda session: session.scalars(query).all())
    assert [(one.action, one.actor, one.reason) for one in kept] == [
        ("sample_dropped", "admin", "looked at it"),
        ("sample_released", "admin", "looked at it"),
    ]
    assert kept[0].detail == {"decision_id": "d1", "symbol": "BTCUSDC", "held_for": BOUNDS}


def test_a_released_row_may_be_dropped_and_released_again(bench: Any, held: int) -> None:
    rule(bench, "released", held)
    dropped = rule(bench, "dropped", held)
    assert (dropped["quarantine_reason"], dropped["held_for"]) == (BOUNDS, BOUNDS)
    assert bench.counters(VERSION)["matured_predictions"] == 0

    rule(bench, "released", held)

    assert bench.sample().released_reasons == BOUNDS
    assert bench.counters(VERSION)["matured_predictions"] == 1


def test_what_is_not_kept_out_cannot_be_ruled_on(bench: Any, held: int) -> None:
    plain = bench.decide("plain", T0 + timedelta(minutes=10))

    with pytest.raises(ConflictError, match="trains as any other") as refused:
        rule(bench, "dropped", plain)

    assert refused.value.reason == "not_quarantined"
    with pytest.raises(NotFoundError):
        rule(bench, "dropped", 10**9)
    with pytest.raises(NotFoundError):
        rule(bench, "dropped", held, strategy="another")


def test_lists_show_what_waits_and_the_rest_when_asked(bench: Any) -> None:
    for minute in range(3):
        bench.decide(f"d{minute}", T0 + timedelta(minutes=minute))
    bench.decide("late", T0 + timedelta(minutes=63), price=100_000.0)
    assert listed(bench) == ["d2", "d1", "d0"]

    rule(bench, "dropped", bench.sample("d2").id)
    rule(bench, "released", bench.sample("d1").id)

    assert listed(bench) == ["d0"]
    assert listed(bench, state="dropped") == ["d2"]
    assert listed(bench, state="released") == ["d1"]
    assert listed(bench, state="all") == ["d2", "d1", "d0"]
    assert listed(bench, state="all", reason=BOUNDS) == ["d2", "d1", "d0"]
    assert listed(bench, state="all", reason="alike_returns") == []


def test_pages_follow_each_other(bench: Any) -> None:
    for minute in range(3):
        bench.decide(f"d{minute}", T0 + timedelta(minutes=minute))
    bench.decide("late", T0 + timedelta(minutes=63), price=100_000.0)

    first, cursor = bench.database.read(list_quarantine, QuarantineFilter("bot", limit=2))
    rest, last = bench.database.read(list_quarantine, QuarantineFilter("bot", limit=2, cursor=cursor))

    assert [one["decision_id"] for one in [*first, *rest]] == ["d2", "d1", "d0"]
    assert last is None


@pytest.mark.parametrize("chosen", [{"state": "gone"}, {"reason": "because"}])
def test_a_filter_that_is_none_is_refused_by_its_name(bench: Any, chosen: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(chosen))):
        listed(bench, **chosen)


def test_each_reason_is_explained_in_the_rows_own_figures(bench: Any, held: int) -> None:
    told, _ = bench.database.read(list_quarantine, QuarantineFilter("bot"))

    assert "forward_return 999" in told[0]["explanation"]
    assert "release it if they are right" in told[0]["explanation"]
    assert told[0]["id"] == held


@pytest.mark.parametrize("state", ["held", "released", "dropped", "all"])
def test_a_list_is_found_by_its_own_index(bench: Any, state: str) -> None:
    said: list[tuple[str, Any]] = []
    event.listen(bench.database.engine, "before_cursor_execute", lambda *told: said.append((told[2], told[3])))
    listed(bench, state=state)
    (statement, values) = next(one for one in said if "quarantine" in one[0])

    plan = bench.database.read(
        lambda session: session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    )

    assert "ix_ai_training_samples_quarantine" in str(plan)
    assert "SCAN" not in str(plan)
    assert "strategy_timestamp" not in str(plan)


def test_rows_that_wait_for_a_candle_are_found_by_the_index_too(bench: Any) -> None:
    said: list[tuple[str, Any]] = []
    event.listen(bench.database.engine, "before_cursor_execute", lambda *told: said.append((told[2], told[3])))
    bench.database.write(lambda session: rows_held(session, bench.begin(session), T0))
    (statement, values) = next(one for one in said if "quarantine_reason IN" in one[0])

    plan = bench.database.read(
        lambda session: session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    )

    assert "ix_ai_training_samples_quarantined" in plan[0][3]
