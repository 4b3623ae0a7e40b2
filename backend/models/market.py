"""Closed candles and the state of each feed."""

from datetime import datetime

from sqlalchemy import CheckConstraint, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from backend.models.base import Base, UtcDateTime


class Candle(Base):
    """One closed candle. ``market`` is the feed's name, or ``posted:STRATEGY`` for candles a bot sent."""

    __tablename__ = "candles"

    market: Mapped[str] = mapped_column(String(80), primary_key=True)
    symbol: Mapped[str] = mapped_column(String(32), primary_key=True)
    timeframe: Mapped[str] = mapped_column(String(8), primary_key=True)
    open_time: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    open: Mapped[float]
    high: Mapped[float]
    low: Mapped[float]
    close: Mapped[float]
    volume: Mapped[float]


class Feed(Base):
    """What the process that runs the built-in trader last said of its market."""

    __tablename__ = "feeds"

    strategy: Mapped[str] = mapped_column(String(64), primary_key=True)
    source: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    market_time: Mapped[datetime | None] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    detail: Mapped[str | None] = mapped_column(Text)
    clock_offset_seconds: Mapped[float | None]

    __table_args__ = (
        CheckConstraint("state IN ('warming', 'running', 'finished', 'stale', 'off')", name="state_known"),
    )
