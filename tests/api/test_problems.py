"""What an error looks like, also the one nobody foresaw."""

import json
import logging

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.exc import DatabaseError, IntegrityError, InterfaceError, OperationalError, ProgrammingError

from backend.api import problems
from backend.api.middleware import RequestContext
from backend.errors import ConflictError
from backend.logs import Redactor
from tests.api.conftest import assert_problem

SECRET = "the-secret-of-this-test"
UNAVAILABLE = {"damaged": DatabaseError, "unreachable": OperationalError, "closed": InterfaceError}
BUGS = {"refused": IntegrityError, "misspelt": ProgrammingError}
DATABASE_ERRORS = UNAVAILABLE | BUGS


@pytest.fixture
def client() -> TestClient:
    """An application whose calls fail in every way."""
    app = FastAPI()
    app.state.redactor = Redactor([SECRET])
    problems.install(app)
    app.add_middleware(RequestContext)

    @app.get("/bug")
    def bug() -> None:
        raise ZeroDivisionError(f"internals with {SECRET}")

    @app.get("/database/{kind}")
    def database(kind: str) -> None:
        raise DATABASE_ERRORS[kind]("SELECT 1", {}, Exception(SECRET))

    @app.get("/conflict")
    def conflict() -> None:
        raise ConflictError(f"It says {SECRET} \ud800.", reason="some_reason", run_id="run-1", status="no", detail=None)

    @app.get("/late")
    def late(number: int) -> int:
        return number

    return TestClient(app)


def test_a_bug_is_a_bare_500_and_the_log_has_the_rest(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        answer = client.get("/bug", headers={"X-Request-ID": "my-id-1"})

    problem = assert_problem(answer, 500, "internal_error")
    assert problem["request_id"] == "my-id-1"
    assert "Zero" not in answer.text
    assert "internals" not in answer.text


@pytest.mark.parametrize("kind", UNAVAILABLE)
def test_a_database_that_does_not_answer_is_503_with_retry_after(client: TestClient, kind: str) -> None:
    answer = client.get(f"/database/{kind}")

    assert_problem(answer, 503, "database_unavailable")
    assert answer.headers["retry-after"]
    assert SECRET not in answer.text


@pytest.mark.parametrize("kind", BUGS)
def test_a_statement_that_the_database_refuses_is_a_bug_and_not_its_absence(client: TestClient, kind: str) -> None:
    assert_problem(client.get(f"/database/{kind}"), 500, "internal_error")


def test_what_a_caller_needs_stands_beside_the_reason_and_replaces_nothing(client: TestClient) -> None:
    problem = assert_problem(client.get("/conflict"), 409, "some_reason")

    assert problem["run_id"] == "run-1"
    assert problem["detail"] == "It says *** ?."


def test_a_malformed_parameter_is_named(client: TestClient) -> None:
    problem = assert_problem(client.get("/late?number=five"), 422, "invalid_input")

    assert problem["field"] == "number"
    assert problem["errors"] == [{"field": "number", "message": problem["detail"].removeprefix("number: ")}]


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "-a", "é".encode(), "a\x7f"])
def test_a_request_id_that_could_spoil_the_log_is_replaced(client: TestClient, given: str | bytes) -> None:
    answer = client.get("/conflict", headers={"X-Request-ID": given})

    assert len(answer.headers["x-request-id"]) == 32
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_every_answer_forbids_caching_and_sniffing(client: TestClient) -> None:
    answer = client.get("/late?number=5")

    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_document_is_strict_json(client: TestClient) -> None:
    def refuse(name: str) -> None:
        raise ValueError(name)

    assert json.loads(client.get("/conflict").content, parse_constant=refuse)["status"] == 409
