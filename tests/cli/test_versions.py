"""``qt retrain``, ``models``, ``model``, ``activate``, ``rollback``, ``deactivate``, and what is told about them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BEGIN = datetime(2025, 11, 1, tzinfo=UTC)


def history(rows: int, seed: int) -> list[dict[str, Any]]:
    """Closed trades whose return follows one of their features."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(rows):
        signal, noise = float(rng.normal()), float(rng.normal())
        decided = BEGIN + timedelta(hours=number)
        made.append(
            {
                "symbol": "BTCUSDC",
                "timestamp": decided.isoformat(),
                "predicted_action": "BUY" if signal > 0 else "SELL",
                "entry_price": 100.0,
                "exit_price": 100.0 * (1 + 0.01 * signal + 0.002 * noise),
                "exit_time": (decided + timedelta(minutes=50)).isoformat(),
                "features": {"signal": signal, "noise": noise},
            }
        )
    return made


@pytest.fixture
def learned(migrated: Any, tmp_path: Path) -> Any:
    """Run a command where 120 trades of the strategy ``default`` are known."""
    file = tmp_path / "history.json"
    file.write_text(json.dumps({"samples": history(120, seed=1)}))
    assert migrated("import", file, "--json").json["accepted"] == 120
    return migrated


@pytest.mark.slow
def test_a_version_is_trained_shown_activated_and_rolled_back(learned: Any, tmp_path: Path) -> None:
    trained = learned("retrain", "--json").json
    first = trained["version_id"]
    again = learned("retrain", "--json").json
    more = tmp_path / "more.json"
    more.write_text(json.dumps({"samples": history(150, seed=1)[120:]}))
    learned("import", more)
    second = learned("retrain").out

    listed = learned("models", "--json").json
    newest = listed["models"][0]["version_id"]
    assert trained["status"] == "success"
    assert (again["status"], again["reason"], again["version_id"]) == ("skipped", "no_new_samples", first)
    assert "Wait: let outcomes come in and retrain." in second
    assert f"All of it: qt model {newest}" in second
    assert [row["version_id"] for row in listed["models"]] == [newest, first]
    assert not any(row["is_active"] for row in listed["models"])

    shown = learned("models").out
    assert shown.count("shadow") == 2
    assert learned("shadow", newest, "--stop").out.splitlines() == [
        f"{newest} scores no decision as a shadow.",
        f"Shadows of default: {first}.",
    ]
    assert learned("shadow", newest, "--json").json["shadow_origin"] == "asked"

    for version in (first, newest):
        switched = learned("activate", version, "--json", "--force", "--reason", "for the test").json
        assert switched["activated_version"] == version
    back = learned("rollback", "--reason", "the other was better", "--json").json
    assert (back["activated_version"], back["previous_version"]) == (first, newest)

    told = learned("model", first, "--json").json
    assert told["is_active"] is True
    shown = learned("model", first).out
    assert shown.startswith(told["report"]["sentence"])
    assert "for the test" in shown
    assert f"rolled back to, in place of {newest}, by terminal: the other was better\n" in shown
    assert f"replaced: {newest} decided from then on, by terminal: for the test\n" in shown
    assert "activated, in place of the cold-start rule, by terminal: for the test\n" in shown
    assert f"rolled back: {first} decided from then on, by terminal" in learned("model", newest).out
    assert f"{first} of default: active since" in shown
    assert "scores on the same rows" in shown
    assert "no merit in it" in shown

    compared = learned("compare", first, newest, "--json").json
    assert (compared["a"]["version_id"], compared["b"]["version_id"]) == (first, newest)
    side_by_side = learned("compare", first, newest).out
    assert side_by_side.startswith(compared["sentence"])
    assert "Verdict: not_distinguishable." in side_by_side
    assert "P&L (beside)" in side_by_side

    lost = tmp_path / "again.pkl"
    rebuilt = learned("rebuild", first, "--out", lost, "--json").json
    published = tmp_path / "models" / f"xgb_model_{first}.pkl"
    assert lost.read_bytes() == published.read_bytes()
    assert rebuilt["sha256"] == told["lineage"]["sha256"]
    assert "byte for byte, from 120 rows" in learned("rebuild", first).out

    assert learned("status", "--json").json["active_model"]["version_id"] == first
    assert first in learned("status").out
    there = learned("activate", newest, "--force", "--reason", "again").out
    assert f"{newest} decides from the next decision on, in place of {first}.\n" in there
    assert f"{first} decides from the next decision on, in place of {newest}.\n" in learned("rollback").out
    assert (
        f"No model is active. The cold-start rule makes the next decision. {first} decided" in learned("deactivate").out
    )
    assert learned("status", "--json").json["active_model"]["version_id"] is None

    runs = learned("runs", "--json").json["runs"]
    assert [run["state"] for run in runs] == ["success", "skipped", "success"]
    assert {run["actor"] for run in runs} == {"terminal"}
    assert "success" in learned("runs").out


def test_too_few_outcomes_are_told_and_are_no_failure(migrated: Any) -> None:
    plain, told = migrated("retrain"), migrated("retrain", "--json")

    assert (plain.code, told.code) == (0, 0)
    assert "insufficient_samples" in plain.out
    assert (told.json["status"], told.json["samples_count"], told.json["required"]) == ("skipped", 0, 100)


def test_a_training_that_cannot_be_is_exit_code_1(migrated: Any, tmp_path: Path) -> None:
    file = tmp_path / "few.json"
    file.write_text(json.dumps({"samples": history(5, seed=2)}))
    migrated("import", file)

    answer = migrated("retrain", "--min-samples", 1, "--json")

    assert answer.code == 1
    assert (answer.json["status"], answer.json["reason"]) == ("error", "too_few_valid_samples")


@pytest.mark.parametrize(
    "command",
    [
        ["model", "v20250101_000000"],
        ["activate", "v20250101_000000"],
        ["rollback"],
        ["rebuild", "v20250101_000000"],
        ["compare", "v20250101_000000", "v20250101_000001"],
    ],
)
def test_what_is_not_there_is_one_sentence(migrated: Any, command: list[str]) -> None:
    answer = migrated(*command)

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.count("\n") == 1


def test_force_without_a_reason_is_refused(migrated: Any) -> None:
    answer = migrated("activate", "v20250101_000000", "--force")

    assert answer.code == 1
    assert "reason" in answer.err


def test_an_empty_installation_is_told_as_it_is(migrated: Any) -> None:
    status = migrated("status", "--json").json

    assert status["samples"]["total"] == 0
    assert status["retraining"]["next_run"].endswith("03:00:00Z")
    assert "cold-start rule" in migrated("status").out
    assert migrated("models").out == "There is no version yet. Make one: qt retrain\n"
    assert migrated("runs").out == "Nothing was retrained yet.\n"


def test_the_doctor_says_what_is_wrong_and_what_to_do(migrated: Any) -> None:
    told, shown = migrated("doctor", "--json").json, migrated("doctor").out

    assert told["healthy"] is False
    assert [finding["code"] for finding in told["findings"]] == ["no_decisions"]
    assert told["findings"][0]["remedy"] in " ".join(shown.split())


def test_no_schedule_means_no_next_run(migrated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QT_AI_RETRAINING_ENABLED", "off")

    assert migrated("status", "--json").json["retraining"]["next_run"] is None
    assert "never" in migrated("status").out


def test_settings_in_force_tell_no_token(migrated: Any, environ: dict[str, str]) -> None:
    assert environ["QT_ADMIN_TOKEN"] not in migrated("status", "--json").out
