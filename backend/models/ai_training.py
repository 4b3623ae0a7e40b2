"""Decisions with their outcomes, the feature schemas they were seen in, and the model versions learned from them."""

from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from backend.models.base import Base, UtcDateTime


class Strategy(Base):
    """The partition: one market, timeframe, horizon, set of sides and feature schema."""

    __tablename__ = "strategies"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    market: Mapped[str] = mapped_column(String(64))
    timeframe: Mapped[str] = mapped_column(String(8))
    horizon_candles: Mapped[int]
    sides: Mapped[str] = mapped_column(String(16))
    feature_schema_id: Mapped[int | None] = mapped_column(ForeignKey("feature_schemas.id"))
    looks: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (CheckConstraint("sides IN ('long', 'long,short')", name="sides_known"),)


class FeatureSchema(Base):
    """A sorted set of feature names, stored once; rows refer to it by id."""

    __tablename__ = "feature_schemas"

    id: Mapped[int] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    names: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class AITrainingSample(Base):
    """One decision BUY, SELL or HOLD with the features it saw and, later, what became of it."""

    __tablename__ = "ai_training_samples"

    id: Mapped[int] = mapped_column(primary_key=True)
    decision_id: Mapped[str] = mapped_column(String(128))
    strategy: Mapped[str] = mapped_column(ForeignKey("strategies.name"))
    symbol: Mapped[str] = mapped_column(String(32))
    timestamp: Mapped[datetime] = mapped_column(UtcDateTime)
    origin: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16), default="pending")
    price: Mapped[float | None]
    predicted_action: Mapped[str] = mapped_column(String(4))
    prediction_score: Mapped[float | None]
    prediction_confidence: Mapped[float | None]
    expected_return: Mapped[float | None]
    expected_return_low: Mapped[float | None]
    expected_return_high: Mapped[float | None]
    volatility: Mapped[float | None]
    model_version: Mapped[str | None] = mapped_column(String(32))
    reason: Mapped[str | None] = mapped_column(String(64))
    explored: Mapped[bool] = mapped_column(default=False)
    propensity: Mapped[float | None]
    feature_schema_id: Mapped[int] = mapped_column(ForeignKey("feature_schemas.id"))
    features_blob: Mapped[bytes] = mapped_column(LargeBinary)
    body_hash: Mapped[str | None] = mapped_column(String(64))
    horizon_at: Mapped[datetime] = mapped_column(UtcDateTime)
    forward_return: Mapped[float | None]
    forward_return_source: Mapped[str | None] = mapped_column(String(16))
    forward_price_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    counted_cost: Mapped[float | None]
    executed: Mapped[bool] = mapped_column(default=False)
    execution_side: Mapped[str | None] = mapped_column(String(4))
    entry_price: Mapped[float | None]
    quantity: Mapped[float | None]
    entry_time: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fees: Mapped[float | None]
    fees_known: Mapped[bool] = mapped_column(default=False)
    exit_price: Mapped[float | None]
    exit_time: Mapped[datetime | None] = mapped_column(UtcDateTime)
    exit_reason: Mapped[str | None] = mapped_column(String(64))
    realized_pnl: Mapped[float | None]
    reported_pnl: Mapped[float | None]
    market_return: Mapped[float | None]
    target_label: Mapped[float | None]
    target_class: Mapped[str | None] = mapped_column(String(8))
    label_source: Mapped[str | None] = mapped_column(String(16))
    outcome_known: Mapped[bool] = mapped_column(default=False)
    outcome_recorded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    quarantine_reason: Mapped[str | None] = mapped_column(String(64))
    quarantine_decision: Mapped[str | None] = mapped_column(String(8))
    released_reasons: Mapped[str | None] = mapped_column(String(96))
    warning: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)

    feature_schema: Mapped[FeatureSchema] = relationship(lazy="joined", innerjoin=True)

    __table_args__ = (
        UniqueConstraint("strategy", "decision_id"),
        CheckConstraint("predicted_action IN ('BUY', 'SELL', 'HOLD')", name="action_known"),
        CheckConstraint("execution_side IN ('BUY', 'SELL')", name="execution_side_known"),
        CheckConstraint("target_class IN ('WIN', 'LOSS', 'NEUTRAL')", name="target_class_known"),
        CheckConstraint(
            "label_source IN ('executed', 'counterfactual', 'historical', 'synthetic')", name="label_source_known"
        ),
        CheckConstraint("origin IN ('decision', 'import', 'historical', 'synthetic')", name="origin_known"),
        CheckConstraint("state IN ('pending', 'open', 'closed', 'unobservable')", name="state_known"),
        CheckConstraint("quarantine_decision IN ('released', 'dropped')", name="quarantine_decision_known"),
        Index("ix_ai_training_samples_strategy_timestamp", "strategy", "timestamp", "id"),
        Index("ix_ai_training_samples_strategy_symbol_timestamp", "strategy", "symbol", "timestamp"),
        Index("ix_ai_training_samples_strategy_outcome_known_id", "strategy", "outcome_known", "id"),
        Index(
            "ix_ai_training_samples_unsettled",
            "strategy",
            "origin",
            "horizon_at",
            sqlite_where=text("forward_return IS NULL AND forward_return_source IS NULL"),
            postgresql_where=text("forward_return IS NULL AND forward_return_source IS NULL"),
        ),
        Index("ix_ai_training_samples_model_version", "model_version"),
        Index(
            "ix_ai_training_samples_quarantined",
            "strategy",
            "quarantine_reason",
            "timestamp",
            sqlite_where=text("quarantine_reason IS NOT NULL"),
            postgresql_where=text("quarantine_reason IS NOT NULL"),
        ),
        Index(
            "ix_ai_training_samples_quarantine_decision",
            "strategy",
            "quarantine_decision",
            "timestamp",
            sqlite_where=text("quarantine_decision IS NOT NULL"),
            postgresql_where=text("quarantine_decision IS NOT NULL"),
        ),
        Index(
            "ix_ai_training_samples_left",
            "strategy",
            "symbol",
            "exit_time",
            "market_return",
            sqlite_where=text("exit_time IS NOT NULL"),
            postgresql_where=text("exit_time IS NOT NULL"),
        ),
    )

    @property
    def features(self) -> list[float]:
        """The feature values in the order of ``feature_schema.names``."""
        return [float(str(value)) for value in np.frombuffer(self.features_blob, dtype="<f4")]


