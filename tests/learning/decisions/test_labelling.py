"""No row ever holds a figure beyond all numbers, whatever it was told."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import InvalidInputError
from backend.learning.decisions.labelling import computed, label_counterfactual, label_executed
from backend.models import AITrainingSample
from backend.settings import Settings

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PRICES = st.floats(min_value=0.0, exclude_min=True, allow_infinity=False)
LABELS = ("market_return", "target_label", "realized_pnl", "outcome_known")


def trade(entry: float, leave: float, quantity: float | None, fees: float) -> AITrainingSample:
    return AITrainingSample(
        execution_side="BUY", executed=True, entry_price=entry, exit_price=leave, quantity=quantity, fees=fees
    )


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ((1e-200, 1e200, 1.0, 0.0), "market_return"),
        ((1e-200, 1.1e-200, 1e-200, 0.0), "fees"),
        ((5e-324, 5e-324, 5e-324, 1.0), "fees"),
        ((1e-20, 1.1e-20, 1e-20, 1e300), "fees"),
        ((1e200, 1.1e200, 1e200, 0.0), "realized_pnl"),
    ],
)
def test_a_trade_whose_figures_cannot_be_computed_is_refused_and_the_row_unchanged(told: Any, field: str) -> None:
    sample = trade(*told)

    with pytest.raises(InvalidInputError) as caught:
        label_executed(sample, now=NOW)

    assert (caught.value.reason, caught.value.extra["field"]) == ("not_computable", field)
    assert [getattr(sample, name) for name in LABELS] == [None] * 4


@given(PRICES, PRICES, st.none() | PRICES, st.floats(allow_nan=False, allow_infinity=False))
def test_a_label_is_finite_or_refused(entry: float, leave: float, quantity: float | None, fees: float) -> None:
    sample = trade(entry, leave, quantity, fees)
    try:
        label_executed(sample, now=NOW)
    except InvalidInputError:
        return
    assert math.isfinite(sample.market_return or 0.0)
    assert math.isfinite(sample.target_label or 0.0)
    assert math.isfinite(sample.realized_pnl or 0.0)


def test_a_counterfactual_of_no_number_is_refused(settings: Settings) -> None:
    sample = AITrainingSample(predicted_action="HOLD", executed=False)

    with pytest.raises(InvalidInputError, match="market_return"):
        label_counterfactual(sample, math.inf, sides="long", costs=settings, now=NOW)


def test_a_figure_that_is_a_number_is_itself() -> None:
    assert computed(-1.5, "fees") == -1.5
