"""Whatever is sent: no 5xx, a problem document that names the field, and not one row changed."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import ADMIN, assert_problem, contents, features

JSON = {"Content-Type": "application/json"}
HUGE = 10**20
DECISION: dict[str, Any] = {"symbol": "BTCUSDC", "price": 1.0, "features": features()}
EXECUTION: dict[str, Any] = {"side": "BUY", "entry_price": 1.0, "quantity": 1.0}
OUTCOME: dict[str, Any] = {"exit_price": 1.0}
PREDICTION: dict[str, Any] = {"rows": [features()]}
SCHEMA: dict[str, Any] = {"features": ["a"]}
IMPORT: dict[str, Any] = {"samples": []}

BODIES = {
    "/ai/decisions": DECISION,
    "/ai/decisions/some-id/execution": EXECUTION,
    "/ai/decisions/some-id/outcome": OUTCOME,
    "/ai/predict": PREDICTION,
    "/ai/strategies/default/schema": SCHEMA,
    "/ai/training-samples": IMPORT,
}
BODYLESS = ["/ai/retrain", "/ai/self-audit", "/ai/activate-model/v20260101_000000", "/ai/rollback", "/ai/deactivate"]
READS = [
    "/ai/models",
    "/ai/models/v20260101_000000",
    "/ai/training-samples",
    "/ai/decisions",
    "/ai/decisions/some-id",
    "/ai/status",
    "/ai/doctor",
    "/ai/audit",
    "/ai/strategies",
    "/ai/retraining-runs",
    "/ai/retraining-runs/run-1",
]
ROUTES = [*(("POST", path) for path in [*BODIES, *BODYLESS]), *(("GET", path) for path in READS)]
LISTS = [path for path in READS if path.rpartition("/")[2] in {"models", "training-samples", "decisions", "audit"}]
LISTS += ["/ai/strategies", "/ai/retraining-runs"]

# What Python's own reading of a whole number would let pass.
NOT_PLAIN = ["1_0", "10.0", "%2B10", "+10", "%2010", "10%20", "1e1", "%D9%A1%D9%A0"]

NOT_JSON = [
    b"{",
    b"nonsense",
    b'{"symbol": }',
    b"\xff\xfe\x00",
    b"\x00",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"[" * 5000 + b"]" * 5000,
    b'{"symbol": "A", "symbol": "B"} x',
    b"9" * 6000,
]
NOT_OBJECTS = [b"[]", b"1", b'"text"', b"true", b"[[[]]]"]


@pytest.fixture(autouse=True)
def _nothing_changes(shared_client: TestClient) -> Iterator[None]:
    before = contents(shared_client)
    yield
    assert contents(shared_client) == before


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_an_unknown_query_name_is_refused_by_name(shared_client: TestClient, method: str, path: str) -> None:
    problem = assert_problem(shared_client.request(method, f"{path}?stratgy=default"), 422)

    assert problem["field"] == "stratgy"


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("strategy", ["UPPER", "", "a/b", "a%00b", "%ff", "a" * 65, "-a", "é", "a b", "a&strategy=b"])
def test_a_malformed_strategy_is_refused(shared_client: TestClient, method: str, path: str, strategy: str) -> None:
    body = BODIES.get(path) if method == "POST" else None
    answer = shared_client.request(method, f"{path}?strategy={strategy}", json=body)

    assert assert_problem(answer, 422)["field"] == "strategy"


@pytest.mark.parametrize("path", [path for path in READS if path not in {"/ai/strategies"} and "-id" not in path])
def test_an_unknown_strategy_is_404_with_the_nearest_one(shared_client: TestClient, path: str) -> None:
    answer = shared_client.get(f"{path}?strategy=defualt")

    problem = assert_problem(answer, 404)
    assert problem["reason"] in {"unknown_strategy", "unknown_version", "unknown_run"}
    if problem["reason"] == "unknown_strategy":
        assert "default" in problem["detail"]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "limit", ["0", "-1", "1001", str(HUGE), "abc", "1.5", "NaN", "", "true", "9" * 5000, "%00", *NOT_PLAIN]
)
def test_a_limit_outside_1_to_1000_is_refused(shared_client: TestClient, path: str, limit: str) -> None:
    assert assert_problem(shared_client.get(f"{path}?limit={limit}"), 422)["field"] == "limit"


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("cursor", ["x", "-1", "%00", "9" * 30, "9" * 5000, "1-", "1-" + "9" * 25, "1;DROP", "💥"])
def test_a_cursor_nobody_gave_out_is_refused(shared_client: TestClient, path: str, cursor: str) -> None:
    assert assert_problem(shared_client.get(f"{path}?cursor={cursor}"), 422)["field"] == "cursor"


@pytest.mark.parametrize(
    "query",
    [
        f"min_samples={HUGE}",
        "min_samples=0",
        "min_samples=-5",
        "min_samples=1000001",
        "min_samples=ten",
        "min_samples=1e3",
        *(f"min_samples={text}" for text in NOT_PLAIN),
        "wait=maybe",
        "include_synthetic=2",
        "min_samples=5&min_samples=6",
    ],
)
def test_a_retraining_with_impossible_options_is_refused(shared_client: TestClient, query: str) -> None:
    problem = assert_problem(shared_client.post(f"/ai/retrain?{query}"), 422)

    assert problem["field"] == query.partition("=")[0]


@pytest.mark.parametrize(
    "query",
    [
        "action=SHORT",
        "target_class=win",
        "label_source=guess",
        "outcome_known=perhaps",
        "since=yesterday",
        "until=2026-01-01T00:00:00",
        "model_version=latest",
        "symbol=%00",
        "symbol=" + "A" * 33,
        "features=1.5",
        "since=0001-01-01T00:00:00%2B23:59",
        "since=9999-12-31T23:59:59-23:59",
        "since=12345",
    ],
)
def test_a_filter_that_cannot_match_is_refused(shared_client: TestClient, query: str) -> None:
    answer = shared_client.get(f"/ai/training-samples?{query}")

    assert answer.status_code in (404, 422)
    assert_problem(answer, answer.status_code)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("body", NOT_JSON + NOT_OBJECTS + [b"", b"  ", b"null"])
def test_a_body_that_is_no_json_object_is_refused(shared_client: TestClient, path: str, body: bytes) -> None:
    assert_problem(shared_client.post(path, content=body, headers=JSON), 422)


@pytest.mark.parametrize("path", BODYLESS)
@pytest.mark.parametrize("body", [*NOT_JSON, *NOT_OBJECTS, b'{"min_samples": 5}', b'{"reason": "why"}'])
def test_a_call_without_a_body_refuses_one(shared_client: TestClient, path: str, body: bytes) -> None:
    problem = assert_problem(shared_client.post(path, content=body, headers=JSON), 422)

    assert "query parameters" in problem["detail"]


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
def test_a_body_that_is_not_called_json_is_415(shared_client: TestClient, path: str, kind: str) -> None:
    body = json.dumps(BODIES[path]).encode()

    assert_problem(shared_client.post(path, content=body, headers={"Content-Type": kind}), 415)


@pytest.mark.parametrize("path", BODIES)
def test_an_unknown_body_key_is_refused_by_name(shared_client: TestClient, path: str) -> None:
    problem = assert_problem(shared_client.post(path, json={**BODIES[path], "pirce": 1}), 422)

    assert problem["field"] == "pirce"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/ai/decisions", "price"),
        ("/ai/decisions", "prediction_confidence"),
        ("/ai/decisions/some-id/execution", "entry_price"),
        ("/ai/decisions/some-id/execution", "quantity"),
        ("/ai/decisions/some-id/execution", "fees"),
        ("/ai/decisions/some-id/outcome", "exit_price"),
        ("/ai/decisions/some-id/outcome", "fees"),
        ("/ai/decisions/some-id/outcome", "realized_pnl"),
    ],
)
@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-Infinity", "1e999", '"1.0"', "true", "[1]", "{}", "1" + "0" * 400]
)
def test_what_is_no_finite_number_is_refused_by_its_field(
    shared_client: TestClient, path: str, field: str, value: str
) -> None:
    body = json.dumps({**BODIES[path], field: "@"}).replace('"@"', value)

    assert assert_problem(shared_client.post(path, content=body, headers=JSON), 422)["field"] == field


@pytest.mark.parametrize(
    ("path", "change", "field"),
    [
        ("/ai/decisions", {"price": 0.0}, "price"),
        ("/ai/decisions", {"price": -1.0}, "price"),
        ("/ai/decisions", {"price": 1e-320}, "price"),
        ("/ai/decisions", {"price": 1e300}, "price"),
        ("/ai/decisions", {"symbol": ""}, "symbol"),
        ("/ai/decisions", {"symbol": "A" * 33}, "symbol"),
        ("/ai/decisions", {"symbol": "BTC USDC"}, "symbol"),
        ("/ai/decisions", {"symbol": "BTC\x00"}, "symbol"),
        ("/ai/decisions", {"symbol": "BTCUSDC\n"}, "symbol"),
        ("/ai/decisions", {"symbol": 5}, "symbol"),
        ("/ai/decisions", {"symbol": None}, "symbol"),
        ("/ai/decisions", {"decision_id": "a b"}, "decision_id"),
        ("/ai/decisions", {"decision_id": "a" * 129}, "decision_id"),
        ("/ai/decisions", {"decision_id": "-a"}, "decision_id"),
        ("/ai/decisions", {"timestamp": "2026-03-02T12:00:00"}, "timestamp"),
        ("/ai/decisions", {"timestamp": "2026-03-02T12:01:01Z"}, "timestamp"),
        ("/ai/decisions", {"timestamp": 1772452800}, "timestamp"),
        ("/ai/decisions", {"timestamp": "9999-12-31T23:59:59-23:59"}, "timestamp"),
        ("/ai/decisions", {"predicted_action": "buy"}, "predicted_action"),
        ("/ai/decisions", {"prediction_confidence": 1.01}, "prediction_confidence"),
        ("/ai/decisions", {"features": {}}, "features"),
        ("/ai/decisions", {"features": {"": 1.0}}, "features"),
        ("/ai/decisions", {"features": {"a": None}}, "features.a"),
        ("/ai/decisions", {"features": {"a": "1"}}, "features.a"),
        ("/ai/decisions", {"features": {"a": 1e39}}, "features.a"),
        ("/ai/decisions", {"features": [1.0, 2.0]}, "features"),
        ("/ai/decisions", {"candles": [[1, 2, 3, 4, 5, 6]]}, "candles"),
        ("/ai/decisions", {"decisions": []}, "decisions"),
        ("/ai/decisions/some-id/execution", {"side": "HOLD"}, "side"),
        ("/ai/decisions/some-id/execution", {"quantity": 0}, "quantity"),
        ("/ai/decisions/some-id/execution", {"fill_id": "a\x00"}, "fill_id"),
        ("/ai/decisions/some-id/execution", {"entry_time": "noon"}, "entry_time"),
        ("/ai/decisions/some-id/outcome", {"exit_reason": "\ud800"}, "exit_reason"),
        ("/ai/decisions/some-id/outcome", {"final": 1}, "final"),
        ("/ai/predict", {"rows": {}}, "rows"),
        ("/ai/predict", {"rows": [5]}, "rows[0]"),
        ("/ai/strategies/default/schema", {"features": []}, "features"),
        ("/ai/strategies/default/schema", {"features": ["a\x00"]}, "features[0]"),
        ("/ai/strategies/default/schema", {"features": "abc"}, "features"),
        ("/ai/training-samples", {"samples": {}}, "samples"),
        ("/ai/training-samples", {"samples": [1]}, "samples[0]"),
        ("/ai/training-samples", {"samples": [{}] * 5001}, "samples"),
    ],
)
def test_a_value_out_of_its_range_is_refused_by_its_field(
    shared_client: TestClient, path: str, change: dict[str, Any], field: str
) -> None:
    body = json.dumps({**BODIES[path], **change})

    problem = assert_problem(shared_client.post(path, content=body, headers=JSON), 422)

    assert problem["field"].startswith(field)
    assert field.partition("[")[0].partition(".")[0] in problem["detail"]


@pytest.mark.parametrize("path", ["/ai/decisions/{}", "/ai/decisions/{}/execution", "/ai/decisions/{}/outcome"])
@pytest.mark.parametrize("decision_id", ["-a", "a%20b", "a%00b", "%ff", "a" * 129, "💥", "a%0A", "%F0%9F%92%A5"])
def test_a_malformed_decision_id_is_422(shared_client: TestClient, path: str, decision_id: str) -> None:
    method = "GET" if path.endswith("{}") else "POST"
    body = None if method == "GET" else EXECUTION if path.endswith("execution") else OUTCOME

    answer = shared_client.request(method, path.format(decision_id), json=body)

    assert assert_problem(answer, 422)["field"] == "decision_id"


@pytest.mark.parametrize(("method", "path"), [("GET", "/ai/decisions/{}"), ("POST", "/ai/decisions/{}/execution")])
def test_a_well_formed_decision_id_nobody_has_is_404(shared_client: TestClient, method: str, path: str) -> None:
    answer = shared_client.request(method, path.format("a:b-c.d_e"), json=EXECUTION if method == "POST" else None)

    assert_problem(answer, 404, "unknown_decision")


@pytest.mark.parametrize(
    "version_id", ["v20990101_000000", "latest", "v2026", "%00", "a%00b", "💥", "v" * 500, "%ff", "1"]
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/ai/models/{}"), ("POST", "/ai/activate-model/{}")])
def test_a_version_that_does_not_exist_is_404(
    shared_client: TestClient, method: str, path: str, version_id: str
) -> None:
    assert_problem(shared_client.request(method, path.format(version_id)), 404, "unknown_version")


@pytest.mark.parametrize("run_id", ["run-1", "💥", "%00", "a" * 500, "a%00"])
def test_a_run_that_does_not_exist_is_404(shared_client: TestClient, run_id: str) -> None:
    assert_problem(shared_client.get(f"/ai/retraining-runs/{run_id}"), 404, "unknown_run")


def test_forcing_an_activation_without_a_reason_is_refused(shared_client: TestClient) -> None:
    answer = shared_client.post("/ai/activate-model/v20990101_000000?force=true")

    assert answer.status_code in (404, 422)


@pytest.mark.parametrize("path", [path for path in BODIES if path != "/ai/training-samples"])
def test_nine_mebibytes_are_too_much(shared_client: TestClient, path: str) -> None:
    body = b'{"a": "' + b"a" * (9 * 1024 * 1024) + b'"}'

    assert_problem(shared_client.post(path, content=body, headers=JSON), 413, "body_too_large")


@pytest.mark.parametrize(
    ("path", "mebibytes"), [("/ai/decisions", 9), ("/ai/retrain", 9), ("/ai/training-samples", 65)]
)
def test_a_body_of_unknown_length_is_counted_while_it_comes(
    shared_client: TestClient, path: str, mebibytes: int
) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(mebibytes):
            yield b" " * 1024 * 1024

    assert_problem(shared_client.post(path, content=chunks(), headers=JSON), 413, "body_too_large")


def test_nine_mebibytes_are_not_too_much_for_an_import(shared_client: TestClient) -> None:
    body = b'{"samples": []' + b" " * (9 * 1024 * 1024) + b"}"

    assert shared_client.post("/ai/training-samples", content=body, headers=JSON).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("POST", "/ai"), ("GET", "/ai/shelves")])
def test_an_unknown_path_is_404(shared_client: TestClient, method: str, path: str) -> None:
    assert_problem(shared_client.request(method, path), 404, "no_such_path")


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/ai/models"), ("GET", "/ai/retrain"), ("PUT", "/ai/status")])
def test_another_method_is_405_and_says_which_are_taken(shared_client: TestClient, method: str, path: str) -> None:
    answer = shared_client.request(method, path)

    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"]


@pytest.mark.parametrize("where", ["query", "key", "value", "path"])
def test_a_token_sent_in_a_wrong_place_is_not_echoed(shared_client: TestClient, where: str) -> None:
    token = ADMIN["X-Admin-Token"]
    answers = {
        "query": lambda: shared_client.get(f"/ai/status?{token}=1"),
        "key": lambda: shared_client.post("/ai/decisions", json={**DECISION, token: 1}),
        "value": lambda: shared_client.post("/ai/decisions", json={**DECISION, "decision_id": f"{token} "}),
        "path": lambda: shared_client.get(f"/ai/decisions/{token}"),
    }

    answer = answers[where]()

    assert 400 <= answer.status_code < 500
    assert token not in answer.text
