"""Importing closed trades: good rows in, each bad one refused with its index and a reason that names the field."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.database import Database
from backend.errors import ConflictError, InvalidInputError
from backend.learning.decisions.checks import DECISION_ID
from backend.learning.decisions.import_rows import IGNORED_SELL, NEEDED, OPTIONAL, READ_ONLY, Terms, parse
from backend.learning.decisions.imports import Earlier, ImportResult, import_samples, try_samples
from backend.learning.decisions.queries import SampleFilter, list_samples
from backend.learning.decisions.settle import settle_strategies
from backend.models import AITrainingSample, FeatureSchema, Strategy, TradeLog
from backend.settings import Settings, load_settings

PRINTED = {
    "id": 123,
    "symbol": "BTCUSDC",
    "timestamp": "2025-11-12T10:30:00Z",
    "predicted_action": "BUY",
    "prediction_confidence": 0.75,
    "executed": True,
    "execution_side": "BUY",
    "entry_price": 45000.0,
    "exit_price": 45500.0,
    "realized_pnl": 50.0,
    "target_label": 0.0111,
    "target_class": "WIN",
    "outcome_known": True,
}
ADDED = {"exit_time": "2025-11-12T12:30:00Z", "quantity": 0.1, "features": {"rsi_14": 61.5, "atr_14": 0.012}}
ROW = {**PRINTED, **ADDED}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def without(*names: str, **changed: Any) -> dict[str, Any]:
    """The sound row without some fields and with others changed."""
    return {name: value for name, value in {**ROW, **changed}.items() if name not in names}


Import = Callable[..., ImportResult]


@pytest.fixture
def bring(database: Database, settings: Settings, now: Any) -> Import:
    """Import rows into the strategy ``bot``."""

    def call(*rows: object, strategy: str = "bot", terms: Settings = settings) -> ImportResult:
        return database.write(import_samples, strategy, rows, settings=terms, now=now, actor="admin")

    return call


@pytest.fixture
def told(database: Database) -> Callable[..., list[dict[str, Any]]]:
    """What the samples read back as, newest first."""
    return lambda strategy="bot": database.read(list_samples, SampleFilter(strategy, features=True))[0]


def test_the_user_documents_sample_imports_and_reads_back_as_printed(bring: Import, told: Any) -> None:
    begun = {"name": "bot", "market": "external", "timeframe": "5m", "horizon_candles": 12, "sides": "long,short"}
    assert bring(ROW) == ImportResult(1, 0, rejected=[], strategy_created=True, warnings={}, strategy_begun=begun)

    (sample,) = told()

    assert round(sample["target_label"], 4) == 0.0111
    assert sample["realized_pnl"] == 50.0
    assert {name: sample[name] for name in PRINTED if name not in ("id", "target_label")} == {
        name: value for name, value in PRINTED.items() if name not in ("id", "target_label")
    }
    assert sample["entry_time"] == PRINTED["timestamp"], "missing, so the decision's own time"
    assert (sample["label_source"], sample["state"], sample["warning"]) == ("executed", "closed", None)
    assert (sample["fees"], sample["fees_known"], sample["model_version"]) == (0.0, False, None)
    assert sample["market_return"] == pytest.approx(500 / 45000)
    assert sample["forward_return"] is None
    assert dict(zip(sample["feature_names"], sample["features"], strict=True)) == {"rsi_14": 61.5, "atr_14": 0.012}


def test_a_trade_is_logged_with_its_figures(bring: Import, database: Database) -> None:
    bring(ROW)

    log = database.read(lambda session: session.scalars(select(TradeLog)).one().realized_pnl)

    assert log == 50.0


@pytest.mark.parametrize("name", NEEDED)
def test_a_needed_field_that_is_missing_or_null_is_named(bring: Import, name: str) -> None:
    result = bring(without(name), {**ROW, name: None})

    assert [one["index"] for one in result.rejected] == [0, 1]
    assert all(name in one["reason"] for one in result.rejected)
    assert result.accepted == 0


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"symbol": 5}, "symbol"),
        ({"symbol": ""}, "symbol"),
        ({"timestamp": "2025-11-12T10:30:00"}, "timestamp"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": 1762943400000}, "timestamp"),
        ({"timestamp": "2026-03-02T12:01:01Z", "exit_time": "2026-03-02T12:02:00Z"}, "future"),
        ({"exit_time": "2027-01-01T00:00:00Z"}, "exit_time"),
        ({"exit_time": "2025-11-12T10:30:00Z"}, "exit_time"),
        ({"entry_time": "2025-11-12T12:30:00Z"}, "exit_time"),
        ({"entry_time": "2025-11-12T10:00:00Z", "exit_time": "2025-11-12T10:15:00Z"}, "timestamp"),
        ({"exit_time": "9999-12-31T23:59:59-12:00"}, "future"),
        ({"timestamp": "0001-01-01T00:00:00+12:00"}, "timestamp"),
        ({"predicted_action": "buy"}, "predicted_action"),
        ({"predicted_action": "LONG"}, "predicted_action"),
        ({"entry_price": 0}, "entry_price"),
        ({"exit_price": -1.0}, "exit_price"),
        ({"entry_price": "45000"}, "entry_price"),
        ({"entry_price": True}, "entry_price"),
        ({"exit_price": float("nan")}, "exit_price"),
        ({"exit_price": 10**400}, "exit_price"),
        ({"quantity": 0.0}, "quantity"),
        ({"fees": "none"}, "fees"),
        ({"executed": 1}, "executed"),
        ({"execution_side": "HOLD"}, "execution_side"),
        ({"executed": False}, "execution_side"),
        ({"prediction_confidence": 75}, "prediction_confidence"),
        ({"exit_reason": 3}, "exit_reason"),
        ({"exit_reason": "x" * 65}, "exit_reason"),
        ({"decision_id": "no spaces"}, "decision_id"),
        ({"decision_id": 7}, "decision_id"),
        ({"colour": "red"}, "colour"),
        ({"features": [1.0, 2.0]}, "features"),
        ({"features": {}}, "features"),
        ({"features": {"rsi_14": "61.5", "atr_14": 0.012}}, "rsi_14"),
        ({"features": {"rsi_14": None, "atr_14": 0.012}}, "rsi_14"),
        ({"features": {"rsi_14": False, "atr_14": 0.012}}, "rsi_14"),
        ({"features": {"rsi_14": float("inf"), "atr_14": 0.012}}, "rsi_14"),
        ({"features": {"rsi_14": 1e39, "atr_14": 0.012}}, "rsi_14"),
        ({"features": {"rsi_14": 61.5}}, "atr_14"),
        ({"features": {"rsi_14": 61.5, "atr_14": 0.012, "more": 1.0}}, "more"),
        ({"exit_price": 90001.0, "target_label": None}, "return"),
        ({"fees": 9000.0, "target_label": None}, "return"),
        ({"target_label": 1.11}, "target_label"),
        ({"target_label": -0.0111}, "target_label"),
        ({"target_label": "0.0111"}, "target_label"),
    ],
)
def test_whatever_is_wrong_inside_a_row_refuses_that_row_only(
    bring: Import, changed: dict[str, Any], word: str
) -> None:
    good = {**ROW, "decision_id": "good"}

    result = bring(good, {**ROW, "decision_id": "bad"} | changed, {**good, "decision_id": "good-2"})

    assert (result.accepted, result.duplicates) == (2, 0)
    assert [one["index"] for one in result.rejected] == [1]
    assert word in result.rejected[0]["reason"]


@pytest.mark.parametrize("row", [None, 5, "row", [], [ROW]])
def test_a_row_that_is_no_object_is_refused(bring: Import, row: object) -> None:
    assert "object" in bring(row).rejected[0]["reason"]


@given(name=st.sampled_from([*NEEDED, *OPTIONAL, *READ_ONLY, "unknown"]), value=JSON_VALUES)
@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_value_of_any_type_is_taken_or_refused_in_words(
    settings: Settings, now: Any, name: str, value: object
) -> None:
    raw = json.loads(json.dumps({**ROW, name: value}))

    try:
        row = parse(raw, Terms("long,short", settings, now))
    except InvalidInputError:
        return
    assert DECISION_ID.fullmatch(row.decision_id)
    assert row.times.exit_time > row.times.entry_time
    assert np.isfinite(row.features).all()


@pytest.mark.parametrize("label", [0.0111, 500 / 45000, 500 / 45000 - 100 / 4500, 0.0161, 0.0061])
def test_a_label_may_be_gross_or_net_or_rounded(bring: Import, label: float) -> None:
    result = bring(without("realized_pnl", fees=100.0, target_label=label))

    assert result.accepted == 1


def test_what_a_bot_reports_is_a_hint_and_the_difference_a_warning(bring: Import, told: Any) -> None:
    bring({**ROW, "realized_pnl": 49.0, "target_class": "LOSS", "outcome_known": False, "label_source": "synthetic"})

    (sample,) = told()

    assert (sample["realized_pnl"], sample["reported_pnl"], sample["target_class"]) == (50.0, 49.0, "WIN")
    assert "49.0" in sample["warning"]
    assert (sample["outcome_known"], sample["label_source"]) == (True, "executed")


def test_without_a_quantity_money_is_unknown_but_the_return_is_not(bring: Import, told: Any) -> None:
    bring(without("quantity", fees=7.0))

    (sample,) = told()

    assert (sample["quantity"], sample["realized_pnl"]) == (None, None)
    assert (sample["fees"], sample["fees_known"]) == (7.0, True)
    assert sample["target_label"] == pytest.approx(500 / 45000)


def test_fees_are_taken_off_once(bring: Import, told: Any) -> None:
    bring(without("realized_pnl", "target_label", fees=9.05))

    (sample,) = told()

    assert sample["realized_pnl"] == pytest.approx(40.95)
    assert sample["target_label"] == pytest.approx(500 / 45000 - 9.05 / 4500)


def test_a_short_earns_when_the_price_falls(bring: Import, told: Any) -> None:
    bring(without("executed", "execution_side", "realized_pnl", "target_label", predicted_action="SELL"))

    (sample,) = told()

    assert (sample["executed"], sample["execution_side"]) == (True, "SELL")
    assert (sample["target_class"], sample["realized_pnl"]) == ("LOSS", -50.0)


def test_a_hold_was_not_traded_and_earned_nothing(bring: Import, told: Any, database: Database) -> None:
    row = without("executed", "execution_side", "realized_pnl", "target_label", predicted_action="HOLD")

    assert bring(row).accepted == 1

    (sample,) = told()
    assert (sample["executed"], sample["execution_side"], sample["realized_pnl"]) == (False, None, None)
    assert (sample["target_label"], sample["target_class"]) == (0.0, "NEUTRAL")
    assert sample["market_return"] == pytest.approx(500 / 45000)
    assert sample["label_source"] == "counterfactual"
    assert database.read(lambda session: session.scalar(select(func.count()).select_from(TradeLog))) == 0


def test_an_unexecuted_signal_is_labelled_with_the_modelled_costs(bring: Import, told: Any) -> None:
    bring(without("execution_side", "realized_pnl", "target_label", executed=False))

    assert told()[0]["target_label"] == pytest.approx(500 / 45000 - 0.0024)


def test_a_hold_that_was_traded_must_say_on_which_side(bring: Import) -> None:
    traded = without("target_label", predicted_action="HOLD", executed=True)

    result = bring({**traded, "execution_side": None}, traded)

    assert (result.accepted, result.rejected[0]["index"]) == (1, 0)
    assert "execution_side" in result.rejected[0]["reason"]


def test_a_sell_in_a_long_only_strategy_is_stored_and_earns_nothing(bring: Import, told: Any, now: Any) -> None:
    long_only = load_settings(
        environ={"QT_ADMIN_TOKEN": "an-admin-token-for-tests-only", "QT_MARKET": "off", "QT_SIDES": "long"},
        env_file=None,
    )
    sell = without("executed", "execution_side", "realized_pnl", "target_label", predicted_action="SELL")

    result = bring(sell, {**sell, "executed": True}, terms=long_only)

    (sample,) = told()
    assert (sample["executed"], sample["target_label"], sample["target_class"]) == (False, 0.0, "NEUTRAL")
    assert sample["market_return"] == pytest.approx(500 / 45000)
    assert "long only" in sample["warning"]
    assert "long only" in result.rejected[0]["reason"]


def test_the_same_rows_again_are_duplicates(bring: Import) -> None:
    rows = [ROW, {**ROW, "decision_id": "own-id"}]
    bring(*rows)

    again = bring(*rows, *rows)

    assert (again.accepted, again.duplicates, again.rejected, again.strategy_created) == (0, 4, [], False)


def test_a_row_without_an_id_is_known_again_however_it_is_written(bring: Import) -> None:
    bring(ROW)

    again = bring(dict(reversed(ROW.items())) | {"timestamp": "2025-11-12T11:30:00+01:00", "entry_price": 45000})

    assert (again.accepted, again.duplicates) == (0, 1)


def test_the_same_row_twice_in_a_batch_is_one_and_a_duplicate(bring: Import) -> None:
    assert (bring(ROW, ROW).accepted, bring(ROW, ROW).duplicates) == (1, 2)


def test_other_content_under_a_known_id_is_refused(bring: Import) -> None:
    bring({**ROW, "decision_id": "one"})
    other = without("target_label", "realized_pnl", decision_id="one", exit_price=45100.0)

    stored = bring(other)
    batch = bring({**ROW, "decision_id": "two"}, {**other, "decision_id": "two"})

    assert "other content" in stored.rejected[0]["reason"]
    assert (batch.accepted, batch.rejected[0]["index"]) == (1, 1)


@pytest.mark.parametrize(
    "changed",
    [
        {"quantity": 0.2, "realized_pnl": None},
        {"quantity": None, "realized_pnl": None},
        {"predicted_action": "HOLD", "execution_side": "SELL", "target_label": None, "realized_pnl": None},
        {"execution_side": "SELL", "target_label": None, "realized_pnl": None},
        {"entry_time": "2025-11-12T10:31:00Z"},
        {"exit_time": "2025-11-12T12:31:00Z"},
        {"fees": 0.5},
        {"fees": 0.0},
        {"exit_reason": "stop"},
        {"prediction_confidence": 0.5},
        {"realized_pnl": 49.0},
        {"features": {"rsi_14": 61.5, "atr_14": 0.013}},
        {"symbol": "ETHUSDC"},
    ],
)
def test_any_other_content_under_a_known_id_is_refused_in_one_batch_and_in_two(
    bring: Import, told: Any, changed: dict[str, Any]
) -> None:
    row = {**ROW, "decision_id": "one"}
    bring(row)
    before = told()

    later = bring({**row, **changed})
    batch = bring({**row, "decision_id": "two"}, {**row, **changed, "decision_id": "two"})

    assert (later.duplicates, [one["index"] for one in later.rejected]) == (0, [0])
    assert "other content" in later.rejected[0]["reason"]
    assert (batch.accepted, batch.duplicates, [one["index"] for one in batch.rejected]) == (1, 0, [1])
    assert [sample for sample in told() if sample["decision_id"] == "one"] == before


def exported(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows as a client would send them back."""
    return [
        {name: value for name, value in sample.items() if name not in ("features", "feature_names")}
        | {"features": dict(zip(sample["feature_names"], sample["features"], strict=True))}
        for sample in json.loads(json.dumps(samples))
    ]


