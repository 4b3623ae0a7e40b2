"""What a person sees first: the status, the tables at 80 columns, and every command where something is broken."""

import os
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backend.cli.compare import JUDGED, _certain, _show
from backend.cli.live_view import show_live, show_shadow
from backend.cli.output import Column, fitting, percent, say, when
from backend.cli.samples import COLUMNS as SAMPLE_COLUMNS
from backend.cli.version_view import show_version
from backend.cli.versions import COLUMNS as MODEL_COLUMNS
from backend.cli.views import RUN_COLUMNS, _show_runs, _show_status

STATUS: dict[str, Any] = {
    "strategy": "simulated",
    "market": {"source": "simulated", "state": "running", "market_time": "2026-03-02T12:00:00Z", "detail": None},
    "samples": {
        "total": 12_345, "today": 99, "outcome_known": 12_000, "pending": 340, "unobservable": 5, "quarantined": 0,
        "by_label_source": {"executed": 345, "counterfactual": 11_655, "historical": 0, "synthetic": 30},
        "by_origin": {"decision": 12_000, "import": 0, "historical": 315, "synthetic": 30},
        "decisions": {
            "total": 12_000, "today": 69, "outcome_known": 11_655, "pending": 340, "unobservable": 5,
        },
    },
    "trades": {"open": 2, "closed": 345, "total_pnl": -12.5},
    "signals": {"BUY": 15, "SELL": 12, "HOLD": 1_074},
    "retraining": {
        "next_run": "2026-03-03T03:00:00Z", "running": [],
        "last_run": {"state": "success", "finished_at": "2026-03-02T03:00:09.123Z", "result": None},
    },
    "active_model": {"version_id": "v20260302_030000", "serving_version_id": "v20260302_030000", "degraded": False},
    "open_alarms": [],
}  # fmt: skip


def shown(capsys: pytest.CaptureFixture[str], **changes: Any) -> str:
    _show_status(STATUS | changes)
    return capsys.readouterr().out


def test_the_status_says_first_what_a_trader_asks_first(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys).splitlines()

    assert [line.split("  ")[0] for line in lines[:5]] == [
        "strategy",
        "market",
        "decided by",
        "trades",
        "signals, 24 h",
    ]
    assert "simulated, running, at 2026-03-02 12:00 UTC" in lines[1]
    assert "v20260302_030000" in lines[2]
    assert "2 open, 345 closed, P&L -12.50" in lines[3]
    assert "12,000, 69 of them recorded today" in lines[5]
    assert "11,655 known, 340 to come, 5 unobservable" in lines[6]
    assert "315 historical, 30 demo (they never train)" in lines[7]
    assert "synthetic" not in lines[8]
    assert "qt doctor" in lines[-1]
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"active_model": {"version_id": None, "degraded": False}}, "none: the cold-start rule decides"),
        (
            {"active_model": {"version_id": "v2", "serving_version_id": "v1", "degraded": True}},
            "v1, because the file of v2 is damaged: qt doctor",
        ),
        ({"market": {"source": None}}, "none: bots decide, or nobody"),
        (
            {"market": {"source": "binance", "state": "stale", "market_time": None, "detail": "no answer"}},
            "binance, stale (no answer)",
        ),
        ({"open_alarms": ["clock_skew", "market_feed_stale"]}, "clock_skew, market_feed_stale: qt alarms"),
        ({"retraining": {"next_run": None, "running": [], "last_run": None}}, "never by itself"),
        ({"retraining": {"next_run": None, "running": ["run-1"], "last_run": None}}, "running now (run-1)"),
        (
            {
                "retraining": {
                    "next_run": None,
                    "running": [],
                    "last_run": {
                        "state": "skipped",
                        "finished_at": "2026-03-03T03:00:00Z",
                        "result": {"reason": "no_new_samples", "version_id": "v1"},
                    },
                    "last_success": {"state": "success", "finished_at": "2026-03-02T03:00:09Z", "result": {}},
                }
            },
            "last skipped at 2026-03-03 03:00 UTC (no_new_samples: data of v1 unchanged)",
        ),
        ({"trades": {"open": 0, "closed": 0, "total_pnl": None}}, "P&L -"),
        ({"samples": {**STATUS["samples"], "quarantined": 1_234}}, "1,234 in quarantine: qt quarantine"),
    ],
)
def test_the_status_says_what_is_different(
    capsys: pytest.CaptureFixture[str], changes: dict[str, Any], said: str
) -> None:
    assert said in shown(capsys, **changes)


