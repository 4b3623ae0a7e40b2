"""GET /metrics: who may read it, in which form, what it costs, and that it tells what the service did."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError, ProgrammingError
from starlette.types import Message, Receive, Scope, Send

from backend.api.http_metrics import CountRequests, HttpFigures
from backend.api.metrics import KEPT_SECONDS, REST, Monitor
from backend.database import Database
from backend.learning.evidence.metric_families import Durations
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.models import AITrainingSample, Base
from tests.api.conftest import (
    ADMIN,
    METRICS,
    NOW,
    TRADER,
    assert_problem,
    closed_samples,
    features,
    open_client,
    settings_in,
)
from tests.metric_rows import fill

PREFIX = "quantum_trader_"
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def values_in(text: str) -> Values:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(client: TestClient) -> Values:
    answer = client.get("/metrics", headers=METRICS)
    assert answer.status_code == 200, answer.text
    return values_in(answer.text)


def value(values: Values, name: str, **labels: str) -> float | None:
    return values.get((PREFIX + name, frozenset(labels.items())))


def test_the_metrics_token_opens_metrics_and_nothing_else(shared_client: TestClient) -> None:
    bearer = {"X-Admin-Token": "", "Authorization": f"Bearer {METRICS['X-Admin-Token']}"}

    assert shared_client.get("/metrics", headers=METRICS).status_code == 200
    assert shared_client.get("/metrics", headers=bearer).status_code == 200
    assert shared_client.get("/metrics", headers=ADMIN).status_code == 200
    for path in ("/ai/status", "/openapi.json", "/ai/decisions", "/ai/doctor"):
        assert_problem(shared_client.get(path, headers=METRICS), 403, "forbidden")


def test_nobody_else_reads_them(shared_client: TestClient) -> None:
    problem = assert_problem(shared_client.get("/metrics", headers=TRADER), 403, "forbidden")

    assert "admin or metrics" in problem["detail"]
    assert_problem(shared_client.get("/metrics", headers={"X-Admin-Token": ""}), 401, "unauthorized")
    assert_problem(shared_client.get("/metrics?name[]=up", headers=METRICS), 422, "invalid_input")


def test_the_answer_is_what_prometheus_reads(shared_client: TestClient) -> None:
    answer = shared_client.get("/metrics", headers=METRICS)

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    own = [family for name, family in families.items() if name.startswith(PREFIX)]
    assert len(own) > 30
    assert all(family.documentation.endswith(".") for family in own)
    assert not [name for name in families if name.endswith("_created")]


def test_openmetrics_is_answered_where_it_is_asked_for(shared_client: TestClient) -> None:
    answer = shared_client.get("/metrics", headers={**METRICS, "Accept": OPENMETRICS})

    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")
    names = {family.name for family in parse_openmetrics(answer.text)}
    assert {f"{PREFIX}decisions", f"{PREFIX}build_info", "process_cpu_seconds"} <= names


def test_it_says_which_version_runs(shared_client: TestClient) -> None:
    (labels,) = [dict(labels) for name, labels in scrape(shared_client) if name == f"{PREFIX}build_info"]

    assert labels["version"] == shared_client.get("/openapi.json").json()["info"]["version"]
    assert labels["python"].startswith("3.")


def test_what_the_service_did_is_told(tmp_path: Path) -> None:
    with open_client(settings_in(tmp_path), lambda: NOW) as client:
        client.post("/ai/training-samples", json={"samples": closed_samples(120)})
        version_id = client.post("/ai/retrain").json()["version_id"]
        client.post(f"/ai/activate-model/{version_id}?force=true&reason=test")
        for number in range(3):
            body = {"decision_id": f"d{number}", "symbol": "BTCUSDC", "price": 1.0, "features": features(number)}
            assert client.post("/ai/decisions", json=body).status_code == 201
        told = scrape(client)
        status = client.get("/ai/status").json()

    taken = {action: value(told, "decisions_total", strategy="default", action=action) for action in status["signals"]}
    assert taken == status["signals"]
    assert sum(filter(None, taken.values())) == 3
    assert value(told, "samples", strategy="default", outcome="known") == status["samples"]["outcome_known"] == 120
    assert value(told, "samples", strategy="default", outcome="pending") == status["samples"]["pending"] == 3
    assert value(told, "trades_closed_total", strategy="default") == status["trades"]["closed"] == 120
    assert value(told, "realized_pnl_quote", strategy="default") == pytest.approx(status["trades"]["total_pnl"])
    assert value(told, "runs_total", strategy="default", task="ai-retraining", state="success", reason="") == 1
    assert value(told, "run_duration_seconds_count", task="ai-retraining") == 1
    assert value(told, "active_model_predictions", strategy="default", judged="not_yet") == 3
    assert value(told, "active_model_degraded", strategy="default") == 0
    assert value(told, "live_accuracy_ratio", strategy="default") is None
    assert value(told, "http_requests_total", method="POST", route="/ai/decisions", status="201") == 3


def monotone(values: Values) -> Values:
    ends = ("_total", "_count", "_bucket")
    return {key: one for key, one in values.items() if key[0].startswith(PREFIX) and key[0].endswith(ends)}


def test_what_the_database_counts_survives_a_restart_and_never_falls(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with open_client(settings, lambda: NOW) as client:
        database: Database = client.app.state.context.database  # type: ignore[attr-defined]
        database.write(fill)
        before = monotone(scrape(client))
    with open_client(settings, lambda: NOW) as client:
        body = {"symbol": "BTCUSDC", "price": 1.0, "features": {"calm": 1.0}}
        answer = client.post("/ai/decisions?strategy=default", json=body)
        assert answer.status_code == 201, answer.text
        action = answer.json()["predicted_action"]
        after = monotone(scrape(client))

    of_the_database = {key for key in before if not key[0].startswith(f"{PREFIX}http_")}
    assert len(of_the_database) > 20
    assert {key for key in of_the_database if after.get(key, -1) < before[key]} == set()
    decided = (f"{PREFIX}decisions_total", frozenset({("strategy", "default"), ("action", action)}))
    assert after[decided] == before[decided] + 1


# --- A database that cannot be read ---


class Broken:
    """Stands where the database is and fails as it would."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self, *_: Any) -> Any:
        raise self.error


