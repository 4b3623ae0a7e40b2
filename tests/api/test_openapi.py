"""The API's description of itself, and the pages that need no foreign address."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import CheckConstraint

import backend
from ai_engine.types import Action, LabelSource, TargetClass, TargetKind, Verdict
from backend.api.schemas.problems import problems
from backend.api.schemas.reasons import REASONS
from backend.models import Base
from backend.operations.codes import Severity
from tests.api.conftest import METRICS, TRADER, assert_problem

OWN_STATUSES = {"400", "401", "403", "413", "422", "429", "500", "503"}
WORDS = {
    "Action": Action, "TargetClass": TargetClass, "LabelSource": LabelSource, "Verdict": Verdict,
    "TargetKind": TargetKind, "Severity": Severity,
}  # fmt: skip
COLUMNS = {
    "DecisionState": ("ai_training_samples", "state_known"), "Origin": ("ai_training_samples", "origin_known"),
    "MarketState": ("feeds", "state_known"), "RunState": ("job_runs", "state_known"),
    "Sides": ("strategies", "sides_known"), "Side": ("ai_training_samples", "execution_side_known"),
}  # fmt: skip


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
            assert "415" in operation["responses"], name


def test_every_parameter_and_every_success_is_described(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        successes = [answer for status, answer in operation["responses"].items() if int(status) < 300]
        assert successes, name
        assert all(form["schema"] for answer in successes for form in answer["content"].values()), name
        for parameter in operation.get("parameters", []):
            assert parameter["schema"], (name, parameter["name"])


def test_every_reference_leads_somewhere_and_nothing_lies_unused(document: dict[str, Any]) -> None:
    for kind in ("schemas", "examples"):
        references = set(re.findall(rf"#/components/{kind}/([A-Za-z0-9_.-]+)", str(document)))

        assert references == set(document["components"][kind])


def test_every_type_and_every_key_is_described(document: dict[str, Any]) -> None:
    without = []
    for name, schema in document["components"]["schemas"].items():
        without += [] if schema.get("description") else [name]
        for key, value in schema.get("properties", {}).items():
            without += [] if value.get("description") or "$ref" in value else [f"{name}.{key}"]

    assert without == []


def test_every_parameter_is_described_once(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            assert parameter["description"].endswith("."), (name, parameter["name"])


@pytest.mark.parametrize("name", WORDS)
def test_the_named_words_are_those_of_the_code(document: dict[str, Any], name: str) -> None:
    words: type[StrEnum] = WORDS[name]

    assert document["components"]["schemas"][name]["enum"] == [str(word) for word in words]


@pytest.mark.parametrize("name", COLUMNS)
def test_the_named_words_are_those_of_the_tables(document: dict[str, Any], name: str) -> None:
    table, constraint = COLUMNS[name]
    (check,) = [
        str(one.sqltext)
        for one in Base.metadata.tables[table].constraints
        if isinstance(one, CheckConstraint) and str(one.name).endswith(constraint)
    ]

    assert set(document["components"]["schemas"][name]["enum"]) == set(re.findall(r"'([^']+)'", check))


def test_unions_have_names_and_a_batchs_items_types(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    assert schemas["RetrainAnswer"]["discriminator"]["propertyName"] == "status"
    assert schemas["DecisionBatch"]["properties"]["decisions"]["items"] == {"$ref": "#/components/schemas/DecisionIn"}
    assert schemas["ImportBody"]["properties"]["samples"]["items"] == {"$ref": "#/components/schemas/ClosedSample"}
    assert schemas["PredictIn"]["properties"]["rows"]["items"]["additionalProperties"] == {"type": "number"}
    assert schemas["ModelDetail"]["properties"]["report"]["$ref"] == "#/components/schemas/Report"


def test_every_error_names_its_reasons_and_what_they_mean(document: dict[str, Any]) -> None:
    documented = set()
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) < 400 or (name, status) == ("GET /health/ready", "503"):
                continue
            reasons = list(response["content"]["application/problem+json"]["examples"])
            assert reasons, (name, status)
            for reason in reasons:
                assert REASONS[reason].status == int(status), (name, reason)
                assert f"`{reason}`: {REASONS[reason].meaning}" in response["description"], (name, reason)
            documented |= set(reasons)

    assert documented == set(REASONS)


def test_a_reason_that_nobody_knows_cannot_be_documented() -> None:
    with pytest.raises(KeyError):
        problems("no_such_reason")


def test_the_service_says_who_where_and_under_which_licence(document: dict[str, Any]) -> None:
    licence = (Path(backend.__file__).resolve().parents[1] / "LICENSE").read_text(encoding="utf-8")

    assert document["openapi"].startswith("3.1")
    assert document["info"]["license"] == {"name": "MIT", "identifier": "MIT"}
    assert licence.startswith("MIT License")
    assert document["info"]["contact"]["name"]
    assert document["servers"][0]["url"] == "/"
    assert all(scheme["description"] for scheme in document["components"]["securitySchemes"].values())


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


def test_every_call_says_which_tokens_it_takes(shared_client: TestClient, document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        method, path = name.split(" ")
        said = re.search(r"\nToken: ([a-z ]+)\.$", operation["description"])
        assert said is not None, name
        for role, header in (("trader", TRADER), ("metrics", METRICS)):
            answer = shared_client.request(method, re.sub(r"{\w+}", "x", path), headers=header)
            allowed = role in said[1].split(" or ") or said[1] == "none"
            assert (answer.status_code != 403) == allowed, (name, role)


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


def test_the_front_pages_example_calls_the_address_it_was_opened_at(shared_client: TestClient) -> None:
    page = shared_client.get("/", headers={"host": "127.0.0.1:8123"})

    assert page.status_code == 200
    assert "http://127.0.0.1:8123/ai/status" in page.text
    assert ":8000" not in page.text
