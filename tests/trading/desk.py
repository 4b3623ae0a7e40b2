"""Candle files of random walks, traders over them, and one way to see everything they left behind."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text
from sqlalchemy.orm import Session

from ai_engine.features.catalogue import FEATURE_NAMES
from ai_engine.types import Forecasts
from backend.clock import to_ms
from backend.database import Database
from backend.learning.decisions.strategies import ensure_schema, ensure_strategy
from backend.learning.versions.serving import Serving, ServingModel, ShadowModel
from backend.learning.versions.store import ArtifactStore
from backend.market.files import FileMarket
from backend.models import AIModelVersion, Feed
from backend.settings import Settings
from backend.trading.context import TraderContext
from backend.trading.round import Trader

START = datetime(2025, 5, 1, tzinfo=UTC)
FIVE_MINUTES = timedelta(minutes=5)
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

Bars = list[tuple[float, float, float, float, float]]


def random_bars(count: int, seed: int, volatility: float = 0.004) -> Bars:
    """Candles of a random walk that opens where it closed, with wicks."""
    random = np.random.default_rng(seed)
    steps = random.normal(0, volatility, count) * np.repeat(random.choice([0.5, 1.0, 2.0], -(-count // 40)), 40)[:count]
    close = 100 * np.exp(np.cumsum(steps))
    opened = np.concatenate([[100.0], close[:-1]]) * np.exp(random.normal(0, volatility / 8, count))
    high = np.maximum(opened, close) * np.exp(np.abs(random.normal(0, volatility / 2, count)))
    low = np.minimum(opened, close) * np.exp(-np.abs(random.normal(0, volatility / 2, count)))
    volume = np.exp(random.normal(3, 0.5, count))
    return [tuple(float(value) for value in bar) for bar in zip(opened, high, low, close, volume, strict=True)]


def write_file(folder: Path, symbol: str, bars: Bars, *, first: int = 0, missing: frozenset[int] = frozenset()) -> Path:
    """A klines file of 5-minute candles; ``first`` counts candles from the start, ``missing`` leaves some out."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{symbol}-5m.csv"
    rows = []
    for index, (opened, high, low, close, volume) in enumerate(bars, start=first):
        time = to_ms(START + index * FIVE_MINUTES)
        if index not in missing:
            rows.append(f"{time},{opened!r},{high!r},{low!r},{close!r},{volume!r},{time + 299_999},0,0,0,0,0")
    path.write_text("\n".join(rows) + "\n")
    return path


class ScriptedModel:
    """A model whose score is a known function of one feature."""

    feature_names = FEATURE_NAMES
    column = FEATURE_NAMES.index(next(name for name in FEATURE_NAMES if "rsi" in name))

    def forecast(self, X: np.ndarray[Any, Any]) -> Forecasts:
        """Against the oscillator: the sign changes often, so that trades open and close."""
        scores = -X[:, self.column].astype(np.float64)
        return Forecasts(scores, scores / 100, np.full(len(X), 0.6))


class ScriptedServing(Serving):
    """Serves ``ScriptedModel`` for whatever version is active, or a shadow, in the rows."""

    def __init__(self) -> None:
        self.calls = 0

    def model_for(self, session: Session, strategy: str) -> ServingModel | None:
        """What the row says."""
        self.calls += 1
        active = session.query(AIModelVersion.version_id).filter_by(strategy=strategy, is_active=True).scalar()
        return None if active is None else ServingModel(active, ScriptedModel(), False, active)  # type: ignore[arg-type]

    def shadows_for(self, session: Session, strategy: str) -> tuple[ShadowModel, ...]:
        """What the rows say."""
        query = session.query(AIModelVersion.version_id).filter_by(strategy=strategy, is_shadow=True)
        return tuple(ShadowModel(one, ScriptedModel()) for (one,) in query)  # type: ignore[arg-type]


