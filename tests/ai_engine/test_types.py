"""The values every part shares."""

import numpy as np
import pytest

from ai_engine.types import Forecast, Forecasts


@pytest.mark.parametrize("intervals", [None, np.array([[-0.2, 0.1], [-0.1, 0.3]])])
def test_one_row_of_many_is_a_forecast_of_plain_floats(intervals: np.ndarray | None) -> None:
    forecasts = Forecasts(
        scores=np.array([0.1, -0.2]),
        expected_returns=np.array([0.05, -0.1]),
        confidences=np.array([0.5, 0.6]),
        intervals=intervals,
    )

    row = forecasts.row(1)

    assert row == Forecast(-0.2, -0.1, None if intervals is None else (-0.1, 0.3), 0.6)
    assert type(row.score) is type(row.expected_return) is type(row.confidence) is float
