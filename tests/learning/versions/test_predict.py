"""Predictions: the same numbers as the model's, refusals that name row and feature, nothing stored."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from backend.errors import QuantumTraderError
from backend.learning.versions.activation import ActivationRequest, activate
from backend.learning.versions.predict import predict
from backend.learning.versions.serving import Serving
from backend.models import AITrainingSample
from tests.learning.versions.house import NAMES, House

Train = Callable[[int], list[str]]


def rows(count: int = 5) -> list[dict[str, float]]:
    values = np.random.default_rng(1).normal(size=(count, len(NAMES)))
    return [dict(zip(NAMES, map(float, row), strict=True)) for row in values]


def ask(house: House, wanted: list[Any], **options: Any) -> dict[str, Any]:
    return predict(house.versions, house.serving, options.pop("strategy", "bot"), wanted, **options)


def turn_on(house: House, version_id: str) -> None:
    house.time += timedelta(seconds=1)
    activate(house.versions, ActivationRequest(version_id, "ada"))


def refusal(call: Callable[[], object]) -> QuantumTraderError:
    with pytest.raises(QuantumTraderError) as caught:
        call()
    return caught.value


def test_the_active_version_answers_every_row_in_order(house: House, trained: Train) -> None:
    (first,) = trained(1)
    turn_on(house, first)
    serving = house.database.read(house.serving.model_for, "bot")
    assert serving is not None
    matrix = np.array([[row[name] for name in NAMES] for row in rows()], dtype=np.float32)

    answer = ask(house, [dict(reversed(row.items())) for row in rows()])

    assert answer["model_version"] == first
    np.testing.assert_array_equal(answer["predictions"], serving.model.forecast(matrix).scores)
    assert {len(answer[key]) for key in ("predictions", "expected_returns", "confidences", "actions")} == {5}
    assert all(0 <= value <= 1 for value in answer["confidences"])


def test_actions_follow_the_sign_of_the_score_or_hold(house: House, trained: Train) -> None:
    (first,) = trained(1)
    house.settings = replace(house.settings, min_confidence=0.5, require_edge=False)

    answer = ask(house, rows(40), version_id=first)

    wanted = ["BUY" if score > 0 else "SELL" if score < 0 else "HOLD" for score in answer["predictions"]]
    assert answer["actions"] == wanted
    assert {"BUY", "SELL"} <= set(wanted)


def test_with_ai_trading_off_every_action_is_hold(house: House, trained: Train) -> None:
    (first,) = trained(1)
    house.settings = replace(house.settings, enable_ai_trading=False)

    assert ask(house, rows(), version_id=first)["actions"] == ["HOLD"] * 5


def test_any_version_can_be_asked_without_being_active(house: House, trained: Train) -> None:
    first, second = trained(2)
    turn_on(house, second)

    assert ask(house, rows(), version_id=first)["model_version"] == first
    assert ask(house, rows(), version_id=first, strategy="default")["model_version"] == first


def test_nothing_is_stored(house: House, trained: Train) -> None:
    (first,) = trained(1)
    before = len(house.rows(AITrainingSample))

    ask(house, rows(), version_id=first)

    assert len(house.rows(AITrainingSample)) == before
    assert house.rows_of(first).total_predictions == 0


def test_no_rows_give_no_predictions(house: House, trained: Train) -> None:
    (first,) = trained(1)

    assert ask(house, [], version_id=first)["predictions"] == []


def test_without_an_active_version_it_is_a_conflict(house: House, trained: Train) -> None:
    trained(1)

    error = refusal(lambda: ask(house, rows()))

    assert (error.status_code, error.reason) == (409, "no_active_model")


def test_an_active_version_without_a_verifiable_file_is_unavailable(house: House, trained: Train) -> None:
    (first,) = trained(1)
    turn_on(house, first)
    house.store.path_of(first).unlink()
    house.serving = Serving(house.store)

    error = refusal(lambda: ask(house, rows()))
    named = refusal(lambda: ask(house, rows(), version_id=first))

    assert (error.status_code, error.reason) == (503, "no_verified_model")
    assert (named.status_code, named.reason) == (409, "artifact_missing")


def test_unknown_names_are_404(house: House, trained: Train) -> None:
    trained(1)

    assert refusal(lambda: ask(house, rows(), strategy="nobody")).reason == "unknown_strategy"
    assert refusal(lambda: ask(house, rows(), version_id="v20200101_000000")).reason == "unknown_version"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e39, 10**400, True, "1", None, [1.0]])
def test_a_value_that_is_no_finite_number_is_refused_by_row_and_name(
    house: House, trained: Train, value: object
) -> None:
    (first,) = trained(1)
    wanted = rows()
    wanted[3]["rsi"] = value  # type: ignore[assignment]

    error = refusal(lambda: ask(house, wanted, version_id=first))

    assert (error.status_code, error.extra["field"]) == (422, "rows[3].rsi")


def test_missing_and_unknown_features_are_named(house: House, trained: Train) -> None:
    (first,) = trained(1)
    wanted: list[dict[str, float]] = rows()
    del wanted[1]["atr"]
    wanted[1]["volume"] = 1.0

    error = refusal(lambda: ask(house, wanted, version_id=first))

    assert (error.extra["field"], error.extra["missing"], error.extra["extra"]) == ("rows[1]", ["atr"], ["volume"])


def test_too_many_rows_are_refused(house: House, trained: Train) -> None:
    (first,) = trained(1)

    assert refusal(lambda: ask(house, rows(1) * 5001, version_id=first)).status_code == 422
    assert len(ask(house, rows(1) * 5000, version_id=first)["predictions"]) == 5000