def run(**changes: Any) -> dict[str, Any]:
    return {
        "run_id": "run-5989f38f5361403eb2c7", "strategy": "simulated", "slot": "2026-03-02T03:00:00Z",
        "state": "success", "actor": "scheduler", "stage": "done", "progress": 1.0,
        "started_at": "2026-03-02T03:00:00Z", "finished_at": "2026-03-02T03:00:09.6Z",
        "result": {"version_id": "v20260302_030009"},
    } | changes  # fmt: skip


def test_runs_say_what_came_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    few = {"reason": "insufficient_samples", "samples_count": 8, "required": 100}
    _show_runs(
        {
            "runs": [
                run(),
                run(state="skipped", result={"reason": "too_few_new_samples"}),
                run(state="skipped", result={"reason": "no_new_samples", "version_id": "v1"}),
                run(state="running", stage="walk_forward", progress=0.4, finished_at=None, result=None),
                run(state="missed", started_at=None, finished_at=None, result=None),
                run(state="skipped", result=few | {"outcomes_unobservable": 1_120}),
                run(state="skipped", result=few | {"outcomes_unobservable": 0}),
            ]
        }
    )

    lines = capsys.readouterr().out.splitlines()

    assert "v20260302_030009" in lines[1]
    assert " 10 s" in lines[1]
    assert "too_few_new_samples" in lines[2]
    assert "no_new_samples: data of v1 unchanged" in lines[3]
    assert "walk forward, 40%" in lines[4]
    assert lines[5].startswith("-")
    assert "insufficient_samples: 8 of 100, 1,120 without a price at the horizon: qt doctor" in lines[6]
    assert "insufficient_samples: 8 of 100 " in lines[7]


MODEL = {
    "version_id": "v20260302_030000", "strategy": "a-strategy-of-some-length", "state": "active",
    "verdict": "suspected_leakage", "validation_accuracy": 0.5192, "live_accuracy": 0.6611, "total_pnl": -104_235.5,
    "total_predictions": 123_456, "training_samples": 30_705, "validation_samples": 7_675,
    "trained_at": "2026-03-02T03:00:00Z",
}  # fmt: skip
SAMPLE = {
    "timestamp": "2026-03-02T03:00:00Z", "symbol": "BTCUSDC", "predicted_action": "SELL", "state": "closed",
    "reason": "below_min_confidence", "model_version": "v20260302_030000", "entry_price": 45_000.0,
    "exit_price": 45_500.0, "forward_return": -0.0123, "target_label": 0.0111, "target_class": "NEUTRAL",
    "label_source": "counterfactual", "realized_pnl": -1_234.56,
}  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "row", "kept"),
    [
        (MODEL_COLUMNS, MODEL, ("version_id", "verdict", "validation_accuracy", "live_accuracy", "total_pnl")),
        (SAMPLE_COLUMNS, SAMPLE, ("timestamp", "symbol", "predicted_action", "target_label", "realized_pnl")),
        (RUN_COLUMNS, run(outcome="too_few_new_samples", lasted="10 s"), ("started_at", "state", "outcome")),
    ],
)
@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_tables_fit(columns: dict[str, Any], row: dict[str, Any], kept: tuple[str, ...], width: int) -> None:
    named = {key: Column(one) if isinstance(one, str) else one for key, one in columns.items()}

    found = fitting([row], named, width)

    needed = [max(len(column.heading), len(column.show(row.get(key)))) for key, column in found.items()]
    assert sum(needed) + 2 * (len(needed) - 1) <= width
    assert set(kept) <= set(found)
    assert list(found) == [key for key in named if key in found]


def test_the_most_dispensable_column_goes_first_and_a_needed_one_never() -> None:
    columns = {"a": Column("a"), "b": Column("b", drop=1), "c": Column("c", drop=2)}
    row = {"a": "x" * 20, "b": "y" * 20, "c": "z" * 20}

    assert list(fitting([row], columns, 64)) == ["a", "b", "c"]
    assert list(fitting([row], columns, 63)) == ["a", "b"]
    assert list(fitting([row], columns, 30)) == ["a"]
    assert list(fitting([row], columns, 3)) == ["a"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="this system has no pseudo terminals")
