"""A second version beside the first, over HTTP: both score the same decisions, and each is credited with its own."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.clock import iso
from tests.service import Service, running_service

HORIZON = timedelta(hours=1)


def history(now: datetime, count: int, seed: int) -> list[dict[str, Any]]:
    """Closed trades of the last weeks whose direction follows ``alpha``."""
    random, rows = np.random.default_rng(seed), []
    for index in range(count):
        alpha, beta = (float(value) for value in random.normal(size=2))
        move = 0.01 * float(np.tanh(alpha)) + 0.002 * float(random.normal())
        entered = now - timedelta(hours=3 * (count - index) + 48 + seed)
        rows.append(
            {
                "decision_id": f"old-{seed}-{index}",
                "symbol": "BTCUSDC",
                "timestamp": iso(entered),
                "predicted_action": "BUY",
                "entry_price": 40_000.0,
                "exit_price": 40_000.0 * (1 + move),
                "exit_time": iso(entered + HORIZON),
                "features": {"alpha": alpha, "beta": beta},
            }
        )
    return rows


def learned(service: Service, now: datetime, count: int, seed: int) -> str:
    service.ok("POST", "/ai/training-samples", {"samples": history(now, count, seed)})
    return str(service.ok("POST", "/ai/retrain?min_samples=50")["version_id"])


def activate(service: Service, version: str) -> None:
    service.ok("POST", f"/ai/activate-model/{version}?force=true&reason=the+scenario")


def decide(service: Service, number: int, begun: datetime, price: float) -> dict[str, Any]:
    """One decision an horizon: the price of the next settles it."""
    body = {
        "decision_id": f"d{number}",
        "symbol": "BTCUSDC",
        "timestamp": iso(begun + number * HORIZON),
        "price": price,
        "features": {"alpha": 1.5 - number, "beta": 0.1},
    }
    return service.ok("POST", "/ai/decisions", body)


def scored(service: Service) -> list[tuple[Any, ...]]:
    query = (
        "SELECT s.decision_id, f.role, f.version_id FROM forecasts f JOIN ai_training_samples s ON s.id = f.sample_id"
        " ORDER BY 1, 2, 3"
    )
    with closing(sqlite3.connect(service.database_file)) as connection:
        return connection.execute(query).fetchall()


def live(service: Service, version: str) -> tuple[Any, ...]:
    told = service.ok("GET", f"/ai/models/{version}")["live"]
    return told["total_predictions"], told["matured_predictions"], told["total_trades"], told["total_pnl"]


@pytest.mark.slow
def test_an_open_decision_of_the_replaced_version_is_credited_to_it_once_and_both_score_on(tmp_path: Path) -> None:
    with running_service(tmp_path, QT_MIN_CONFIDENCE="0") as service:
        now = datetime.now(UTC)
        begun = now - timedelta(hours=12)
        a, b = learned(service, now, 120, seed=1), learned(service, now, 30, seed=2)

        decide(service, 0, begun, 40_000.0)
        activate(service, a)
        first = decide(service, 1, begun, 40_100.0)
        fill = {"side": "BUY", "entry_price": 40_100.0, "quantity": 0.1, "entry_time": iso(begun + HORIZON)}
        service.ok("POST", "/ai/decisions/d1/execution", fill)
        activate(service, b)
        left = {"exit_price": 40_500.0, "exit_time": iso(begun + 1.5 * HORIZON), "fees": 8.0}
        answers = [service.ok("POST", "/ai/decisions/d1/outcome", left) for _ in range(2)]
        second = decide(service, 2, begun, 40_200.0)
        decide(service, 3, begun, 40_300.0)

        assert (first["model_version"], second["model_version"]) == (a, b)
        assert answers[0] == answers[1]
        assert live(service, a) == (1, 1, 1, pytest.approx(32.0))
        assert live(service, b) == (2, 1, 0, 0.0)
        assert scored(service) == [
            *(("d0", "shadow", version) for version in sorted((a, b))),
            ("d1", "active", a),
            ("d1", "shadow", b),
            *((f"d{number}", role, version) for number in (2, 3) for role, version in (("active", b), ("shadow", a))),
        ]
        compared = service.ok("GET", f"/ai/compare?a={a}&b={b}")
        assert compared["paired"]["rows"] == 3
        assert compared["a"]["executed"] == {"total_trades": 1, "total_pnl": pytest.approx(32.0)}
        assert compared["verdict"] == "not_distinguishable"

        stopped = service.ok("DELETE", f"/ai/models/{a}/shadow")
        decide(service, 4, begun, 40_300.0)
        assert (stopped["is_shadow"], stopped["shadows"]) == (False, [])
        assert [row[1:] for row in scored(service) if row[0] == "d4"] == [("active", b)]
        assert service.ok("POST", f"/ai/models/{a}/shadow")["shadow_origin"] == "asked"
        assert service.call("POST", f"/ai/models/{b}/shadow")[1]["reason"] == "already_active"
        assert service.call("DELETE", f"/ai/models/{a}/shadow?strategy=other")[0] == 404
        assert service.call("POST", f"/ai/models/{a}/shadow", token="a-trader-token-for-tests-only")[0] == 403