@pytest.mark.parametrize("fees", [None, 0.0, 0.3])
def test_a_trade_of_this_services_own_is_known_again(bench: Any, bring: Import, told: Any, fees: float | None) -> None:
    bench.add_version()
    bench.forecast("d1", 0.01)
    bench.execute(fill_id="a", entry_price=100.1, quantity=0.3, fees=0.1)
    bench.execute(fill_id="b", entry_price=100.2, quantity=0.7)
    bench.leave(fill_id="x", quantity=0.1, exit_price=101.3, fees=fees)
    bench.leave(fill_id="y", exit_price=100.7, realized_pnl=5.0, exit_reason="target")
    rows = exported(told())

    again = bring(*rows)
    other = bring({**rows[0], "quantity": 2.0})

    assert (again.duplicates, again.rejected) == (1, [])
    assert "other content" in other.rejected[0]["reason"]


def test_an_entry_well_before_its_decision_is_a_warning(bring: Import, told: Any) -> None:
    bring({**ROW, "entry_time": "2025-11-12T10:28:00Z", "realized_pnl": 49.0})

    assert "entry_time" in told()[0]["warning"]
    assert "49.0" in told()[0]["warning"]


def test_what_was_exported_imports_into_another_strategy(bring: Import, told: Any) -> None:
    hold = without("executed", "execution_side", "realized_pnl", "target_label", predicted_action="HOLD")
    bring(ROW, {**hold, "timestamp": "2025-11-12T10:35:00Z"})
    rows = exported(told())

    assert bring(*rows, strategy="copy").accepted == 2
    assert bring(*rows).duplicates == 2
    ignored = {"id", "sample_id", "strategy"}
    assert [{k: v for k, v in s.items() if k not in ignored} for s in told("copy")] == [
        {k: v for k, v in s.items() if k not in ignored} for s in told()
    ]


