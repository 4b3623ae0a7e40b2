"""Words and values that the API's description names, so that a generated client has a type for each."""

from typing import Annotated, Any, Literal

from pydantic import Field, GetJsonSchemaHandler, TypeAdapter, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_core.core_schema import list_schema
from typing_extensions import TypeAliasType


class DescribedAs:
    """Says in the description that a value is of ``kind``, and checks nothing: that is done elsewhere, or long ago."""

    def __init__(self, kind: Any) -> None:
        self._adapter = TypeAdapter(kind)

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The kind's schema in the place of the value's own; within a list it keeps its name."""
        items: JsonSchemaValue = handler(list_schema(self._adapter.core_schema))["items"]
        return items


Action = TypeAliasType(
    "Action", Annotated[Literal["BUY", "SELL", "HOLD"], Field(description="What a decision answers.")]
)
Side = TypeAliasType("Side", Annotated[Literal["BUY", "SELL"], Field(description="The side of a trade's entry.")])
TargetClass = TypeAliasType(
    "TargetClass",
    Annotated[
        Literal["WIN", "LOSS", "NEUTRAL"], Field(description="The sign of `target_label`: above, below, or exactly 0.")
    ],
)
LabelSource = TypeAliasType(
    "LabelSource",
    Annotated[
        Literal["executed", "counterfactual", "historical", "synthetic"],
        Field(
            description="Where an outcome comes from: a trade; prices, where nobody traded; `qt warm-start`;"
            " `qt bootstrap`, which never trains unless asked to."
        ),
    ],
)
DecisionState = TypeAliasType(
    "DecisionState",
    Annotated[
        Literal["open", "pending", "closed", "unobservable"],
        Field(
            description="`open`: entered, not fully left; `pending`: not entered, no outcome yet; `closed`: outcome"
            " known; `unobservable`: no price came near its horizon."
        ),
    ],
)
Origin = TypeAliasType(
    "Origin",
    Annotated[Literal["decision", "import", "historical", "synthetic"], Field(description="How the sample came here.")],
)
QuarantineReason = TypeAliasType(
    "QuarantineReason",
    Annotated[
        Literal[
            "return_out_of_bounds",
            "price_far_from_candles",
            "trade_out_of_bounds",
            "trade_far_from_candles",
            "alike_returns",
        ],
        Field(
            description="`return_out_of_bounds`: a `forward_return` beyond ±1 or below -0.5;"
            " `price_far_from_candles`: the reference price, or the one at the horizon, lies far from the candles known"
            " for its time; `trade_out_of_bounds`, `trade_far_from_candles`: the same of what the trade earned or of"
            " its fills, which says nothing of the forecast: that counts on;"
            " `alike_returns`: ten or more trades of a symbol left within a minute with the same return, other than 0;"
            " their forecasts count on, too."
        ),
    ],
)
QuarantineDecision = TypeAliasType(
    "QuarantineDecision",
    Annotated[
        Literal["released", "dropped"],
        Field(description="`released`: it trains, whatever the rule said; `dropped`: it stays out for good."),
    ],
)
Verdict = TypeAliasType(
    "Verdict",
    Annotated[
        Literal["degenerate", "insufficient_data", "suspected_leakage", "no_evidence", "evidence", "strong_evidence"],
        Field(description="One night's statement about a version; the first that applies, in this order."),
    ],
)
MarketState = TypeAliasType(
    "MarketState",
    Annotated[
        Literal["warming", "running", "finished", "stale", "off"],
        Field(description="`finished`: every outcome that can be known is; `stale`: no new candle in time."),
    ],
)
RunState = TypeAliasType(
    "RunState",
    Annotated[
        Literal["running", "success", "skipped", "error", "missed"], Field(description="What became of a retraining.")
    ],
)
Severity = TypeAliasType(
    "Severity", Annotated[Literal["info", "warning", "error"], Field(description="How much it matters.")]
)
Sides = TypeAliasType(
    "Sides",
    Annotated[
        Literal["long", "long,short"], Field(description="`long`: a SELL only ends a long position, and opens none.")
    ],
)
TargetKind = TypeAliasType(
    "TargetKind",
    Annotated[
        Literal["horizon", "trade"],
        Field(description="What was learned: the return over the fixed horizon, or over each trade's own time."),
    ],
)

Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time that goes out: UTC, with ``Z``."""
NamedNumbers = Annotated[dict[str, Any], DescribedAs(dict[str, float])]
"""A row of features whose numbers are checked one by one, by name, after the body has been read."""