def told_by(monitor: Monitor) -> dict[str, float]:
    return {sample.name: sample.value for metric in monitor.collect() for sample in metric.samples if not sample.labels}


def context_of(settings: Any, database: Any) -> Any:
    serving = Serving(ArtifactStore(settings.model_dir))
    return SimpleNamespace(settings=settings, database=database, serving=serving, schedule=None, clock=lambda: NOW)


def test_durations_are_told_as_a_histogram_whose_limits_belong_to_their_buckets(tmp_path: Path) -> None:
    took = Durations("run_duration_seconds", "How long.", ("task",), {("night",): [0.4, 2.5, 2.6, 4000.0]})

    told = reading_of(context_of(settings_in(tmp_path), SimpleNamespace(read=lambda *_: [took])))

    upto = {
        limit: value(told, "run_duration_seconds_bucket", task="night", le=limit)
        for limit in ("0.5", "1.0", "2.5", "5.0")
    }
    assert upto == {"0.5": 1, "1.0": 1, "2.5": 2, "5.0": 3}
    assert value(told, "run_duration_seconds_bucket", task="night", le="3600.0") == 3
    assert value(told, "run_duration_seconds_bucket", task="night", le="+Inf") == 4
    assert value(told, "run_duration_seconds_count", task="night") == 4
    assert value(told, "run_duration_seconds_sum", task="night") == pytest.approx(4005.5)


