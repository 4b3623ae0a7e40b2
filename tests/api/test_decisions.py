"""A bot's calls, from the first decision to the closed trade."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import ADMIN, NOW, TRADER, assert_problem, contents, features, open_client, settings_in

DECISION: dict[str, Any] = {
    "decision_id": "bot-1",
    "symbol": "BTCUSDC",
    "timestamp": "2026-03-02T11:00:00Z",
    "price": 45_000.0,
    "features": features(),
    "predicted_action": "BUY",
    "prediction_confidence": 0.7,
}
ENTRY = {"side": "BUY", "entry_price": 45_000.0, "quantity": 0.1, "entry_time": "2026-03-02T11:00:10Z"}
EXIT = {"exit_price": 45_500.0, "exit_time": "2026-03-02T11:30:00Z", "exit_reason": "target"}
ANSWER_KEYS = {
    "sample_id",
    "decision_id",
    "symbol",
    "timestamp",
    "predicted_action",
    "prediction_score",
    "prediction_confidence",
    "expected_return",
    "model_version",
    "reason",
    "explored",
    "propensity",
}


def test_a_bots_own_decision_is_stored_as_it_is(client: TestClient) -> None:
    answer = client.post("/ai/decisions", json=DECISION, headers=TRADER)

    assert answer.status_code == 201
    assert set(answer.json()) >= ANSWER_KEYS
    assert answer.json()["predicted_action"] == "BUY"
    assert answer.json()["prediction_confidence"] == 0.7
    assert answer.json()["model_version"] is None
    assert answer.json()["strategy_created"] is True


def test_without_a_model_the_answer_is_hold_and_says_why(client: TestClient) -> None:
    body = {key: value for key, value in DECISION.items() if not key.startswith("predic")}

    answer = client.post("/ai/decisions", json=body).json()

    assert answer["predicted_action"] == "HOLD"
    assert answer["reason"]
    assert answer["prediction_score"] is None
    assert answer["prediction_confidence"] is None


def test_the_same_decision_again_gets_the_first_answer_and_another_one_409(client: TestClient) -> None:
    first = client.post("/ai/decisions", json=DECISION)
    before = contents(client)

    again = client.post("/ai/decisions", json=dict(reversed(DECISION.items())))
    other = client.post("/ai/decisions", json={**DECISION, "price": 45_001.0})

    assert (again.status_code, other.status_code) == (200, 409)
    assert {key: again.json()[key] for key in ANSWER_KEYS} == {key: first.json()[key] for key in ANSWER_KEYS}
    assert_problem(other, 409)
    assert contents(client) == before


def test_any_offset_is_taken_and_utc_is_answered(client: TestClient) -> None:
    answer = client.post("/ai/decisions", json={**DECISION, "timestamp": "2026-03-02T12:00:00+01:00"})

    assert answer.json()["timestamp"] == "2026-03-02T11:00:00Z"


def test_a_price_is_required_where_no_feed_knows_the_symbol(client: TestClient) -> None:
    answer = client.post("/ai/decisions", json={key: value for key, value in DECISION.items() if key != "price"})

    assert_problem(answer, 422, "price_required")


def test_other_feature_names_are_refused_naming_missing_and_extra(client: TestClient) -> None:
    client.post("/ai/decisions", json=DECISION)
    others = {**features(), "rsi": 1.0}
    del others["feature_3"]

    body = {**DECISION, "decision_id": "bot-2", "features": others}
    problem = assert_problem(client.post("/ai/decisions", json=body), 422)

    assert problem["missing"] == ["feature_3"]
    assert problem["extra"] == ["rsi"]


def test_an_admitted_schema_lets_new_names_in_and_keeps_the_traders_token_out(client: TestClient) -> None:
    client.post("/ai/decisions", json=DECISION)
    names = [*features(), "rsi"]

    refused = client.post("/ai/strategies/default/schema", json={"features": names}, headers=TRADER)
    admitted = client.post("/ai/strategies/default/schema", json={"features": names})
    body = {**DECISION, "decision_id": "bot-2", "features": {**features(), "rsi": 55.0}}

    assert_problem(refused, 403)
    assert admitted.status_code == 200
    assert admitted.json()["features"] == sorted(names)
    assert client.post("/ai/decisions", json=body).status_code == 201
    assert "schema_admitted" in {entry["action"] for entry in client.get("/ai/audit").json()["entries"]}


def test_a_trade_is_entered_in_parts_left_and_labelled(client: TestClient) -> None:
    client.post("/ai/decisions", json=DECISION)
    for fill in ("a", "b", "b"):
        entered = client.post("/ai/decisions/bot-1/execution", json={**ENTRY, "fill_id": fill}, headers=TRADER)
        assert entered.status_code == 200
    opened = client.get("/ai/decisions?state=open", headers=TRADER).json()

    closed = client.post("/ai/decisions/bot-1/outcome", json=EXIT, headers=TRADER)

    assert entered.json()["quantity"] == pytest.approx(0.2)
    assert [decision["decision_id"] for decision in opened["decisions"]] == ["bot-1"]
    assert closed.status_code == 200
    assert closed.json()["outcome_known"] is True
    assert closed.json()["realized_pnl"] == pytest.approx(100.0)
    assert closed.json()["target_label"] == pytest.approx(500 / 45_000)
    assert closed.json()["target_class"] == "WIN"
    assert closed.json()["fees_known"] is False
    assert client.get("/ai/decisions?state=open").json()["count"] == 0
    assert client.get("/ai/decisions/bot-1").json() == client.get("/ai/decisions?state=closed").json()["decisions"][0]


def test_the_same_outcome_again_is_200_and_a_contradicting_one_409(client: TestClient) -> None:
    client.post("/ai/decisions", json=DECISION)
    client.post("/ai/decisions/bot-1/execution", json=ENTRY)
    client.post("/ai/decisions/bot-1/outcome", json=EXIT)
    before = contents(client)

    again = client.post("/ai/decisions/bot-1/outcome", json=EXIT)
    other = client.post("/ai/decisions/bot-1/outcome", json={**EXIT, "exit_price": 45_501.0})

    assert again.status_code == 200
    assert_problem(other, 409)
    assert contents(client) == before


def test_an_outcome_of_what_was_never_executed_is_409_unless_the_entry_comes_with_it(client: TestClient) -> None:
    client.post("/ai/decisions", json=DECISION)

    refused = client.post("/ai/decisions/bot-1/outcome", json=EXIT)
    told = client.post(
        "/ai/decisions/bot-1/outcome", json={**EXIT, "side": "BUY", "entry_price": 45_000.0, "quantity": 0.1}
    )

    assert_problem(refused, 409, "not_executed")
    assert told.json()["realized_pnl"] == pytest.approx(50.0)


def test_a_batch_is_answered_in_order_each_item_with_its_own_status(client: TestClient) -> None:
    items: list[Any] = [
        DECISION,
        {**DECISION, "decision_id": "bad one"},
        5,
        {**DECISION, "decision_id": "bot-2", "features": {"other": 1.0}},
        {**DECISION, "decision_id": "bot-3", "price": "45000"},
        {**DECISION, "decision_id": "bot-4"},
        DECISION,
    ]

    answer = client.post("/ai/decisions", json={"decisions": items})
    results = answer.json()["results"]

    assert answer.status_code == 200
    assert [result["status"] for result in results] == [201, 422, 422, 422, 422, 201, 200]
    assert [result.get("decision_id") for result in results] == ["bot-1", None, None, None, None, "bot-4", "bot-1"]
    assert results[1]["field"] == "decision_id"
    assert results[4]["field"] == "price"
    assert all({"reason", "detail", "request_id"} <= set(result) for result in results if result["status"] == 422)
    assert client.get("/ai/decisions").json()["count"] == 2


def test_nan_in_one_item_refuses_that_item_alone(client: TestClient) -> None:
    item = '{"symbol": "A", "price": PRICE, "features": {"x": 1}}'
    items = [item.replace("PRICE", price) for price in ("NaN", "1")]
    body = '{"decisions": [' + ", ".join(items) + "]}"

    answer = client.post("/ai/decisions", content=body, headers={"Content-Type": "application/json"})

    assert [result["status"] for result in answer.json()["results"]] == [422, 201]


@pytest.mark.parametrize("body", [[], None, "x", 1, True])
def test_a_body_that_is_no_object_is_called_the_body(client: TestClient, body: Any) -> None:
    answer = client.post("/ai/decisions", content=json.dumps(body), headers={"Content-Type": "application/json"})

    problem = assert_problem(answer, 422, "invalid_input")
    assert problem["field"] == "body"
    assert "single" not in answer.text


def test_what_is_wrong_in_a_body_is_named_without_what_the_service_calls_its_kinds(client: TestClient) -> None:
    said = [
        client.post("/ai/decisions", json={**DECISION, "price": "1"}).json()["detail"],
        client.post("/ai/decisions", json={"decisions": "x"}).json()["detail"],
        client.post("/ai/decisions", json={"decisions": [1]}).json()["results"][0]["detail"],
        client.post("/ai/decisions", json={**DECISION, "features": [1]}).json()["detail"],
    ]

    assert [one.split(":")[0] for one in said] == ["price", "decisions", "body", "features"]
    assert said[2:] == [f"{field}: must be an object. Write it in braces: {{...}}." for field in ("body", "features")]


def test_a_batch_of_more_than_a_thousand_is_refused(client: TestClient) -> None:
    assert (
        assert_problem(client.post("/ai/decisions", json={"decisions": [DECISION] * 1001}), 422)["field"] == "decisions"
    )


def test_decisions_are_listed_newest_first_page_by_page(client: TestClient) -> None:
    for minute in range(5):
        moment = f"2026-03-02T11:0{minute}:00Z"
        client.post("/ai/decisions", json={**DECISION, "decision_id": f"bot-{minute}", "timestamp": moment})

    seen, cursor = [], ""
    while cursor is not None:
        page = client.get(f"/ai/decisions?limit=2{cursor and '&cursor=' + cursor}").json()
        assert page["status"] == "ok"
        assert page["count"] == len(page["decisions"]) <= 2
        seen += [decision["decision_id"] for decision in page["decisions"]]
        cursor = page["next_cursor"]

    assert seen == ["bot-4", "bot-3", "bot-2", "bot-1", "bot-0"]


def test_bots_calls_use_default_and_the_others_the_configured_strategy(tmp_path: Path) -> None:
    with open_client(settings_in(tmp_path, QT_STRATEGY="mine"), lambda: NOW) as client:
        client.post("/ai/decisions", json=DECISION)

        assert client.post("/ai/decisions/bot-1/execution", json=ENTRY).json()["strategy"] == "default"
        assert client.get("/ai/decisions/bot-1").json()["strategy"] == "default"
        assert client.post("/ai/decisions/bot-1/outcome", json=EXIT).json()["strategy"] == "default"
        assert client.get("/ai/decisions").json()["count"] == 1
        assert client.get("/ai/training-samples").json()["count"] == 0
        assert client.get("/ai/training-samples?strategy=default").json()["count"] == 1
        assert client.get("/ai/status").json()["strategy"] == "mine"


def test_the_strategies_that_always_exist_lack_only_the_decision(tmp_path: Path) -> None:
    with open_client(settings_in(tmp_path, QT_STRATEGY="mine"), lambda: NOW) as client:
        for strategy, reason in (
            ("mine", "unknown_decision"),
            ("default", "unknown_decision"),
            ("nine", "unknown_strategy"),
        ):
            path, named = "/ai/decisions/bot-1", f"?strategy={strategy}"
            answers = [
                client.get(f"{path}{named}"),
                client.post(f"{path}/execution{named}", json=ENTRY),
                client.post(f"{path}/outcome{named}", json=EXIT),
            ]
            problems = [assert_problem(answer, 404, reason) for answer in answers]
            if strategy == "nine":
                assert {problem["nearest"] for problem in problems} == {"mine"}


def test_rows_of_a_simulated_strategy_and_a_bots_never_mix(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, QT_MARKET="simulated", QT_SYMBOLS="BTCUSDC", QT_MARKET_SPEED="1")
    with open_client(settings, lambda: NOW) as client:
        for _ in range(100):
            if client.get("/ai/strategies").json()["count"]:
                break
        answer = client.post("/ai/decisions?strategy=simulated", json=DECISION)

    assert answer.status_code in (201, 409)
    if answer.status_code == 409:
        assert_problem(answer, 409, "market_mismatch")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_price_that_is_no_number_is_called_just_that(client: Any, number: str) -> None:
    body = f'{{"symbol": "BTCUSDC", "price": {number}, "features": {{"a": 1.0}}}}'

    answer = client.post("/ai/decisions", content=body, headers=ADMIN | {"Content-Type": "application/json"})

    assert answer.status_code == 422
    assert answer.json()["detail"] == "price: Input should be a finite number."
