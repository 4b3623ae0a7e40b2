"""Every command block of the two user documents, as printed or by its replacement in the README, is run.

So is every block of the manuals that is marked to be run, in the order in which a reader meets it.
"""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backend.crontab import parse_schedule, slots_between
from backend.settings import load_settings
from tests import manuals
from tests.postgres import free_port
from tests.service import ADMIN_TOKEN, ROOT, Service, environment_of, running_service

README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = Path(sys.executable).parent
ENOUGH_OUTCOMES = 150
LONGEST_WAIT_SECONDS = 120
PRINTED_VERSION = "v20251112_150000"
FEWEST_BYTES_PER_DECISION, MOST_BYTES_PER_DECISION = 1_100, 2_400
EMPTY_DATABASE_BYTES = 400_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("bash") and shutil.which("curl")), reason="bash and curl are what the README's lines are for"
    ),
]


def replacement_of(saying: str) -> str:
    """The README's answer to what a user document says."""
    rows = [line.split(" | ") for line in README.splitlines() if line.startswith("| ")]
    found = [row[1] for row in rows if saying in row[0]]
    assert len(found) == 1, f"the README's table has {len(found)} rows with {saying!r}"
    return found[0]


def fenced(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def shell(line: str, environment: dict[str, str], folder: Path = ROOT) -> str:
    """Run a line as a person would type it, with this run's programs in the place of .venv/bin."""
    finished = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line.replace(".venv/bin/", f"{PROGRAMS}/")],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, (line, finished.stdout[-1000:], finished.stderr[-2000:])
    return finished.stdout


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on its default market, with some outcomes already; hourly, so that it soon has reached now."""
    folder = tmp_path_factory.mktemp("documents")
    with running_service(folder, QT_MARKET="simulated", QT_TIMEFRAME="1h") as running:
        for _ in range(LONGEST_WAIT_SECONDS):
            if running.ok("GET", "/ai/status")["samples"]["outcome_known"] >= ENOUGH_OUTCOMES:
                break
            time.sleep(1)
        yield running


@pytest.fixture(scope="module")
def version_id(service: Service) -> str:
    return str(curl(service, 'curl -s -X POST "http://localhost:8000/ai/retrain?min_samples=100"')["version_id"])


def curl(service: Service, line: str) -> dict[str, Any]:
    """Run one of the README's curl lines against the service under test."""
    header = ' -H "X-Admin-Token: $(.venv/bin/qt token)"'
    answer: dict[str, Any] = json.loads(
        shell(line.replace("http://localhost:8000", service.url) + header, service.environment)
    )
    return answer


def test_the_five_calls_of_the_readme_answer_as_the_document_prints_them(service: Service, version_id: str) -> None:
    block = fenced("bash")[0]
    script = block.replace("http://localhost:8000", service.url).replace(PRINTED_VERSION, version_id)
    lines = [line for line in script.splitlines() if line.startswith("curl")]
    setting = next(line for line in script.splitlines() if line.startswith("TOKEN="))

    answers = [json.loads(shell(f"{setting}\n{line}", service.environment)) for line in lines]

    assert [answer["status"] for answer in answers] == ["success", "ok", "success", "ok", "ok"]
    assert answers[2]["activated_version"] == version_id
    assert answers[1]["models"][0]["model_type"] == "xgboost_continuous"
    assert answers[3]["samples"][0]["outcome_known"] is True
    assert answers[4]["samples"]["total"] > ENOUGH_OUTCOMES


def test_powershells_five_calls_are_the_same_as_bashs() -> None:
    def calls(block: str) -> list[str]:
        lines = [line.replace("curl.exe", "curl").replace("$token", "$TOKEN") for line in block.splitlines()]
        return [line for line in lines if line.startswith("curl")]

    assert len(calls(fenced("bash")[0])) == 5
    assert calls(fenced("powershell")[0]) == calls(fenced("bash")[0])


@pytest.mark.parametrize("name", [name for name in manuals.names() if manuals.page(name).marked("run")])
def test_the_blocks_of_a_manual_run_in_their_order(name: str, service: Service, version_id: str) -> None:
    for block in manuals.page(name).marked("run"):
        script = block.replace("http://localhost:8000", service.url).replace(PRINTED_VERSION, version_id)
        # That the command prints the token was seen above; asking it again for every line would only take time.
        for line in script.replace("$(.venv/bin/qt token)", ADMIN_TOKEN).splitlines():
            said = shell(line, service.environment)
            assert said.strip(), f"{line} said nothing"
            if line.startswith("curl"):
                assert json.loads(said)["status"] in ("ok", "success"), (line, said)


