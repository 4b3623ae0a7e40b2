"""GET /ai/compare: two versions side by side, and what it refuses."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import NOW, TRADER, closed_samples, open_client, settings_in


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, list[str]]]:
    """A service with two versions of ``default`` and one of ``other``."""
    with open_client(settings_in(tmp_path_factory.mktemp("compared")), lambda: NOW) as client:
        rows = closed_samples(160)
        ids = []
        for strategy, part in (("default", rows[:120]), ("default", rows[120:]), ("other", rows[:120])):
            client.post(f"/ai/training-samples?strategy={strategy}", json={"samples": part})
            answer = client.post(f"/ai/retrain?strategy={strategy}&min_samples=10").json()
            assert answer["status"] == "success", answer
            ids.append(answer["version_id"])
        yield client, ids


Compared = tuple[TestClient, list[str]]


def ask(compared: Compared, **query: Any) -> Any:
    return compared[0].get("/ai/compare", params=query)


@pytest.mark.slow
def test_two_versions_stand_side_by_side(compared: Compared) -> None:
    _, (first, second, _) = compared

    answer = ask(compared, a=first, b=second)

    told = answer.json()
    assert answer.status_code == 200
    assert (told["a"]["version_id"], told["b"]["version_id"]) == (first, second)
    assert told["strategy"] == "default"
    assert told["verdict"] == "not_distinguishable"
    assert told["paired"]["rows"] == 0
    assert told["confidence_sequence"] is None
    assert told["outcomes_still_needed"] is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("a", "b", "status", "reason"),
    [
        (0, 2, 409, "different_strategies"),
        (0, 0, 422, "same_version"),
        (0, "v20250101_000000", 404, "unknown_version"),
        ("nonsense", 0, 404, "unknown_version"),
        (0, "\x00", 404, "unknown_version"),
    ],
)
def test_what_cannot_be_compared_is_refused(compared: Compared, a: Any, b: Any, status: int, reason: str) -> None:
    a, b = (compared[1][one] if isinstance(one, int) else one for one in (a, b))

    answer = ask(compared, a=a, b=b)

    assert (answer.status_code, answer.json()["reason"]) == (status, reason)


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "status"), [("default", 200), ("other", 404), ("no such", 422)])
def test_a_strategy_may_be_named_and_must_be_theirs(compared: Compared, strategy: str, status: int) -> None:
    _, (first, second, _) = compared

    assert ask(compared, a=first, b=second, strategy=strategy).status_code == status


@pytest.mark.slow
def test_both_must_be_named(compared: Compared) -> None:
    answer = ask(compared, a=compared[1][0])

    assert answer.status_code == 422
    assert "b" in answer.json()["detail"]


@pytest.mark.slow
def test_a_bots_token_may_not(compared: Compared) -> None:
    assert compared[0].get("/ai/compare", params={"a": "x", "b": "y"}, headers=TRADER).status_code == 403
