"""Samples as they are listed, and what a call may select them by."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from backend.api.schemas.described import (
    Action,
    DecisionState,
    DescribedAs,
    LabelSource,
    Origin,
    QuarantineDecision,
    QuarantineReason,
    Side,
    TargetClass,
    Time,
)
from backend.api.schemas.fields import (
    CURSOR_PATTERN,
    STRATEGY_PATTERN,
    SYMBOL_PATTERN,
    Answer,
    Body,
    PlainInteger,
    Timestamp,
    VersionIdField,
)

IMPORT_MAX = 5000


class SampleSelection(BaseModel):
    """The query of ``GET /ai/training-samples``."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    strategy: str | None = Field(None, pattern=STRATEGY_PATTERN, description="The partition. Left out: QT_STRATEGY.")
    symbol: str | None = Field(None, pattern=SYMBOL_PATTERN, description="With or without a slash.")
    action: Action | None = Field(None, description="What was decided.")
    target_class: TargetClass | None = Field(None, description="How it ended.")
    label_source: LabelSource | None = Field(None, description="Where the outcome comes from.")
    model_version: VersionIdField | None = Field(None, description="Samples this version decided.")
    outcome_known: bool | None = Field(None, description="`true`: only with a known outcome; `false`: only without.")
    since: Timestamp | None = Field(None, description="Decided at or after this time.")
    until: Timestamp | None = Field(None, description="Decided at or before this time.")
    features: bool = Field(False, description="Add each sample's `features` and `feature_names`.")
    limit: Annotated[int, PlainInteger] = Field(50, ge=1, le=1000, description="How many at most.")
    cursor: str | None = Field(None, pattern=CURSOR_PATTERN, description="`next_cursor` of the page before.")


class SampleColumns(Answer):
    """The keys that every sample has, and the columns of an export."""

    id: int = Field(description="The sample's number; the same as `sample_id`.")
    decision_id: str = Field(description="Unique within its strategy.")
    strategy: str = Field(description="The partition it belongs to.")
    symbol: str = Field(description="Without a slash.")
    timestamp: Time = Field(description="When it was decided, UTC.")
    predicted_action: Action = Field(description="What was decided.")
    prediction_score: float | None = Field(description="The raw forecast of the return, a fraction; null: none made.")
    prediction_confidence: float | None = Field(description="Probability that the direction is right, from 0 to 1.")
    model_version: str | None = Field(description="The version that decided; null: the cold-start rule, or the bot.")
    executed: bool = Field(description="Whether it was traded.")
    execution_side: Side | None = Field(description="The side entered; null: not traded.")
    entry_price: float | None = Field(description="Of all entry fills, weighted by quantity; quote currency.")
    quantity: float | None = Field(description="What was entered, in base currency; null: not traded, or unknown.")
    fees: float | None = Field(description="The entry's while open, both legs' once closed; quote currency.")
    fees_known: bool = Field(description="`false`: nobody told the fees, they count as 0.")
    entry_time: Time | None = Field(description="The first entry fill, UTC.")
    exit_price: float | None = Field(description="Of all exit fills, weighted by quantity; quote currency.")
    exit_time: Time | None = Field(description="The last exit fill, UTC.")
    exit_reason: str | None = Field(description="Why it was left.", examples=["target"])
    realized_pnl: float | None = Field(description="side × quantity × (exit − entry) − fees, in quote currency.")
    market_return: float | None = Field(description="exit_price / entry_price − 1: the market's, whatever the side.")
    forward_return: float | None = Field(
        description="Price at the strategy's horizon / reference price − 1: what the model learns, a fraction."
    )
    target_label: float | None = Field(
        description="The trade's net return, a fraction; hypothetical where nobody traded, 0 for a HOLD."
    )
    target_class: TargetClass | None = Field(description="How it ended; null: not known yet.")
    label_source: LabelSource | None = Field(description="Where the outcome comes from; null: not known yet.")
    outcome_known: bool = Field(description="Whether it can teach anything yet.")


