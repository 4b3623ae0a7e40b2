"""A cell of a table as a number, a time or a side; what can be read in two ways is refused until somebody chooses."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from backend.clock import to_utc
from backend.errors import InvalidInputError

POINT, COMMA = "point", "comma"
DATE_ORDERS = ("dmy", "mdy")
SHOWN = 40

BUY_WORDS = frozenset({"buy", "long", "b", "l", "bought", "open long", "buy long", "enter long", "buy/long", "bid"})
SELL_WORDS = frozenset({"sell", "short", "s", "sold", "open short", "sell short", "enter short", "sell/short", "ask"})
HOLD_WORDS = frozenset({"hold", "none", "flat", "wait"})
TRUE_WORDS, FALSE_WORDS = frozenset({"true", "yes", "1", "y"}), frozenset({"false", "no", "0", "n"})

CURRENCY = re.compile(r"^([-+(]*)[$€£¥₿]\s?|\s?(?:[$€£¥₿]|[A-Z]{2,6})$")
PLAIN = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
EPOCH_DIGITS = {9: 1, 10: 1, 12: 10**3, 13: 10**3, 15: 10**6, 16: 10**6, 18: 10**9, 19: 10**9}
YEAR_FIRST = re.compile(r"(\d{4})[./-](\d{1,2})[./-](\d{1,2})(?:[ T]+(.+))?")
YEAR_LAST = re.compile(r"(\d{1,2})([./-])(\d{1,2})[./-](\d{4})(?:[ T,]+(.+))?")
CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,6})\d*)?)?(?:\s*([AaPp])\.?[Mm]\.?)?\s*(.*)")
OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})?")


@dataclass(frozen=True, slots=True)
class Reading:
    """How the cells of a file are to be read; None is what nobody has said."""

    timezone: tzinfo | None = None
    decimal: str | None = None
    date_order: str | None = None
    date_format: str | None = None


def read_zone(text: str) -> tzinfo:
    """The time zone of a name such as Europe/Oslo or UTC, or of an offset such as +02:00."""
    if text.upper() in ("UTC", "Z", "GMT"):
        return UTC
    if match := OFFSET.fullmatch(text):
        return _offset(match)
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInputError(
            f"--timezone {text[:SHOWN]!r} is not known here. Write UTC, an offset such as +02:00, or a name such as"
            " Europe/Oslo.",
            field="timezone",
        ) from None


def number(text: str, reading: Reading, *, percent: bool = False) -> float:
    """The number a cell shows: thousands marks, a currency or unit, brackets for negative; %, where that makes sense.

    >>> number("$1,234.50", Reading()), number("1.234,50", Reading(decimal="comma")), number("(2)", Reading())
    (1234.5, 1234.5, -2.0)
    """
    bare = _without_unit(text.replace("\u2212", "-"))
    share = bare.endswith("%")
    if share and not percent:
        raise InvalidInputError(f"{text[:SHOWN]!r} is a percentage, and a plain number is wanted.")
    bare = bare.rstrip("% ").strip()
    if bare.startswith("(") and bare.endswith(")"):
        bare = f"-{bare[1:-1]}"
    plain = _plain_number(bare, text, reading)
    return float(plain) / 100 if share else float(plain)


def _without_unit(text: str) -> str:
    stripped = text.strip()
    if PLAIN.fullmatch(stripped):
        return stripped
    return CURRENCY.sub(r"\1", stripped).strip() if any(letter.isdigit() for letter in stripped) else stripped


def _plain_number(bare: str, text: str, reading: Reading) -> str:
    """The number as Python reads it; marks of thousands stand before every third digit, or it is no number."""
    point, thousands = (",", ".") if reading.decimal == COMMA else (".", ",")
    if "," in bare and reading.decimal is None and "." not in bare:
        raise InvalidInputError(
            f"{text[:SHOWN]!r} can be read in two ways. Say --decimal comma, or --decimal point where a comma only"
            " marks thousands."
        )
    whole, mark, rest = bare.partition(point)
    for sign in (thousands, "'", "\u2019", " ", "\u00a0", "\u202f"):
        if sign in whole:
            if not re.fullmatch(rf"[-+]?\d{{1,3}}({re.escape(sign)}\d{{3}})+", whole):
                raise _no_number(text, reading)
            whole = whole.replace(sign, "")
            break
    plain = f"{whole}.{rest}" if mark else whole
    if not PLAIN.fullmatch(plain):
        raise _no_number(text, reading)
    return plain


def _no_number(text: str, reading: Reading) -> InvalidInputError:
    hint = "" if reading.decimal else " Where it has a decimal comma, say --decimal comma."
    return InvalidInputError(f"{text[:SHOWN]!r} is not a number.{hint}")


def action(text: str, *, of_short_column: bool = False) -> str:
    """BUY, SELL or HOLD of the words that programs use for them; a column ``is_short`` says true or false."""
    word = re.sub(r"[\s_-]+", " ", text.strip().lower())
    if of_short_column and word in TRUE_WORDS | FALSE_WORDS:
        return "SELL" if word in TRUE_WORDS else "BUY"
    for words, found in ((BUY_WORDS, "BUY"), (SELL_WORDS, "SELL"), (HOLD_WORDS, "HOLD")):
        if word in words:
            return found
    raise InvalidInputError(f"{text[:SHOWN]!r} is no side: buy or long, sell or short, hold.")


def flag(text: str) -> bool:
    """True or false."""
    word = text.strip().lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise InvalidInputError(f"{text[:SHOWN]!r} must be true or false.")
    return word in TRUE_WORDS


def moment(text: str, reading: Reading, *, in_utc: bool = False) -> datetime:
    """The time a cell shows, aware: ISO 8601, a Unix time, or a date in figures with a time of day."""
    found = _moment(text.strip(), reading, in_utc=in_utc)
    try:
        return to_utc(found)
    except ValueError as error:
        raise InvalidInputError(f"{text.strip()[:SHOWN]!r} {error}.") from error


def _moment(bare: str, reading: Reading, *, in_utc: bool) -> datetime:
    if bare.isdecimal() and len(bare) in EPOCH_DIGITS:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(bare) * 10**6 // EPOCH_DIGITS[len(bare)])
    found = _formatted(bare, reading.date_format) if reading.date_format else _in_figures(bare, reading)
    if found.tzinfo is not None:
        return found
    zone = UTC if in_utc else reading.timezone
    if zone is None:
        raise InvalidInputError(f"{bare[:SHOWN]!r} has no time zone. Say which with --timezone, such as UTC.")
    return _in_zone(found, zone, bare)


def _formatted(text: str, date_format: str) -> datetime:
    try:
        return datetime.strptime(text, date_format)  # noqa: DTZ007
    except ValueError:
        raise InvalidInputError(f"{text[:SHOWN]!r} is not a time of the form {date_format!r}.") from None


def _in_figures(text: str, reading: Reading) -> datetime:
    try:
        if match := YEAR_FIRST.fullmatch(text):
            year, month, day, clock = match.groups()
            return _at(int(year), int(month), int(day), clock)
        if match := YEAR_LAST.fullmatch(text):
            first, mark, second, year, clock = match.groups()
            order = "dmy" if mark == "." else reading.date_order
            if order is None:
                raise InvalidInputError(
                    f"{text[:SHOWN]!r} can be read in two ways. Say --date-order dmy or --date-order mdy."
                )
            day, month = (first, second) if order == "dmy" else (second, first)
            return _at(int(year), int(month), int(day), clock)
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInputError(
            f"{text[:SHOWN]!r} is not a time that is known. Say how it is written with --date-format, such as"
            " '%d %b %Y %H:%M'."
        ) from None


def _at(year: int, month: int, day: int, clock: str | None) -> datetime:
    """The date with its time of day and, where there is one, its zone; ValueError where that is none."""
    if clock is None:
        return datetime(year, month, day)  # noqa: DTZ001
    match = CLOCK.fullmatch(clock.strip())
    if match is None:
        raise ValueError(clock)
    hour, minute, second, fraction, half, zone = match.groups()
    hours = int(hour)
    if half:
        if not 1 <= hours <= 12:
            raise ValueError(clock)
        hours = hours % 12 + (12 if half.lower() == "p" else 0)
    microsecond = int((fraction or "0").ljust(6, "0"))
    return datetime(year, month, day, hours, int(minute), int(second or 0), microsecond, tzinfo=_named(zone.strip()))


def _named(zone: str) -> tzinfo | None:
    if not zone:
        return None
    if zone.upper() in ("Z", "UTC", "GMT"):
        return UTC
    match = OFFSET.fullmatch(zone)
    if match is None:
        raise ValueError(zone)
    return _offset(match)


def _offset(match: re.Match[str]) -> tzinfo:
    width = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
    if width >= timedelta(days=1):
        raise InvalidInputError(f"{match[0]} is no offset: it must lie within 24 hours.", field="timezone")
    return timezone(-width if match[1] == "-" else width)


def _in_zone(naive: datetime, zone: tzinfo, text: str) -> datetime:
    """The moment a clock there showed; a time that a change of clocks skipped or repeated is refused."""
    first, second = naive.replace(tzinfo=zone), naive.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return first
    exists = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == naive
    what = "twice" if exists else "not at all"
    raise InvalidInputError(f"{text[:SHOWN]!r} was {what} in {zone}, where the clocks changed. Give the time in UTC.")
