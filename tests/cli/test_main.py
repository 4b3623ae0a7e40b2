"""The table of commands: complete, loaded when called, and one sentence where something is expected to go wrong."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backend import migrations
from backend.cli.main import COMMANDS, load

PROMISED = {
    "serve", "start", "stop", "migrate", "token", "status", "doctor", "retrain", "models", "model", "activate",
    "rollback", "deactivate", "compare", "samples", "import", "warm-start", "bootstrap", "replay", "runs", "backup",
    "restore", "rebuild", "alarms", "quarantine", "shadow", "self-audit",
}  # fmt: skip

HEAVY = {
    "xgboost", "sklearn", "scipy", "pandas", "talib", "alembic", "ccxt", "aiohttp", "apprise", "httpx2", "fastapi",
    "uvicorn", "apscheduler", "psycopg", "joblib",
}  # fmt: skip


def test_every_promised_command_is_there() -> None:
    assert set(COMMANDS) == PROMISED


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_and_the_table_say_the_same(name: str) -> None:
    function = load(name).callback

    first = inspect.cleandoc(function.__doc__ or "").partition("\n")[0]

    assert first == COMMANDS[name].help or name == "replay"
    assert COMMANDS[name].help.endswith(".")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_explains_itself(qt: Any, name: str) -> None:
    answer = qt(name, "--help")

    assert answer.code == 0
    assert COMMANDS[name].help.split()[0] in answer.out


@pytest.mark.parametrize("name", sorted(PROMISED - {"serve"}))
def test_each_command_can_answer_as_json(name: str) -> None:
    assert "--json" in {option for parameter in load(name).params for option in parameter.opts}


def test_help_loads_nothing_heavy() -> None:
    program = "from backend.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"

    answer = loading_none_of(HEAVY | {"numpy", "sqlalchemy", "pydantic"}, program)

    assert answer.returncode == 0, answer.stderr
    assert all(name in answer.stdout for name in PROMISED)


def test_no_command_but_serve_loads_what_is_heavy_before_it_needs_it() -> None:
    modules = {f"backend.cli.{entry.module}" for entry in COMMANDS.values()} - {"backend.cli.serve"}

    answer = loading_none_of(HEAVY, f"import {', '.join(sorted(modules))}")

    assert answer.returncode == 0, answer.stderr


def test_asking_whether_the_database_is_migrated_loads_no_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'here.db'}"
    migrations.upgrade(url)

    answer = loading_none_of(HEAVY, f"from backend import migrations; assert migrations.current_is_head({url!r})")

    assert answer.returncode == 0, answer.stderr


def loading_none_of(heavy: set[str], program: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a fresh process, which fails where one of the packages was loaded."""
    check = f"import sys; loaded = {sorted(heavy)!r}; loaded = [name for name in loaded if name in sys.modules]\n"
    ends = "sys.exit(f'loaded {loaded}' if loaded else 0)"
    return subprocess.run(
        [sys.executable, "-c", f"{program}\n{check}{ends}"], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [["nope"], ["models", "--no-such"], ["models", "--limit", "0"], ["activate"], ["retrain", "--min-samples", "x"]],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(qt: Any, arguments: list[str]) -> None:
    answer = qt(*arguments)

    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.count("\n") == 1
    called = "qt" if arguments[0] == "nope" else f"qt {arguments[0]}"
    assert answer.err.endswith(f"See: {called} --help\n")


def test_a_wrong_setting_is_one_sentence_and_exit_code_1(qt: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_PORT", "none")

    answer = qt("status")

    assert (answer.code, answer.out) == (1, "")
    assert answer.err == "QT_PORT must be a whole number from 1 to 65535, not 'none'.\n"


@pytest.mark.parametrize(
    "name", ["status", "doctor", "models", "samples", "runs", "retrain", "rollback", "bootstrap", "alarms", "backup"]
)
def test_a_database_that_was_not_migrated_is_named_with_the_remedy(qt: Any, name: str) -> None:
    answer = qt(name)

    assert (answer.code, answer.out) == (1, "")
    assert "qt migrate" in answer.err
    assert answer.err.count("\n") == 1
