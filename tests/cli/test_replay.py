"""``qt replay``: run to the end, run again, killed on the way, asked for what there is not."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from backend.settings import ROOT
from tests.trading.desk import random_bars, write_file

FIRST_NIGHT = 38
"""Decisions made when the first version is trained."""
NIGHTS = {"QT_AI_RETRAIN_SCHEDULE": "every 3h", "QT_AI_RETRAIN_MIN_SAMPLES": "20"}


@pytest.fixture
def candles(tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """One symbol's file with a repeated row and a gap; retraining each three hours."""
    for name, value in NIGHTS.items():
        monkeypatch.setitem(environ, name, value)
        monkeypatch.setenv(name, value)
    path = write_file(tmp_path / "candles", "AAAUSDT", random_bars(600, 4), missing=frozenset({520, 521}))
    path.write_text(path.read_text() + path.read_text().splitlines()[7] + "\n")
    return path


@pytest.mark.slow
def test_it_says_what_came_of_it_and_a_second_run_adds_nothing(qt: Any, candles: Path) -> None:
    first = qt("replay", candles, "--activate", "newest", "--json").json
    shown = qt("replay", candles, "--activate", "newest")
    second = qt("replay", candles, "--activate", "newest", "--json").json

    assert first["status"] == "ok"
    assert first["strategy"] == "replay"
    assert first["rounds_taken"] == first["decisions"]["rounds"] == first["decisions"]["total"] == 100 - 2
    assert first["trades"]["closed"] > 0
    assert len(first["versions"]) == first["retrainings"]["success"] >= 2
    assert second["rounds_taken"] == 0
    timed = {"rounds_taken", "duration_seconds"}
    assert {key: second[key] for key in second.keys() - timed} == {key: first[key] for key in first.keys() - timed}
    assert (shown.code, shown.err) == (0, "")
    assert "AAAUSDT-5m.csv: 599 rows; left out: 1 repeated time; 1 gaps, 2 candles missing" in shown.out
    assert "has taken every round of these files before" in shown.out
    assert first["decisions"]["unobservable"] == 1
    assert "1 unobservable (no candle within one of their horizon: a closed market" in " ".join(shown.out.split())
    for words in ("Decisions and outcomes", "Trades (paper", "Symbols", "Versions", "verdict", "cold-start rule"):
        assert words in shown.out
    for action, count in first["decisions"]["by_action"].items():
        assert re.search(rf"{action} +{count} ", shown.out)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere.csv"], 1, "nowhere.csv"),
        (["FILE", "--activate", "best"], 2, "recommended, newest, none"),
        (["FILE", "--symbols", "DOGEUSDT"], 1, "DOGEUSDT"),
        (["FILE", "--symbols", ","], 1, "--symbols"),
        (["FILE", "--timeframe", "7x"], 2, "7x"),
        (["FILE", "--timeframe", "1m"], 1, "1m"),
        (["FILE", "--strategy", "No Such Name"], 1, "strategy"),
        ([], 2, "FILES"),
    ],
)
def test_what_cannot_be_replayed_is_one_sentence(
    qt: Any, candles: Path, arguments: list[str], code: int, words: str
) -> None:
    answer = qt("replay", *(str(candles) if word == "FILE" else word for word in arguments))

    assert (answer.code, answer.out) == (code, "")
    assert words in answer.err
    assert answer.err.count("\n") == 1
    assert "Traceback" not in answer.err


def test_a_coarser_timeframe_gathers_the_candles_and_stays_the_strategys(
    qt: Any, candles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QT_AI_RETRAINING_ENABLED", "0")
    write_file(candles.parent, "BBBUSDT", random_bars(1_200, 5))

    first = qt("replay", candles.parent, "--timeframe", "10m", "--symbols", "bbbusdt", "--strategy", "slow", "--json")
    second = qt("replay", candles.parent, "--symbols", "BBBUSDT", "--strategy", "slow", "--json")
    refused = qt("replay", candles.parent, "--timeframe", "5m", "--strategy", "slow")

    assert first.json["decisions"]["total"] == 100
    assert second.json["rounds_taken"] == 0
    assert refused.code == 1
    assert "10m" in refused.err


@pytest.mark.slow
def test_stopped_at_any_moment_it_goes_on_where_it_was(
    qt: Any, candles: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = qt("replay", candles, "--activate", "newest", "--json").json
    other = f"sqlite:///{tmp_path / 'killed.db'}"
    settings = {**environ, "QT_DATABASE_URL": other, "QT_MODEL_DIR": str(tmp_path / "killed-models")}
    own = {**os.environ, **settings}
    for rounds, number in ((5, signal.SIGKILL), (FIRST_NIGHT, signal.SIGINT), (FIRST_NIGHT + 20, signal.SIGKILL)):
        _stop_after(rounds, number, candles, own)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    resumed = qt("replay", candles, "--activate", "newest", "--json").json

    for summary in (resumed, whole):
        for key in ("rounds_taken", "duration_seconds"):
            del summary[key]
        for version in summary["versions"]:
            del version["version_id"]
    assert resumed == whole


def _stop_after(rounds: int, number: signal.Signals, candles: Path, environ: dict[str, str]) -> None:
    """Start the command, and stop it once it has decided that often: by surprise, or as Ctrl-C does."""
    database = Path(environ["QT_DATABASE_URL"].removeprefix("sqlite:///"))
    command = [sys.executable, "-m", "backend.cli.main", "replay", str(candles), "--activate", "newest"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    wanted = max(rounds, _decided(database) + 1)  # it has begun, however long this test was kept waiting before
    deadline = time.monotonic() + 60
    while _decided(database) < wanted and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate()
    assert (process.returncode, said) == ((130, "Stopped.\n") if number == signal.SIGINT else (-number, ""))


def _decided(database: Path) -> int:
    if not database.exists():
        return 0
    connection = sqlite3.connect(database)
    try:
        return int(connection.execute("select count(*) from ai_training_samples").fetchone()[0])
    except sqlite3.OperationalError:  # not migrated yet
        return 0
    finally:
        connection.close()
