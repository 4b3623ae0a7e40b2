"""``qt self-audit``: what a person reads, and what a program does."""

import json
from pathlib import Path
from typing import Any

import pytest

from backend.cli.self_audit import _show
from backend.cli.version_view import show_version
from tests.cli.test_versions import history

HELD: dict[str, Any] = {
    "status": "success",
    "strategy": "default",
    "placebos": 100,
    "false_approvals": 2,
    "false_approval_rate": 0.02,
    "false_approval_ci95": [0.0055, 0.07],
    "planted": [
        {"accuracy": 0.6, "worlds": 20, "detected": 5, "detection_rate": 0.25, "ci95": [0.112, 0.469]},
        {"accuracy": 0.7, "worlds": 20, "detected": 19, "detection_rate": 0.95, "ci95": [0.764, 0.991]},
    ],
    "placebo_accuracy": {"mean": 0.501, "ci95": [0.492, 0.51], "baseline": 0.5, "standard_errors": 0.2},
    "verdicts": {"evidence": 2, "no_evidence": 98},
    "judged": 140,
    "holds": True,
    "sentence": "Of 100 worlds, 2.0% were called evidence.",
    "rows": 600,
    "rows_available": 8_000,
    "kind": "candles",
    "recipe_version": "xgboost-2",
    "seed": 1,
}


def test_an_audit_is_read_from_its_sentence_to_what_it_was_made_of(capsys: pytest.CaptureFixture[str]) -> None:
    _show(HELD)

    told = capsys.readouterr().out
    assert told.startswith("Of 100 worlds, 2.0% were called evidence.")
    assert "2 of 100 called evidence, 2.000 % (95 %: 0.550 % to 7.000 %); at most 5 % is promised" in told
    assert "5 of 20 found, 25.0 % (95 %: 11.2 % to 46.9 %)" in told
    assert "the newest 600 of 8,000 usable rows, candles mirrored by coins" in told
    assert "holds           yes" in told


def test_one_that_does_not_hold_says_so_first(capsys: pytest.CaptureFixture[str]) -> None:
    _show({**HELD, "holds": False})

    assert "NO: activate nothing" in capsys.readouterr().out


def test_one_that_could_judge_nothing_says_so_and_shows_no_rate(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = {"holds": None, "false_approval_rate": None, "false_approval_ci95": None, "placebo_accuracy": None}
    _show({**HELD, **unknown, "judged": 0, "verdicts": {"insufficient_data": 100}})

    told = capsys.readouterr().out
    assert "not known: nothing could be judged" in told
    assert "100 insufficient_data" in told
    assert "called evidence," not in told
    assert "found" not in told


def test_too_few_outcomes_are_said_with_their_numbers(migrated: Any, tmp_path: Path) -> None:
    file = tmp_path / "history.json"
    file.write_text(json.dumps({"samples": history(30, seed=1)}))
    migrated("import", file)

    told = migrated("self-audit")

    assert told.code == 0
    assert "skipped: insufficient_samples" in told.out
    assert "samples_count 30" in told.out or "30" in told.out
    assert migrated("self-audit", "--json").json["required"] == 100


def test_counts_outside_their_bounds_are_wrong_usage(migrated: Any) -> None:
    assert migrated("self-audit", "--placebos", 5).code == 2


@pytest.mark.slow
def test_an_audit_runs_and_stands_in_the_next_version(migrated: Any, tmp_path: Path) -> None:
    file = tmp_path / "history.json"
    file.write_text(json.dumps({"samples": history(120, seed=1)}))
    migrated("import", file)

    audited = migrated("self-audit", "--placebos", 10, "--planted", 10, "--json")
    version = migrated("retrain", "--json").json["version_id"]

    assert audited.code == 0
    assert audited.json["placebos"] == 10
    assert migrated("model", version, "--json").json["report"]["self_audit"]["run_id"] == audited.json["run_id"]
    assert show_version.__doc__
    assert "installation" in migrated("model", version).out