def add_version(
    session: Session, settings: Settings, version_id: str, strategy: str = "replay", market: str = "replay"
) -> None:
    """A version's row, not active, as a retraining would leave it."""
    row, _ = ensure_strategy(session, strategy, market=market, settings=settings, now=NOW, actor="test")
    schema = ensure_schema(session, row, FEATURE_NAMES, now=NOW)
    version = AIModelVersion(
        version_id=version_id,
        strategy=strategy,
        trained_at=NOW,
        training_samples=80,
        validation_samples=20,
        verdict="insufficient_data",
        model_path=f"xgb_model_{version_id}.pkl",
        artifact_sha256="0" * 64,
        artifact_bytes=1,
        feature_schema_id=schema.id,
        data_hash=version_id,
        report={},
        lineage={},
    )
    session.add(version)


def activate(session: Session, version_id: str) -> None:
    """Make it the active one, as the activation's transaction does."""
    version = session.query(AIModelVersion).filter_by(version_id=version_id).one()
    session.query(AIModelVersion).filter_by(strategy=version.strategy).update({"is_active": False})
    session.flush()
    version.is_active = True


@dataclass
class Desk:
    """One database, the files it trades on, and traders over both."""

    folder: Path
    settings: Settings
    database: Database
    clock: Callable[[], datetime] = field(default=lambda: NOW)

    @property
    def feed(self) -> FileMarket:
        """The files, read afresh."""
        return FileMarket(self.folder, "5m")

    def trader(self, **changes: Any) -> Trader:
        """A trader as a new process would make it."""
        context = TraderContext(
            database=self.database,
            settings=self.settings,
            serving=Serving(ArtifactStore(self.settings.model_dir)),
            feed=self.feed,
            strategy="replay",
            clock=self.clock,
        )
        return Trader(replace(context, **changes))

    def run(self, size: int = 32, **changes: Any) -> None:
        """Take everything the files hold."""
        trader = self.trader(**changes)
        rounds = list(trader.feed.rounds(trader.after))
        for at in range(0, len(rounds), size):
            trader.steps(rounds[at : at + size])

    def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """What a query finds."""
        return self.database.read(lambda session: [tuple(row) for row in session.execute(text(query), values)])

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of the trading tables, without what tells one run from another (ids, wall-clock times)."""
        return {
            "samples": self.rows(
                "select decision_id, symbol, timestamp, state, price, predicted_action, prediction_score, reason,"
                " explored, propensity, model_version, features_blob, forward_return, forward_price_at, executed,"
                " execution_side, entry_price, quantity, entry_time, fees, exit_price, exit_time, exit_reason,"
                " realized_pnl, market_return, target_label, target_class, label_source, outcome_known"
                " from ai_training_samples order by timestamp, symbol"
            ),
            "positions": self.rows(
                "select s.decision_id, p.side, p.state, p.ordered_at, p.quantity, p.entry_price, p.target_price,"
                " p.stop_price, p.close_requested, p.closed_at from positions p"
                " join ai_training_samples s on s.id = p.sample_id order by 1"
            ),
            "trades": self.rows(
                "select decision_id, side, quantity, entry_price, entry_time, exit_price, exit_time, exit_reason,"
                " fees, realized_pnl from trade_logs order by 1"
            ),
            "candles": self.rows("select symbol, open_time, open, high, low, close, volume from candles order by 1, 2"),
            "counters": self.rows(
                "select version_id, total_predictions, matured_predictions, neutral_predictions, correct_predictions,"
                " total_trades, round(total_pnl, 9) from ai_model_versions order by 1"
            ),
        }

    def feed_row(self) -> Feed:
        """What the trader last said of its market."""
        return self.database.read(lambda session: session.query(Feed).filter_by(strategy="replay").one())


def with_model(desk: Desk, version_id: str = "v20260301_000000") -> ScriptedServing:
    """Make a scripted version active at the desk."""
    desk.database.write(add_version, desk.settings, version_id)
    desk.database.write(activate, version_id)
    return ScriptedServing()