def test_two_processes_on_one_database_say_the_same(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    first, second = Database(settings.database_url), Database(settings.database_url)
    Base.metadata.create_all(first.engine)
    first.write(fill)
    told = []
    for database in (first, second):
        told.append(reading_of(context_of(settings, database)))
        database.close()

    own = tuple(PREFIX + name for name in ("http_", "snapshot_duration"))
    same = [
        {key: one for key, one in each.items() if key[0].startswith(PREFIX) and not key[0].startswith(own)}
        for each in told
    ]
    assert len(same[0]) > 60
    assert same[0] == same[1]


def test_a_database_that_cannot_be_read_is_told_and_leaves_the_rest(tmp_path: Path) -> None:
    monitor = Monitor("1")

    monitor.refresh(
        context_of(settings_in(tmp_path), Broken(OperationalError("SELECT", {}, Exception("disk is gone"))))
    )

    told = told_by(monitor)
    assert told[f"{PREFIX}database_up"] == 0
    assert told["process_resident_memory_bytes"] > 0
    assert [name for name in told if name.startswith(f"{PREFIX}realized")] == []


def test_a_fault_of_our_own_is_not_passed_off_as_the_databases(tmp_path: Path) -> None:
    with pytest.raises(ProgrammingError):
        Monitor("1").refresh(
            context_of(settings_in(tmp_path), Broken(ProgrammingError("SELECT", {}, Exception("typo"))))
        )


def test_a_scrape_of_a_service_whose_database_went_away_is_200_with_up_0(tmp_path: Path) -> None:
    with open_client(settings_in(tmp_path), lambda: NOW) as client:
        assert value(scrape(client), "database_up") == 1
        database: Database = client.app.state.context.database  # type: ignore[attr-defined]
        database.close()
        whole = (tmp_path / "quantum_trader.db").rename(tmp_path / "elsewhere")
        (tmp_path / "quantum_trader.db").write_bytes(b"this is no database" * 100)
        time.sleep(KEPT_SECONDS)
        told = scrape(client)
        whole.rename(tmp_path / "quantum_trader.db")

    assert value(told, "database_up") == 0
    assert value(told, "http_requests_total", method="GET", route="/metrics", status="200") == 1


# --- What it costs ---


class Counting:
    """A database that counts its readings, each of which takes a while by the timer."""

    def __init__(self, takes: float) -> None:
        self.takes, self.now, self.readings = takes, 1000.0, 0

    def read(self, *_: Any) -> Any:
        self.readings += 1
        self.now += self.takes
        return []


@pytest.mark.parametrize("takes", [0.001, 0.5, 4.0])
def test_however_often_it_is_scraped_reading_takes_at_most_a_twentieth_of_the_time(
    tmp_path: Path, takes: float
) -> None:
    database = Counting(takes)
    monitor, context = Monitor("1", lambda: database.now), context_of(settings_in(tmp_path), database)

    for _ in range(20_000):
        monitor.refresh(context)
        database.now += 0.01

    assert database.readings > 1
    assert database.readings * takes <= (database.now - 1000) / REST + takes
    assert database.readings <= (database.now - 1000) / KEPT_SECONDS + 1


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """What a reading needs of a service with 50,000 samples, none of whose jobs is at work."""
    settings = settings_in(tmp_path_factory.mktemp("large"))
    database = Database(settings.database_url)
    Base.metadata.create_all(database.engine)
    database.write(fill, 50_000)
    yield context_of(settings, database)
    database.close()


def reading_of(context: Any) -> Values:
    monitor = Monitor("1")
    monitor.refresh(context)
    return values_in(generate_latest(monitor).decode())


@pytest.mark.slow
def test_fifty_thousand_samples_are_read_well_within_a_scrape(large: Any) -> None:
    told = reading_of(large)

    samples = [one for (name, _), one in told.items() if name == f"{PREFIX}samples"]
    took = value(told, "snapshot_duration_seconds")
    assert sum(samples) == 50_000
    assert took is not None
    assert took < 3.0, "a tenth of that is usual; Prometheus waits ten seconds"


@pytest.mark.slow
def test_a_scrape_waits_for_no_writer_and_no_writer_for_it(large: Any) -> None:
    inside, read = threading.Event(), threading.Event()
    outcomes: list[bool] = []

    def write(session: Any) -> None:
        session.query(AITrainingSample).filter(AITrainingSample.id == 1).update({"symbol": "SOLUSDC"})
        inside.set()
        outcomes.append(read.wait(30))

    writer = threading.Thread(target=large.database.write, args=(write,))
    writer.start()
    try:
        assert inside.wait(30)
        told = reading_of(large)
        in_the_middle = writer.is_alive()
    finally:
        read.set()
        writer.join(30)

    assert value(told, "database_up") == 1
    assert (in_the_middle, outcomes) == (True, [True])


# --- What this process answered ---


def test_requests_are_counted_by_template_so_that_no_caller_can_invent_a_label(tmp_path: Path) -> None:
    with open_client(settings_in(tmp_path), lambda: NOW) as client:
        for number in range(5):
            client.get(f"/ai/models/v2026010{number}_000000")
            client.get(f"/nothing/{number}")
            client.get("/ai/models", headers={"X-Admin-Token": ""})
            client.request(f"MADEUP{number}", "/ai/models")
        client.get("/web/style.css")
        told = scrape(client)

    requests = {
        tuple(sorted(dict(labels).items())): one
        for (name, labels), one in told.items()
        if name == f"{PREFIX}http_requests_total"
    }
    assert requests == {
        (("method", "GET"), ("route", "/ai/models/{version_id}"), ("status", "404")): 5,
        (("method", "GET"), ("route", "none"), ("status", "404")): 5,
        (("method", "GET"), ("route", "none"), ("status", "401")): 5,
        (("method", "GET"), ("route", "/web"), ("status", "200")): 1,
        (("method", "other"), ("route", "/ai/models"), ("status", "405")): 5,
    }
    assert value(told, "http_request_duration_seconds_count", method="GET", route="/ai/models/{version_id}") == 5
    assert value(told, "http_requests_in_flight") == 1


def test_a_request_whose_client_left_is_counted_as_aborted() -> None:
    figures = HttpFigures(CollectorRegistry())

    async def leaves(scope: Scope, receive: Receive, send: Send) -> None:
        assert figures.in_flight._value.get() == 1
        raise ConnectionResetError

    async def nothing() -> Message:
        return {"type": "http.disconnect"}

    async def nowhere(message: Message) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "GET", "path": "/"}
    with pytest.raises(ConnectionResetError):
        asyncio.run(CountRequests(leaves, figures)(scope, nothing, nowhere))

    assert figures.requests.labels("GET", "none", "aborted")._value.get() == 1
    assert figures.in_flight._value.get() == 0


@pytest.mark.postgres
def test_on_postgresql_it_is_read_too(tmp_path: Path, postgres_url: str) -> None:
    settings = settings_in(tmp_path, QT_DATABASE_URL=postgres_url)
    database = Database(settings.database_url)
    Base.metadata.create_all(database.engine)
    database.write(fill)
    told = reading_of(context_of(settings, database))
    database.close()

    assert value(told, "database_up") == 1
    assert value(told, "deliveries", channel="webhook", state="failed") == 1
    assert value(told, "run_duration_seconds_count", task="ai-retraining") == 3