def test_the_first_batch_gives_the_strategy_the_names_that_most_rows_have(bring: Import, database: Database) -> None:
    odd = {**ROW, "features": {"rsi_14": 1.0}}
    rows = [odd, ROW, {**ROW, "decision_id": "b"}, {**odd, "features": {"macd": 1.0}}]

    result = bring(*rows)

    assert result.accepted == 2
    assert [one["index"] for one in result.rejected] == [0, 3]
    assert "atr_14" in result.rejected[0]["reason"]
    assert "macd" in result.rejected[1]["reason"]

    def names(session: Session) -> list[str]:
        strategy = session.get_one(Strategy, "bot")
        return session.get_one(FeatureSchema, strategy.feature_schema_id).names

    assert database.read(names) == ["atr_14", "rsi_14"]


def test_later_batches_must_have_the_strategys_names(bring: Import) -> None:
    bring(ROW)
    others = [{**ROW, "decision_id": f"o{i}", "features": {"rsi_14": 1.0}} for i in range(3)]

    assert [one["index"] for one in bring(*others).rejected] == [0, 1, 2]


def test_where_nothing_is_accepted_nothing_is_begun(bring: Import, database: Database) -> None:
    assert bring({}, None).strategy_created is False

    assert database.read(lambda session: session.get(Strategy, "bot")) is None


