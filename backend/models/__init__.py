"""SQLAlchemy tables, nothing else."""

from backend.models.ai_training import (
    Activation,
    AIModelVersion,
    AITrainingSample,
    FeatureSchema,
    Forecast,
    IntervalState,
    Strategy,
    SymbolVolatility,
)
from backend.models.base import Base
from backend.models.market import Candle, Feed
from backend.models.operations import Alarm, AuditEntry, Delivery, Event, JobRun, Lease
from backend.models.trading import Fill, Position, TradeLog

__all__ = [
    "AIModelVersion",
    "AITrainingSample",
    "Activation",
    "Alarm",
    "AuditEntry",
    "Base",
    "Candle",
    "Delivery",
    "Event",
    "FeatureSchema",
    "Feed",
    "Fill",
    "Forecast",
    "IntervalState",
    "JobRun",
    "Lease",
    "Position",
    "Strategy",
    "SymbolVolatility",
    "TradeLog",
]