class SampleOut(SampleColumns):
    """One decision with what became of it. Ratios are fractions, money is in quote currency, times are UTC."""

    sample_id: int = Field(description="The sample's number.")
    state: DecisionState = Field(description="How far it has come.")
    origin: Origin = Field(description="How it came here.")
    price: float | None = Field(description="The reference price outcomes are measured from, in quote currency.")
    expected_return: float | None = Field(description="The shrunk forecast, a fraction.")
    expected_return_interval: list[float] | None = Field(description="[low, high] of it at 80 %, fractions.")
    reason: str | None = Field(description="Why the action is not the version's plain direction; null: it is.")
    explored: bool = Field(description="Whether a HOLD was traded to learn from it.")
    propensity: float | None = Field(description="The probability with which the action was chosen.")
    reported_pnl: float | None = Field(description="What the bot said it earned, in quote currency.")
    warning: str | None = Field(description="What does not fit together in what was told; null: nothing.")
    forward_return_source: str | None = Field(description="Whose price `forward_return` was read from.")
    horizon_at: Time = Field(description="When `forward_return` is read, UTC.")
    quarantine_reason: QuarantineReason | None = Field(description="Why it is kept out of training; null: it is not.")
    quarantine_decision: QuarantineDecision | None = Field(description="What a person said of it; null: nothing.")


class SampleWithFeatures(SampleOut):
    """A sample, with its features where they were asked for."""

    features: list[float] = Field([], description="What was seen, in the order of `feature_names`.")
    feature_names: list[str] = Field([], description="The names, sorted.")


class SampleList(Answer):
    """A page of samples, newest first."""

    status: Literal["ok"] = Field(description="Always `ok`.")
    count: int = Field(description="How many are in this answer.")
    samples: list[Annotated[SampleOut, DescribedAs(SampleWithFeatures)]] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="The `cursor` of the next page; null on the last one.")


class ClosedSample(Body):
    """One closed trade, or one decision that was not traded, of another bot. Keys of an export are taken too."""

    model_config = ConfigDict(extra="allow")

    symbol: str = Field(description="With or without a slash.", examples=["BTCUSDC"])
    timestamp: Time = Field(description="When it was decided, with an offset.")
    predicted_action: Action = Field(description="What was decided.")
    entry_price: float = Field(description="In quote currency, above 0.")
    exit_price: float = Field(description="In quote currency, above 0.")
    exit_time: Time = Field(description="After the entry, with an offset.")
    features: dict[str, float] = Field(description="What was seen: {name: number}.")
    decision_id: str | None = Field(None, description="Left out: a hash of the row.")
    entry_time: Time | None = Field(None, description="Left out: `timestamp`.")
    executed: bool | None = Field(None, description="Whether it was traded. Left out: true for BUY and SELL.")
    execution_side: Side | None = Field(None, description="The side entered. Left out: the action.")
    quantity: float | None = Field(None, description="In base currency. Left out: unknown, and with it the P&L.")
    fees: float | None = Field(None, description="Both legs', in quote currency. Left out: unknown, counted as 0.")
    exit_reason: str | None = Field(None, description="Why it was left.")
    realized_pnl: float | None = Field(None, description="A hint, in quote currency; kept as `reported_pnl`.")
    target_label: float | None = Field(None, description="A hint, a fraction; one that contradicts is refused.")
    prediction_score: float | None = Field(None, description="The forecast of the time, a fraction.")
    prediction_confidence: float | None = Field(None, description="The probability of the time, from 0 to 1.")


class ImportBody(Body):
    """Closed samples of another bot. Each row is judged by itself; a bad one is refused, the others are kept."""

    samples: Annotated[
        list[Annotated[dict[str, Any], DescribedAs(ClosedSample)]],
        Field(max_length=IMPORT_MAX, description="At most 5000."),
    ]


class RefusedRow(Answer):
    """A row that was not kept."""

    index: int = Field(description="Its place in `samples`, from 0.")
    reason: str = Field(description="What is wrong with it, in one sentence.")


class BegunStrategy(Answer):
    """What a strategy is held to from its first row on."""

    name: str = Field(description="The partition.")
    market: str = Field(description="Where its prices come from; `external`: from bots.")
    timeframe: str = Field(description="The length of a candle.")
    horizon_candles: int = Field(description="After how many candles a decision is judged.")
    sides: str = Field(description="`long`, or `long,short`: in a long only strategy a SELL opens nothing.")


class ImportAnswer(Answer):
    """What became of the rows."""

    status: Literal["success"] = Field(description="Always `success`.")
    accepted: int = Field(description="How many were stored.")
    duplicates: int = Field(description="How many were stored before.")
    rejected: list[RefusedRow] = Field(description="Those that were not kept, each with its reason.")
    strategy: str = Field(description="The partition they went to.")
    strategy_created: bool = Field(description="Whether this import began the strategy.")
    strategy_begun: BegunStrategy | None = Field(description="What the strategy that it began is held to.")
    warnings: dict[str, int] = Field(
        description="What is said of stored rows, and of how many, such as short trades in a long only strategy."
    )
    quarantined: dict[str, int] = Field(description="Stored rows that are kept out of training, by reason.")