def test_a_simulated_strategy_takes_no_import(bring: Import, bench: Any) -> None:
    bench.market = "simulated"
    bench.database.write(bench.begin)

    with pytest.raises(ConflictError) as caught:
        bring(ROW)

    assert caught.value.reason == "market_mismatch"


def test_more_than_5000_rows_are_too_many(bring: Import) -> None:
    with pytest.raises(InvalidInputError, match="5000"):
        bring(*[None] * 5_001)


@pytest.mark.slow
def test_5000_rows_are_stored_and_known_again(bring: Import, database: Database) -> None:
    rows = [{**ROW, "decision_id": f"r{i}"} for i in range(5_000)]

    assert bring(*rows).accepted == 5_000
    assert bring(*rows).duplicates == 5_000
    assert database.read(lambda session: session.scalar(select(func.count()).select_from(TradeLog))) == 5_000


def test_an_imported_row_is_never_settled_from_later_prices(bring: Import, bench: Any, now: Any) -> None:
    row = without("execution_side", "realized_pnl", "target_label", executed=False)
    bring({**row, "decision_id": "old", "features": {"alpha": 1.0, "beta": 2.0}})

    for minutes in (60, 65, 120):
        at = now.replace(year=2025, month=11, day=12, hour=10, minute=30) + timedelta(minutes=minutes)
        bench.decide(f"d{minutes}", at, price=50_000.0)
    bench.database.write(settle_strategies, ["bot"], settings=bench.settings, now=now)

    sample = bench.sample("old")
    assert (sample.forward_return, sample.state) == (None, "closed")
    assert sample.market_return == pytest.approx(500 / 45000)


