"""Entry and exit fills, and the outcome they add up to."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.learning.evidence.status import status
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
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


def test_a_late_entry_fill_counts_while_the_decision_is_open(bench: Any, minutes: Any) -> None:
    bench.decide()
    bench.execute(fill_id="a", entry_price=100.0, quantity=1.0)
    bench.leave(quantity=0.75, exit_price=110.0, fill_id="x", exit_time=minutes(10))

    late = bench.execute(fill_id="b", entry_price=104.0, quantity=3.0, entry_time=minutes(1))
    assert (late.state, late.quantity, late.entry_price) == ("open", 4.0, pytest.approx(103.0))
    assert late.entry_time == minutes(0)

    error = refusal(ConflictError, bench.leave, quantity=3.5, fill_id="y")
    assert (error.reason, error.extra["remaining"]) == ("quantity_exceeds_entry", 3.25)
    sample = bench.leave(exit_price=102.0, fill_id="y")

    assert sample.state == "closed"
    assert sample.exit_price == pytest.approx((0.75 * 110 + 3.25 * 102) / 4)
    assert sample.realized_pnl == pytest.approx(0.75 * 110 + 3.25 * 102 - 100 - 3 * 104)
    assert refusal(ConflictError, bench.execute, fill_id="c").reason == "already_closed"


def test_an_entry_time_that_gave_way_stays_when_a_late_fill_arrives(bench: Any, minutes: Any) -> None:
    bench.decide()
    bench.execute(fill_id="a", entry_time=None)
    bench.leave(quantity=0.5, fill_id="x", exit_time=minutes(10))

    assert bench.execute(fill_id="b", entry_time=minutes(5)).entry_time == minutes(0)


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


@pytest.mark.parametrize(
    ("entries", "exits", "fees", "known"),
    [
        ([0.3, 0.5], [None, None], 0.8, True),
        ([0.3, None], [None, None], 0.3, False),
        ([None, None], [None, None], 0.0, False),
        ([0.3, 0.5], [0.1, 0.7], 0.8, True),
        ([None, None], [0.0, 0.7], 0.7, True),
        ([0.3, 0.5], [0.1, None], 0.1 + 0.75 * 0.8, False),
        ([0.3, 0.5], [None, 0.7], 0.25 * 0.8 + 0.7, False),
        ([None, None], [0.1, None], 0.1, False),
    ],
)
def test_fees_are_known_where_nobody_left_any_out(
    bench: Any, entries: list[float | None], exits: list[float | None], fees: float, known: bool
) -> None:
    """A part that leaves without telling fees carries its share of the entry's."""
    bench.decide()
    bench.execute(fill_id="a", quantity=3.0, fees=entries[0])
    bench.execute(fill_id="b", quantity=1.0, fees=entries[1])

    bench.leave(fill_id="x", quantity=1.0, fees=exits[0])
    sample = bench.leave(fill_id="y", quantity=3.0, fees=exits[1])

    assert (sample.fees, sample.fees_known) == (pytest.approx(fees), known)
    assert sample.realized_pnl == pytest.approx(40.0 - fees)
    assert sample.target_label == pytest.approx(0.1 - fees / 400.0)


@pytest.mark.parametrize(("told", "fees"), [(None, 0.2), (0.3, 0.3)])
def test_a_final_part_carries_its_share_of_the_entry_fees(bench: Any, told: float | None, fees: float) -> None:
    bench.decide()
    bench.execute(quantity=1.0, fees=0.5)

    sample = bench.leave(quantity=0.4, exit_price=110.0, final=True, fees=told)

    assert (sample.fees, sample.fees_known) == (pytest.approx(fees), True)
    assert sample.realized_pnl == pytest.approx(4.0 - fees)


def test_while_a_trade_is_open_its_fees_are_known_once_every_fill_told_them(bench: Any) -> None:
    bench.decide()

    assert bench.execute(fill_id="a", fees=0.5).fees_known is True
    assert bench.execute(fill_id="b").fees_known is False


def test_the_order_in_which_fills_arrive_changes_no_digit(bench: Any, minutes: Any) -> None:
    fills = [(100.1, 0.1, 0.7), (100.2, 0.3, 0.1), (100.7, 0.7, 0.2), (99.3, 1.3, 0.3)]
    told = set()
    for number, order in enumerate(permutations(fills)):
        name = f"d{number}"
        bench.decide(name)
        for price, quantity, fees in order:
            bench.execute(name, fill_id=f"{price}", entry_price=price, quantity=quantity, fees=fees)
        for price, quantity, fees in reversed(order):
            sample = bench.leave(name, fill_id=f"{price}", exit_price=price + 1, quantity=quantity, fees=fees)
        assert sample.state == "closed"
        told.add((sample.entry_price, sample.exit_price, sample.quantity, sample.fees, sample.target_label))

    assert len(told) == 1


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

    sample = bench.leave(exit_time=minutes(20))

    assert (sample.entry_time, sample.exit_time) == (minutes(0), minutes(20))
    assert sample.warning is None


