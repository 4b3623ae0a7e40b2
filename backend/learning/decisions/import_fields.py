"""Reading the fields of a raw JSON row: each reader takes a value of any type and refuses by the field's name."""

from collections.abc import Mapping
from datetime import datetime

from ai_engine.types import FeatureMatrix
from backend.errors import InvalidInputError
from backend.learning.decisions.checks import check_finite, check_time
from backend.learning.decisions.observed import feature_row
from backend.learning.decisions.strategies import check_feature_count

SHOWN = 60
KINDS: dict[type, str] = {type(None): "null", bool: "true or false", str: "text", list: "a list", dict: "an object"}


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    return KINDS.get(type(value), "a number")


def read_number(value: object, field: str) -> float:
    """A finite number; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInputError(f"{field[:SHOWN]} must be a number, not {kind_of(value)}.", field=field[:SHOWN])
    try:
        return check_finite(float(value), field=field[:SHOWN])
    except OverflowError:
        raise InvalidInputError(f"{field[:SHOWN]} is beyond any number this service holds.", field=field) from None


def read_text(value: object, field: str, *, longest: int | None = None) -> str:
    """Text, at most ``longest`` characters of it."""
    if not isinstance(value, str):
        raise InvalidInputError(f"{field} must be text, not {kind_of(value)}.", field=field)
    if longest is not None and len(value) > longest:
        raise InvalidInputError(f"{field} may have {longest} characters, not {len(value)}.", field=field)
    return value


def read_word(value: object, field: str, allowed: tuple[str, ...]) -> str:
    """One of the words allowed."""
    text = read_text(value, field)
    if text not in allowed:
        raise InvalidInputError(f"{field} must be {' or '.join(allowed)}, not {text[:SHOWN]!r}.", field=field)
    return text


def read_flag(value: object, field: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise InvalidInputError(f"{field} must be true or false, not {kind_of(value)}.", field=field)
    return value


def read_time(value: object, field: str, now: datetime) -> datetime:
    """A time with an offset, not in the future."""
    text = read_text(value, field)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInputError(
            f"{field} must be a time such as 2025-11-12T10:30:00Z, not {text[:SHOWN]!r}.", field=field
        ) from None
    return check_time(moment, now=now, field=field)


def read_features(value: object) -> tuple[tuple[str, ...], FeatureMatrix]:
    """An object of names and finite numbers, as sorted names and their float32 values."""
    if not isinstance(value, Mapping):
        raise InvalidInputError(
            f"features must be an object of names and numbers, not {kind_of(value)}.", field="features"
        )
    check_feature_count(len(value))
    return feature_row({name: read_number(number, f"features.{name}") for name, number in value.items()})
