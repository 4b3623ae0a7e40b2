"""The API's description of itself, and the pages that need no foreign address."""

import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import METRICS, TRADER, assert_problem

OWN_STATUSES = {"401", "403", "422", "429", "500", "503"}


@pytest.fixture(scope="module")
def document(shared_client: TestClient) -> dict[str, Any]:
    answer = shared_client.get("/openapi.json")
    assert answer.status_code == 200
    described: dict[str, Any] = answer.json()
    return described


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{verb.upper()} {path}", operation)
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
    ]


def test_the_description_needs_a_token_but_not_the_admins(shared_client: TestClient) -> None:
    assert shared_client.get("/openapi.json", headers=TRADER).status_code == 200
    assert_problem(shared_client.get("/openapi.json", headers=METRICS), 403)
    assert_problem(shared_client.get("/openapi.json", headers={"X-Admin-Token": ""}), 401)


def test_every_call_is_described_in_words(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"].strip().endswith("."), name
        assert operation["tags"], name
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    known = {tag["name"] for tag in document["tags"]}
    assert {tag for _, operation in operations(document) for tag in operation["tags"]} == known


def test_every_guarded_call_documents_its_problems(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        if operation["tags"] == ["health"]:
            assert operation["security"] == [], name
            continue
        assert set(operation["responses"]) >= OWN_STATUSES, name
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], (name, status)
        if "requestBody" in operation:
            assert {"413", "415"} <= set(operation["responses"]), name


def test_every_parameter_and_every_success_is_described(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        successes = [answer for status, answer in operation["responses"].items() if int(status) < 300]
        assert successes, name
        assert all(form["schema"] for answer in successes for form in answer["content"].values()), name
        for parameter in operation.get("parameters", []):
            assert parameter["schema"], (name, parameter["name"])


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(re.findall(r"#/components/schemas/([A-Za-z0-9_.-]+)", str(document)))

    assert references <= set(document["components"]["schemas"])
    assert "HTTPValidationError" not in references


@pytest.mark.parametrize(
    "call",
    [
        "POST /ai/retrain",
        "GET /ai/models",
        "GET /ai/models/{version_id}",
        "POST /ai/activate-model/{version_id}",
        "POST /ai/rollback",
        "POST /ai/deactivate",
        "GET /ai/training-samples",
        "POST /ai/training-samples",
        "POST /ai/decisions",
        "GET /ai/decisions",
        "GET /ai/decisions/{decision_id}",
        "POST /ai/decisions/{decision_id}/execution",
        "POST /ai/decisions/{decision_id}/outcome",
        "POST /ai/predict",
        "POST /ai/strategies/{strategy}/schema",
        "GET /ai/strategies",
        "GET /ai/audit",
        "GET /ai/status",
        "GET /ai/doctor",
        "GET /ai/retraining-runs",
        "GET /ai/retraining-runs/{run_id}",
        "GET /health/live",
        "GET /health/ready",
        "GET /metrics",
    ],
)
def test_the_call_exists(document: dict[str, Any], call: str) -> None:
    assert call in dict(operations(document))


def test_every_described_call_is_answered_without_a_token_as_it_is_described(
    shared_client: TestClient, document: dict[str, Any]
) -> None:
    for name, operation in operations(document):
        method, path = name.split(" ")
        answer = shared_client.request(method, re.sub(r"{\w+}", "x", path), headers={"X-Admin-Token": ""})
        assert answer.status_code == (200 if operation.get("security") == [] else 401), name


@pytest.mark.parametrize("page", ["/", "/docs"])
def test_a_page_loads_nothing_from_elsewhere(shared_client: TestClient, page: str) -> None:
    answer = shared_client.get(page)

    sources = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert sources
    for source in sources:
        assert source.startswith("/")
        assert shared_client.get(source).status_code == 200
    assert "<script>" not in answer.text


def test_the_documentation_asks_for_the_token_and_reads_the_description(shared_client: TestClient) -> None:
    assert 'type="password"' in shared_client.get("/docs").text
    assert "/openapi.json" in shared_client.get("/web/docs.js").text


@pytest.mark.parametrize("path", ["/web/../main.py", "/web/%2e%2e/main.py", "/web/nothing.js", "/web/"])
def test_only_the_pages_own_files_are_served(shared_client: TestClient, path: str) -> None:
    assert shared_client.get(path).status_code in (401, 404)


def test_the_ends_of_a_span_of_samples_are_said_to_be_included(document: dict[str, Any]) -> None:
    told = {
        parameter["name"]: parameter["description"]
        for parameter in document["paths"]["/ai/training-samples"]["get"]["parameters"]
        if parameter["name"] in ("since", "until")
    }

    assert told == {"since": "Decided at or after this time.", "until": "Decided at or before this time."}


def test_what_today_counts_and_what_a_number_is_are_said(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    numbers = {
        (name, parameter["name"]): parameter["schema"]
        for name, operation in operations(document)
        for parameter in operation.get("parameters", [])
        if parameter["name"] in ("limit", "min_samples")
    }

    assert "UTC" in schemas["SampleCounts"]["properties"]["today"]["description"]
    assert len(numbers) >= 7
    assert all("integer" in str(schema) and "string" not in str(schema) for schema in numbers.values())
