"""What one row counts for; that counters follow rows is proved by the state machine beside the decisions."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.learning.decisions.counters import NOTHING, Contribution, contribution
from backend.models import AITrainingSample


def row(**told: Any) -> AITrainingSample:
    return AITrainingSample(**{"executed": False, "outcome_known": False} | told)


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        ({"prediction_score": 0.1}, NOTHING),
        ({"prediction_score": 0.1, "forward_return": 0.01}, Contribution(matured=1, correct=1)),
        ({"prediction_score": -0.1, "forward_return": -0.01}, Contribution(matured=1, correct=1)),
        ({"prediction_score": -0.1, "forward_return": 0.01}, Contribution(matured=1)),
        ({"prediction_score": 0.0, "forward_return": 0.01}, Contribution(matured=1)),
        ({"prediction_score": 0.1, "forward_return": 0.002}, Contribution(matured=1, neutral=1)),
        ({"prediction_score": 0.1, "forward_return": -0.002}, Contribution(matured=1, neutral=1)),
        (
            {"prediction_score": 0.1, "executed": True, "outcome_known": True, "realized_pnl": -3.0},
            Contribution(trades=1, pnl=-3.0),
        ),
        ({"prediction_score": 0.1, "executed": True, "realized_pnl": None}, NOTHING),
        (
            {"prediction_score": 0.1, "forward_return": 0.01, "quarantine_reason": "return_out_of_bounds"},
            NOTHING,
        ),
        (
            {
                "prediction_score": 0.1,
                "forward_return": 0.01,
                "executed": True,
                "outcome_known": True,
                "realized_pnl": 2.0,
                "quarantine_reason": "return_out_of_bounds",
            },
            Contribution(trades=1, pnl=2.0),
        ),
        (
            {
                "prediction_score": 0.1,
                "forward_return": 0.01,
                "executed": True,
                "outcome_known": True,
                "realized_pnl": 2.0,
                "quarantine_reason": "trade_far_from_candles",
            },
            Contribution(matured=1, correct=1, trades=1, pnl=2.0),
        ),
    ],
)
def test_a_row_counts_for(told: dict[str, Any], counts: Contribution) -> None:
    assert contribution(row(**told), cost=0.002) == counts


def test_a_decision_from_before_what_the_version_learned_counts_for_its_money_alone() -> None:
    learned = datetime(2026, 3, 1, tzinfo=UTC)
    told = {"prediction_score": 0.1, "forward_return": 0.01, "executed": True, "outcome_known": True}

    before = contribution(row(timestamp=learned - timedelta(seconds=1), realized_pnl=2.0, **told), 0.002, learned)
    after = contribution(row(timestamp=learned, realized_pnl=2.0, **told), 0.002, learned)

    assert before == Contribution(trades=1, pnl=2.0)
    assert after == Contribution(matured=1, correct=1, trades=1, pnl=2.0)


def test_contributions_add_and_subtract() -> None:
    one, other = Contribution(1, 0, 1, 1, 5.0), Contribution(1, 1, 0, 0, 2.0)

    assert (one + other) - other == one
    assert one - one == NOTHING
