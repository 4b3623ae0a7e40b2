"""The mission, told in order: from the first candle to a decision by a learned version, and back again.

Everything is real: the market's candles, SQLite, the training process, the published file. Only the wall clock is set.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy import select

from backend.database import Database
from backend.learning.versions.activation import ActivationRequest, VersionService, activate, rollback
from backend.learning.versions.retrain import RetrainService, retrain
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.learning.versions.trainer import SubprocessTrainer
from backend.market.simulated import SimulatedMarket
from backend.models import AIModelVersion, AITrainingSample, TradeLog
from backend.settings import Settings, load_settings
from backend.trading.context import TraderContext
from backend.trading.round import RoundResult, Trader
from tests.recomputed import recompute

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
STRATEGY = "simulated"
HORIZON_ROUNDS = 12

Decisions = list[AITrainingSample]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The default market with two symbols, every direction acted on."""
    return load_settings(
        environ={
            "QT_ADMIN_TOKEN": "an-admin-token-for-tests-only",
            "QT_DATABASE_URL": f"sqlite:///{tmp_path / 'quantum_trader.db'}",
            "QT_MODEL_DIR": str(tmp_path / "models"),
            "QT_SYMBOLS": "BTCUSDC,ETHUSDC",
            "QT_MIN_CONFIDENCE": "0.5",
        },
        env_file=None,
    )


class House:
    """The parts of a running service, and the questions the story asks of it."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database, self.settings = database, settings
        store = ArtifactStore(settings.model_dir)
        serving, feed = Serving(store), SimulatedMarket(settings.symbols, settings.timeframe, now=lambda: NOW)
        self.versions = VersionService(database, settings, store, lambda: NOW)
        self.retraining = RetrainService(database, settings, store, SubprocessTrainer(), lambda: NOW)
        context = TraderContext(database, settings, serving, feed, STRATEGY, lambda: NOW)
        self.trader = Trader(context)

    def rounds(self, count: int) -> list[RoundResult]:
        return [self.trader.step(one) for one in islice(self.trader.feed.rounds(self.trader.after), count)]

    def rounds_until(self, happened: Callable[[RoundResult], bool], limit: int = 600) -> RoundResult:
        for one in islice(self.trader.feed.rounds(self.trader.after), limit):
            result = self.trader.step(one)
            if happened(result):
                return result
        raise AssertionError(f"nothing of the kind within {limit} rounds")

    def decisions(self, **values: object) -> Decisions:
        query = select(AITrainingSample).filter_by(**values).order_by(AITrainingSample.id)
        return self.database.read(lambda session: list(session.scalars(query)))

    def latest(self) -> Decisions:
        return [row for row in self.decisions() if row.timestamp == self.trader.after]

    def retrain(self) -> dict[str, object]:
        return retrain(self.retraining, strategy=STRATEGY, actor="scenario", min_samples=100)

    def activate(self, version_id: object) -> dict[str, object]:
        return activate(self.versions, ActivationRequest(str(version_id), "scenario"))

    def version(self, version_id: object) -> AIModelVersion:
        query = select(AIModelVersion).where(AIModelVersion.version_id == version_id)
        return self.database.read(lambda session: session.scalars(query).one())


@pytest.fixture
def house(database: Database, settings: Settings) -> House:
    return House(database, settings)


def test_from_the_first_candle_to_a_decision_by_a_learned_version_and_back(house: House) -> None:
    # The first candle closes: every symbol is decided at once, by the cold-start rule.
    house.rounds(1)
    first = house.decisions()
    assert {row.symbol for row in first} == {"BTCUSDC", "ETHUSDC"}
    assert all(row.model_version is None and len(row.features) >= 100 for row in first)

    # A HOLD is a decision like any other: stored, with the features it saw.
    house.rounds_until(lambda result: result.signals["HOLD"] > 0)
    assert house.decisions(predicted_action="HOLD")

    # A BUY or SELL is entered at the next candle's open, and left by target, stop, horizon or signal.
    house.rounds_until(lambda result: result.entered > 0)
    house.rounds_until(lambda result: result.left > 0)
    trade = house.decisions(executed=True, outcome_known=True)[0]
    logged = house.database.read(lambda session: session.scalars(select(TradeLog)).first())
    assert logged is not None
    assert trade.entry_time is not None
    assert trade.exit_time is not None
    assert trade.timestamp <= trade.entry_time < trade.exit_time

    # The closed trade has its label: what it earned after fees, in the direction it took.
    side = 1 if trade.execution_side == "BUY" else -1
    gross = side * (trade.exit_price / trade.entry_price - 1)
    assert trade.target_label == pytest.approx(gross - trade.fees / (trade.quantity * trade.entry_price))
    assert trade.realized_pnl == pytest.approx(trade.target_label * trade.quantity * trade.entry_price)
    assert trade.target_class == ("WIN" if trade.target_label > 0 else "LOSS")

    # And the HOLD that nobody traded has learned what the market did meanwhile.
    house.rounds(HORIZON_ROUNDS + 1)
    held = house.decisions(predicted_action="HOLD", outcome_known=True)[0]
    assert (held.label_source, held.target_label, held.target_class) == ("counterfactual", 0.0, "NEUTRAL")
    assert held.forward_return not in (None, 0.0)

    # Night: a new version is trained on what is known by now, stored beside the trader, and not active.
    house.rounds(100)
    night = house.retrain()
    assert night["status"] == "success"
    v1 = night["version_id"]
    assert (house.settings.model_dir / f"xgb_model_{v1}.pkl").is_file()
    assert not house.version(v1).is_active
    assert house.retrain()["reason"] == "no_new_samples"
    house.rounds(1)
    assert all(row.model_version is None for row in house.latest())

    # Morning: a person activates it. The next decision is made by it; nothing was restarted.
    assert house.activate(v1)["previous_version"] is None
    house.rounds(1)
    assert {row.model_version for row in house.latest()} == {v1}
    assert all(row.prediction_score is not None for row in house.latest())

    # Its decisions mature and are counted for it, trades and all; the rows alone give the same counters.
    house.rounds_until(lambda result: result.entered > 0)
    house.rounds(3 * HORIZON_ROUNDS)
    live = house.version(v1)
    counted = house.database.read(lambda session: recompute(session, str(v1), house.settings.cost))
    assert live.matured_predictions > 0
    assert live.total_trades > 0
    for name, value in counted.items():
        assert getattr(live, name) == pytest.approx(value), name

    # The next night's version takes over, and a rollback brings the first one back.
    v2 = house.retrain()["version_id"]
    assert house.activate(v2)["previous_version"] == v1
    house.rounds(1)
    assert {row.model_version for row in house.latest()} == {v2}
    assert rollback(house.versions, STRATEGY, "scenario")["activated_version"] == v1
    house.rounds(1)
    assert {row.model_version for row in house.latest()} == {v1}
