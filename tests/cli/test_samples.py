"""``qt samples``, ``import``, ``bootstrap``."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

ROW = {
    "symbol": "BTCUSDC",
    "timestamp": "2025-11-12T10:30:00Z",
    "predicted_action": "BUY",
    "entry_price": 45000.0,
    "exit_price": 45500.0,
    "exit_time": "2025-11-12T11:30:00Z",
    "quantity": 0.1,
    "features": {"rsi": 41.5, "trend": 0.25},
}


def write(folder: Path, rows: list[Any]) -> Path:
    """A file to import."""
    file = folder / "rows.json"
    file.write_text(json.dumps({"samples": rows}))
    return file


def test_import_brings_the_documents_row_in_and_reads_it_back(migrated: Any, tmp_path: Path) -> None:
    told = migrated("import", write(tmp_path, [ROW]), "--json")

    (sample,) = migrated("samples", "--strategy", "default", "--json").json["samples"]

    begun = {"name": "default", "market": "external", "timeframe": "5m", "horizon_candles": 12, "sides": "long,short"}
    assert told.json == {
        "status": "success", "accepted": 1, "duplicates": 0, "rejected": [], "warnings": {}, "quarantined": {},
        "strategy_created": True, "strategy_begun": begun,
    }  # fmt: skip
    assert round(sample["target_label"], 4) == 0.0111
    assert sample["realized_pnl"] == 50.0
    assert sample["target_class"] == "WIN"


def test_import_refuses_each_bad_row_with_its_index_and_the_reason(migrated: Any, tmp_path: Path) -> None:
    rows = [ROW, ROW | {"entry_price": -1}, ROW, ROW | {"symbol": "A\u0000B"}, ROW | {"predicted_action": "WAIT"}]

    told = migrated("import", write(tmp_path, rows), "--json").json
    shown = migrated("import", write(tmp_path, rows))

    assert (told["accepted"], told["duplicates"]) == (1, 1)
    assert [one["index"] for one in told["rejected"]] == [1, 3, 4]
    assert "entry_price" in told["rejected"][0]["reason"]
    assert shown.out.startswith("0 accepted, 2 duplicates, 3 refused.\n  row 1: ")


@pytest.mark.slow
def test_import_takes_any_number_of_rows(migrated: Any, tmp_path: Path) -> None:
    rows = [ROW | {"timestamp": f"2025-10-{1 + n // 300:02d}T{n // 60 % 5:02d}:{n % 60:02d}:00Z"} for n in range(5100)]
    rows[5050] = {**ROW, "exit_price": None}

    told = migrated("import", write(tmp_path, rows), "--json").json

    assert told["accepted"] == 5099
    assert [one["index"] for one in told["rejected"]] == [5050]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--limit", "1000"], 0),
        (["--limit", "1001"], 2),
        (["--limit", "99999999999999999999"], 2),
        (["--csv", "--limit", "1000000"], 0),
        (["--csv", "--limit", "1000001"], 2),
        (["--csv", "--limit", "99999999999999999999"], 2),
    ],
)
def test_more_samples_than_a_page_are_for_csv_and_a_number_without_end_for_nobody(
    migrated: Any, arguments: list[str], code: int
) -> None:
    answer = migrated("samples", *arguments)

    assert answer.code == code
    assert answer.err.count("\n") == (code != 0)
    assert ("--limit" in answer.err) == (code != 0)


@pytest.mark.parametrize("content", ["", "[]", '{"samples": {}}', '{"samples": [1]}', "{", '{"rows": []}'])
def test_a_file_of_another_form_is_one_sentence(migrated: Any, tmp_path: Path, content: str) -> None:
    file = tmp_path / "rows.json"
    file.write_text(content)

    answer = migrated("import", file)

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.count("\n") == 1


def test_a_missing_file_is_one_sentence(migrated: Any, tmp_path: Path) -> None:
    answer = migrated("import", tmp_path / "none.json")

    assert answer.code == 1
    assert "none.json cannot be read" in answer.err


def test_bootstrap_adds_the_thirty_rows_once(migrated: Any) -> None:
    first, second = migrated("bootstrap", "--json").json, migrated("bootstrap", "--json").json

    rows = migrated("samples", "--json", "--features").json["samples"]

    assert (first["added"], second["added"], second["synthetic"]) == (30, 0, 30)
    assert len(rows) == 30
    kinds = [(row["predicted_action"], row["target_class"]) for row in rows]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        ("BUY", "WIN"): 10,
        ("BUY", "LOSS"): 5,
        ("SELL", "WIN"): 8,
        ("HOLD", "NEUTRAL"): 7,
    }
    assert {row["label_source"] for row in rows} == {"synthetic"}
    assert not any(row["executed"] for row in rows)
    assert len({tuple(row["features"]) for row in rows}) == 30


def test_bootstrap_rows_never_train_unless_asked_for(migrated: Any) -> None:
    migrated("bootstrap")

    plain = migrated("retrain", "--min-samples", 1, "--json").json
    status = migrated("status", "--json").json

    assert plain["status"] != "success"
    assert status["trades"] == {"open": 0, "closed": 0, "total_pnl": 0.0}
    assert status["samples"]["by_label_source"]["synthetic"] == 30


def test_bootstrap_leaves_a_bots_own_names_of_features_free(migrated: Any, tmp_path: Path) -> None:
    migrated("bootstrap", "--strategy", "default")

    told = migrated("import", write(tmp_path, [ROW]), "--json").json

    assert told["accepted"] == 1


def test_bootstrap_takes_its_rows_away_again_and_nothing_else(migrated: Any, tmp_path: Path) -> None:
    migrated("bootstrap", "--strategy", "default")
    migrated("import", write(tmp_path, [ROW]))

    removed = migrated("bootstrap", "--strategy", "default", "--remove", "--json").json
    again = migrated("bootstrap", "--strategy", "default", "--remove")
    left = migrated("samples", "--strategy", "default", "--json").json["samples"]

    assert (removed["removed"], removed["synthetic"]) == (30, 0)
    assert again.out == "Nothing changed: default holds 0 synthetic rows.\n"
    assert [row["label_source"] for row in left] == ["executed"]


def test_samples_as_csv_hold_the_same_rows_with_a_column_a_feature(migrated: Any, tmp_path: Path) -> None:
    migrated("import", write(tmp_path, [ROW, ROW | {"timestamp": "2025-11-12T10:00:00Z", "quantity": None}]))

    plain = list(csv.DictReader(io.StringIO(migrated("samples", "--strategy", "default", "--csv").out)))
    wide = migrated("samples", "--strategy", "default", "--csv", "--features", "--limit", 1)

    assert [row["timestamp"] for row in plain] == ["2025-11-12T10:30:00Z", "2025-11-12T10:00:00Z"]
    assert plain[1]["realized_pnl"] == ""
    (row,) = csv.DictReader(io.StringIO(wide.out))
    assert (row["rsi"], row["trend"]) == ("41.5", "0.25")


def test_samples_are_a_table_newest_first(migrated: Any, tmp_path: Path) -> None:
    migrated("import", write(tmp_path, [ROW, ROW | {"timestamp": "2025-11-12T10:00:00Z"}]))

    lines = migrated("samples", "--strategy", "default", "--known").out.splitlines()

    assert lines[0].split()[:3] == ["decided", "symbol", "action"]
    assert [line[:16] for line in lines[1:]] == ["2025-11-12 10:30", "2025-11-12 10:00"]
    assert migrated("samples").out == "There is no such decision yet.\n" or "decided" in migrated("samples").out


def test_an_unknown_strategy_is_one_sentence_with_the_nearest_name(migrated: Any) -> None:
    answer = migrated("samples", "--strategy", "defualt")

    assert answer.code == 1
    assert "'default'" in answer.err
