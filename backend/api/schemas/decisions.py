"""What a bot sends about its decisions, and what it gets back."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator
from typing_extensions import TypeAliasType

from backend.api.schemas.described import Action, DescribedAs, NamedNumbers, Side, Time
from backend.api.schemas.fields import (
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
    Symbol,
    Text64,
    Timestamp,
    VersionIdField,
)
from backend.api.schemas.problems import Problem
from backend.api.schemas.samples import SampleOut

BATCH_MAX = 1000
PREDICT_MAX = 5000

Candle = Annotated[list[Finite], Field(min_length=6, max_length=6)]
Candles = Annotated[
    list[Candle],
    Field(
        min_length=500,
        max_length=1000,
        description="Instead of `features`: closed candles of the strategy's timeframe, oldest first, each"
        " [open_time in ms, open, high, low, close, volume]; the service computes its own features from them.",
    ),
]


class DecisionIn(Body):
    """One observation to decide on, or one decision the bot took itself (``predicted_action``)."""

    decision_id: DecisionId | None = Field(
        None, description="The bot's own id, unique within the strategy; with it a call may be sent again safely."
    )
    symbol: Symbol
    timestamp: Timestamp | None = Field(
        None, description="When the observation was made. Left out: now, or the last candle's close."
    )
    price: Price | None = Field(
        None,
        description="The price at which the bot could trade now, in quote currency: outcomes are measured from it. May"
        " be left out only with `candles`, or for a symbol of the service's own market.",
    )
    features: Features | None = None
    candles: Candles | None = None
    predicted_action: Action | None = Field(
        None, description="The bot's own decision, which is then recorded; left out, the service decides."
    )
    prediction_confidence: Probability | None = Field(
        None, description="The bot's own probability that its direction is right, from 0 to 1."
    )

    @model_validator(mode="after")
    def _one_kind_of_input(self) -> "DecisionIn":
        if (self.features is None) == (self.candles is None):
            raise ValueError("features or candles is required, one of the two. Give either")
        return self


class DecisionBatch(Body):
    """Up to 1000 decisions; each is judged and answered by itself."""

    decisions: Annotated[
        list[Annotated[Any, DescribedAs(DecisionIn)]],
        Field(min_length=1, max_length=BATCH_MAX, description="Answered in this order."),
    ]


def _kind(value: Any) -> str:
    return "batch" if isinstance(value, dict) and "decisions" in value else "single"


DecisionPost = TypeAliasType(
    "DecisionPost",
    Annotated[
        Annotated[DecisionIn, Tag("single")] | Annotated[DecisionBatch, Tag("batch")],
        Discriminator(_kind),
        Field(description="One decision, or a batch of them."),
    ],
)


class DecisionOut(Answer):
    """The decision as it is stored; while the cold-start rule decides, score and confidence are null."""

    sample_id: int = Field(description="The number of the stored sample.")
    decision_id: str = Field(description="The bot's own id, or the one given to it.")
    strategy: str = Field(description="The partition it belongs to.")
    symbol: str = Field(description="Without a slash.")
    timestamp: Time = Field(description="When it was decided, UTC.")
    price: float | None = Field(description="The price as it was posted, in quote currency.")
    predicted_action: Action = Field(description="What to do.")
    prediction_score: float | None = Field(
        description="The raw forecast of the return over the strategy's horizon, a fraction; its sign is the direction."
    )
    prediction_confidence: float | None = Field(
        description="Probability that the direction is right, given that the move exceeds the costs; 0.5 without skill."
        " For the bot's own decision what it sent."
    )
    expected_return: float | None = Field(
        description="The forecast shrunk so that it is not worse than zero out of sample; a fraction."
    )
    expected_return_interval: list[float] | None = Field(
        description="[low, high]: four returns in five lie inside, fractions. Learned from the strategy's matured"
        " forecasts in units of what the symbol typically moves; null without a forecast, with fewer than 60 of them,"
        " or with fewer than 12 outcomes of the symbol."
    )
    model_version: str | None = Field(description="The version that decided; null: the cold-start rule, or the bot.")
    reason: str | None = Field(
        description="Null: the version's plain direction. Else why not: `below_min_confidence`, `below_break_even`,"
        " `zero_score`, `cold_start_rule`, `cold_start_no_trend`, `no_active_model`, `no_verified_model`,"
        " `schema_mismatch`, `ai_trading_disabled`, `explored`, `bot_decision`."
    )
    explored: bool = Field(description="Whether a HOLD was traded to learn from it; never for a bot.")
    propensity: float | None = Field(description="The probability with which this action was chosen; null: the bot's.")
    strategy_created: bool = Field(description="Whether this decision began the strategy.")


class DecisionResult(DecisionOut):
    """A stored decision within a batch."""

    status: Literal[200, 201] = Field(description="201: stored now; 200: stored before, this is the first answer.")


DecisionOrProblem = TypeAliasType(
    "DecisionOrProblem",
    Annotated[DecisionResult | Problem, Field(description="A stored decision, or why it was refused.")],
)


class DecisionResults(Answer):
    """The answers in the order of the decisions."""

    results: list[DecisionOrProblem] = Field(
        description="Each a stored decision with its `status`, or a problem; a refused one was not stored."
    )


DecisionAgain = TypeAliasType(
    "DecisionAgain",
    Annotated[DecisionOut | DecisionResults, Field(description="The first answer, or a batch's answers.")],
)


class ExecutionIn(Body):
    """A fill that opened, or added to, the decision's position."""

    side: Side = Field(description="BUY for a long position, SELL for a short one.")
    entry_price: Price = Field(description="The fill's price in quote currency.")
    quantity: Quantity = Field(description="How much this fill bought or sold, in base currency.")
    entry_time: Timestamp | None = Field(None, description="When it was filled. Left out: now.")
    fees: Money | None = Field(None, description="This fill's own fees, in quote currency.")
    fill_id: FillId | None = Field(
        None,
        description="The fill's own id, needed where a leg has several. The same again changes nothing.",
    )


