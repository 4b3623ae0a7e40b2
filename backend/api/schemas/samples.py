"""Samples as they are listed, and what a call may select them by."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from backend.api.schemas.fields import (
    CURSOR_PATTERN,
    STRATEGY_PATTERN,
    SYMBOL_PATTERN,
    Action,
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

    strategy: str | None = Field(None, pattern=STRATEGY_PATTERN, description="Left out: QT_STRATEGY.")
    symbol: str | None = Field(None, pattern=SYMBOL_PATTERN)
    action: Action | None = None
    target_class: Literal["WIN", "LOSS", "NEUTRAL"] | None = None
    label_source: Literal["executed", "counterfactual", "historical", "synthetic"] | None = None
    model_version: VersionIdField | None = Field(None, description="Samples this version decided.")
    outcome_known: bool | None = Field(None, description="`true`: only with a known outcome; `false`: only without.")
    since: Timestamp | None = Field(None, description="Decided at or after this time.")
    until: Timestamp | None = Field(None, description="Decided at or before this time.")
    features: bool = Field(False, description="Add each sample's `features` and `feature_names`.")
    limit: Annotated[int, PlainInteger] = Field(50, ge=1, le=1000)
    cursor: str | None = Field(None, pattern=CURSOR_PATTERN, description="`next_cursor` of the page before.")


class SampleOut(Answer):
    """One decision with what became of it. Ratios are fractions, money is in quote currency, times are UTC."""

    id: int
    decision_id: str
    strategy: str
    symbol: str
    timestamp: str
    predicted_action: Action
    prediction_score: float | None
    prediction_confidence: float | None
    model_version: str | None
    executed: bool
    execution_side: str | None
    entry_price: float | None
    quantity: float | None
    fees: float | None
    fees_known: bool
    entry_time: str | None
    exit_price: float | None
    exit_time: str | None
    exit_reason: str | None
    realized_pnl: float | None
    market_return: float | None
    forward_return: float | None
    target_label: float | None
    target_class: str | None
    label_source: str | None
    outcome_known: bool


class SampleList(Answer):
    """A page of samples, newest first."""

    status: Literal["ok"]
    count: int
    samples: list[SampleOut]
    next_cursor: str | None


class ImportBody(Body):
    """Closed samples of another bot. Each row is judged by itself; a bad one is refused, the others are kept."""

    samples: Annotated[
        list[dict[str, Any]],
        Field(
            max_length=IMPORT_MAX,
            examples=[
                [
                    {
                        "symbol": "BTCUSDC",
                        "timestamp": "2025-11-12T10:30:00Z",
                        "predicted_action": "BUY",
                        "entry_price": 45000.0,
                        "exit_price": 45500.0,
                        "quantity": 0.1,
                        "exit_time": "2025-11-12T11:30:00Z",
                        "features": {"rsi_14": 61.5, "atr_14": 0.012},
                    }
                ]
            ],
        ),
    ]


class RefusedRow(Answer):
    """A row that was not kept."""

    index: int
    reason: str


class ImportAnswer(Answer):
    """What became of the rows."""

    accepted: int
    duplicates: int
    rejected: list[RefusedRow]
