"""What a caller may send, field by field."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from backend.api.parameters import VersionIdPath
from backend.api.schemas.decisions import DecisionIn
from backend.api.schemas.fields import Price, Quantity, Symbol, parse_time
from backend.errors import NotFoundError

OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(1972, 1, 1), datetime(9000, 1, 1), timezones=OFFSETS)  # noqa: DTZ001 - hypothesis adds it
FEATURES = {"symbol": "BTCUSDC", "price": 1.0, "features": {"a": 1.0}}


@given(MOMENTS)
def test_every_moment_is_read_whatever_its_offset_and_told_in_utc(moment: datetime) -> None:
    read = parse_time(moment.isoformat())

    assert read == moment
    assert read.tzinfo is UTC


@given(st.text(max_size=40) | st.integers() | st.floats() | st.none() | st.lists(st.integers(), max_size=2))
def test_anything_else_is_a_value_error_and_nothing_worse(value: Any) -> None:
    try:
        read = parse_time(value)
    except ValueError:
        return
    assert read.tzinfo is UTC


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00", "2026-01-31", "2026-01-31 12:00"])
def test_a_time_without_an_offset_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ValueError, match=r"no offset.*2026-01-31T12:00:00Z"):
        parse_time(text)


@pytest.mark.parametrize("kind", [Price, Quantity])
@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), 1e300, 5e-324, "1", True, None, 10**400])
def test_a_price_or_quantity_is_a_finite_number_above_zero(kind: Any, value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value, strict=True)


@pytest.mark.parametrize("value", [1, 45_000.0, 1e-12])
def test_whole_numbers_and_small_ones_are_prices(value: float) -> None:
    assert TypeAdapter(Price).validate_python(value, strict=True) == value


@pytest.mark.parametrize("symbol", ["BTCUSDC", "BTC/USDT", "1000SHIBUSDT", "BTC/USDT:USDT", "btcusdc"])
def test_a_symbol_as_exchanges_write_it_is_taken(symbol: str) -> None:
    assert TypeAdapter(Symbol).validate_python(symbol, strict=True) == symbol


@given(st.text(max_size=20))
def test_what_does_not_look_like_a_version_does_not_exist(text: str) -> None:
    with pytest.raises(NotFoundError):
        TypeAdapter(VersionIdPath).validate_python(text)


@pytest.mark.parametrize("version_id", ["v20260131_030000", "v00000000_000000"])
def test_what_looks_like_a_version_is_looked_up(version_id: str) -> None:
    assert TypeAdapter(VersionIdPath).validate_python(version_id) == version_id


@pytest.mark.parametrize("digits", ["v2026013１_030000", "v²0260131_030000"])
def test_only_plain_digits_make_a_version(digits: str) -> None:
    with pytest.raises(NotFoundError):
        TypeAdapter(VersionIdPath).validate_python(digits)


@pytest.mark.parametrize(
    "change", [{"features": None}, {"candles": [[0, 1.0, 1.0, 1.0, 1.0, 1.0]] * 500}], ids=["neither", "both"]
)
def test_a_decision_brings_features_or_candles_and_not_both(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="features or candles"):
        DecisionIn.model_validate({**FEATURES, **change})


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_feature_is_taken_exactly_when_float32_can_hold_it(value: float) -> None:
    body = {**FEATURES, "features": {"a": value}}

    if abs(value) <= 3.4e38:
        assert DecisionIn.model_validate(body).features == {"a": value}
    else:
        with pytest.raises(ValidationError):
            DecisionIn.model_validate(body)
