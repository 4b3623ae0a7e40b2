"""A real service in a process of its own, answering on a loopback port, with everything it writes in one folder."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.postgres import free_port

ROOT = Path(__file__).resolve().parent.parent
ADMIN_TOKEN = "an-admin-token-for-tests-only"
TRADER_TOKEN = "a-trader-token-for-tests-only"
READY_SECONDS = 60.0


@dataclass
class Service:
    """Where it is, what it runs with, and how to speak to it."""

    port: int
    folder: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database_file(self) -> Path:
        return self.folder / "quantum_trader.db"

    def call(self, method: str, path: str, body: object = None, token: str = ADMIN_TOKEN) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"X-Admin-Token": token, "Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def ok(self, method: str, path: str, body: object = None, token: str = ADMIN_TOKEN) -> dict[str, Any]:
        status, answer = self.call(method, path, body, token)
        assert 200 <= status < 300, (status, answer)
        return answer


def environment_of(folder: Path, port: int, **settings: str) -> dict[str, str]:
    """A whole environment: nothing of the developer's own settings reaches the service."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QT_")}
    return kept | {
        "QT_ADMIN_TOKEN": ADMIN_TOKEN,
        "QT_TRADER_TOKEN": TRADER_TOKEN,
        "QT_DATABASE_URL": f"sqlite:///{folder / 'quantum_trader.db'}",
        "QT_MODEL_DIR": str(folder / "models"),
        "QT_PORT": str(port),
        "QT_MARKET": "off",
        **settings,
    }


@contextmanager
def running_service(folder: Path, **settings: str) -> Iterator[Service]:
    """``qt serve``, ready; ended with SIGTERM, and it must then end by itself."""
    port = free_port()
    environment = environment_of(folder, port, **settings)
    log = folder / "service.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "backend.cli.main", "serve"],
            cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    service = Service(port, folder, environment, process)
    try:
        _await_ready(service, log)
        yield service
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) in (0, -signal.SIGTERM), log.read_text(errors="replace")[-2000:]
        assert "Application shutdown complete" in log.read_text(errors="replace")
    finally:
        process.kill()
        process.wait()


def _await_ready(service: Service, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and service.process.poll() is None:
        try:
            if service.call("GET", "/health/ready")[0] == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"the service did not become ready: {log.read_text(errors='replace')[-2000:]}")
