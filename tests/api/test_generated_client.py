"""Clients that openapi-generator makes of the description: Python's goes through the whole loop, TypeScript's compiles.

Nothing of them is committed. The generator is a jar within a package that ``scripts/check_client.sh`` installs.
"""

import importlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from backend.api.openapi import describe
from backend.main import create_app
from backend.settings import load_settings
from tests.api.story_parts import history
from tests.service import ADMIN_TOKEN, ROOT, TRADER_TOKEN, Service, running_service

PACKAGE = "quantum_trader_client"
SEEN = {"atr_14": 0.012, "rsi_14": 61.5}
EXPECTED_WARNINGS = ("OpenAPI 3.1 support is still in beta", "Failed to get the schema name: null")
"""What the generator says of every OpenAPI 3.1 document, even of one call with one text."""
TYPESCRIPT = ROOT / "scripts" / "openapi" / "node_modules" / ".bin" / "tsc"

pytestmark = [pytest.mark.java, pytest.mark.slow]


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = load_settings(environ={"QT_ADMIN_TOKEN": ADMIN_TOKEN}, env_file=None)
    file = tmp_path_factory.mktemp("description") / "openapi.json"
    file.write_text(json.dumps(describe(create_app(settings))), encoding="utf-8")
    return file


def generate(description: Path, language: str, folder: Path, *options: str) -> None:
    """Run the generator; any remark that it does not make of every such document is a failure."""
    found = importlib.util.find_spec("openapi_generator_cli")
    if found is None or found.origin is None:
        pytest.skip("openapi-generator-cli is not installed: sh scripts/check_client.sh")
    if shutil.which("java") is None:
        pytest.skip("java is not on this machine")
    jar = Path(found.origin).with_name("openapi-generator.jar")
    arguments = ["-i", str(description), "-g", language, "-o", str(folder), *options]
    ended = subprocess.run(
        ["java", "-jar", str(jar), "generate", *arguments],
        cwd=folder.parent, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    said = [line for line in (ended.stdout + ended.stderr).splitlines() if re.search(r"\b(WARN|ERROR)\b", line)]
    assert [line for line in said if not any(expected in line for expected in EXPECTED_WARNINGS)] == []
    assert ended.returncode == 0, ended.stderr[-2000:]


@pytest.fixture(scope="module")
def client(description: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The generated package."""
    folder = tmp_path_factory.mktemp("client") / "python"
    generate(description, "python", folder, "--package-name", PACKAGE)
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module(PACKAGE)
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running


def calls(client: ModuleType, service: Service, token: str = ADMIN_TOKEN) -> Any:
    configuration = client.Configuration(host=service.url, api_key={"adminToken": token})
    return client.ApiClient(configuration)


def test_a_bot_lives_its_day_with_the_generated_client(client: ModuleType, service: Service) -> None:
    now = datetime.now(UTC)
    with calls(client, service, TRADER_TOKEN) as connection:
        decisions = client.DecisionsApi(connection)
        own = client.DecisionIn(
            decision_id="gen-1", symbol="BTC/USDC", timestamp=now, price=45000.0, features=SEEN,
            predicted_action=client.Action.BUY, prediction_confidence=0.6,
        )  # fmt: skip

        stored = decisions.post_decision(client.DecisionPost(own))
        again = decisions.post_decision(client.DecisionPost(own))
        fill = client.ExecutionIn(side=client.Side.BUY, entry_price=45000.0, quantity=0.1, fees=4.5, fill_id="e-1")
        entered = decisions.post_execution("gen-1", fill)
        held = decisions.list_decisions(state=client.DecisionState.OPEN)
        half = client.OutcomeIn(exit_price=45500.0, quantity=0.05, fees=4.5, fill_id="x-1")
        left = decisions.post_outcome("gen-1", half)
        closed = decisions.post_outcome("gen-1", client.OutcomeIn(exit_price=45500.0, fees=4.5, fill_id="x-2"))

    assert (stored.symbol, stored.predicted_action, stored.reason) == ("BTCUSDC", client.Action.BUY, "bot_decision")
    assert abs(stored.timestamp - now) < timedelta(milliseconds=1)
    assert again.actual_instance == stored
    assert entered.state == client.DecisionState.OPEN
    assert [one.decision_id for one in held.decisions] == ["gen-1"]
    assert (left.outcome_known, left.realized_pnl) == (False, None)
    assert (closed.target_class, closed.state) == (client.TargetClass.WIN, client.DecisionState.CLOSED)
    assert closed.realized_pnl == pytest.approx(41.0)


def test_a_batch_is_answered_item_by_item_in_types(client: ModuleType, service: Service) -> None:
    good = client.DecisionIn(symbol="BTCUSDC", price=45000.0, features=SEEN)
    bad = client.DecisionIn(symbol="BTCUSDC", price=45000.0, features={"rsi_14": 61.5})
    candles = [[60_000.0 * 5 * n, 100.0, 110.0, 90.0, 100.0 + n % 7, 5.0] for n in range(500)]
    other = client.DecisionIn(symbol="BTCUSDC", candles=candles)
    with calls(client, service) as connection:
        decisions = client.DecisionsApi(connection)
        answered = decisions.post_decision(client.DecisionPost(client.DecisionBatch(decisions=[good, bad])))
        seen = decisions.post_decision(client.DecisionPost(other), strategy="candles")

    results = [one.actual_instance for one in answered.actual_instance.results]
    assert isinstance(results[0], client.DecisionResult)
    assert isinstance(results[1], client.Problem)
    assert (results[1].reason, results[1].additional_properties["missing"]) == ("feature_names_mismatch", ["atr_14"])
    assert seen.strategy_created


def test_an_operator_imports_trains_reads_activates_and_rolls_back(client: ModuleType, service: Service) -> None:
    rows = [client.ClosedSample.from_dict(row) for row in history(datetime.now(UTC), 160)]
    with calls(client, service) as connection:
        imported = client.SamplesApi(connection).import_samples(client.ImportBody(samples=rows), strategy="old")
        retraining, models = client.RetrainingApi(connection), client.ModelsApi(connection)
        trained = retraining.retrain(strategy="old", min_samples=100).actual_instance
        skipped = retraining.retrain(strategy="old", min_samples=100).actual_instance
        started = retraining.retrain(strategy="old", wait=False)
        listed = models.list_models(strategy="old")
        activated = models.activate_model(trained.version_id)
        detail = models.get_model(trained.version_id)
        score = client.PredictionsApi(connection).predict(client.PredictIn(rows=[SEEN]), strategy="old")
        run = retraining.get_run(started.run_id)
        models.deactivate(strategy="old", reason="the day is over")

    assert (imported.accepted, imported.rejected, imported.strategy_created) == (160, [], True)
    assert isinstance(trained, client.RetrainSuccess)
    assert isinstance(trained.report, client.Report)
    assert isinstance(trained.report.verdict, client.Verdict)
    assert (type(skipped), skipped.reason) == (client.RetrainSkipped, "no_new_samples")
    assert [one.version_id for one in listed.models] == [trained.version_id]
    assert activated.activated_version == trained.version_id
    assert detail.lineage.feature_names == sorted(SEEN)
    assert detail.activations[0].actor == "admin"
    assert (score.model_version, len(score.predictions), len(score.actions)) == (trained.version_id, 1, 1)
    assert run.state in (client.RunState.RUNNING, client.RunState.SKIPPED)


def test_what_an_operator_reads_has_types(client: ModuleType, service: Service) -> None:
    since = datetime(2020, 1, 1, tzinfo=UTC)
    with calls(client, service) as connection:
        operating = client.OperatingApi(connection)
        status, doctor = operating.status(), operating.doctor()
        audit, events = operating.list_audit(limit=1), operating.list_events()
        samples = client.SamplesApi(connection).list_samples(since=since, features=True, limit=1)
        strategies = client.StrategiesApi(connection).list_strategies()
        figures = operating.metrics()
    with client.ApiClient(client.Configuration(host=service.url)) as anybody:
        ready = client.HealthApi(anybody).health_ready()

    assert status.market.state == client.MarketState.OFF
    assert isinstance(doctor.healthy, bool)
    assert audit.entries[0].at.tzinfo is not None
    assert events.count == len(events.events)
    assert len(samples.samples[0].features) == len(samples.samples[0].feature_names)
    assert {one.name for one in strategies.strategies} >= {"default"}
    assert "quantum_trader_" in figures
    assert (ready.status, ready.reasons) == ("ok", [])


def test_a_problem_arrives_as_a_problem(client: ModuleType, service: Service) -> None:
    with calls(client, service) as connection, pytest.raises(client.exceptions.NotFoundException) as missing:
        client.DecisionsApi(connection).get_decision("nobody-posted-it")
    with (
        calls(client, service, "a-wrong-token") as connection,
        pytest.raises(client.exceptions.UnauthorizedException) as refused,
    ):
        client.OperatingApi(connection).status()

    assert isinstance(missing.value.data, client.Problem)
    assert (missing.value.data.status, missing.value.data.reason) == (404, "unknown_decision")
    assert refused.value.data.reason == "unauthorized"


def test_the_generated_typescript_compiles_strictly(description: Path, tmp_path: Path) -> None:
    if not TYPESCRIPT.is_file():
        pytest.skip("TypeScript is not installed: sh scripts/check_openapi.sh")
    folder = tmp_path / "typescript"
    generate(description, "typescript-fetch", folder)
    sources = [str(file) for file in folder.rglob("*.ts")]

    compiled = subprocess.run(
        [
            str(TYPESCRIPT), "--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--lib", "es2022,dom",
            "--module", "es2022", "--moduleResolution", "bundler", *sources,
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert len(sources) > 50
    assert compiled.stdout == ""
    assert compiled.returncode == 0
