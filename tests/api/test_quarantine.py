"""Quarantine over HTTP: what waits is listed, ruled on, audited."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import ADMIN, TRADER

SEEN = {"atr": 0.01, "rsi": 60.0}
LEFT = {"side": "BUY", "entry_price": 100.0, "quantity": 1.0, "exit_price": 300.0}


@pytest.fixture
def held(client: TestClient) -> int:
    """A trade that tripled, in the strategy ``bot``."""
    decided = {"symbol": "BTCUSDC", "price": 100.0, "features": SEEN, "predicted_action": "BUY", "decision_id": "d1"}
    answer = client.post("/ai/decisions?strategy=bot", json=decided, headers=ADMIN)
    assert answer.status_code == 201, answer.text
    answer = client.post("/ai/decisions/d1/outcome?strategy=bot", json=LEFT, headers=ADMIN)
    assert answer.json()["quarantine_reason"] == "trade_out_of_bounds"
    return int(answer.json()["sample_id"])


def listed(client: TestClient, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"/ai/quarantine?strategy=bot{query}", headers=ADMIN)
    assert answer.status_code == 200, answer.text
    assert answer.json()["count"] == len(answer.json()["samples"])
    found: list[dict[str, Any]] = answer.json()["samples"]
    return found


def rule(client: TestClient, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
    sent = {} if body is None else {"json": body}
    answer = client.post(f"/ai/quarantine/{path}", headers=headers or ADMIN, **sent)
    return answer.status_code, answer.json()


def test_what_waits_is_listed_with_why(client: TestClient, held: int) -> None:
    (row,) = listed(client)

    assert (row["id"], row["quarantine_reason"], row["quarantine_decision"]) == (held, "trade_out_of_bounds", None)
    assert "market_return 2" in row["explanation"]
    assert listed(client, "&reason=alike_returns") == []
    assert [one["id"] for one in listed(client, "&reason=trade_out_of_bounds")] == [held]
    assert client.get("/ai/status?strategy=bot", headers=ADMIN).json()["samples"]["quarantined"] == 1


def test_a_ruling_needs_a_reason_in_query_or_body(client: TestClient, held: int) -> None:
    for path, body in ((f"{held}/drop", None), (f"{held}/drop", {}), (f"{held}/drop?reason=", None)):
        status, problem = rule(client, path, body)
        assert status == 422, path
        assert "reason" in problem["detail"]
    assert rule(client, f"{held}/drop?reason=a", {"reason": "b"})[0] == 422
    assert len(listed(client)) == 1, "a refused call changes nothing"

    assert rule(client, f"{held}/release?reason=a", {"reason": "a"})[0] == 200
    assert rule(client, f"{held}/drop", {"reason": "b"})[0] == 200


def test_a_ruling_is_audited_once_and_leaves_the_list(client: TestClient, held: int) -> None:
    for _ in range(2):
        status, told = rule(client, f"{held}/drop?reason=a%20slipped%20point")
        assert (status, told["sample"]["quarantine_decision"]) == (200, "dropped")

    assert listed(client) == []
    assert [one["id"] for one in listed(client, "&state=dropped")] == [held]
    entries = client.get("/ai/audit?strategy=bot", headers=ADMIN).json()["entries"]
    dropped = [entry for entry in entries if entry["action"] == "sample_dropped"]
    assert [(one["actor"], one["subject"], one["reason"]) for one in dropped] == [
        ("admin", str(held), "a slipped point")
    ]


@pytest.mark.parametrize("number", ["10", "999999999999999999", "9999999999999999999", "x", "-1", "1.0", "١"])
def test_a_sample_that_is_not_there(client: TestClient, held: int, number: str) -> None:
    status, problem = rule(client, f"{number}/drop?reason=a")

    assert (status, problem["reason"]) == (404, "unknown_sample")


def test_a_strategy_that_contradicts_the_sample_is_refused(client: TestClient, held: int) -> None:
    status, problem = rule(client, f"{held}/drop?reason=a&strategy=default")
    assert (status, problem["reason"]) == (404, "unknown_sample")

    assert rule(client, f"{held}/drop?reason=a&strategy=bot")[0] == 200


def test_only_an_admin_may_look_or_rule(client: TestClient, held: int) -> None:
    assert client.get("/ai/quarantine", headers=TRADER).status_code == 403
    assert rule(client, f"{held}/release?reason=a", **TRADER)[0] == 403
    assert len(listed(client)) == 1
