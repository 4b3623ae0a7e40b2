"""Entry and exit fills, and the outcome they add up to."""

from datetime import timedelta
from typing import Any

import pytest

from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.models import TradeLog


def refusal(error: type[Any], call: Any, **told: Any) -> Any:
    """The error a call is refused with."""
    with pytest.raises(error) as caught:
        call(**told)
    return caught.value


def test_the_user_documents_trade_reads_back_as_printed(bench: Any) -> None:
    bench.decide()

    bench.execute(entry_price=45_000.0, quantity=0.1)
    sample = bench.leave(exit_price=45_500.0)

    assert round(sample.target_label, 4) == 0.0111
    assert sample.realized_pnl == 50.0
    assert sample.target_class == "WIN"
    assert sample.label_source == "executed"
    assert sample.state == "closed"
    assert (sample.fees, sample.fees_known) == (0.0, False)


def test_a_short_earns_when_the_market_falls(bench: Any) -> None:
    bench.decide(action="SELL")

    bench.execute(side="SELL", quantity=2.0, fees=0.1)
    sample = bench.leave(exit_price=90.0, fees=0.4)

    assert sample.market_return == pytest.approx(-0.1)
    assert sample.realized_pnl == pytest.approx(2.0 * 10.0 - 0.4)
    assert sample.target_label == pytest.approx(0.1 - 0.4 / 200.0)


def test_a_side_other_than_the_decision_is_recorded_as_traded(bench: Any) -> None:
    bench.decide(action="HOLD")

    bench.execute(side="SELL")
    sample = bench.leave(exit_price=90.0)

    assert (sample.predicted_action, sample.execution_side, sample.target_class) == ("HOLD", "SELL", "WIN")


def test_an_outcome_moves_the_counters_of_the_version_that_decided(bench: Any) -> None:
    bench.add_version()
    bench.forecast("d1", 0.01)

    bench.execute()
    bench.leave(exit_price=110.0)

    assert bench.counters() == {
        "total_predictions": 1,
        "matured_predictions": 0,
        "neutral_predictions": 0,
        "correct_predictions": 0,
        "live_accuracy": None,
        "total_trades": 1,
        "total_pnl": pytest.approx(10.0),
    }


def test_a_closed_trade_is_logged_once(bench: Any) -> None:
    bench.decide()
    bench.execute()

    bench.leave(exit_reason="target")
    bench.leave(exit_reason="target")

    logs = bench.database.read(lambda session: [(log.side, log.exit_reason) for log in session.query(TradeLog)])
    assert logs == [("BUY", "target")]


def test_entry_fills_add_up_to_a_volume_weighted_price_and_summed_fees(bench: Any, minutes: Any) -> None:
    bench.decide()

    bench.execute(fill_id="a", entry_price=100.0, quantity=1.0, fees=0.1, entry_time=minutes(2))
    sample = bench.execute(fill_id="b", entry_price=104.0, quantity=3.0, fees=0.2, entry_time=minutes(1))

    assert sample.entry_price == pytest.approx(103.0)
    assert (sample.quantity, sample.fees, sample.fees_known) == (4.0, pytest.approx(0.3), True)
    assert sample.entry_time == minutes(1)
    assert sample.state == "open"


@pytest.mark.parametrize("fill_id", [None, "a"])
def test_the_same_fill_again_changes_nothing_not_even_after_the_end(bench: Any, fill_id: str | None) -> None:
    bench.decide()
    first = bench.execute(fill_id=fill_id)

    again = bench.execute(fill_id=fill_id)
    bench.leave()
    late = bench.execute(fill_id=fill_id)

    assert (again.quantity, again.entry_price) == (first.quantity, first.entry_price)
    assert (late.state, late.quantity) == ("closed", first.quantity)


def test_a_second_different_fill_without_an_id_is_refused(bench: Any) -> None:
    bench.decide()
    bench.execute()

    assert refusal(ConflictError, bench.execute, quantity=2.0).reason == "fill_conflict"
    assert bench.sample().quantity == 1.0


def test_a_fill_id_with_other_content_is_refused(bench: Any) -> None:
    bench.decide()
    bench.execute(fill_id="a")

    assert refusal(ConflictError, bench.execute, fill_id="a", entry_price=101.0).reason == "fill_conflict"


def test_a_fill_with_an_id_adds_to_one_without(bench: Any) -> None:
    bench.decide()
    bench.execute(quantity=1.0)

    assert bench.execute(fill_id="b", quantity=2.0).quantity == 3.0


def test_a_fill_cannot_turn_the_side(bench: Any) -> None:
    bench.decide()
    bench.execute(fill_id="a")

    assert refusal(ConflictError, bench.execute, fill_id="b", side="SELL").reason == "side_conflict"