class OutcomeIn(Body):
    """A fill that closed all or part of the position."""

    exit_price: Price = Field(description="The fill's price in quote currency.")
    exit_time: Timestamp | None = Field(None, description="When it was filled. Left out: now.")
    quantity: Quantity | None = Field(None, description="How much left, in base currency. Left out: all that is left.")
    fees: Money | None = Field(
        None, description="Both legs' fees of the part that leaves, in quote currency; replaces the entry's."
    )
    realized_pnl: Money | None = Field(
        None, description="A hint: the service computes its own and warns of a difference. Kept as `reported_pnl`."
    )
    exit_reason: Text64 | None = Field(None, description="Why it was left.", examples=["target"])
    fill_id: FillId | None = Field(
        None,
        description="The fill's own id, needed where a leg has several. The same again changes nothing.",
    )
    final: bool | None = Field(None, description="`true`: what has not left never will; close with what has.")
    side: Side | None = Field(None, description="Only for a decision whose execution was not reported: its side.")
    entry_price: Price | None = Field(None, description="Likewise: its entry price in quote currency.")
    entry_quantity: Quantity | None = Field(None, description="Likewise: the quantity entered. Left out: `quantity`.")
    entry_time: Timestamp | None = Field(None, description="Likewise: when it was entered. Left out: when decided.")


class DecisionDetail(SampleOut):
    """One decision with its outcome so far."""

    exited_quantity: float | None = Field(
        description="How much of an open position has left, in base currency; null where none is open."
    )


class DecisionList(Answer):
    """A page of decisions, newest first."""

    status: Literal["ok"] = Field(description="Always `ok`.")
    count: int = Field(description="How many are in this answer.")
    decisions: list[DecisionDetail] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="The `cursor` of the next page; null on the last one.")


class PredictIn(Body):
    """Feature rows to score; nothing is stored."""

    rows: Annotated[
        list[NamedNumbers],
        Field(
            max_length=PREDICT_MAX,
            description="Each {name: number}; a missing, unknown or non-finite feature is refused by its name.",
            examples=[[{"atr_14": 0.012, "rsi_14": 61.5}]],
        ),
    ]
    version_id: VersionIdField | None = Field(None, description="A version to ask instead of the active one.")


class PredictOut(Answer):
    """One entry for each row, in its order."""

    model_version: str = Field(description="The version that answered.")
    predictions: list[float] = Field(description="The raw forecasts: returns over the horizon, as fractions.")
    expected_returns: list[float | None] = Field(description="Shrunk forecasts, fractions; null where unknown.")
    confidences: list[float | None] = Field(
        description="Probability that each direction is right, from 0 to 1; null where unknown."
    )
    actions: list[Action] = Field(description="What the settings in force would make of each.")
