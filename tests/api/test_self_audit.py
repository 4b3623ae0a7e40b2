"""The self-audit over HTTP: refusals that name the remedy, real answers for data too small, and who may ask."""

import time

import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import TRADER, assert_problem, closed_samples


def test_never_audited_is_an_answer_and_not_an_error(client: TestClient) -> None:
    answer = client.get("/ai/self-audit").json()

    assert answer == {
        "status": "ok", "strategy": "default", "state": "never", "reason": None, "run_id": None, "stage": None,
        "progress": None, "result": None, "history": [],
    }  # fmt: skip


def test_too_few_outcomes_are_skipped_with_their_numbers(client: TestClient) -> None:
    client.post("/ai/training-samples", json={"samples": closed_samples(60)})

    answer = client.post("/ai/self-audit")

    assert answer.status_code == 200
    assert answer.json()["status"] == "skipped"
    assert (answer.json()["reason"], answer.json()["samples_count"]) == ("insufficient_samples", 60)
    assert client.get("/ai/self-audit").json()["history"][0]["reason"] == "insufficient_samples"
    assert client.get("/ai/retraining-runs").json()["runs"] == []
    assert client.get("/ai/status").json()["retraining"]["last_run"] is None


def test_without_waiting_it_goes_on_and_tells_how_far_it_is(client: TestClient) -> None:
    client.post("/ai/training-samples", json={"samples": closed_samples(60)})

    begun = client.post("/ai/self-audit?wait=false")

    assert begun.status_code == 202
    assert begun.json()["status"] == "started"
    for _ in range(200):
        state = client.get("/ai/self-audit").json()
        if state["state"] != "running":
            break
        time.sleep(0.05)
    assert (state["state"], state["run_id"]) == ("skipped", begun.json()["run_id"])
    assert client.get(f"/ai/retraining-runs/{begun.json()['run_id']}").json()["job"] == "self-audit"


@pytest.mark.parametrize(
    "query", ["placebos=9", "placebos=1001", "planted=9", "planted=1001", "placebos=1e2", "seed=1"]
)
def test_counts_outside_their_bounds_are_refused_by_name(shared_client: TestClient, query: str) -> None:
    problem = assert_problem(shared_client.post(f"/ai/self-audit?{query}"), 422, "invalid_input")

    assert query.partition("=")[0] in problem["detail"]


def test_an_unknown_strategy_is_named(shared_client: TestClient) -> None:
    assert_problem(shared_client.post("/ai/self-audit?strategy=nobody"), 404, "unknown_strategy")
    assert_problem(shared_client.get("/ai/self-audit?strategy=nobody"), 404, "unknown_strategy")


def test_only_the_admin_may_ask(shared_client: TestClient) -> None:
    assert_problem(shared_client.post("/ai/self-audit", headers=TRADER), 403)
    assert_problem(shared_client.get("/ai/self-audit", headers=TRADER), 403)
