"""The time as an argument: nothing below the entrances asks the system for it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock, aware and in UTC."""
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with ``Z``, fractions only where there are any.

    >>> iso(datetime(2025, 11, 12, 10, 30, tzinfo=UTC))
    '2025-11-12T10:30:00Z'
    """
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def from_iso(text: str) -> datetime:
    """The time that an ISO 8601 text with an offset names, in UTC; ValueError where it names none that UTC can say.

    >>> from_iso("2025-11-12T11:30:00+01:00") == datetime(2025, 11, 12, 10, 30, tzinfo=UTC)
    True
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return to_utc(moment)


def to_utc(moment: datetime) -> datetime:
    """The same time in UTC; ValueError for the first and last hours of the calendar, which UTC may not have.

    >>> to_utc(datetime.fromisoformat("0001-01-01T00:00:00+01:00"))
    Traceback (most recent call last):
    ValueError: lies outside the years 1 to 9999 in UTC
    """
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside the years 1 to 9999 in UTC") from None


def from_ms(milliseconds: int) -> datetime:
    """The time of a Unix timestamp in milliseconds, exactly."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(milliseconds))


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970-01-01 UTC, rounded down."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
