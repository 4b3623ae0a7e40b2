"""The kinds of values a caller may send: strict, finite, bounded, and refused by name with the remedy."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from backend.api.strict_json import storable_text
from backend.errors import NotFoundError
from backend.learning.decisions.checks import AMOUNT_MAX, AMOUNT_MIN, MAX_FEATURES

DECISION_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"
STRATEGY_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"
SYMBOL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,31}$"
CURSOR_PATTERN = r"^[A-Za-z0-9_=.:-]{1,200}$"
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$"

FLOAT32_MAX = 3.4e38
OLDEST_YEAR = 1971
NEWEST_YEAR = 9990


class Body(BaseModel):
    """A body: no type is guessed, no key is ignored."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Answer(BaseModel):
    """An answer: the keys named here are always there; others may stand beside them."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


def parse_time(value: Any) -> datetime:
    """The time a text stands for, in UTC; one without an offset is refused, because it names no moment."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("is not an ISO 8601 time in a text. Write it as 2026-01-31T12:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError("has no offset. Write the time with one, such as 2026-01-31T12:00:00Z")
    if not OLDEST_YEAR <= moment.year <= NEWEST_YEAR:
        raise ValueError("lies too far from today. Give the time of the decision or trade itself")
    return moment.astimezone(UTC)


def storable_value(value: str) -> str:
    """The text itself, where the database can keep it."""
    if not storable_text(value):
        raise ValueError("holds a NUL character or half of a surrogate pair. Remove it")
    return value


def known_form_of_version(value: str) -> str:
    """The version's id, where it has the form of one."""
    well_formed = len(value) == 16 and value[0] == "v" and value[9] == "_" and value.isascii()
    if not (well_formed and value[1:9].isdigit() and value[10:].isdigit()):
        raise NotFoundError(
            "There is no version of this name. GET /ai/models lists those there are.", reason="unknown_version"
        )
    return value


def _plain_integer(value: Any) -> Any:
    """A query's whole number is digits only; Python's own reading would let ``1_0`` and ``10.0`` pass."""
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]+", value):
        raise ValueError("must be a whole number in plain digits, such as 100")
    return value


PlainInteger = BeforeValidator(_plain_integer)
Finite = Annotated[float, Field(allow_inf_nan=False)]
FeatureValue = Annotated[float, Field(ge=-FLOAT32_MAX, le=FLOAT32_MAX, allow_inf_nan=False)]
Price = Annotated[
    float, Field(ge=AMOUNT_MIN, le=AMOUNT_MAX, allow_inf_nan=False, description="Quote currency per unit; above 0.")
]
Quantity = Annotated[
    float, Field(ge=AMOUNT_MIN, le=AMOUNT_MAX, allow_inf_nan=False, description="Units of the base currency; above 0.")
]
Money = Annotated[float, Field(ge=-AMOUNT_MAX, le=AMOUNT_MAX, allow_inf_nan=False, description="Quote currency.")]
Probability = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False, description="A fraction from 0 to 1.")]
Timestamp = Annotated[
    datetime,
    BeforeValidator(parse_time),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "description": "ISO 8601 with an offset, at most 60 s ahead of the service's clock.",
            "examples": ["2026-01-31T12:00:00Z"],
        }
    ),
]
Text64 = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(storable_value)]
DecisionId = Annotated[str, Field(pattern=DECISION_ID_PATTERN, description="Unique within its strategy.")]
FillId = Annotated[str, Field(pattern=ID_PATTERN, description="The exchange's or bot's own name for the fill.")]
Symbol = Annotated[
    str, Field(pattern=SYMBOL_PATTERN, description="Stored without a slash: BTC/USDT is BTCUSDT.", examples=["BTCUSDC"])
]
FeatureName = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(storable_value)]
Features = Annotated[
    dict[FeatureName, FeatureValue],
    Field(
        min_length=1,
        max_length=MAX_FEATURES,
        description="What the decision saw: {name: number}, the same names in every call of a strategy. At most 2000.",
        examples=[{"atr_14": 0.012, "rsi_14": 61.5}],
    ),
]
VersionIdField = Annotated[
    str,
    Field(description="A version of any strategy.", examples=["v20260131_030000"]),
    AfterValidator(known_form_of_version),
]