def test_nothing_enters_after_the_exit_has_begun_or_ended(bench: Any) -> None:
    bench.decide()
    bench.execute(fill_id="a")

    bench.leave(quantity=0.5, fill_id="x")
    assert refusal(ConflictError, bench.execute, fill_id="b").reason == "already_leaving"

    bench.leave(fill_id="y")
    assert refusal(ConflictError, bench.execute, fill_id="b").reason == "already_closed"


def test_partial_exits_add_up_to_a_volume_weighted_price(bench: Any, minutes: Any) -> None:
    bench.decide()
    bench.execute(quantity=4.0, fees=9.0)

    half = bench.leave(quantity=1.0, exit_price=110.0, fees=0.5, fill_id="x", exit_time=minutes(10))
    assert (half.state, half.outcome_known, half.exit_price) == ("open", False, None)
    whole = bench.leave(quantity=3.0, exit_price=106.0, fees=0.7, fill_id="y", exit_time=minutes(30))

    assert whole.state == "closed"
    assert whole.exit_price == pytest.approx(107.0)
    assert whole.exit_time == minutes(30)
    assert whole.fees == pytest.approx(1.2), "fees told at the exit are both legs and replace those of the entry"
    assert whole.realized_pnl == pytest.approx(4.0 * 7.0 - 1.2)


def test_the_fees_of_the_entry_stand_where_the_exit_tells_none(bench: Any) -> None:
    bench.decide()
    bench.execute(fees=0.5)

    sample = bench.leave(exit_price=110.0)

    assert (sample.fees, sample.fees_known) == (0.5, True)
    assert sample.realized_pnl == pytest.approx(9.5)


def test_final_closes_what_has_not_all_left_at_what_has(bench: Any) -> None:
    bench.decide()
    bench.execute(quantity=1.0)

    sample = bench.leave(quantity=0.4, exit_price=110.0, final=True)

    assert sample.state == "closed"
    assert (sample.quantity, sample.realized_pnl) == (0.4, pytest.approx(4.0))


def test_dust_of_rounding_counts_as_left(bench: Any) -> None:
    bench.decide()
    bench.execute(quantity=0.3)

    bench.leave(quantity=0.1, fill_id="x")
    bench.leave(quantity=0.1, fill_id="y")

    assert bench.leave(quantity=0.1, fill_id="z").state == "closed"


def test_more_than_was_entered_cannot_leave(bench: Any) -> None:
    bench.decide()
    bench.execute(quantity=1.0)
    bench.leave(quantity=0.7, fill_id="x")

    error = refusal(ConflictError, bench.leave, quantity=0.4, fill_id="y")

    assert error.reason == "quantity_exceeds_entry"
    assert error.extra["remaining"] == pytest.approx(0.3)
    assert bench.sample().state == "open"


def test_the_same_outcome_again_is_the_same_answer_and_counts_once(bench: Any) -> None:
    bench.add_version()
    bench.forecast("d1", 0.01)
    bench.execute()

    first, again = bench.leave(exit_price=105.0), bench.leave(exit_price=105.0)

    assert again.realized_pnl == first.realized_pnl
    assert bench.counters()["total_trades"] == 1


@pytest.mark.parametrize("told", [{"exit_price": 111.0}, {"exit_price": 111.0, "fill_id": "late"}])
def test_another_outcome_of_a_closed_decision_is_a_contradiction(bench: Any, told: dict[str, Any]) -> None:
    bench.decide()
    bench.execute()
    bench.leave()

    assert refusal(ConflictError, bench.leave, **told).reason == "outcome_conflict"
    assert bench.sample().exit_price == 110.0


def test_an_outcome_of_what_was_never_executed_is_refused(bench: Any) -> None:
    bench.decide()

    assert refusal(ConflictError, bench.leave).reason == "not_executed"
    assert refusal(ConflictError, bench.leave, side="BUY", entry_price=100.0).reason == "not_executed"
    assert bench.sample().state == "pending"


def test_an_outcome_may_bring_the_entry_with_it(bench: Any, minutes: Any) -> None:
    bench.decide()

    sample = bench.leave(side="BUY", entry_price=100.0, quantity=2.0, exit_price=101.0, fees=0.1)

    assert (sample.executed, sample.state, sample.quantity) == (True, "closed", 2.0)
    assert sample.entry_time == minutes(0)
    assert sample.realized_pnl == pytest.approx(1.9)


def test_an_entry_told_again_with_the_outcome_must_be_the_stored_one(bench: Any) -> None:
    bench.decide()
    bench.execute(entry_price=100.0)

    assert refusal(ConflictError, bench.leave, side="SELL").reason == "entry_conflict"
    assert refusal(ConflictError, bench.leave, entry_price=90.0).reason == "entry_conflict"
    assert bench.leave(side="BUY", entry_price=100.0).state == "closed"