class Forecast(Base):
    """What one version, active or shadow, forecast for one decision."""

    __tablename__ = "forecasts"

    sample_id: Mapped[int] = mapped_column(ForeignKey("ai_training_samples.id"), primary_key=True)
    version_id: Mapped[str] = mapped_column(ForeignKey("ai_model_versions.version_id"), primary_key=True)
    score: Mapped[float]
    expected_return: Mapped[float | None]
    confidence: Mapped[float | None]
    action: Mapped[str] = mapped_column(String(4))
    role: Mapped[str] = mapped_column(String(8))

    __table_args__ = (
        CheckConstraint("action IN ('BUY', 'SELL', 'HOLD')", name="action_known"),
        CheckConstraint("role IN ('active', 'shadow')", name="role_known"),
        Index("ix_forecasts_version_id", "version_id"),
    )


class AIModelVersion(Base):
    """One trained model: what it was trained on, how it was judged, where its file is, how it fares live."""

    __tablename__ = "ai_model_versions"

    id: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[str] = mapped_column(String(32), unique=True)
    model_type: Mapped[str] = mapped_column(String(32), default="xgboost_continuous")
    strategy: Mapped[str] = mapped_column(ForeignKey("strategies.name"))
    trained_at: Mapped[datetime] = mapped_column(UtcDateTime)
    learned_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    training_samples: Mapped[int]
    validation_samples: Mapped[int]
    train_accuracy: Mapped[float | None]
    validation_accuracy: Mapped[float | None]
    train_mae: Mapped[float | None]
    validation_mae: Mapped[float | None]
    verdict: Mapped[str] = mapped_column(String(24))
    recommended: Mapped[bool] = mapped_column(default=False)
    is_active: Mapped[bool] = mapped_column(default=False)
    is_shadow: Mapped[bool] = mapped_column(default=False)
    shadow_origin: Mapped[str | None] = mapped_column(String(12))
    activated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    replaced_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    total_predictions: Mapped[int] = mapped_column(default=0)
    matured_predictions: Mapped[int] = mapped_column(default=0)
    neutral_predictions: Mapped[int] = mapped_column(default=0)
    correct_predictions: Mapped[int] = mapped_column(default=0)
    live_accuracy: Mapped[float | None]
    total_trades: Mapped[int] = mapped_column(default=0)
    total_pnl: Mapped[float] = mapped_column(default=0.0)
    notes: Mapped[str | None] = mapped_column(Text)
    model_path: Mapped[str] = mapped_column(String(255))
    artifact_sha256: Mapped[str] = mapped_column(String(64))
    artifact_bytes: Mapped[int]
    feature_schema_id: Mapped[int] = mapped_column(ForeignKey("feature_schemas.id"))
    data_hash: Mapped[str] = mapped_column(String(64))
    report: Mapped[dict[str, Any]] = mapped_column(JSON)
    lineage: Mapped[dict[str, Any]] = mapped_column(JSON)

    feature_schema: Mapped[FeatureSchema] = relationship(lazy="joined", innerjoin=True)

    __table_args__ = (
        CheckConstraint(
            "verdict IN ('degenerate', 'insufficient_data', 'suspected_leakage', 'no_evidence', 'evidence',"
            " 'strong_evidence')",
            name="verdict_known",
        ),
        CheckConstraint("shadow_origin IN ('automatic', 'asked')", name="shadow_origin_known"),
        Index(
            "uq_ai_model_versions_active",
            "strategy",
            unique=True,
            sqlite_where=text("is_active"),
            postgresql_where=text("is_active"),
        ),
        UniqueConstraint("strategy", "data_hash"),
        Index("ix_ai_model_versions_strategy_trained_at", "strategy", "trained_at"),
    )


