"""What a shell completes, asked as each shell asks, in a process of its own."""

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from backend.cli.completion import OUTLINES, complete_strategy, complete_version
from backend.cli.main import COMMANDS, load, outlined

VERSIONS = ("v20251112_150000", "v20251113_030000", "v20251113_030001")


@pytest.fixture
def known(migrated: Any, environ: dict[str, str]) -> dict[str, str]:
    """An installation with two strategies and three versions."""
    engine = create_engine(environ["QT_DATABASE_URL"])
    with engine.connect() as connection:
        for name in ("default", "other"):
            connection.execute(
                text(
                    "INSERT INTO strategies (name, market, timeframe, horizon_candles, sides, looks, created_at)"
                    " VALUES (:name, 'external', '5m', 12, 'long', 0, '2025-11-01 00:00:00')"
                ),
                {"name": name},
            )
        connection.execute(text("INSERT INTO feature_schemas VALUES (1, 'h', '[]', '2025-11-01 00:00:00')"))
        for number, version in enumerate(VERSIONS):
            connection.execute(
                text(
                    "INSERT INTO ai_model_versions (version_id, model_type, strategy, trained_at, training_samples,"
                    " validation_samples, verdict, recommended, is_active, is_shadow, total_predictions,"
                    " matured_predictions, neutral_predictions, correct_predictions, total_trades, total_pnl,"
                    " model_path, artifact_sha256, artifact_bytes, feature_schema_id, data_hash, report, lineage)"
                    " VALUES (:version, 'x', 'default', '2025-11-12', 1, 1, 'no_evidence', 0, :active, 0, 0, 0, 0, 0,"
                    " 0, 0, 'm', 's', 1, 1, :version, '{}', '{}')"
                ),
                {"version": version, "active": number == 1},
            )
        connection.commit()
    engine.dispose()
    return environ


def asking(words: str, shell: str) -> dict[str, str]:
    """How the shell asks for these words, the last of which is incomplete."""
    return {
        "bash": {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": words},
        "fish": {"_TYPER_COMPLETE_ARGS": words, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        "powershell": {
            "_TYPER_COMPLETE_ARGS": words,
            "_TYPER_COMPLETE_WORD_TO_COMPLETE": words.rpartition(" ")[2],
        },
    }[shell]


def ask(environ: dict[str, str], words: str, shell: str = "bash") -> subprocess.CompletedProcess[str]:
    """What the shell gets."""
    return subprocess.run(
        [sys.executable, "-c", "from backend.cli.main import main; main()"],
        env={**os.environ, **environ, "_QT_COMPLETE": f"complete_{shell}", **asking(words, shell)},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_every_shell_completes_versions_from_the_database(known: dict[str, str], shell: str) -> None:
    answer = ask(known, "qt model v20251113", shell)

    assert answer.stderr == ""
    assert [version for version in VERSIONS if version in answer.stdout] == list(VERSIONS[1:])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("qt rebuild ", list(reversed(VERSIONS))),
        ("qt compare v20251112_150000 v20251113_030001", ["v20251113_030001"]),
        ("qt activate v2025111", list(reversed(VERSIONS))),
        ("qt models --strategy o", ["other"]),
        ("qt retrain --strategy ", ["default", "other"]),
        ("qt re", ["retrain", "rebuild", "restore", "replay"]),
        ("qt activate --fo", ["--force"]),
        ("qt activate --reason x v20251112", ["v20251112_150000"]),
        ("qt import --dec", ["--decimal"]),
        ("qt stop ", []),
    ],
)
def test_commands_options_versions_and_strategies_complete(
    known: dict[str, str], qt: Any, monkeypatch: pytest.MonkeyPatch, words: str, expected: list[str]
) -> None:
    for name, value in {**asking(words, "bash"), "_QT_COMPLETE": "complete_bash"}.items():
        monkeypatch.setenv(name, value)

    answer = qt()

    assert (answer.err, answer.out.split()) == ("", expected)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell", "pwsh"])
def test_every_shell_gets_its_script(qt: Any, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setenv("_QT_COMPLETE", f"source_{shell}")

    answer = qt()

    assert answer.code == 0
    assert "_QT_COMPLETE" in answer.out


def test_help_offers_completion(qt: Any) -> None:
    assert "--install-completion" in qt("--help").out


@pytest.mark.parametrize(
    "url", ["sqlite:////nowhere/at/all.db", "postgresql+psycopg://trader:secret@127.0.0.1:1/quantum", "nonsense"]
)
def test_without_a_database_it_is_silent(environ: dict[str, str], url: str) -> None:
    answer = ask(environ | {"QT_DATABASE_URL": url}, "qt model v")

    assert (answer.stdout.strip(), answer.stderr) == ("", "")


def test_a_file_that_is_no_database_is_silent_too(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "text.db").write_text("no database\n" * 1000)
    monkeypatch.setenv("QT_DATABASE_URL", f"sqlite:///{tmp_path / 'text.db'}")

    assert complete_version("") == complete_strategy("") == []


def test_a_database_that_is_being_written_does_not_make_it_wait(known: dict[str, str]) -> None:
    engine = create_engine(known["QT_DATABASE_URL"])
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.exec_driver_sql("UPDATE strategies SET looks = 1")

        assert [name for name, _ in complete_strategy("")] == ["default", "other"]
        connection.rollback()
    engine.dispose()


def test_each_name_comes_with_a_word_about_it(known: dict[str, str]) -> None:
    assert dict(complete_version("v20251113_030000")) == {"v20251113_030000": "no_evidence, active"}
    assert complete_strategy("def") == [("default", "external 5m")]
    assert complete_version("%") == complete_version("v2_") == []


def test_nothing_is_made_by_asking(environ: dict[str, str], tmp_path: Path) -> None:
    complete_version("")

    assert not list(tmp_path.glob("*.db*"))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_an_outline_knows_how_many_versions_its_command_takes(name: str) -> None:
    parameters = load(name).params
    versions = [one for one in parameters if one.param_type_name == "argument" and _completes(one)]

    assert len(versions) == COMMANDS[name].versions
    assert COMMANDS[name].versions < len(OUTLINES)


def _completes(parameter: Any) -> bool:
    return getattr(parameter, "_custom_shell_complete", None) is not None


def test_an_outline_is_enough_until_another_option_is_typed() -> None:
    assert outlined([])
    assert outlined(["v20251112_150000", "--strategy", "x"])
    assert not outlined(["--reason", "x"])


def test_help_and_completion_are_quick(known: dict[str, str]) -> None:
    for words in ("qt re", "qt model v2"):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert ask(known, words).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0
