"""One raw row: sizes that cannot be computed with are that row's refusal, by name."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import InvalidInputError
from backend.learning.decisions.import_rows import Terms, parse

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ROW: dict[str, Any] = {
    "symbol": "BTCUSDC",
    "timestamp": "2025-11-12T10:30:00Z",
    "predicted_action": "BUY",
    "entry_price": 45_000.0,
    "exit_price": 45_500.0,
    "quantity": 0.1,
    "exit_time": "2025-11-12T12:30:00Z",
    "features": {"rsi_14": 61.5},
}


@dataclass
class NoCosts:
    """What a leg costs: nothing."""

    fee_rate: float = 0.0
    slippage_bps: float = 0.0


class BrokenCosts(NoCosts):
    """Costs that nothing can be computed with."""

    def __init__(self) -> None:
        """Nothing is known."""

    def __getattribute__(self, name: str) -> Any:
        raise ZeroDivisionError(f"{name} by zero")


def read(costs: Any = None, **changed: Any) -> Any:
    return parse({**ROW, **changed}, Terms("long,short", costs or NoCosts(), NOW))


@pytest.mark.parametrize("name", ["entry_price", "exit_price", "quantity"])
@pytest.mark.parametrize("value", [5e-324, 1e-200, 9e-16, 1.1e15, 1e200])
def test_an_amount_beyond_all_sizes_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InvalidInputError, match=name):
        read(**{name: value})


@pytest.mark.parametrize("name", ["fees", "realized_pnl"])
@pytest.mark.parametrize("value", [1e308, -1e308, 1.1e15])
def test_money_beyond_all_sizes_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InvalidInputError, match=name):
        read(**{name: value})


@given(st.lists(st.floats(), min_size=4, max_size=4))
def test_whatever_the_figures_a_row_is_read_or_refused(figures: list[float]) -> None:
    names = ("entry_price", "exit_price", "quantity", "fees")
    try:
        row = read(**dict(zip(names, figures, strict=True)))
    except InvalidInputError:
        return
    assert row.side == "BUY"


def test_figures_that_cannot_be_computed_with_are_the_rows_refusal() -> None:
    with pytest.raises(InvalidInputError, match="by zero"):
        read(BrokenCosts(), executed=False)


def test_more_features_than_a_strategy_may_have_are_refused_before_any_is_read() -> None:
    most: dict[str, Any] = {f"f{index}": 1.0 for index in range(2000)}

    assert len(read(features=most).names) == 2000
    with pytest.raises(InvalidInputError, match="2000 names, not 200001"):
        read(features={**{f"f{index}": 1.0 for index in range(200_000)}, "text": "none"})


def test_a_demo_row_that_was_exported_does_not_come_back_as_a_real_one() -> None:
    exported = {"decision_id": "synthetic-07", "executed": False, "label_source": "synthetic"}

    with pytest.raises(InvalidInputError, match="exit_reason synthetic marks an invented row") as refused:
        read(**exported, exit_reason="synthetic")
    assert refused.value.extra["field"] == "exit_reason"
    assert read(**exported, exit_reason="target").exit_reason == "target"