class Activation(Base):
    """One entry of a strategy's activation history; a rollback marks the newest as undone."""

    __tablename__ = "activations"

    id: Mapped[int] = mapped_column(primary_key=True)
    strategy: Mapped[str] = mapped_column(ForeignKey("strategies.name"))
    version_id: Mapped[str | None] = mapped_column(ForeignKey("ai_model_versions.version_id"))
    activated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str | None] = mapped_column(Text)
    undone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (Index("ix_activations_strategy_id", "strategy", "id"),)


class IntervalState(Base):
    """What a strategy's forecasts were off by: the newest scaled residuals (float32), and how many there were in all.

    Whoever moves it, or the strategy's volatilities, holds this row's lock.
    """

    __tablename__ = "interval_states"

    strategy: Mapped[str] = mapped_column(ForeignKey("strategies.name"), primary_key=True)
    residuals: Mapped[bytes] = mapped_column(LargeBinary)
    matured: Mapped[int]


class SymbolVolatility(Base):
    """What is known of one symbol's moves over the horizon.

    ``level`` is the weighted sum of the absolute returns and ``weight`` that of the weights; ``miss_rate`` is what the
    symbol's intervals aim at, so that 20 % miss.
    """

    __tablename__ = "symbol_volatilities"

    strategy: Mapped[str] = mapped_column(ForeignKey("strategies.name"), primary_key=True)
    symbol: Mapped[str] = mapped_column(String(32), primary_key=True)
    level: Mapped[float]
    weight: Mapped[float]
    miss_rate: Mapped[float]
