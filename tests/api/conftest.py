"""A service over a real SQLite database, called in the same process, and what several tests say to it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from backend.clock import iso
from backend.database import Database
from backend.main import create_app
from backend.models import Base
from backend.settings import Settings, load_settings
from tests.api.description import assert_described, description_of

ADMIN = {"X-Admin-Token": "an-admin-token-for-tests-only"}
TRADER = {"X-Admin-Token": "a-trader-token-for-tests-only"}
METRICS = {"X-Admin-Token": "a-metrics-token-for-tests-only"}
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NAMES = tuple(f"feature_{index}" for index in range(6))


def settings_in(folder: Path, **more: str) -> Settings:
    """Settings of a service without a market, everything it writes in one folder."""
    environ = {
        "QT_ADMIN_TOKEN": ADMIN["X-Admin-Token"],
        "QT_TRADER_TOKEN": TRADER["X-Admin-Token"],
        "QT_METRICS_TOKEN": METRICS["X-Admin-Token"],
        "QT_MARKET": "off",
        "QT_DATABASE_URL": f"sqlite:///{folder / 'quantum_trader.db'}",
        "QT_MODEL_DIR": str(folder / "models"),
    }
    return load_settings(environ={**environ, **more}, env_file=None)


def open_client(settings: Settings, clock: Callable[[], datetime]) -> TestClient:
    """A client of a new service; enter it to start the service. It holds every answer to the API's description."""
    database = Database(settings.database_url)
    Base.metadata.create_all(database.engine)
    database.close()
    app = create_app(settings, clock=clock)
    client = TestClient(app, base_url="http://127.0.0.1", headers=ADMIN)
    client.event_hooks["response"].append(partial(assert_described, description_of(app)))
    return client


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """An empty service, called as the admin, its clock standing at ``NOW``."""
    with open_client(settings_in(tmp_path), lambda: NOW) as client:
        yield client


@pytest.fixture(scope="module")
def shared_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One service for all tests of a file, for those that only read or are refused."""
    with open_client(settings_in(tmp_path_factory.mktemp("service")), lambda: NOW) as client:
        yield client


def contents(client: TestClient) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    database: Database = client.app.state.context.database  # type: ignore[attr-defined]
    with database.engine.connect() as connection:
        return {
            name: [tuple(row) for row in connection.execute(table.select())]
            for name, table in Base.metadata.tables.items()
        }


def features(seed: int = 0) -> dict[str, float]:
    """One row of six named features."""
    values = np.random.default_rng(seed).normal(size=len(NAMES))
    return {name: float(value) for name, value in zip(NAMES, values, strict=True)}


def closed_samples(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Closed trades of the last weeks whose direction follows ``feature_0``."""
    random = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        seen = random.normal(size=len(NAMES))
        move = 0.01 * np.tanh(seen[0]) + 0.002 * random.normal()
        entered = NOW - timedelta(hours=2 * (count - index))
        rows.append(
            {
                "decision_id": f"old-{seed}-{index}",
                "symbol": "BTCUSDC",
                "timestamp": iso(entered),
                "predicted_action": "BUY" if index % 2 else "SELL",
                "entry_price": 40_000.0,
                "exit_price": 40_000.0 * (1 + move),
                "quantity": 0.1,
                "exit_time": iso(entered + timedelta(hours=1)),
                "features": dict(zip(NAMES, map(float, seen), strict=True)),
            }
        )
    return rows


def assert_problem(answer: Any, status: int, reason: str | None = None) -> dict[str, Any]:
    """The answer is a problem document of that status; the document."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "request_id", "reason"} <= set(document)
    assert document["status"] == status
    assert document["request_id"] == answer.headers["x-request-id"]
    if reason is not None:
        assert document["reason"] == reason
    return document
