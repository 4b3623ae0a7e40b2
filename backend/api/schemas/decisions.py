"""What a bot sends about its decisions, and what it gets back."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from backend.api.schemas.fields import (
    Action,
    Answer,
    Body,
    DecisionId,
    Features,
    FillId,
    Finite,
    Money,
    Price,
    Probability,
    Quantity,
    Side,
    Symbol,
    Text64,
    Timestamp,
    VersionIdField,
)
from backend.api.schemas.samples import SampleOut

BATCH_MAX = 1000
PREDICT_MAX = 5000

Candle = Annotated[list[Finite], Field(min_length=6, max_length=6)]
Candles = Annotated[
    list[Candle],
    Field(
        min_length=500,
        max_length=1000,
        description="Closed candles, oldest first: [open_time in ms, open, high, low, close, volume].",
    ),
]


class DecisionIn(Body):
    """One observation to decide on, or one decision the bot took itself (``predicted_action``)."""

    decision_id: DecisionId | None = None
    symbol: Symbol
    timestamp: Timestamp | None = None
    price: Price | None = None
    features: Features | None = None
    candles: Candles | None = None
    predicted_action: Action | None = None
    prediction_confidence: Probability | None = None

    @model_validator(mode="after")
    def _one_kind_of_input(self) -> "DecisionIn":
        if (self.features is None) == (self.candles is None):
            raise ValueError("features or candles is required, one of the two. Give either")
        return self


class DecisionBatch(Body):
    """Up to 1000 decisions; each is judged and answered by itself."""

    decisions: Annotated[
        list[Any],
        Field(
            min_length=1,
            max_length=BATCH_MAX,
            json_schema_extra={"items": {"$ref": "#/components/schemas/DecisionIn"}},
        ),
    ]


def _kind(value: Any) -> str:
    return "batch" if isinstance(value, dict) and "decisions" in value else "single"


DecisionPost = Annotated[
    Annotated[DecisionIn, Tag("single")] | Annotated[DecisionBatch, Tag("batch")], Discriminator(_kind)
]


class DecisionOut(Answer):
    """The decision as it is stored; while the cold-start rule decides, score and confidence are null."""

    sample_id: int
    decision_id: str
    symbol: str
    timestamp: str
    predicted_action: Action
    prediction_score: float | None
    prediction_confidence: float | None
    expected_return: float | None
    model_version: str | None
    reason: str | None
    explored: bool
    propensity: float | None


class DecisionResults(Answer):
    """The answers in the order of the decisions: each a decision with its ``status``, or a problem."""

    results: list[dict[str, Any]]


class ExecutionIn(Body):
    """A fill that opened, or added to, the decision's position."""

    side: Side
    entry_price: Price
    quantity: Quantity
    entry_time: Timestamp | None = None
    fees: Money | None = None
    fill_id: FillId | None = None


class OutcomeIn(Body):
    """A fill that closed all or part of the position. ``realized_pnl`` is a hint: the service computes its own."""

    exit_price: Price
    exit_time: Timestamp | None = None
    quantity: Quantity | None = None
    fees: Money | None = None
    realized_pnl: Money | None = None
    exit_reason: Text64 | None = None
    fill_id: FillId | None = None
    final: bool | None = None
    side: Side | None = None
    entry_price: Price | None = None
    entry_quantity: Quantity | None = None
    entry_time: Timestamp | None = None


class DecisionList(Answer):
    """A page of decisions, newest first."""

    status: Literal["ok"]
    count: int
    decisions: list[SampleOut]
    next_cursor: str | None


class PredictIn(Body):
    """Feature rows to score; nothing is stored."""

    rows: Annotated[
        list[dict[str, Any]],
        Field(
            max_length=PREDICT_MAX,
            description="Each {name: number}; a missing, unknown or non-finite feature is refused by its name.",
            examples=[[{"rsi_14": 61.5, "atr_14": 0.012}]],
        ),
    ]
    version_id: VersionIdField | None = None


class PredictOut(Answer):
    """One entry for each row, in its order. Expected returns and confidences are null where unknown."""

    model_version: str
    predictions: list[float]
    expected_returns: list[float | None]
    confidences: list[float | None]
    actions: list[Action]