def test_on_a_terminal_of_80_columns_no_line_is_longer(migrated: Any, environ: dict[str, str]) -> None:
    import fcntl
    import pty
    import termios

    migrated("bootstrap", "--strategy", "default")
    for command in (["samples", "--strategy", "default"], ["status"], ["models"], ["--help"]):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
        process = subprocess.Popen(
            [sys.executable, "-m", "backend.cli.main", *command],
            cwd=Path(__file__).resolve().parents[2], stdout=slave, stderr=subprocess.STDOUT,
            env={**os.environ, **environ, "TERM": "dumb", "NO_COLOR": "1"},
        )  # fmt: skip
        os.close(slave)
        text = _all_of(master)

        assert process.wait(60) == 0
        assert max(len(line) for line in text.splitlines()) <= 80, text


def _all_of(master: int) -> str:
    parts = []
    try:
        while part := os.read(master, 65536):
            parts.append(part)
    except OSError:  # Linux's word for the end of a terminal
        pass
    finally:
        os.close(master)
    return b"".join(parts).decode().replace("\r", "")


def test_values_as_people_read_them() -> None:
    assert [percent(value) for value in (0.5, -0.1234, 0.0111, 0.0, None)] == [
        "50.0 %",
        "-12.3 %",
        "1.110 %",
        "0.0 %",
        "-",
    ]
    assert [when(value) for value in ("2026-03-02T03:00:09.123Z", None)] == ["2026-03-02 03:00", "-"]


def test_a_sentence_is_one_line_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    say("word " * 100 + "[bold]")

    assert capsys.readouterr().out == "word " * 100 + "[bold]\n"


REPORT: dict[str, Any] = {
    "rows_by_label_source": {"executed": 500},
    "sentence": "It cannot tell.", "recommendation_reasons": ["no evidence"], "validation_accuracy": 0.55,
    "validation_accuracy_ci95": [0.49, 0.61], "baseline_accuracy": 0.5, "baseline_name": "always_up",
    "break_even_accuracy": None, "costs_exceed_moves": True, "min_detectable_accuracy": 0.6, "effective_samples": 93,
    "net_return_after_costs": -0.002, "validation_mae": 0.004, "mae_zero_forecast": 0.0041, "train_accuracy": 0.7,
    "validation_samples": 100, "neutral_samples": 10, "training_samples": 400, "artifact_samples": 500,
    "window_start": "2026-02-01T00:00:00Z", "window_end": "2026-03-01T00:00:00Z", "quarantined": {"other_schema": 3},
    "constant_features": [], "target_kind": "trade", "e_value": 1.234567e30,
    "walk_forward": {
        "samples": 325, "judged": 300, "accuracy": 0.53, "ci95": [0.47, 0.59], "p_value": 0.31, "net_return": -0.001,
        "challengers": {"ridge": {"accuracy": 0.541}},
    },
    "comparison": {"champion": "v20260301_030000", "verdict": "not_distinguishable"},
}  # fmt: skip
FARED: dict[str, Any] = {
    "accuracy": None, "accuracy_ci95": None, "ci_method": None, "baseline_accuracy": None, "baseline_name": None,
    "edge": None, "effective_samples": 0, "min_detectable_accuracy": None, "break_even_accuracy": None,
    "costs_exceed_moves": None, "e_value": None,
}  # fmt: skip
COUNTS = {
    "matured": 0, "known_before": 0, "pending": 0, "unobservable": 0, "quarantined": 0, "neutral": 0, "judged": 0,
    "correct": 0,
}  # fmt: skip
PART = {
    "decisions": 12, "matured": 10, "judged": 8, "correct": 4, "accuracy": 0.5, "trades": 3, "net_pnl": -1.25,
}  # fmt: skip
LIVE: dict[str, Any] = FARED | {
    "total_predictions": 20, "forecasts": COUNTS | {"total": 20, "matured": 15, "pending": 2, "unobservable": 2,
                                                    "quarantined": 1, "neutral": 5, "judged": 10, "correct": 5},
    "accuracy": 0.5, "accuracy_ci95": [0.24, 0.76], "ci_method": "wilson", "baseline_accuracy": 0.6,
    "baseline_name": "always_up", "edge": -0.1, "effective_samples": 9, "min_detectable_accuracy": 0.9,
    "break_even_accuracy": 0.62, "costs_exceed_moves": False, "e_value": 0.8765,
    "trades": {"open": 1, "closed": 3, "won": 1, "lost": 2, "even": 0},
    "pnl": {"gross": 10.0, "fees": 6.0, "slippage": 5.25, "net": -1.25, "fees_known_trades": 3,
            "slippage_known_trades": 3},
    "by_symbol": {"BTCUSDC": PART},
    "by_side": {"BUY": PART, "SELL": PART | {"decisions": 0}, "none": PART | {"trades": 0, "net_pnl": 0.0}},
    "by_action": {"HOLD": PART}, "explored": PART | {"decisions": 0},
    "skill": {"sentence": "It never showed skill."}, "drift": None,
}  # fmt: skip
DETAIL: dict[str, Any] = {
    "version_id": "v20260302_030000", "strategy": "default", "is_active": False, "activated_at": None,
    "is_shadow": False,
    "replaced_at": None, "trained_at": "2026-03-02T03:00:00Z", "verdict": "no_evidence", "recommended": False,
    "what_now": "Do not activate it.", "model_path": "ai_engine/models/x.pkl", "report": REPORT,
    "activations": [], "history": [],
    "live": {"total_predictions": 0}, "shadow": FARED | COUNTS | {"forecasts": 0},
    "lineage": {
        "rows_by_label_source": {"executed": 501}, "recipe": {"name": "small", "version": "x", "trees": 9, "depth": 2},
        "libraries": {"numpy": "2"}, "feature_names": ["rsi"], "artifact_bytes": 1_000, "sha256": "a" * 64,
    },
}  # fmt: skip


