"""The service as a process: over a socket, with its lifespan, stopped by a signal."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from backend.database import Database
from backend.errors import UnavailableError
from backend.main import create_app
from backend.models import Base
from backend.operations import runs
from backend.operations.codes import Code
from tests.api.conftest import ADMIN, NOW, closed_samples, features, open_client, settings_in

ROOT = Path(__file__).resolve().parents[2]
SERVE = """
import uvicorn
from backend.main import create_app
from backend.settings import load_settings
settings = load_settings()
uvicorn.run(create_app(settings), host="127.0.0.1", port=settings.port, log_config=None, timeout_graceful_shutdown=3)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Service:
    """A running process and its address."""

    def __init__(self, folder: Path, market: str) -> None:
        self.port = port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        database_url = f"sqlite:///{folder / 'quantum_trader.db'}"
        database = Database(database_url)
        Base.metadata.create_all(database.engine)
        database.close()
        environ = {key: value for key, value in os.environ.items() if not key.startswith("QT_")}
        environ |= {
            "QT_ADMIN_TOKEN": ADMIN["X-Admin-Token"],
            "QT_PORT": str(port),
            "QT_MARKET": market,
            "QT_DATABASE_URL": database_url,
            "QT_MODEL_DIR": str(folder / "models"),
            "QT_LOG_FORMAT": "json",
            "QT_SYMBOLS": "BTCUSDC",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE], cwd=ROOT, env=environ, stderr=subprocess.PIPE, text=True
        )

    def get(self, path: str) -> Any:
        request = urllib.request.Request(self.address + path, headers=ADMIN)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def post(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {**ADMIN, "Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, data, headers, method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def wait_until_ready(self) -> None:
        for _ in range(300):
            try:
                self.get("/health/ready")
            except OSError:
                time.sleep(0.1)
            else:
                return
        pytest.fail("the service did not become ready")

    def stop(self) -> tuple[int, list[dict[str, Any]]]:
        """The exit code and the log, once it has ended by itself."""
        self.process.send_signal(signal.SIGTERM)
        _, log = self.process.communicate(timeout=30)
        lines = [json.loads(line) for line in log.splitlines()]
        return self.process.returncode, lines


@pytest.fixture
def service(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    service = Service(tmp_path, request.param)
    yield service
    if service.process.poll() is None:
        service.process.kill()
        service.process.communicate()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to stop a process by")
@pytest.mark.parametrize("service", ["off", "simulated"], indirect=True)
def test_a_served_process_answers_logs_json_and_ends_at_a_signal(service: Service) -> None:
    service.wait_until_ready()
    status = service.get("/ai/status")

    code, log = service.stop()

    assert status["market"]["source"] == (None if status["market"]["state"] == "off" else "simulated")
    assert code in (0, -signal.SIGTERM)
    assert not [line for line in log if line["level"] in ("error", "critical")]
    assert any(line["event"] == "request" and line["path"] == "/ai/status" for line in log)
    assert ADMIN["X-Admin-Token"] not in json.dumps(log)


@pytest.mark.parametrize("service", ["off"], indirect=True)
def test_a_client_that_leaves_in_the_middle_of_its_body_is_one_line_of_information(service: Service) -> None:
    service.wait_until_ready()
    token = ADMIN["X-Admin-Token"]
    head = f"POST /ai/decisions HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Admin-Token: {token}\r\nContent-Type: application/json"
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(f"{head}\r\nContent-Length: 1000\r\n\r\n{{".encode())
        time.sleep(0.3)
    time.sleep(0.3)

    _, log = service.stop()

    lines = [line for line in log if line.get("path") == "/ai/decisions"]
    assert [(line["level"], line["method"]) for line in lines] == [("info", "POST")]
    assert "left" in lines[0]["event"]
    assert not [line for line in log if line["level"] in ("error", "critical") or "exception" in line]


@pytest.mark.parametrize("service", ["off"], indirect=True)
def test_what_is_not_http_is_answered_below_the_application_as_the_description_says(service: Service) -> None:
    service.wait_until_ready()
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(b"garbage\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))

    description = service.get("/openapi.json")["info"]["description"]

    assert answer.startswith(b"HTTP/1.1 400")
    assert b"content-type: text/plain" in answer
    assert "answered 400 in plain text" in " ".join(description.split())


WARM = """
import sys, time
from pathlib import Path
from tests.api.conftest import open_client, settings_in
from backend.clock import utc_now
with open_client(settings_in(Path(sys.argv[1])), utc_now) as client:
    assert client.get("/health/ready").status_code == 200
    cold = "xgboost" not in sys.modules
    for _ in range(300):
        if "xgboost.core" in sys.modules:
            break
        time.sleep(0.1)
    print(cold, "xgboost.core" in sys.modules)
"""


@pytest.mark.slow
def test_what_the_first_forecast_needs_is_loaded_once_the_service_is_ready(tmp_path: Path) -> None:
    asked = [sys.executable, "-c", WARM, str(tmp_path)]

    answer = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)

    assert (answer.returncode, answer.stdout) == (0, "True True\n"), answer.stderr


def test_a_service_that_ends_at_once_leaves_no_thread_behind(tmp_path: Path) -> None:
    with open_client(settings_in(tmp_path), lambda: NOW):
        (timer,) = [thread for thread in threading.enumerate() if thread.name == "warm-up"]

    timer.join(10)
    assert not timer.is_alive()


def test_a_database_that_was_not_migrated_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(UnavailableError, match="qt migrate") as refusal,
        TestClient(create_app(settings_in(tmp_path)), base_url="http://127.0.0.1"),
    ):
        pass

    assert refusal.value.reason == "database_not_migrated"


def test_a_table_without_a_newer_column_counts_as_not_migrated(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    client = open_client(settings, lambda: NOW)
    database = Database(settings.database_url)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE trade_logs DROP COLUMN realized_pnl")
    database.close()

    with pytest.raises(UnavailableError, match="trade_logs"), client:
        pass


def test_a_model_folder_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("in the way")

    with pytest.raises(UnavailableError, match="QT_MODEL_DIR"), open_client(settings_in(tmp_path), lambda: NOW):
        pass


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to stop a process by")
@pytest.mark.parametrize("service", ["off"], indirect=True)
def test_a_run_in_progress_is_closed_as_lost_when_the_service_is_stopped(service: Service, tmp_path: Path) -> None:
    service.wait_until_ready()
    service.post("/ai/training-samples", {"samples": closed_samples(2000)})
    run_id = service.post("/ai/retrain?wait=false")["run_id"]

    _, log = service.stop()

    database = Database(f"sqlite:///{tmp_path / 'quantum_trader.db'}")
    run = database.read(runs.get_run, run_id)
    database.close()
    assert (run["state"], run["reason"]) == ("error", "lost")
    assert run["finished_at"] is not None
    assert not [line for line in log if line["level"] in ("error", "critical") or "exception" in line]


def test_a_run_that_hangs_is_closed_as_lost_with_the_service(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with open_client(settings, lambda: NOW):
        database = Database(settings.database_url)
        run_id = database.write(runs.start, runs.NewRun("ai-retraining", "default", "admin"), NOW)

    run = database.read(runs.get_run, run_id)
    database.close()

    assert (run["state"], run["reason"]) == ("error", "lost")


def test_creating_the_application_touches_nothing(tmp_path: Path) -> None:
    create_app(settings_in(tmp_path))

    assert list(tmp_path.iterdir()) == []


def test_ready_is_503_before_the_service_has_started(tmp_path: Path) -> None:
    client = TestClient(create_app(settings_in(tmp_path)), base_url="http://127.0.0.1")

    answer = client.get("/health/ready")

    assert (answer.status_code, answer.json()) == (503, {"status": "unavailable", "reasons": ["starting"]})
    assert client.get("/health/live").json() == {"status": "ok"}


def trained_and_activated(client: TestClient, seed: int, count: int) -> str:
    client.post("/ai/training-samples", json={"samples": closed_samples(count, seed=seed)})
    version_id: str = client.post("/ai/retrain").json()["version_id"]
    assert client.post(f"/ai/activate-model/{version_id}?force=true&reason=test").status_code == 200
    return version_id


@pytest.mark.slow
def test_ready_says_degraded_while_an_earlier_version_stands_in(tmp_path: Path) -> None:
    with open_client(settings_in(tmp_path), lambda: NOW) as client:
        versions = [trained_and_activated(client, seed, count) for seed, count in ((1, 120), (2, 20))]
    (tmp_path / "models" / f"xgb_model_{versions[1]}.pkl").write_bytes(b"not what was published")

    with open_client(settings_in(tmp_path), lambda: NOW) as client:
        ready = client.get("/health/ready")
        status = client.get("/ai/status").json()["active_model"]
        findings = {finding["code"] for finding in client.get("/ai/doctor").json()["findings"]}

    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert status == {"version_id": versions[1], "serving_version_id": versions[0], "degraded": True}
    assert "artifact_corrupt" in findings


def test_ready_says_degraded_while_the_trader_cannot_store_what_it_decides(tmp_path: Path) -> None:
    with open_client(settings_in(tmp_path), lambda: NOW) as client:
        application: Any = client.app
        application.state.trader = SimpleNamespace(trouble=Code.WRITES_FAIL)
        during = client.get("/health/ready")
        application.state.trader = SimpleNamespace(trouble=None)
        after = client.get("/health/ready")

    assert (during.status_code, during.json()) == (200, {"status": "degraded", "reasons": ["writes_fail"]})
    assert (after.status_code, after.json()) == (200, {"status": "ok", "reasons": []})


@pytest.mark.slow
def test_the_doctor_looks_at_the_files_themselves_and_not_at_what_memory_holds(tmp_path: Path) -> None:
    def findings() -> dict[str, Any]:
        return {finding["code"]: finding for finding in client.get("/ai/doctor").json()["findings"]}

    with open_client(settings_in(tmp_path), lambda: NOW) as client:
        older, newer = (trained_and_activated(client, seed, count) for seed, count in ((1, 120), (2, 20)))
        files = {version: tmp_path / "models" / f"xgb_model_{version}.pkl" for version in (older, newer)}
        client.post("/ai/predict", json={"rows": [features()]})
        whole = findings()
        files[older].unlink()
        before = findings()["artifact_corrupt"]
        files[newer].write_bytes(files[newer].read_bytes()[:-1] + b"?")
        both = findings()["artifact_corrupt"]

    assert "artifact_corrupt" not in whole
    assert (before["severity"], set(before["evidence"]["damaged"])) == ("warning", {older})
    assert (both["severity"], set(both["evidence"]["damaged"])) == ("error", {older, newer})
    assert both["evidence"]["serving_version_id"] == newer


def test_every_entry_of_the_audit_carries_the_id_of_the_call_that_wrote_it(tmp_path: Path) -> None:
    with open_client(settings_in(tmp_path), lambda: NOW) as client:

        def call(request_id: str, path: str, body: Any = None) -> Any:
            answer = client.post(path, json=body, headers={"X-Request-ID": request_id})
            assert answer.status_code < 300, answer.text
            return answer.json()

        call("import-1", "/ai/training-samples", {"samples": closed_samples(120)})
        begun = call("retrain-1", "/ai/retrain?wait=false")["run_id"]
        for _ in range(600):
            run = client.get(f"/ai/retraining-runs/{begun}").json()
            if run["state"] != "running":
                break
            time.sleep(0.1)
        call("activate-1", f"/ai/activate-model/{run['result']['version_id']}?force=true&reason=test")
        call("deactivate-1", "/ai/deactivate")
        entries = client.get("/ai/audit").json()["entries"]

    by_action = {entry["action"]: entry["request_id"] for entry in entries}
    assert by_action.pop("strategy_created") == "import-1"
    assert by_action.pop("activate") == "activate-1"
    assert by_action.pop("deactivate") == "deactivate-1"
    assert set(by_action.values()) == {"retrain-1"}


def test_a_trader_that_will_not_begin_is_said_by_status_ready_and_doctor(tmp_path: Path) -> None:
    candles = tmp_path / "BTCUSDC-5m.csv"
    candles.write_text("1,2,3\n")
    settings = settings_in(tmp_path, QT_MARKET="replay", QT_MARKET_FILES=str(candles))

    with open_client(settings, lambda: NOW) as client:
        for _ in range(200):
            market = client.get("/ai/status").json()["market"]
            if market["detail"]:
                break
            time.sleep(0.05)
        ready = client.get("/health/ready")
        findings = {finding["code"]: finding for finding in client.get("/ai/doctor").json()["findings"]}

    assert (market["state"], "BTCUSDC-5m.csv" in market["detail"]) == ("off", True)
    assert (ready.status_code, ready.json()) == (200, {"status": "degraded", "reasons": ["trader_stopped"]})
    assert findings["trader_stopped"]["severity"] == "error"
    assert "BTCUSDC-5m.csv" in findings["trader_stopped"]["explanation"]


def test_a_run_whose_process_is_gone_is_closed_soon_after_the_start(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    client = open_client(settings, lambda: NOW)
    database = Database(settings.database_url)
    with database.engine.begin() as connection:
        connection.execute(
            Base.metadata.tables["job_runs"].insert(),
            {
                "run_id": "run-lost",
                "job": "ai-retraining",
                "strategy": "default",
                "state": "running",
                "progress": 0.5,
                "actor": "admin",
                "owner": None,
                "started_at": NOW,
                "heartbeat_at": NOW,
            },
        )
    database.close()

    with client:
        for _ in range(100):
            run = client.get("/ai/retraining-runs/run-lost").json()
            if run["state"] != "running":
                break
            time.sleep(0.05)

    assert (run["state"], run["result"]["reason"]) == ("error", "lost")
