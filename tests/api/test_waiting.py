"""However many callers wait for a retraining, everybody else is answered."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from ai_engine.pipeline import Refused, TrainingContext
from tests.api.conftest import assert_problem, closed_samples, features

THREADS_OF_THE_POOL = 40
WAITING = THREADS_OF_THE_POOL + 8


class HeldTrainer:
    """Trains nothing until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.let_go = threading.Event()

    def __call__(self, rows: Any, _context: TrainingContext, *_told: Any) -> Refused:
        self.begun.release()
        assert self.let_go.wait(60)
        return Refused("degenerate_data", {"valid_samples": len(rows.times), "rejected": {}})

    def close(self) -> None:
        self.let_go.set()


@pytest.fixture
def trainer(client: TestClient) -> Iterator[HeldTrainer]:
    """The service's trainer, held, with as many strategies to train as callers will wait."""
    trainer = HeldTrainer()
    state = client.app.state  # type: ignore[attr-defined]
    state.context = replace(state.context, retraining=replace(state.context.retraining, trainer=trainer))
    rows = closed_samples(12)
    for index in range(WAITING):
        client.post(f"/ai/training-samples?strategy=s{index}", json={"samples": rows})
    yield trainer
    trainer.let_go.set()


def test_waiting_retrainings_leave_threads_for_decisions_and_health(client: TestClient, trainer: HeldTrainer) -> None:
    def wait_for(index: int) -> Any:
        return client.post(f"/ai/retrain?strategy=s{index}&min_samples=10")

    with ThreadPoolExecutor(WAITING) as callers:
        waiting = [callers.submit(wait_for, index) for index in range(WAITING)]
        for _ in range(WAITING):
            assert trainer.begun.acquire(timeout=60)

        running = client.get("/ai/status").json()["retraining"]["running"]
        decided = client.post("/ai/decisions", json={"symbol": "BTCUSDC", "price": 1.0, "features": features()})
        second = client.post("/ai/retrain?strategy=s0")
        ready = client.get("/health/ready")
        trainer.let_go.set()
        answers = [one.result() for one in waiting]

    assert len(running) == WAITING
    assert decided.status_code == 201
    assert assert_problem(second, 409, "retraining_in_progress")["run_id"] in running
    assert ready.status_code == 200
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["reason"] for answer in answers} == {"degenerate_data"}
