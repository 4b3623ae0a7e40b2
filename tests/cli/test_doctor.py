"""``qt doctor``: what a person reads, what a script asks, and the exit code of each."""

from pathlib import Path
from typing import Any

import pytest

from backend.cli.doctor import _show
from tests.cli.test_samples import ROW, write
from tests.trading.desk import random_bars, write_file


@pytest.fixture
def stuck(migrated: Any, tmp_path: Path) -> Any:
    """A bot that reports its entry price as its exit price, eleven times."""
    rows = [
        ROW | {"exit_price": ROW["entry_price"], "timestamp": f"2025-11-12T10:{minute:02d}:00Z"} for minute in range(11)
    ]
    assert migrated("import", write(tmp_path, rows)).code == 0
    return migrated


def test_a_person_reads_severity_code_numbers_and_one_thing_to_do(stuck: Any) -> None:
    answer = stuck("doctor")

    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert lines[0] == "ERROR zero_label_variance"
    assert lines[1].startswith("  The newest 11 outcomes are all 0.")
    assert lines[2] == (
        "  What to do: Look at what was sent as price and exit_price, which seem never to move: qt samples --known."
    )
    assert lines[-1] == ("Strategy default: 1 error: not healthy; every code is explained in docs/troubleshooting.md.")
    assert not any(line.endswith(" ") for line in lines)


def test_a_script_asks_for_an_exit_code(stuck: Any, migrated: Any) -> None:
    assert stuck("doctor").code == 0
    assert stuck("doctor", "--check").code == 3
    assert stuck("doctor", "--check", "--json").json["healthy"] is False


def test_information_alone_is_healthy(migrated: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QT_MARKET", "replay")
    monkeypatch.setenv("QT_STRATEGY", "replay")
    monkeypatch.setenv("QT_AI_RETRAINING_ENABLED", "0")
    monkeypatch.setenv("QT_MARKET_FILES", str(tmp_path / "candles"))
    write_file(tmp_path / "candles", "AAAUSDT", random_bars(560, 4))
    assert migrated("replay", tmp_path / "candles").code == 0

    answer = migrated("doctor", "--check")

    assert answer.code == 0
    assert answer.out.splitlines()[-1] == "Strategy replay: nothing is wrong."


def test_a_database_that_is_not_there_is_one_sentence_and_exit_code_1(qt: Any) -> None:
    answer = qt("doctor")

    assert (answer.code, answer.out) == (1, "")
    assert "qt migrate" in answer.err


def test_the_answer_as_json_is_that_of_the_interface(stuck: Any) -> None:
    told = stuck("doctor", "--json").json

    assert told.keys() == {"status", "strategy", "healthy", "findings"}
    assert told["findings"][0].keys() == {"code", "severity", "explanation", "evidence", "remedy"}


def test_colours_are_for_terminals_only(stuck: Any) -> None:
    assert "\x1b[" not in stuck("doctor").out


def test_a_remedy_that_names_a_call_is_said_with_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    remedy = "Read which rows were refused, and why: GET /ai/retraining-runs/run-1a2b."
    finding = {"code": "retraining_failed", "severity": "error", "explanation": "It ended.", "remedy": remedy}

    _show({"strategy": "bot", "healthy": False, "findings": [finding]})

    assert "What to do: Read which rows were refused, and why: qt runs --json." in capsys.readouterr().out