def test_a_version_is_told_with_what_each_number_means(capsys: pytest.CaptureFixture[str]) -> None:
    show_version(DETAIL)

    told = capsys.readouterr().out
    assert told.startswith("It cannot tell.\n")
    for part in (
        "v20260302_030000 of default: never active; trained 2026-03-02 03:00 UTC.",
        "Verdict: no_evidence. Nothing shows that it is better than a coin.",
        "Not recommended: no evidence.",
        "90 newer moves larger than the costs (10 smaller ones left out)",
        "right directions among 300 moves larger than the costs (25 smaller ones left out)",
        "What now: Do not activate it.",
        "47.0 % to 59.0 %",
        "what 'always up' scores on the same rows",
        "31.0 %",
        "about 93 independent outcomes",
        "500 (500 executed), fitted on",
        "54.1 %",
        "1.23e+30",
        "v20260301_030000",
        "not distinguishable",
        "49.0 % to 61.0 %",
        "no accuracy pays: the costs exceed the moves",
        "none: it was never active",
        "the move of each trade",
        "3 other_schema",
        "cannot be rebuilt",
    ):
        assert part in told, part


def test_an_older_report_says_what_it_knows_of_small_moves(capsys: pytest.CaptureFixture[str]) -> None:
    walked = {name: value for name, value in REPORT["walk_forward"].items() if name != "judged"}

    show_version(DETAIL | {"report": REPORT | {"walk_forward": walked, "e_value": None}})

    told = capsys.readouterr().out
    assert "among 325 rows, those that moved less than the costs not counted" in told
    assert "not known yet: no forecast that was made before its outcome" in told


def test_better_is_told_as_one_nights_look(capsys: pytest.CaptureFixture[str]) -> None:
    show_version(DETAIL | {"report": REPORT | {"comparison": {"champion": "v1", "verdict": "better"}}})

    assert "better on this one night" in capsys.readouterr().out


@pytest.mark.parametrize("walked", [None, {"samples": None, "accuracy": None}, {"samples": 0, "accuracy": None}])
def test_a_report_without_several_periods_shows_the_newest_rows_alone(
    capsys: pytest.CaptureFixture[str], walked: dict[str, Any] | None
) -> None:
    show_version(DETAIL | {"report": REPORT | {"walk_forward": walked, "validation_accuracy_ci95": None}})

    told = capsys.readouterr().out
    assert "five periods" not in told
    assert "cannot be told from so little" in told
    assert "what 'always up' scores on the same rows" in told