@pytest.mark.parametrize(("seconds", "warned"), [(-61, True), (-60, False), (0, False)])
def test_an_entry_well_before_its_decision_is_kept_with_a_warning(
    bench: Any, minutes: Any, seconds: float, warned: bool
) -> None:
    bench.decide()

    sample = bench.execute(entry_time=minutes(seconds / 60))

    assert (sample.entry_time, sample.state) == (minutes(seconds / 60), "open")
    assert (sample.warning is not None) is warned
    assert not warned or "entry_time" in sample.warning


@pytest.mark.parametrize(
    ("said", "side", "warned"), [("BUY", "SELL", True), ("HOLD", "SELL", True), ("BUY", "BUY", False)]
)
def test_a_trade_against_its_decision_is_kept_with_a_warning(bench: Any, said: str, side: str, warned: bool) -> None:
    bench.decide(action=said)

    sample = bench.execute(side=side, entry_time=None)

    assert (sample.execution_side, sample.predicted_action) == (side, said)
    assert (sample.warning is not None) is warned
    assert not warned or f"The decision said {said}, and it was executed with {side}" in sample.warning


@pytest.mark.parametrize("with_entry", [False, True])
def test_an_exit_before_its_decision_is_kept_with_a_warning(bench: Any, minutes: Any, with_entry: bool) -> None:
    bench.decide()
    entry = {"side": "BUY", "entry_price": 100.0, "quantity": 1.0} if with_entry else {}
    if not with_entry:
        bench.execute(entry_time=None)

    sample = bench.leave(exit_time=minutes(-0.5), **entry)

    assert (sample.entry_time, sample.exit_time, sample.state) == (minutes(-0.5), minutes(-0.5), "closed")
    assert "exit_time" in sample.warning
    assert "entry_time" not in sample.warning


def test_warnings_stand_beside_each_other_each_once(bench: Any, minutes: Any) -> None:
    bench.decide()
    bench.execute(fill_id="a", entry_time=minutes(-20))
    bench.execute(fill_id="b", entry_time=minutes(-19))
    bench.leave(fill_id="x", quantity=1.0, exit_time=minutes(-3))

    sample = bench.leave(fill_id="y", exit_time=minutes(-2), realized_pnl=1.0)

    assert [sample.warning.count(word) for word in ("entry_time lies", "exit_time lies", "realized_pnl")] == [1, 1, 1]


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


def test_an_unknown_decision_is_told_whether_its_strategy_has_begun_or_not(bench: Any) -> None:
    assert refusal(NotFoundError, bench.execute).reason == "unknown_decision"
    bench.decide()

    assert refusal(NotFoundError, bench.execute, decision_id="d2").reason == "unknown_decision"


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


def test_an_implausible_outcome_is_held_and_changes_nothing_about_its_forecast(bench: Any, minutes: Any) -> None:
    """A bot that tells nonsense of its losses alone would otherwise make its version look better."""
    bench.add_version()
    bench.forecast("d1", 0.01)
    bench.decide("d2", minutes(60), price=98.0)
    bench.execute()
    assert bench.counters()["matured_predictions"] == 1

    sample = bench.leave(exit_price=1_000.0)

    assert sample.quarantine_reason == "trade_out_of_bounds"
    assert bench.counters() == {
        "total_predictions": 1,
        "matured_predictions": 1,
        "neutral_predictions": 0,
        "correct_predictions": 0,
        "live_accuracy": 0.0,
        "total_trades": 1,
        "total_pnl": pytest.approx(900.0),
    }
    serving = Serving(ArtifactStore(bench.settings.model_dir))
    trades = bench.database.read(status, "bot", bench.settings, bench.now, serving)["trades"]
    assert (trades["closed"], trades["total_pnl"]) == (1, pytest.approx(900.0))


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


@pytest.mark.parametrize("value", [1e-200, 5e-324, 1e200])
@pytest.mark.parametrize("field", ["entry_price", "quantity"])
def test_an_execution_of_impossible_size_is_refused_by_name(bench: Any, field: str, value: float) -> None:
    bench.decide()

    with pytest.raises(InvalidInputError, match=field):
        bench.execute(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"), [("exit_price", 1e-200), ("quantity", 1e200), ("fees", 1e308), ("realized_pnl", -1e308)]
)
def test_an_outcome_of_impossible_size_is_refused_by_name(bench: Any, field: str, value: float) -> None:
    bench.decide()
    bench.execute()

    with pytest.raises(InvalidInputError, match=field):
        bench.leave(**{field: value})
    assert bench.sample().outcome_known is False
