"""The values every part shares."""

import numpy as np

from ai_engine.types import Forecast, Forecasts


def test_one_row_of_many_is_a_forecast_of_plain_floats() -> None:
    forecasts = Forecasts(
        scores=np.array([0.1, -0.2]),
        expected_returns=np.array([0.05, -0.1]),
        confidences=np.array([0.5, 0.6]),
    )

    row = forecasts.row(1)

    assert row == Forecast(-0.2, -0.1, 0.6)
    assert type(row.score) is type(row.expected_return) is type(row.confidence) is float
