"""Status, doctor, health, strategies and audit as they are answered."""

from typing import Annotated, Any, Literal

from pydantic import Field

from backend.api.schemas.fields import Answer, Body, FeatureName
from backend.learning.decisions.checks import MAX_FEATURES


class SampleCounts(Answer):
    """``total = outcome_known + pending + unobservable``; ``today`` by the time of recording, UTC."""

    total: int
    outcome_known: int
    pending: int
    unobservable: int
    today: Annotated[
        int, Field(description="Recorded since 00:00 UTC of today, whenever they were decided; imported rows too.")
    ]
    by_action: dict[str, int]
    by_label_source: dict[str, int]


class TradeCounts(Answer):
    """Executed decisions; ``total_pnl`` in quote currency over closed ones."""

    open: int
    closed: int
    total_pnl: float | None


class Signals(Answer):
    """Decisions of the last 24 hours of market time."""

    BUY: int
    SELL: int
    HOLD: int


class Retraining(Answer):
    """The schedule, its last run, and the run_ids in progress."""

    enabled: bool
    schedule: str
    next_run: str | None
    last_run: dict[str, Any] | None
    running: list[str]
    samples_until_next: int | None


class ActiveModel(Answer):
    """The version activated and the one that serves; they differ only when a file is damaged."""

    version_id: str | None
    serving_version_id: str | None
    degraded: bool


class Market(Answer):
    """The feed of the strategy."""

    source: str | None
    state: Literal["warming", "running", "finished", "stale", "off"]
    market_time: str | None


class StatusOut(Answer):
    """Everything one wants to know at a glance."""

    status: Literal["ok"]
    strategy: str
    samples: SampleCounts
    trades: TradeCounts
    signals: Signals
    retraining: Retraining
    active_model: ActiveModel
    market: Market
    settings_in_force: dict[str, Any]


class FindingOut(Answer):
    """One thing that is wrong, and what to do about it."""

    code: str
    severity: Literal["info", "warning", "error"]
    explanation: str
    evidence: dict[str, Any]
    remedy: str


class DoctorOut(Answer):
    """Healthy: no finding is more than information."""

    status: Literal["ok"]
    healthy: bool
    findings: list[FindingOut]


class HealthOut(Answer):
    """Whether the service lives, or can work."""

    status: Literal["ok", "degraded", "unavailable"]


class StrategyOut(Answer):
    """One partition: what was fixed at its creation, and what serves it."""

    name: str
    market: str
    timeframe: str
    horizon_candles: int
    sides: str
    active_version: str | None
    samples: int


class StrategyList(Answer):
    """Every strategy, newest first."""

    status: Literal["ok"]
    count: int
    strategies: list[StrategyOut]
    next_cursor: str | None


class SchemaIn(Body):
    """The names of a strategy's features from now on."""

    features: Annotated[list[FeatureName], Field(min_length=1, max_length=MAX_FEATURES)]


class SchemaOut(Answer):
    """The schema in force."""

    strategy: str
    features: list[str]
    feature_schema_hash: str
    warning: Annotated[str | None, Field(description="Where the active version cannot serve it: what to do.")]


class AuditOut(Answer):
    """Who did what to what, when and why; ``request_id`` is null where it was not done by a call."""

    at: str
    actor: str
    action: str
    strategy: str | None
    subject: str | None
    reason: str | None
    request_id: str | None


class AuditList(Answer):
    """A page of the audit trail, newest first."""

    status: Literal["ok"]
    count: int
    entries: list[AuditOut]
    next_cursor: str | None