def test_a_version_that_was_active_says_until_when(capsys: pytest.CaptureFixture[str]) -> None:
    show_version(
        DETAIL
        | {"activated_at": "2026-03-02T04:00:00Z", "replaced_at": "2026-03-03T04:00:00Z", "recommended": True}
        | {"live": LIVE, "activations": [{}]}
    )

    told = capsys.readouterr().out
    assert "inactive since 2026-03-03 04:00 UTC;" in told
    assert "Not recommended" not in told
    assert "50.0 % of 10 moves larger than the costs" in told


def test_a_version_that_scores_beside_the_active_one_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    show_version(DETAIL | {"is_shadow": True})

    assert "never active, scores as a shadow; trained" in capsys.readouterr().out


def test_a_comparison_tells_its_bounds_and_that_they_hold_at_every_look(capsys: pytest.CaptureFixture[str]) -> None:
    bounds = {"low": 0.0001, "high": 0.0021, "level": 0.95, "stretches": 79, "fewest_stretches": 50}

    print(_certain(bounds))
    print(_certain(bounds | {"low": None, "high": None, "stretches": 12}))

    told = capsys.readouterr().out
    assert "At 95%, however often one looks, it lies within +0.010% and +0.210% (79 stretches of time)." in told
    assert "12 stretches of time have closed; the verdict needs 50" in told


def live_lines(capsys: pytest.CaptureFixture[str], **changes: Any) -> list[str]:
    show_live(LIVE | changes, was_active=True)
    return capsys.readouterr().out.splitlines()


def test_what_speaks_against_a_version_is_told_in_sentences_of_drift_while_it_decides(
    capsys: pytest.CaptureFixture[str],
) -> None:
    drift = {"errors": {"sentence": "Its errors grew."}, "features": {"sentence": "None stands out."}}

    quiet, deciding = live_lines(capsys), live_lines(capsys, drift=drift)

    assert [line for line in deciding if line not in quiet] == [
        line for line in deciding if "Its errors grew." in line or "None stands out." in line
    ]
    assert sum("It never showed skill." in line for line in quiet) == 1
    assert len(deciding) == len(quiet) + 2