def test_a_decision_takes_about_as_much_disk_as_operators_are_told(service: Service) -> None:
    assert ["a decision with features, outcome, forecast, candle and indexes", "1.6 kB"] in manuals.page(
        "docs/operators.md"
    ).table("measured: bytes per decision")

    with closing(sqlite3.connect(service.database_file)) as connection:
        decisions, pages, size = connection.execute(
            "SELECT (SELECT COUNT(*) FROM ai_training_samples), page_count, page_size"
            " FROM pragma_page_count(), pragma_page_size()"
        ).fetchone()

    assert decisions > ENOUGH_OUTCOMES
    assert FEWEST_BYTES_PER_DECISION < (pages * size - EMPTY_DATABASE_BYTES) / decisions < MOST_BYTES_PER_DECISION


def test_every_address_the_first_document_prints_is_called_in_the_readme() -> None:
    for printed in ("/ai/retrain?min_samples=100", "/ai/models", "/ai/activate-model/", "/ai/training-samples?limit=50&outcome_known=true"):  # fmt: skip  # noqa: E501
        assert f"http://localhost:8000{printed}" in fenced("bash")[0]


def test_retraining_with_ten_samples_for_testing_answers(service: Service) -> None:
    answer = curl(service, 'curl -s -X POST "http://localhost:8000/ai/retrain?min_samples=10"')

    assert answer["status"] == "success"
    assert answer["message"].endswith(f"Activate via /ai/activate-model/{answer['version_id']}")


def test_the_documents_tokens_are_refused_and_the_readme_says_what_to_do() -> None:
    assert "qt token --new" in replacement_of("live-admin-token")

    with pytest.raises(Exception, match="qt token --new"):
        load_settings(environ={"QT_ADMIN_TOKEN": "live-admin-token"}, env_file=None)


@pytest.mark.parametrize(
    ("saying", "hours"),
    [
        ("hour=3, minute=0", [3]),
        ("hours=6", [0, 6, 12, 18]),
        ('hour="6,18"', [6, 18]),
        ('day_of_week="sun", hour=2', [2]),
    ],
)
def test_the_documents_schedules_are_settings_now(saying: str, hours: list[int]) -> None:
    written = re.search(r'QT_AI_RETRAIN_SCHEDULE="([^"]+)"', replacement_of(saying))
    assert written is not None
    sunday = datetime(2026, 3, 1, tzinfo=UTC)

    slots = list(slots_between(parse_schedule(written[1]), sunday.replace(day=1), sunday.replace(day=2)))

    assert [slot.hour for slot in slots if slot.day == 1 and slot > sunday] == [hour for hour in hours if hour > 0]


def test_training_every_five_minutes_from_one_sample_on_is_a_setting() -> None:
    written = dict(re.findall(r"`(QT_\w+)=\"?([^\"`]+)\"?`", replacement_of("every 5 minutes")))

    settings = load_settings(environ={"QT_ADMIN_TOKEN": "a-token-of-enough-letters", **written}, env_file=None)

    assert (settings.ai_retrain_schedule, settings.ai_retrain_min_samples) == ("every 5m", 1)


@pytest.mark.parametrize(
    ("name", "value", "attribute", "expected"),
    [
        ("QT_AI_RETRAINING_ENABLED", "1", "ai_retraining_enabled", True),
        ("QT_PAPER_TRADING", "true", "paper_trading", True),
        ("QT_ENABLE_EXECUTION", "true", "enable_execution", True),
        ("QT_ENABLE_AI_TRADING", "true", "enable_ai_trading", True),
        ("QT_MIN_CONFIDENCE", "0.01", "min_confidence", 0.01),
    ],
)
def test_the_documents_settings_still_work(name: str, value: str, attribute: str, expected: object) -> None:
    replacement_of(name)

    settings = load_settings(environ={"QT_ADMIN_TOKEN": "a-token-of-enough-letters", name: value}, env_file=None)

    assert getattr(settings, attribute) == expected


