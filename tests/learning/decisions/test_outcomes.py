"""Entry and exit fills, and the outcome they add up to."""

from typing import Any

import pytest


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
