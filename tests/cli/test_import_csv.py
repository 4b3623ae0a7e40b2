"""``qt import`` of a CSV file: the same as posting the rows, tried without a trace, with features where it has none."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text

from ai_engine.features.catalogue import FEATURE_NAMES
from backend import migrations
from backend.cli import imports
from backend.main import create_app
from backend.settings import load_settings
from tests.cli.conftest import TOKEN, default_environment

BEGIN = datetime(2025, 11, 1, tzinfo=UTC)
HEAD = ["Pair", "Side", "Open Date", "Close Date", "Open Price", "Close Price", "Amount", "Fees", "f_rsi", "f_trend"]


def trades(count: int = 40, seed: int = 1) -> list[dict[str, Any]]:
    """Closed trades as JSON tells them; every seventh one is wrong in some way."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        entered = BEGIN + timedelta(hours=number)
        price = float(round(100 + rng.normal(), 2))
        row: dict[str, Any] = {
            "symbol": "BTCUSDC",
            "predicted_action": "BUY" if rng.random() < 0.5 else "SELL",
            "timestamp": entered.isoformat(),
            "entry_time": entered.isoformat(),
            "exit_time": (entered + timedelta(minutes=50)).isoformat(),
            "entry_price": price,
            "exit_price": float(round(price * (1 + 0.01 * rng.normal()), 2)),
            "quantity": float(round(rng.uniform(0.1, 2), 3)),
            "fees": float(round(rng.uniform(0, 0.3), 4)),
            "features": {"rsi": float(round(rng.uniform(0, 100), 3)), "trend": float(round(rng.normal(), 4))},
        }
        if number % 7 == 3:
            wrong = [{"exit_time": row["entry_time"]}, {"exit_price": -1.0}, {"entry_price": 1.0, "exit_price": 9.0}]
            row |= wrong[number % 3]
        made.append(row)
    return [*made, made[0]]


def as_cells(row: dict[str, Any]) -> list[Any]:
    return [
        "BTC/USDC", {"BUY": "Long", "SELL": "Short"}[row["predicted_action"]], row["entry_time"], row["exit_time"],
        repr(row["entry_price"]), repr(row["exit_price"]), repr(row["quantity"]), repr(row["fees"]),
        repr(row["features"]["rsi"]), repr(row["features"]["trend"]),
    ]  # fmt: skip


def write(folder: Path, rows: list[list[Any]], head: list[str] = HEAD, name: str = "trades.csv") -> Path:
    file = folder / name
    with file.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([head, *rows])
    return file


@contextmanager
def service(folder: Path) -> Iterator[TestClient]:
    """A service with a database of its own."""
    folder.mkdir()
    settings = load_settings(environ=default_environment(folder), env_file=None)
    migrations.upgrade(settings.database_url)
    with TestClient(create_app(settings), base_url="http://127.0.0.1", headers={"X-Admin-Token": TOKEN}) as client:
        yield client