def test_migrating_by_alembic_or_qt_makes_the_tables_the_document_lists(tmp_path: Path) -> None:
    commands = re.findall(r"`(\.venv/bin/[^`]+)`", replacement_of("alembic upgrade head"))
    assert commands == [".venv/bin/alembic upgrade head", ".venv/bin/qt migrate"]

    for number, command in enumerate(commands):
        file = tmp_path / f"{number}.db"
        shell(command, environment_of(tmp_path, 1, QT_DATABASE_URL=f"sqlite:///{file}"))
        with closing(sqlite3.connect(file)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert {"ai_training_samples", "ai_model_versions", "trade_logs"} <= tables


def test_counting_samples_through_sessionlocal_works_as_the_document_prints_it(service: Service) -> None:
    assert "from backend.database import SessionLocal" in replacement_of("docker exec quantum_backend python -c")
    lines = (
        "from backend.database import SessionLocal\n"
        "from backend.models.ai_training import AITrainingSample\n"
        "db = SessionLocal()\n"
        "print(f'Total samples: {db.query(AITrainingSample).count()}')\n"
        "db.close()\n"
    )
    environment = {name: value for name, value in service.environment.items() if name != "QT_ADMIN_TOKEN"}

    said = shell(f'.venv/bin/python -c "{lines}"', environment)

    assert int(said.removeprefix("Total samples: ")) > ENOUGH_OUTCOMES


def test_counting_trades_with_sqlite3_works_as_the_document_prints_it(service: Service) -> None:
    assert "trade_logs" in replacement_of("trades.db")
    lines = (
        "import sqlite3\n"
        f"conn = sqlite3.connect('{service.database_file}')\n"
        "c = conn.cursor()\n"
        "c.execute('SELECT COUNT(*) FROM trade_logs')\n"
        "print(f'Total trades: {c.fetchone()[0]}')\n"
        "conn.close()\n"
    )

    said = shell(f'.venv/bin/python -c "{lines}"', service.environment)

    closed = service.ok("GET", "/ai/status")["trades"]["closed"]
    assert 0 < int(said.removeprefix("Total trades: ")) <= closed


def test_the_log_has_the_line_of_signals_the_document_greps_for(service: Service) -> None:
    replacement_of("journalctl -u quantum_backend.service")

    said = shell(f"grep 'AI signals generated' {service.folder / 'service.log'} | tail -n 50", service.environment)

    assert re.search(r"AI signals generated: BUY=\d+ SELL=\d+ HOLD=\d+", said)


def test_the_bootstrap_rows_are_thirty_never_train_and_can_be_taken_away(service: Service, tmp_path: Path) -> None:
    assert ".venv/bin/qt bootstrap" in replacement_of("bootstrap_training_data.py")
    environment = environment_of(tmp_path, 1)
    shell(".venv/bin/qt migrate", environment)

    shell(".venv/bin/qt bootstrap", environment)
    count = "SELECT label_source, COUNT(*) FROM ai_training_samples GROUP BY 1"
    with closing(sqlite3.connect(tmp_path / "quantum_trader.db")) as connection:
        assert connection.execute(count).fetchall() == [("synthetic", 30)]
    shell(".venv/bin/qt bootstrap --remove", environment)

    with closing(sqlite3.connect(tmp_path / "quantum_trader.db")) as connection:
        assert connection.execute(count).fetchall() == []


@pytest.fixture
def copy_of_the_project(tmp_path: Path) -> Path:
    """The project's own code elsewhere: ``qt start`` keeps its files beside it."""
    target = tmp_path / "project"
    for name in ("backend", "ai_engine", "alembic"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.db*", "*.pkl"))
    shutil.copy(ROOT / "alembic.ini", target)
    return target


def test_stopping_and_starting_the_backend_is_qt_stop_and_qt_start(copy_of_the_project: Path, tmp_path: Path) -> None:
    assert re.findall(r"`\.venv/bin/(qt \w+)`", replacement_of("start_live.ps1")) == ["qt stop", "qt start"]
    environment = environment_of(tmp_path, free_port()) | {"PYTHONPATH": str(copy_of_the_project)}
    qt = ".venv/bin/python -m backend.cli.main"

    shell(f"{qt} stop", environment, copy_of_the_project)
    shell(f"{qt} start", environment, copy_of_the_project)
    try:
        with_token = f'curl -s -f -H "X-Admin-Token: $({qt} token)" http://127.0.0.1:{environment["QT_PORT"]}/ai/models'
        assert json.loads(shell(with_token, environment, copy_of_the_project))["models"] == []
    finally:
        shell(f"{qt} stop", environment, copy_of_the_project)
    assert (copy_of_the_project / "var" / "quantum_trader.log").stat().st_size > 0


@pytest.mark.parametrize(("script", "command"), [("start_live.ps1", "start"), ("stop_backend.ps1", "stop")])
def test_the_documents_powershell_scripts_call_qt(script: str, command: str) -> None:
    text = (ROOT / "backend" / script).read_text(encoding="utf-8")

    assert f"& $qt {command} @args" in text


def test_the_file_of_a_version_is_named_as_the_documents_name_it(service: Service, version_id: str) -> None:
    assert "xgb_model_{version_id}.pkl" in replacement_of("xgb_model_v20251117_233221.pkl")
    assert os.listdir(service.folder / "models")  # noqa: PTH208
    assert (service.folder / "models" / f"xgb_model_{version_id}.pkl").is_file()
