"""Status, doctor, health, strategies and audit as they are answered."""

from typing import Annotated, Any, Literal

from pydantic import Field

from backend.api.schemas.described import MarketState, Severity, Sides, Time
from backend.api.schemas.fields import Answer, Body, FeatureName
from backend.api.schemas.versions import RunOut
from backend.learning.decisions.checks import MAX_FEATURES


class DecisionCounts(Answer):
    """Samples of origin `decision`: imported, historical and demo rows are none of it."""

    total: int = Field(description="All decisions of the strategy.")
    outcome_known: int = Field(description="Those that can teach something.")
    pending: int = Field(description="Those whose outcome may still come.")
    unobservable: int = Field(description="Those whose outcome will never be known.")
    today: int = Field(description="Recorded since 00:00 UTC of today.")


class SampleCounts(Answer):
    """``total = outcome_known + pending + unobservable``; ``today`` by the time of recording, UTC."""

    total: int = Field(description="All samples of the strategy.")
    outcome_known: int = Field(description="Those that can teach something.")
    pending: int = Field(description="Those whose outcome may still come.")
    unobservable: int = Field(description="Those whose outcome will never be known.")
    quarantined: int = Field(
        description="Those that wait, outside training, for somebody to look: `GET /ai/quarantine`."
    )
    today: int = Field(description="Recorded since 00:00 UTC of today, whenever they were decided; imported rows too.")
    by_action: dict[str, int] = Field(description="By BUY, SELL and HOLD.")
    by_label_source: dict[str, int] = Field(description="Known outcomes by where they come from.")
    by_origin: dict[str, int] = Field(description="By `decision`, `import`, `historical` and `synthetic`.")
    decisions: DecisionCounts = Field(description="The same counts of the decisions made here alone.")


class TradeCounts(Answer):
    """Executed decisions."""

    open: int = Field(description="Positions not fully left.")
    closed: int = Field(description="Trades with an outcome.")
    total_pnl: float | None = Field(description="What the closed ones earned, in quote currency.")


class Signals(Answer):
    """Decisions of the last 24 hours of market time."""

    BUY: int = Field(description="How many said BUY.")
    SELL: int = Field(description="How many said SELL.")
    HOLD: int = Field(description="How many said HOLD.")


class Retraining(Answer):
    """The schedule, its last run, and the run_ids in progress."""

    enabled: bool = Field(description="Whether retraining by schedule is on.")
    schedule: str = Field(description="QT_AI_RETRAIN_SCHEDULE.")
    next_run: Time | None = Field(description="When it is due next, UTC.")
    last_run: RunOut | None = Field(description="The newest run that has ended, scheduled or asked for.")
    last_success: RunOut | None = Field(description="The newest run that made a version.")
    running: list[str] = Field(description="The run_ids in progress, of every strategy.")
    samples_until_next: int | None = Field(description="New outcomes a scheduled run would still wait for.")


class ActiveModel(Answer):
    """The version activated and the one that serves; they differ only when a file is damaged."""

    version_id: str | None = Field(description="The version activated; null: none.")
    serving_version_id: str | None = Field(description="The version that decides; null: the cold-start rule.")
    degraded: bool = Field(description="Whether the active version's file cannot be used.")


class Market(Answer):
    """The feed of the strategy."""

    source: str | None = Field(description="Which market; null: none.")
    state: MarketState = Field(description="How it is.")
    market_time: Time | None = Field(description="The close of the newest candle used, UTC.")
    updated_at: Time | None = Field(description="When the feed was last heard of, UTC.")
    detail: str | None = Field(description="What is wrong with it, in words.")


class StatusOut(Answer):
    """Everything one wants to know at a glance."""

    status: Literal["ok"] = Field(description="Always `ok`.")
    strategy: str = Field(description="The partition it speaks of.")
    samples: SampleCounts = Field(description="Decisions stored.")
    trades: TradeCounts = Field(description="Those that were traded.")
    signals: Signals = Field(description="Decisions of the last 24 hours.")
    retraining: Retraining = Field(description="Schedule and runs.")
    active_model: ActiveModel = Field(description="What decides.")
    market: Market = Field(description="The feed.")
    settings_in_force: dict[str, Any] = Field(description="Every setting but the secrets.")