def test_live_figures_stand_line_by_line_beside_what_they_may_be_believed_by(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = live_lines(capsys)

    assert lines[1:12] == [
        "Live",
        "forecasts      20: 15 known, 2 to come, 2 without a price at the horizon, 1 in quarantine; 5 of the known too"
        " small to count",
        "accuracy       50.0 % of 10 moves larger than the costs",
        "95 % interval  24.0 % to 76.0 %, by Wilson's formula",
        "baseline       60.0 % has 'always up' on the same moves: the version is 10.0 points worse",
        "worth          9 independent outcomes: they show an accuracy from 90.0 % on",
        "break-even     62.0 % pays the costs of a trade",
        "evidence       0.876; 20 is strong, less is little",
        "trades         3 closed (1 won, 2 lost), 1 open",
        "P&L            -1.25 = 10.00 gross - 6.00 fees - 5.25 slippage",
        "skill          It never showed skill.",
    ]
    assert [line.split("  ")[0] for line in lines[14:]] == [
        "symbol BTCUSDC",
        "entered BUY",
        "entered nothing",
        "answered HOLD",
    ]


def test_what_is_older_than_what_the_version_learned_from_is_said_apart(capsys: pytest.CaptureFixture[str]) -> None:
    counts = LIVE["forecasts"] | {"total": 1_254, "known_before": 1_234}

    told = live_lines(capsys, forecasts=counts)

    said = "1,254: 15 known, 2 to come, 1,234 older than what it learned from (they judge nothing), 2 without a price"
    assert any(said in line for line in told)
    assert "older than" not in "".join(live_lines(capsys))


def test_what_is_not_known_of_live_figures_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = LIVE["pnl"] | {"slippage": None, "gross": 4.75, "fees_known_trades": 1, "slippage_known_trades": 0}
    told = "\n".join(
        live_lines(
            capsys,
            **FARED | {"costs_exceed_moves": True},
            pnl=unknown,
            explored=PART,
            trades=LIVE["trades"],
        )
    )

    for part in (
        "cannot be told from so little",
        "too few to show any accuracy",
        "no accuracy pays",
        "-1.25 = 4.75 gross - 6.00 fees\n",
        "told of 1 of 3 trades; the others count none",
        "known of 0 of 3 trades",
        "3 of the trades, P&L -1.25: a HOLD, traded to explore",
    ):
        assert part in told, part
    assert "None" not in told


@pytest.mark.parametrize(("edge", "said"), [(0.0, "no better"), (0.021, "2.1 points better")])
def test_an_edge_is_told_in_points(capsys: pytest.CaptureFixture[str], edge: float, said: str) -> None:
    assert f"the version is {said}" in "\n".join(live_lines(capsys, edge=edge))


def test_a_shadow_is_shown_apart_and_only_where_it_forecast(capsys: pytest.CaptureFixture[str]) -> None:
    show_shadow(DETAIL["shadow"])
    assert capsys.readouterr().out == ""

    show_shadow(FARED | LIVE["forecasts"] | {"forecasts": 20, "accuracy": 0.5})
    told = capsys.readouterr().out
    assert "As a shadow" in told
    assert "50.0 % of 10 moves" in told
    assert "P&L" not in told


READING = ["status", "doctor", "models", "samples", "runs", "alarms", "backup", "retrain", "rollback", "bootstrap"]


@pytest.mark.parametrize("name", READING)
def test_a_corrupt_database_is_one_sentence(qt: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / "quantum_trader.db").write_bytes(b"this is no database\n" * 1000)

    answer = qt(name, *([tmp_path / "b.tar"] if name == "backup" else []))

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert "QT_DATABASE_URL" in answer.err


@pytest.mark.parametrize("name", READING)
def test_a_wrong_token_keeps_nobody_from_his_own_database(
    migrated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("QT_ADMIN_TOKEN", "short")

    answer = migrated(name, *([tmp_path / "b.tar"] if name == "backup" else []))

    assert "token" not in answer.err.lower()
    assert "short" not in answer.err
    assert (answer.code, answer.err.count("\n")) == ((1, 1) if name == "rollback" else (0, 0))


def test_a_version_whose_file_is_lost_is_still_shown_and_is_not_activated(migrated: Any, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "quantum_trader.db") as connection:
        connection.execute(
            "INSERT INTO strategies (name, market, timeframe, horizon_candles, sides, looks, created_at)"
            " VALUES ('default', 'external', '5m', 12, 'long', 0, '2026-03-01 00:00:00')"
        )
        connection.execute("INSERT INTO feature_schemas VALUES (1, 'h', '[\"rsi\"]', '2026-03-01 00:00:00')")
        connection.execute(
            "INSERT INTO ai_model_versions (version_id, model_type, strategy, trained_at, training_samples,"
            " validation_samples, verdict, recommended, is_active, is_shadow, total_predictions, matured_predictions,"
            " neutral_predictions, correct_predictions, total_trades, total_pnl, model_path, artifact_sha256,"
            " artifact_bytes, feature_schema_id, data_hash, report, lineage) VALUES ('v20260302_030000', 'x',"
            " 'default', '2026-03-02', 1, 1, 'no_evidence', 0, 0, 0, 0, 0, 0, 0, 0, 0.0,"
            " 'm/xgb_model_v20260302_030000.pkl', 's', 1, 1, 'd', '{}', '{}')"
        )
    connection.close()

    listed, activated = migrated("models"), migrated("activate", "v20260302_030000")

    assert "v20260302_030000" in listed.out
    assert (activated.code, activated.out) == (1, "")
    assert "xgb_model_v20260302_030000.pkl is missing" in activated.err


def test_qt_compare_says_how_many_decisions_one_of_the_two_could_have_learned_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    side = {
        "report": dict.fromkeys(JUDGED) | {"validation_samples": 0},
        "live": {"live_accuracy": None, "matured_predictions": 0},
        "executed": {"total_trades": 0, "total_pnl": None},
    }  # fmt: skip
    both = {"a": side | {"version_id": "v20260301_030000"}, "b": side | {"version_id": "v20260302_030000"}}
    told = {**both, "sentence": "Nothing.", "verdict": "not_distinguishable"}

    _show(told | {"paired": {"rows": 0, "known_before": 1_234}})
    assert "left out, known before 1,234 1,234" in " ".join(capsys.readouterr().out.split())
    _show(told | {"paired": {"rows": 0, "known_before": 0}})
    assert "left out" not in capsys.readouterr().out