def test_an_execution_replaces_the_hypothetical_outcome_of_an_imported_signal(bring: Import, bench: Any) -> None:
    row = without("execution_side", "realized_pnl", "target_label", executed=False, decision_id="d1")
    bring(row)

    sample = bench.execute(entry_time=None)

    assert (sample.state, sample.outcome_known, sample.exit_price) == ("open", False, None)
    assert bench.leave(exit_time=None).label_source == "executed"


def test_an_imported_trade_takes_no_further_fill(bring: Import, bench: Any) -> None:
    bring({**ROW, "decision_id": "d1"})

    with pytest.raises(ConflictError) as caught:
        bench.execute(fill_id="more")

    assert caught.value.reason == "already_closed"


def test_the_origin_is_told(bring: Import, database: Database) -> None:
    bring(ROW)

    assert database.read(lambda session: session.scalars(select(AITrainingSample.origin)).one()) == "import"


def test_short_trades_that_a_long_only_strategy_ignores_are_counted(bring: Import, settings: Settings) -> None:
    terms = replace(settings, sides="long")
    shorts = [without(decision_id=f"s{number}", predicted_action="SELL", realized_pnl=None) for number in range(3)]
    shorts = [{name: value for name, value in one.items() if name in NEEDED or name == "decision_id"} for one in shorts]

    result = bring(*shorts, ROW, terms=terms)

    assert (result.accepted, result.rejected) == (4, [])
    assert result.warnings == {IGNORED_SELL: 3}
    assert bring(*shorts, terms=terms).warnings == {}, "a duplicate is not stored again"


def test_an_imported_trade_against_its_decision_is_a_warning(bring: Import, told: Any) -> None:
    result = bring(
        without("realized_pnl", "target_label", "target_class", predicted_action="SELL", execution_side="BUY")
    )

    assert (result.accepted, result.rejected, list(result.warnings.values())) == (1, [], [1])
    assert "The decision said SELL, and it was executed with BUY" in told()[0]["warning"]


def test_a_trial_counts_the_same_warnings_and_says_what_would_begin(
    bring: Import, database: Database, settings: Settings, now: Any
) -> None:
    short = {name: ROW[name] for name in NEEDED} | {"predicted_action": "SELL"}
    terms = replace(settings, sides="long")
    how = {"settings": terms, "now": now}

    tried = database.read(try_samples, "bot", [short], **how, earlier=Earlier())

    assert tried == bring(short, terms=terms)
    assert database.read(try_samples, "bot", [short], **how, earlier=Earlier()).strategy_begun is None
    both = bring(short, strategy="both")
    assert (both.warnings, both.strategy_begun and both.strategy_begun["sides"]) == ({}, "long,short")
