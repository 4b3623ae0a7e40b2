"""Warm start: from candle files that anybody can download to a first version, in a minute instead of a week."""

import sqlite3
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ai_engine import dataset
from ai_engine.types import LabelSource
from backend.database import Database
from backend.learning.decisions import historical
from backend.learning.decisions.historical_plan import plan_of
from backend.learning.decisions.rows import read_training_rows
from backend.learning.decisions.strategies import find_strategy
from backend.learning.evidence.doctor import diagnose, read_facts
from backend.learning.evidence.status import status
from backend.learning.versions.activation import ActivationRequest, VersionService, activate
from backend.learning.versions.retrain import RetrainService, retrain
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.learning.versions.trainer import InProcessTrainer
from backend.market.files import FileMarket
from backend.market.simulated import SimulatedMarket
from backend.settings import Settings, load_settings
from backend.trading.context import TraderContext
from backend.trading.round import Trader
from tests.recomputed import recompute

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SYMBOLS = ("BTCUSDT", "ETHUSDT")
DAYS = 7
A_DAY = 288


def test_real_candles_become_a_version_that_says_how_little_it_knows(
    database: Database, settings: Settings, market_data: Path
) -> None:
    market = FileMarket([market_data / "binance-spot" / f"{symbol}-5m.csv.gz" for symbol in SYMBOLS], "5m")
    candles = {symbol: market.history(symbol, NOW, DAYS * A_DAY + 499 + 12) for symbol in market.symbols}
    terms = database.read(historical.terms_of, "default", source=None, settings=settings)

    recording = historical.Recording(settings, NOW, "scenario")
    plan = plan_of(candles, terms, terms.usual_stride)
    added, created = historical.add(database, terms, plan, recording, lambda _: None)
    store = ArtifactStore(settings.model_dir)
    service = RetrainService(database, settings, store, InProcessTrainer(), lambda: NOW)
    night = retrain(service, strategy="default", actor="scenario")

    assert (created, added) == (True, len(plan))
    assert added == pytest.approx(len(SYMBOLS) * DAYS * A_DAY / terms.usual_stride, rel=0.02)
    assert night["status"] == "success"
    report = night["report"]
    assert report["rows_by_label_source"] == {"historical": report["usable_samples"]}
    assert report["verdict"] in {"insufficient_data", "no_evidence"}
    assert report["suspected_leakage"] in (None, [])
    assert report["recommended"] is False
    assert report["baseline_accuracy"] is not None
    told = ("cannot tell this model from a coin", "cannot be told from chance", "too little to rest on")
    assert any(words in report["sentence"] for words in told)
    figures = database.read(recompute, night["version_id"], settings.cost)
    assert {name: value for name, value in figures.items() if value} == {}
    told = database.read(status, "default", settings, NOW, Serving(store))
    assert told["samples"]["by_label_source"]["historical"] == added
    assert sum(told["signals"].values()) == told["trades"]["closed"] == 0


@pytest.fixture
def simulated(tmp_path: Path) -> Settings:
    """The simulated market with two symbols."""
    return load_settings(
        environ={
            "QT_ADMIN_TOKEN": "an-admin-token-for-tests-only",
            "QT_DATABASE_URL": f"sqlite:///{tmp_path / 'quantum_trader.db'}",
            "QT_MODEL_DIR": str(tmp_path / "models"),
            "QT_SYMBOLS": "BTCUSDC,ETHUSDC",
        },
        env_file=None,
    )


@pytest.mark.slow
def test_a_trader_begins_with_a_learned_version_and_the_past_fades_as_it_trades(
    database: Database, simulated: Settings
) -> None:
    # Before the first decision: five days of the market's own past, a version from them, activated.
    feed = SimulatedMarket(simulated.symbols, simulated.timeframe, now=lambda: NOW)
    terms = database.read(historical.terms_of, "simulated", source="simulated", settings=simulated)
    past = {symbol: feed.history(symbol, feed.start, 5 * A_DAY + 511) for symbol in feed.symbols}
    recording = historical.Recording(simulated, NOW, "scenario")
    added, _ = historical.add(database, terms, plan_of(past, terms, terms.usual_stride), recording, lambda _: None)
    store, serving = ArtifactStore(simulated.model_dir), None
    service = RetrainService(database, simulated, store, InProcessTrainer(), lambda: NOW)
    first = retrain(service, strategy="simulated", actor="scenario")
    activate(
        VersionService(database, simulated, store, lambda: NOW), ActivationRequest(first["version_id"], "scenario")
    )

    # The very first decision is made by it; the past is in nobody's counters.
    serving = Serving(store)
    context = TraderContext(database, replace(simulated, min_confidence=0.5), serving, feed, "simulated", lambda: NOW)
    trader = Trader(context)
    for batch in (list(islice(feed.rounds(trader.after), 32)) for _ in range(6)):
        trader.steps(batch)
    connection = sqlite3.connect(simulated.database_url.removeprefix("sqlite:///"))
    rows = connection.execute("select origin, model_version, executed and outcome_known from ai_training_samples")
    counted = Counter((origin, version, bool(closed)) for origin, version, closed in rows)
    connection.close()
    assert counted["historical", None, False] == added
    assert {version for origin, version, _ in counted if origin == "decision"} == {first["version_id"]}
    executed = counted["decision", first["version_id"], True]
    assert executed > 0
    figures = database.read(recompute, first["version_id"], simulated.cost)
    assert figures["total_predictions"] == 6 * 32 * 2

    # The next version weighs the past by what has been traded since: a half at first, less from then on.
    read = database.read(lambda session: read_training_rows(session, _strategy(session), window_days=30))
    weights = {source: _trust(read.rows, source) for source in set(read.rows.label_sources)}
    assert weights["historical"] / weights["counterfactual"] == pytest.approx(0.5 * added / (added + executed))
    assert weights["executed"] == weights["counterfactual"]
    second = retrain(service, strategy="simulated", actor="scenario")
    assert second["report"]["rows_by_label_source"]["historical"] == added
    found = diagnose(database.read(read_facts, "simulated", simulated, NOW, serving, None))["findings"]
    assert not {"no_decisions", "no_closed_outcomes", "only_hold"} & {one["code"] for one in found}


def _strategy(session: Any) -> Any:
    return find_strategy(session, "simulated")


def _trust(rows: dataset.Rows, source: str) -> float:
    """What one row of the source weighs, uniqueness and recency apart: as if all were alone and of one moment."""
    count = len(rows)
    symbols = np.array([str(index) for index in range(count)])
    sources = np.asarray(rows.label_sources)
    weights = dataset.sample_weights(np.zeros(count, np.int64), np.ones(count, np.int64), symbols, sources)
    assert set(sources) <= {one.value for one in LabelSource}
    return float(weights[sources == source][0])
