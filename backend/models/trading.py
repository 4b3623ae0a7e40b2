"""The paper broker's positions, every fill, and one log row for each closed trade."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.models.base import Base, UtcDateTime


class Position(Base):
    """An order of the built-in trader and the position it becomes: ordered, open, closed or cancelled."""

    __tablename__ = "positions"

    id: Mapped[int] = mapped_column(primary_key=True)
    strategy: Mapped[str] = mapped_column(ForeignKey("strategies.name"))
    sample_id: Mapped[int] = mapped_column(ForeignKey("ai_training_samples.id"), unique=True)
    symbol: Mapped[str] = mapped_column(String(32))
    side: Mapped[str] = mapped_column(String(4))
    state: Mapped[str] = mapped_column(String(12))
    ordered_at: Mapped[datetime] = mapped_column(UtcDateTime)
    quantity: Mapped[float | None]
    entry_price: Mapped[float | None]
    entry_time: Mapped[datetime | None] = mapped_column(UtcDateTime)
    target_price: Mapped[float | None]
    stop_price: Mapped[float | None]
    target_fraction: Mapped[float]
    stop_fraction: Mapped[float]
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    close_requested: Mapped[str | None] = mapped_column(String(32))
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        CheckConstraint("side IN ('BUY', 'SELL')", name="side_known"),
        CheckConstraint("state IN ('ordered', 'open', 'closed', 'cancelled')", name="state_known"),
        Index(
            "uq_positions_live",
            "strategy",
            "symbol",
            unique=True,
            sqlite_where=text("state IN ('ordered', 'open')"),
            postgresql_where=text("state IN ('ordered', 'open')"),
        ),
    )


class Fill(Base):
    """One execution of one leg of a decision's trade. ``fill_id`` makes a repeat recognisable."""

    __tablename__ = "fills"

    id: Mapped[int] = mapped_column(primary_key=True)
    sample_id: Mapped[int] = mapped_column(ForeignKey("ai_training_samples.id"))
    leg: Mapped[str] = mapped_column(String(5))
    fill_id: Mapped[str] = mapped_column(String(128))
    price: Mapped[float]
    reference_price: Mapped[float | None]
    quantity: Mapped[float | None]
    fees: Mapped[float | None]
    filled_at: Mapped[datetime] = mapped_column(UtcDateTime)
    body_hash: Mapped[str] = mapped_column(String(64))

    __table_args__ = (
        UniqueConstraint("sample_id", "leg", "fill_id"),
        CheckConstraint("leg IN ('entry', 'exit')", name="leg_known"),
    )


class TradeLog(Base):
    """One closed trade; written in the transaction that closed it."""

    __tablename__ = "trade_logs"

    id: Mapped[int] = mapped_column(primary_key=True)
    sample_id: Mapped[int] = mapped_column(ForeignKey("ai_training_samples.id"), unique=True)
    decision_id: Mapped[str] = mapped_column(String(128))
    strategy: Mapped[str] = mapped_column(ForeignKey("strategies.name"))
    symbol: Mapped[str] = mapped_column(String(32))
    side: Mapped[str] = mapped_column(String(4))
    quantity: Mapped[float | None]
    entry_price: Mapped[float]
    entry_time: Mapped[datetime] = mapped_column(UtcDateTime)
    exit_price: Mapped[float]
    exit_time: Mapped[datetime] = mapped_column(UtcDateTime)
    exit_reason: Mapped[str | None] = mapped_column(String(64))
    fees: Mapped[float | None]
    realized_pnl: Mapped[float | None]
    model_version: Mapped[str | None] = mapped_column(String(32))

    __table_args__ = (
        CheckConstraint("side IN ('BUY', 'SELL')", name="side_known"),
        Index("ix_trade_logs_strategy_exit_time", "strategy", "exit_time"),
    )
