"""The example bot against a real service: two strategies, partial fills, killed in the middle, then learned from."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.service import ROOT, TRADER_TOKEN, Service, running_service

STEPS = 160
STRATEGIES = ("trend", "breakout")


def start_bot(service: Service, steps: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [
            sys.executable, str(ROOT / "examples" / "bot.py"), "--url", service.url, "--token", TRADER_TOKEN,
            "--strategies", ",".join(STRATEGIES), "--steps", str(steps),
        ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def open_decisions(service: Service, strategy: str) -> list[str]:
    answer = service.ok("GET", f"/ai/decisions?state=open&strategy={strategy}", token=TRADER_TOKEN)
    return [row["decision_id"] for row in answer["decisions"]]


def kill_with_a_position_open(service: Service) -> str:
    """SIGKILL the bot in the middle of a trade of its first strategy; the decision that is open."""
    bot = start_bot(service, STEPS)
    assert bot.stdout is not None
    for line in bot.stdout:
        words = line.split()
        if len(words) == 4 and int(words[1]) > 60 and open_decisions(service, STRATEGIES[0]):
            break
    bot.send_signal(signal.SIGKILL)
    bot.communicate()
    left_open = open_decisions(service, STRATEGIES[0])
    assert len(left_open) == 1
    return left_open[0]


def finish(service: Service, steps: int) -> str:
    output, errors = start_bot(service, steps).communicate(timeout=120)
    assert errors == ""
    return output


def ask(service: Service, query: str, *values: object) -> list[tuple]:
    with closing(sqlite3.connect(service.database_file)) as connection:
        return connection.execute(query, values).fetchall()


@pytest.mark.slow
def test_a_bot_that_is_killed_with_a_position_open_counts_each_outcome_once(tmp_path: Path) -> None:
    with running_service(tmp_path, QT_SIDES="long") as service:
        left_open = kill_with_a_position_open(service)
        said = finish(service, STEPS)

        assert f"open ['{left_open}']" in said
        for strategy in STRATEGIES:
            decided = ask(service, "SELECT COUNT(*) FROM ai_training_samples WHERE strategy = ?", strategy)
            assert decided == [(STEPS,)]
            closed = ask(
                service,
                "SELECT COUNT(*), SUM(quantity), SUM(realized_pnl) FROM ai_training_samples"
                " WHERE strategy = ? AND executed AND outcome_known",
                strategy,
            )
            logged = ask(
                service,
                "SELECT COUNT(*), SUM(quantity), SUM(realized_pnl) FROM trade_logs WHERE strategy = ?",
                strategy,
            )
            fills = ask(
                service,
                "SELECT SUM(CASE leg WHEN 'entry' THEN -f.price * f.quantity ELSE f.price * f.quantity - f.fees END)"
                " FROM fills f JOIN ai_training_samples s ON s.id = f.sample_id"
                " WHERE s.strategy = ? AND s.outcome_known AND s.executed",
                strategy,
            )
            assert closed == logged
            assert closed[0][0] >= 5
            assert abs(closed[0][1] - 0.1 * closed[0][0]) < 1e-9
            assert abs(closed[0][2] - fills[0][0]) < 1e-6
            assert ask(service, "SELECT sides FROM strategies WHERE name = ?", strategy) == [("long",)]


@pytest.mark.slow
def test_the_bots_next_decision_is_made_by_the_version_learned_from_its_own(tmp_path: Path) -> None:
    with running_service(tmp_path, QT_SIDES="long") as service:
        finish(service, STEPS)

        learned = service.ok("POST", f"/ai/retrain?strategy={STRATEGIES[0]}&min_samples=50")
        assert learned["status"] == "success"
        service.ok("POST", f"/ai/activate-model/{learned['version_id']}")
        finish(service, STEPS + 10)

        counts = ask(
            service, "SELECT strategy, model_version, COUNT(*) FROM ai_training_samples GROUP BY 1, 2 ORDER BY 1, 2"
        )
        assert counts == [
            ("breakout", None, STEPS + 10),
            ("trend", None, STEPS),
            ("trend", learned["version_id"], 10),
        ]
        model = service.ok("GET", f"/ai/models/{learned['version_id']}")
        assert model["is_active"]
        assert model["total_predictions"] == 10