def test_an_exit_before_the_entry_is_refused(bench: Any, minutes: Any) -> None:
    bench.decide()
    bench.execute(entry_time=minutes(10))

    assert refusal(InvalidInputError, bench.leave, exit_time=minutes(9)).extra["field"] == "exit_time"
    assert bench.leave(exit_time=minutes(10)).state == "closed"


def test_an_entry_time_that_nobody_told_gives_way_to_the_exit(bench: Any, minutes: Any) -> None:
    bench.decide()
    assert bench.execute(entry_time=None).entry_time == bench.now

    assert refusal(InvalidInputError, bench.leave, exit_time=minutes(-1)).extra["field"] == "exit_time"
    sample = bench.leave(exit_time=minutes(20))

    assert (sample.entry_time, sample.exit_time) == (minutes(0), minutes(20))


def test_times_that_nobody_tells_are_now(bench: Any) -> None:
    bench.decide()

    bench.execute(entry_time=None)
    sample = bench.leave(exit_time=None)

    assert (sample.entry_time, sample.exit_time) == (bench.now, bench.now)


@pytest.mark.parametrize("field", ["entry_price", "quantity"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_an_execution_needs_positive_finite_figures(bench: Any, field: str, value: float) -> None:
    bench.decide()

    assert refusal(InvalidInputError, bench.execute, **{field: value}).extra["field"] == field


@pytest.mark.parametrize(
    "told", [{"exit_price": 0.0}, {"quantity": -1.0}, {"fees": float("nan")}, {"realized_pnl": float("inf")}]
)
def test_an_outcome_needs_sound_figures(bench: Any, told: dict[str, float]) -> None:
    bench.decide()
    bench.execute()

    assert refusal(InvalidInputError, bench.leave, **told).extra["field"] in told


def test_times_more_than_a_minute_ahead_are_refused(bench: Any) -> None:
    bench.decide()
    bench.execute(entry_time=bench.now + timedelta(seconds=60))

    error = refusal(InvalidInputError, bench.leave, exit_time=bench.now + timedelta(seconds=61))

    assert error.extra["field"] == "exit_time"


def test_unknown_names_are_404_with_the_nearest(bench: Any) -> None:
    bench.decide()

    assert refusal(NotFoundError, bench.execute, decision_id="d2").reason == "unknown_decision"
    bench.strategy = "bott"
    error = refusal(NotFoundError, bench.execute)

    assert (error.reason, error.extra["nearest"]) == ("unknown_strategy", "bot")


@pytest.mark.parametrize(("reported", "warned"), [(50.0, False), (50.004, False), (49.0, True), (-50.0, True)])
def test_a_reported_pnl_is_kept_and_a_difference_is_a_warning(bench: Any, reported: float, warned: bool) -> None:
    bench.decide()
    bench.execute(entry_price=45_000.0, quantity=0.1)

    sample = bench.leave(exit_price=45_500.0, realized_pnl=reported)

    assert (sample.realized_pnl, sample.reported_pnl) == (50.0, reported)
    assert (sample.warning is not None) is warned


def test_a_long_only_strategy_takes_no_short(bench: Any) -> None:
    bench.decide(action="SELL")
    bench.database.write(lambda session: setattr(bench.begin(session), "sides", "long"))

    error = refusal(ConflictError, bench.execute, side="SELL")

    assert error.reason == "long_only"
    assert bench.sample().executed is False
    assert bench.execute(side="BUY").state == "open"


def test_an_implausible_outcome_is_quarantined_and_counts_for_nothing(bench: Any) -> None:
    bench.add_version()
    bench.forecast("d1", 0.01)
    bench.execute()

    sample = bench.leave(exit_price=1_000.0)

    assert sample.quarantine_reason == "return_out_of_bounds"
    assert bench.counters()["total_trades"] == 0


def test_a_late_execution_takes_the_counterfactual_outcome_back(bench: Any, minutes: Any) -> None:
    bench.add_version()
    bench.forecast("d1", 0.01)
    bench.decide("d2", minutes(60), price=102.0)
    assert bench.sample().label_source == "counterfactual"
    settled = bench.counters()

    sample = bench.execute()

    assert (sample.state, sample.outcome_known, sample.label_source) == ("open", False, None)
    assert (sample.market_return, sample.target_label, sample.target_class) == (None, None, None)
    assert sample.forward_return == pytest.approx(0.02)
    assert bench.counters() == settled

    closed = bench.leave(exit_price=99.0)
    assert (closed.label_source, closed.market_return) == ("executed", pytest.approx(-0.01))
    assert closed.forward_return == pytest.approx(0.02)
    assert bench.counters()["correct_predictions"] == 1
    assert bench.counters()["total_pnl"] == pytest.approx(-1.0)
