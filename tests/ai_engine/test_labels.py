"""What a decision earned: each sentence about units, sides and costs, against numbers worked out by hand."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_engine.labels import (
    counterfactual_label,
    forward_return,
    market_return,
    realized_pnl,
    round_trip_cost,
    target_class,
    target_label,
)
from ai_engine.types import TargetClass

prices = st.floats(1e-8, 1e8)
quantities = st.floats(1e-6, 1e6)
moves = st.floats(-0.9, 10.0)
sides = st.sampled_from([1, -1])
rates = st.floats(0.0, 0.01)


def exact_pnl(side: int, quantity: float, entry: float, exit_: float, fees: float) -> Fraction:
    """The profit in rational arithmetic."""
    return side * Fraction(quantity) * (Fraction(exit_) - Fraction(entry)) - Fraction(fees)


def test_the_row_of_the_user_document_reads_back() -> None:
    label = target_label(1, market_return(45_000.0, 45_500.0), 0.0)

    assert round(label, 4) == 0.0111
    assert realized_pnl(1, quantity=0.1, entry_price=45_000.0, exit_price=45_500.0, fees=0.0) == 50.0
    assert target_class(label) is TargetClass.WIN


def test_the_same_move_is_a_loss_for_a_short() -> None:
    label = target_label(-1, market_return(45_000.0, 45_500.0), 0.0)

    assert round(label, 4) == -0.0111
    assert realized_pnl(-1, quantity=0.1, entry_price=45_000.0, exit_price=45_500.0, fees=0.0) == -50.0
    assert target_class(label) is TargetClass.LOSS


def test_fees_of_both_legs_come_off_once() -> None:
    fees, quantity, entry = 4.525, 0.1, 45_000.0

    label = target_label(1, market_return(entry, 45_500.0), fees / (quantity * entry))

    assert label == pytest.approx(0.011111 - 0.00100556, abs=1e-6)
    assert realized_pnl(1, quantity=quantity, entry_price=entry, exit_price=45_500.0, fees=fees) == 45.475


def test_fees_alone_make_an_unmoved_trade_a_loss() -> None:
    assert target_class(target_label(1, 0.0, 0.001)) is TargetClass.LOSS


def test_nothing_earned_is_neutral() -> None:
    assert target_class(target_label(1, 0.0, 0.0)) is TargetClass.NEUTRAL
    assert target_class(-0.0) is TargetClass.NEUTRAL


@given(side=sides, quantity=quantities, entry=prices, move=moves, fee=rates)
def test_profit_and_label_agree(side: int, quantity: float, entry: float, move: float, fee: float) -> None:
    exit_price = entry * (1 + move)
    fees = fee * quantity * entry

    label = target_label(side, market_return(entry, exit_price), fees / (quantity * entry))
    pnl = realized_pnl(side, quantity=quantity, entry_price=entry, exit_price=exit_price, fees=fees)

    assert label * quantity * entry == pytest.approx(pnl, rel=1e-9, abs=1e-12 * quantity * entry)
    assert pnl == pytest.approx(
        float(exact_pnl(side, quantity, entry, exit_price, fees)), rel=1e-9, abs=1e-12 * quantity * entry
    )


@given(entry=prices, move=moves, quantity=quantities)
def test_a_long_and_a_short_without_fees_cancel(entry: float, move: float, quantity: float) -> None:
    moved = market_return(entry, entry * (1 + move))

    assert target_label(1, moved, 0.0) == -target_label(-1, moved, 0.0)


@given(side=sides, moved=moves, fee=rates)
def test_a_cost_never_helps(side: int, moved: float, fee: float) -> None:
    assert target_label(side, moved, fee) <= target_label(side, moved, 0.0)


@given(entry=prices, move=moves)
def test_forward_and_market_return_are_fractions_free_of_the_side(entry: float, move: float) -> None:
    price = entry * (1 + move)

    assert forward_return(entry, price) == pytest.approx(move, abs=1e-12)
    assert market_return(entry, price) == forward_return(entry, price)
    assert forward_return(entry, entry) == 0.0


def test_a_round_trip_pays_two_fees_and_two_slippages() -> None:
    expected = 2 * (Decimal("0.001") + Decimal("2") / 10_000)

    assert round_trip_cost(0.001, 2.0) == pytest.approx(float(expected), abs=1e-15)
    assert round_trip_cost(0.0, 0.0) == 0.0


@pytest.mark.parametrize(
    ("action", "moved", "expected"),
    [
        ("BUY", 0.01, 0.01 - 0.0024),
        ("BUY", -0.01, -0.01 - 0.0024),
        ("SELL", 0.01, -0.01 - 0.0024),
        ("SELL", -0.01, 0.01 - 0.0024),
        ("BUY", 0.0, -0.0024),
        ("SELL", 0.0, -0.0024),
        ("HOLD", 0.01, 0.0),
        ("HOLD", -0.5, 0.0),
    ],
)
def test_an_unexecuted_decision_gets_the_label_it_would_have_had(action: str, moved: float, expected: float) -> None:
    label = counterfactual_label(action, moved, fee_rate=0.001, slippage_bps=2.0)

    assert label == pytest.approx(expected, abs=1e-15)


def test_a_hold_is_neutral_whatever_the_market_did() -> None:
    assert target_class(counterfactual_label("HOLD", 0.2, fee_rate=0.001, slippage_bps=2.0)) is TargetClass.NEUTRAL


@given(moved=moves, fee=rates, slippage=st.floats(0, 50))
def test_the_hypothetical_label_is_a_trades_label_at_modelled_cost(moved: float, fee: float, slippage: float) -> None:
    cost = round_trip_cost(fee, slippage)

    assert counterfactual_label("BUY", moved, fee_rate=fee, slippage_bps=slippage) == target_label(1, moved, cost)
    assert counterfactual_label("SELL", moved, fee_rate=fee, slippage_bps=slippage) == target_label(-1, moved, cost)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_price_that_is_no_price_is_refused_by_name(bad: float) -> None:
    with pytest.raises(ValueError, match="reference must be finite and positive"):
        forward_return(bad, 1.0)
    with pytest.raises(ValueError, match="price must be"):
        forward_return(1.0, bad)
    with pytest.raises(ValueError, match="entry_price must be"):
        market_return(bad, 1.0)
    with pytest.raises(ValueError, match="exit_price must be"):
        realized_pnl(1, quantity=1.0, entry_price=1.0, exit_price=bad, fees=0.0)
    with pytest.raises(ValueError, match="quantity must be"):
        realized_pnl(1, quantity=bad, entry_price=1.0, exit_price=1.0, fees=0.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_never_becomes_a_label(bad: float) -> None:
    with pytest.raises(ValueError, match="market_return"):
        target_label(1, bad, 0.0)
    with pytest.raises(ValueError, match="fees_fraction"):
        target_label(1, 0.0, bad)
    with pytest.raises(ValueError, match="label"):
        target_class(bad)
    with pytest.raises(ValueError, match="market_return"):
        counterfactual_label("HOLD", bad, fee_rate=0.0, slippage_bps=0.0)
    with pytest.raises(ValueError, match="fee_rate"):
        round_trip_cost(bad, 0.0)


@pytest.mark.parametrize("side", [0, 2, -2])
def test_a_side_is_one_or_minus_one(side: int) -> None:
    with pytest.raises(ValueError, match="side must be"):
        target_label(side, 0.1, 0.0)
    with pytest.raises(ValueError, match="side must be"):
        realized_pnl(side, quantity=1.0, entry_price=1.0, exit_price=1.0, fees=0.0)


def test_an_unknown_action_and_a_negative_cost_are_refused() -> None:
    with pytest.raises(ValueError, match="WAIT"):
        counterfactual_label("WAIT", 0.1, fee_rate=0.0, slippage_bps=0.0)
    with pytest.raises(ValueError, match="slippage_bps must be finite and not negative"):
        round_trip_cost(0.001, -1.0)
