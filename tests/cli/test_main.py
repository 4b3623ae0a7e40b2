"""The table of commands: complete, loaded when called, and one sentence where something is expected to go wrong."""

import inspect
import subprocess
import sys
from typing import Any

import pytest

from backend.cli.main import COMMANDS, load

PROMISED = {
    "serve", "start", "stop", "migrate", "token", "status", "doctor", "retrain", "models", "model", "activate",
    "rollback", "deactivate", "compare", "samples", "import", "warm-start", "bootstrap", "replay", "runs", "backup",
    "restore", "rebuild", "alarms", "quarantine", "shadow", "self-audit",
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
    program = (
        "import sys; from backend.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'sqlalchemy', 'fastapi', 'xgboost', 'pandas', 'pydantic', 'alembic'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )

    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert answer.returncode == 0, answer.stderr
    assert all(name in answer.stdout for name in PROMISED)


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