class FindingOut(Answer):
    """One thing that is wrong, and what to do about it."""

    code: str = Field(description="A stable code; docs/troubleshooting.md has a paragraph for each.")
    severity: Severity = Field(description="How much it matters.")
    explanation: str = Field(description="What is wrong, in this installation's own numbers.")
    evidence: dict[str, Any] = Field(description="Those numbers.")
    remedy: str = Field(description="What to do, one thing.")


class DoctorOut(Answer):
    """Healthy: no finding is more than information."""

    status: Literal["ok"] = Field(description="Always `ok`.")
    healthy: bool = Field(description="Whether no finding is more than information.")
    findings: list[FindingOut] = Field(description="What was found; empty: nothing.")


class HealthOut(Answer):
    """Whether the service lives, or can work."""

    status: Literal["ok", "degraded", "unavailable"] = Field(description="`degraded` works, but not as it should.")


class ReadyOut(HealthOut):
    """Whether the service can work, and why not."""

    reasons: list[str] = Field(description="Codes of what is wrong; empty where nothing is.")


class StrategyOut(Answer):
    """One partition: what was fixed at its creation, and what serves it."""

    name: str = Field(description="Its name.")
    market: str = Field(description="`simulated`, `replay`, an exchange, or `external` for bots and imports.")
    timeframe: str = Field(description="The length of its candles, such as 5m.")
    horizon_candles: int = Field(description="After how many candles a decision's return is read.")
    sides: Sides = Field(description="Which positions it may open.")
    feature_schema_hash: str | None = Field(description="Hash of its feature names; null: none seen yet.")
    features: int | None = Field(description="How many there are.")
    active_version: str | None = Field(description="The version that decides; null: the cold-start rule.")
    samples: int = Field(description="Decisions stored.")
    looks: int = Field(description="How many versions of it were ever trained.")
    created_at: Time = Field(description="When it was first written to, UTC.")


class StrategyList(Answer):
    """Every strategy, newest first."""

    status: Literal["ok"] = Field(description="Always `ok`.")
    count: int = Field(description="How many are in this answer.")
    strategies: list[StrategyOut] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="The `cursor` of the next page; null on the last one.")


class SchemaIn(Body):
    """The names of a strategy's features from now on."""

    features: Annotated[
        list[FeatureName],
        Field(min_length=1, max_length=MAX_FEATURES, description="Each once, in any order; at most 2000."),
    ]


class SchemaOut(Answer):
    """The schema in force."""

    status: Literal["success"] = Field(description="Always `success`.")
    strategy: str = Field(description="The partition.")
    features: list[str] = Field(description="The names, sorted.")
    feature_schema_hash: str = Field(description="Their hash.")
    strategy_created: bool = Field(description="Whether this call began the strategy.")
    warning: str | None = Field(description="Where the active version cannot serve it: what to do.")


class AuditOut(Answer):
    """Who did what to what, when and why."""

    id: int = Field(description="The entry's number.")
    at: Time = Field(description="When, UTC.")
    actor: str = Field(description="Whose token, or which part of the service.")
    action: str = Field(description="What was done.")
    strategy: str | None = Field(description="In which partition; null: none.")
    subject: str | None = Field(description="To what.")
    reason: str | None = Field(description="Why, where that was said.")
    detail: dict[str, Any] | None = Field(description="What else is known about it.")
    request_id: str | None = Field(description="The call that did it; null: no call did.")


class AuditList(Answer):
    """A page of the audit trail, newest first."""

    status: Literal["ok"] = Field(description="Always `ok`.")
    count: int = Field(description="How many are in this answer.")
    entries: list[AuditOut] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="The `cursor` of the next page; null on the last one.")