def stored(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All of the samples but what differs from one database to another."""
    return [{key: value for key, value in one.items() if key not in ("id", "sample_id")} for one in samples]


def rows_in(environ: dict[str, str]) -> dict[str, list[Any]]:
    """Every row of every table."""
    engine = create_engine(environ["QT_DATABASE_URL"])
    with engine.connect() as connection:
        names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars().all()
        found = {name: [tuple(row) for row in connection.execute(text(f"SELECT * FROM {name}"))] for name in names}
    engine.dispose()
    return found


@pytest.mark.slow
def test_a_csv_file_brings_what_posting_its_rows_brings(migrated: Any, tmp_path: Path) -> None:
    rows = trades()
    file = write(tmp_path, [as_cells(row) for row in rows])

    told = migrated("import", file, "--feature-prefix", "f_", "--json").json
    mine = migrated("samples", "--strategy", "default", "--features", "--limit", 1000, "--json").json["samples"]
    with service(tmp_path / "service") as client:
        answered = client.post("/ai/training-samples", json={"samples": rows}).json()
        theirs = client.get("/ai/training-samples", params={"strategy": "default", "features": True, "limit": 1000})

    assert (told["accepted"], told["duplicates"]) == (answered["accepted"], answered["duplicates"]) == (34, 1)
    refused = [(one["index"], one["reason"]) for one in told["rejected"]]
    assert refused == [(one["index"], one["reason"]) for one in answered["rejected"]]
    assert [one["line"] for one in told["rejected"]] == [index + 2 for index, _ in refused]
    ids = {one["decision_id"] for one in mine}
    assert ids == {one["decision_id"] for one in theirs.json()["samples"]}
    assert stored(mine) == stored(theirs.json()["samples"])


def test_a_trial_says_what_an_import_then_does_and_writes_nothing(
    migrated: Any, environ: dict[str, str], tmp_path: Path
) -> None:
    file = write(tmp_path, [as_cells(row) for row in trades()])
    before = rows_in(environ)

    tried = migrated("import", file, "--feature-prefix", "f_", "--dry-run", "--json").json
    after = rows_in(environ)
    done = migrated("import", file, "--feature-prefix", "f_", "--json").json

    assert after == before
    assert tried.pop("dry_run") is True
    assert done.pop("dry_run") is False
    assert tried == done
    again = migrated("import", file, "--feature-prefix", "f_", "--dry-run", "--json").json
    assert (again["accepted"], again["duplicates"], again["strategy_created"]) == (0, 35, False)


@pytest.mark.slow
def test_a_trial_over_several_batches_is_the_import_too(migrated: Any, tmp_path: Path, environ: dict[str, str]) -> None:
    rows = [as_cells(row) for row in trades(70)]
    many = [
        [*row[:2], (BEGIN + timedelta(minutes=n)).isoformat(), (BEGIN + timedelta(minutes=n + 1)).isoformat(), *row[4:]]
        for n, row in enumerate(rows * 75)
    ]
    file = write(tmp_path, [*many, *many[:10]])

    tried = migrated("import", file, "--feature-prefix", "f_", "--dry-run", "--json").json
    done = migrated("import", file, "--feature-prefix", "f_", "--json").json

    assert len(many) > imports.MAX_ROWS
    assert tried | {"dry_run": False} == done
    assert done["duplicates"] == 10 - sum(one["line"] <= 11 for one in done["rejected"])


def test_a_trial_shows_how_the_file_was_read_and_what_was_refused(migrated: Any, tmp_path: Path) -> None:
    rows = [as_cells(row) for row in trades()]
    rows[5][4], rows[6][4] = "dear", "cheap"
    shown = migrated("import", write(tmp_path, rows), "--feature-prefix", "f_", "--dry-run").out

    assert "entry_price       Open Price\n" in shown
    assert "features          rsi, trend\n" in shown
    assert "Would be: 32 accepted" in shown
    assert "line 7: entry_price (column 'Open Price'): 'dear' is not a number" in shown
    assert "Nothing was written." in shown
    (count,) = [line.split()[0] for line in shown.splitlines() if "'dear'" in line and "line" not in line]
    assert count == "2"


def test_what_is_said_may_stand_in_a_file(migrated: Any, tmp_path: Path) -> None:
    rows = [
        ["x", "12/11/2025 10:30", "12/11/2025 11:30", "45.000,50", "45.500,00", "-1,2", "41,5"],
        ["y", "13/11/2025 10:30", "13/11/2025 11:30", "45.000,50", "45.500,00", "-1,2", "41,5"],
    ]
    file = write(tmp_path, rows, ["note", "in", "out", "paid", "got", "cost", "RSI"])
    toml = tmp_path / "mapping.toml"
    toml.write_text(
        'timezone = "Europe/Oslo"\ndecimal = "comma"\ndate_order = "dmy"\nfeatures = ["RSI"]\n'
        '[map]\nentry_time = "in"\nexit_time = "out"\nentry_price = "paid"\nexit_price = "got"\nfees = "-cost"\n'
        '[set]\nsymbol = "BTCUSDC"\npredicted_action = "long"\n'
    )
    as_json = tmp_path / "mapping.json"
    as_json.write_text(json.dumps({"date_order": "mdy", "decimal": "comma"}))

    told = migrated("import", file, "--mapping", toml, "--set", "quantity=0.1", "--json").json
    assert (told["accepted"], told["rejected"]) == (2, [])
    (first, second) = migrated("samples", "--strategy", "default", "--features", "--json").json["samples"]
    other = migrated("import", file, "--mapping", as_json, "--features", "RSI", "--json")

    assert (told["accepted"], told["rejected"]) == (2, [])
    assert first["timestamp"] == "2025-11-13T09:30:00Z"
    assert (second["fees"], second["quantity"], second["features"]) == (1.2, 0.1, [41.5])
    assert other.code == 1
    assert "--map" in other.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("timezne = 'UTC'", "holds timezne"),
        ("a = ", "neither TOML nor JSON"),
        ("map = 'x'", "map must be a table"),
        ("candles = 5", "candles must be text"),
        ("candles = [5]", "candles must be text"),
        (f"a = {'[' * 100_000}", "neither TOML nor JSON"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_one_sentence(migrated: Any, tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "m.toml").write_text(content)

    answer = migrated("import", write(tmp_path, []), "--mapping", tmp_path / "m.toml")

    assert (answer.code, answer.out) == (1, "")
    assert said in answer.err


def test_a_mapping_that_is_json_without_end_is_one_sentence(migrated: Any, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text("[" * 100_000)

    answer = migrated("import", write(tmp_path, []), "--mapping", tmp_path / "m.json")

    assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert "neither TOML nor JSON" in answer.err


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-14:00"])
@pytest.mark.parametrize("place", [2, 3])
def test_a_time_that_utc_cannot_say_costs_its_own_line_only(
    migrated: Any, tmp_path: Path, moment: str, place: int
) -> None:
    rows = [as_cells(row) for row in trades()[:3]]
    rows[1][place] = moment

    told = migrated("import", write(tmp_path, rows), "--feature-prefix", "f_", "--json").json

    assert told["accepted"] == 2
    (refused,) = told["rejected"]
    assert (refused["index"], refused["line"]) == (1, 3)
    assert f"{moment!r} lies outside the years 1 to 9999 in UTC" in refused["reason"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 1, "--candles GLOB"),
        (["--feature-prefix", "f_", "--candles", "x"], 2, "--candles"),
        (["--decimal", "dot"], 2, "point or comma"),
        (["--date-order", "ymd"], 2, "dmy or mdy"),
        (["--map", "symbol"], 2, "FIELD="),
        (["--map", "price=Open Price"], 1, "did you mean"),
        (["--timezone", "Oslo"], 1, "Europe/Oslo"),
        (["--encoding", "x"], 1, "--encoding"),
        (["--encoding", "undefined"], 1, "--encoding"),
        (["--delimiter", "ab"], 1, "--delimiter"),
        (["--mapping", "none.toml"], 1, "none.toml"),
        (["--candles", "none/*.csv"], 1, "No candle file"),
        (["--strategy", "UPPER", "--feature-prefix", "f_"], 1, "strategy"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    migrated: Any, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    answer = migrated("import", write(tmp_path, [as_cells(trades()[0])]), *arguments)

    assert (answer.code, answer.out) == (code, "")
    assert answer.err.count("\n") == 1
    assert said in answer.err


def test_options_for_csv_are_refused_for_json(migrated: Any, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text('{"samples": []}')

    answer = migrated("import", file, "--timezone", "UTC")

    assert answer.code == 2
    assert "--timezone" in answer.err


def test_a_trial_of_a_json_file_writes_nothing_either(migrated: Any, environ: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps({"samples": trades()}))
    before = rows_in(environ)

    tried = migrated("import", file, "--dry-run", "--json").json

    assert rows_in(environ) == before
    assert (tried["dry_run"], tried["accepted"], tried["duplicates"], tried["rejected_count"]) == (True, 34, 1, 6)
    assert sum(kind["count"] for kind in tried["rejected_by_reason"]) == 6


@pytest.mark.parametrize("name", ["trades", "trades.dat"])
def test_the_first_sign_tells_json_from_csv_where_the_name_does_not(migrated: Any, tmp_path: Path, name: str) -> None:
    as_csv = write(tmp_path, [as_cells(trades()[0])], name=name)
    as_json = tmp_path / f"{name}-too"
    as_json.write_text("\ufeff " + json.dumps({"samples": trades()[1:2]}), encoding="utf-8")

    assert migrated("import", as_csv, "--feature-prefix", "f_", "--json").json["accepted"] == 1
    assert migrated("import", as_json, "--json").json["accepted"] == 1


def test_what_was_exported_comes_in_again(migrated: Any, tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps({"samples": trades()}))
    migrated("import", rows)
    exported = tmp_path / "exported.csv"
    exported.write_text(migrated("samples", "--strategy", "default", "--csv", "--features").out)

    same = migrated("import", exported, "--json").json
    other = migrated("import", exported, "--strategy", "other", "--json").json

    assert (same["accepted"], same["duplicates"], same["rejected"]) == (0, 34, [])
    assert (other["accepted"], other["rejected"]) == (34, [])
    of_both = [
        migrated("samples", "--strategy", one, "--features", "--limit", 100, "--json").json["samples"]
        for one in ("default", "other")
    ]
    labels = [[(one["decision_id"], one["target_label"], one["features"]) for one in each] for each in of_both]
    assert labels[0] == labels[1]


def candle_files(folder: Path, days: int = 4) -> Path:
    """Five-minute candles from the first of November on."""
    rng = np.random.default_rng(5)
    count = days * 288
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.001, count)))
    lines = []
    for number in range(count):
        opened = close[number - 1] if number else 100.0
        high, low = max(opened, close[number]) * 1.001, min(opened, close[number]) * 0.999
        times = (int(BEGIN.timestamp()) + 300 * number) * 1000
        lines.append(f"{times},{opened},{high},{low},{close[number]},5,{times + 299_999},500,10,2,200,0")
    folder.mkdir()
    (folder / "BTCUSDC-5m.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_plain_history_gets_its_features_from_candles(migrated: Any, tmp_path: Path) -> None:
    cells = [as_cells(row)[:8] for row in trades(70)]
    for row in cells:
        row[4], row[5] = "100", "101"
    file = write(tmp_path, cells, HEAD[:8])

    told = migrated("import", file, "--candles", candle_files(tmp_path / "candles"), "--json").json
    (newest, *_) = migrated("samples", "--strategy", "default", "--features", "--json").json["samples"]

    early = [one for one in told["rejected"] if "500 candles of BTCUSDC must have closed" in one["reason"]]
    assert len(early) == 43  # the first 500 candles end after 41 hours and 40 minutes; the last line repeats the first
    assert told["accepted"] == 71 - 43 - sum(index % 7 == 3 and index % 3 == 0 for index in range(42, 70))
    assert newest["feature_names"] == list(FEATURE_NAMES)
    assert told["file"]["features"] == []


def test_prices_of_another_hour_are_pointed_out(migrated: Any, tmp_path: Path) -> None:
    cells = as_cells(trades(70)[60])[:8]
    cells[4], cells[5] = "200", "201"
    file = write(tmp_path, [cells], HEAD[:8])
    candles = candle_files(tmp_path / "candles")

    shown = migrated("import", file, "--candles", candles, "--dry-run").out
    told = migrated("import", file, "--candles", candles, "--dry-run", "--json").json

    assert "1 entry prices lie more than 3 %" in shown
    assert told["far_from_candles"] == 1


def test_nobody_is_told_of_ten_thousand_refused_lines_one_by_one(migrated: Any, tmp_path: Path) -> None:
    row = as_cells(trades()[0])
    row[4] = "dear"
    file = write(tmp_path, [row] * 10_050)

    told = migrated("import", file, "--feature-prefix", "f_", "--json").json
    shown = migrated("import", file, "--feature-prefix", "f_").out

    assert (len(told["rejected"]), told["rejected_count"]) == (10_000, 10_050)
    assert told["rejected_by_reason"][0]["count"] == 10_050
    assert len(shown.splitlines()) < 40
    assert "and 10030 more" in shown


def test_short_trades_that_would_be_ignored_are_said_before_they_are(
    migrated: Any, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(environ, "QT_SIDES", "long")
    monkeypatch.setenv("QT_SIDES", "long")
    rows = trades()
    file = write(tmp_path, [as_cells(row) for row in rows])

    tried = migrated("import", file, "--feature-prefix", "f_", "--dry-run")
    done = migrated("import", file, "--feature-prefix", "f_", "--json").json

    ((text, count),) = done["warnings"].items()
    assert "long only" in text
    assert 0 < count <= sum(row["predicted_action"] == "SELL" for row in rows)
    assert f"{count} rows: {text}\n" in tried.out
    said = "Begins the strategy default: 5m, horizon 12 candles, sides long (QT_SIDES=long,short to keep short trades)."
    assert f"{said}\n" in tried.out
    assert done["strategy_begun"]["sides"] == "long"
    assert "Begins" not in migrated("import", file, "--feature-prefix", "f_").out


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_an_import_that_takes_nothing_fails(migrated: Any, tmp_path: Path, dry: list[str]) -> None:
    cells = as_cells(trades()[0])
    cells[4] = "dear"
    file = write(tmp_path, [cells])

    told = migrated("import", file, "--feature-prefix", "f_", "--json", *dry)
    shown = migrated("import", file, "--feature-prefix", "f_", *dry)

    assert (told.code, told.json["status"], told.json["rejected_count"]) == (1, "error", 1)
    assert shown.code == 1
    assert "'dear' is not a number" in shown.out


@pytest.mark.parametrize(("left_out", "said"), [(HEAD[5], "No column for exit_price"), (None, "--candles GLOB")])
def test_a_trial_shows_what_it_recognised_also_where_something_is_missing(
    migrated: Any, tmp_path: Path, left_out: str | None, said: str
) -> None:
    kept = [index for index, heading in enumerate(HEAD) if heading != left_out]
    cells = as_cells(trades()[0])
    file = write(tmp_path, [[cells[index] for index in kept]], [HEAD[index] for index in kept])

    answer = migrated("import", file, "--dry-run")

    assert answer.code == 1
    assert "entry_price       Open Price\n" in answer.out
    assert f"{'exit_price' if left_out else 'features':<17} no column\n" in answer.out
    assert said in answer.err
    assert migrated("import", file, "--dry-run", "--json").out == ""
