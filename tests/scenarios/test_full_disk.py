"""A disk without room: the service answers, says that it cannot store anything, and goes on when there is room."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.service import Service, running_service

if sys.platform != "linux":
    pytest.skip("only Linux sets the limits of a process that runs", allow_module_level=True)

import resource

PATIENCE_SECONDS = 60.0
LIMIT_BYTES = 700_000


def eventually(check: Callable[[], bool]) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not check():
        assert time.monotonic() < deadline, "it never became so"
        time.sleep(0.1)


def limit(service: Service, size: int) -> None:
    """No file of the service may be longer, which is what a full disk looks like to SQLite."""
    resource.prlimit(service.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def ready(service: Service) -> tuple[int, dict[str, Any]]:
    """What readiness says."""
    return service.call("GET", "/health/ready")


def decisions(service: Service) -> int:
    """How many are stored."""
    return int(service.ok("GET", "/ai/status")["samples"]["total"])


@pytest.mark.slow
def test_a_full_disk_is_said_by_ready_while_it_lasts_and_trading_goes_on_after_it(tmp_path: Path) -> None:
    with running_service(tmp_path, QT_MARKET="simulated", QT_MARKET_SPEED="0", QT_SYMBOLS="BTCUSDC") as service:
        limit(service, LIMIT_BYTES)
        eventually(lambda: "writes_fail" in ready(service)[1]["reasons"])
        time.sleep(1)
        stored = decisions(service)
        (code, answer), alive = ready(service), service.call("GET", "/health/live")[0]

        limit(service, resource.RLIM_INFINITY)
        eventually(lambda: ready(service)[1]["reasons"] == [])
        eventually(lambda: decisions(service) > stored)

    assert (code, answer["status"], alive) == (200, "degraded", 200)
    assert "writes_fail" in answer["reasons"]
