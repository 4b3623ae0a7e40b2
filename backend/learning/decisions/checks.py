"""What every decision, fill and outcome must satisfy, whoever sends it."""

import hashlib
import json
import math
import re
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta

from backend.clock import iso
from backend.errors import InvalidInputError

DECISION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,31}")
MAX_AHEAD = timedelta(seconds=60)
MAX_RETURN = 1.0
AMOUNT_MIN, AMOUNT_MAX = 1e-15, 1e15
MAX_FEATURES = 2_000
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


def content_hash(content: object) -> str:
    """SHA-256 of the canonical JSON of plain values and times; the order of keys does not matter."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        # An offset can carry a time beyond the calendar's ends; such a time is refused later, by its own check.
        inside = MINYEAR < value.year < MAXYEAR
        return iso(value) if inside else value.isoformat()
    raise TypeError(f"{type(value).__name__} has no canonical form")


def check_decision_id(decision_id: str) -> str:
    """The id itself, where it has the form that every door accepts."""
    if not DECISION_ID.fullmatch(decision_id):
        raise InvalidInputError(
            "decision_id must begin with a letter or digit, followed by up to 127 letters, digits, '.', '_', ':'"
            f" or '-'; not {decision_id[:140]!r}.",
            field="decision_id",
        )
    return decision_id


def normal_symbol(symbol: str) -> str:
    """The symbol as it is stored: without a slash.

    >>> normal_symbol("BTC/USDT")
    'BTCUSDT'
    """
    stored = symbol.replace("/", "")
    if not SYMBOL.fullmatch(stored):
        raise InvalidInputError(
            f"symbol must be 1 to 32 letters, digits, '.', '_', ':' or '-', such as BTCUSDC; not {symbol[:40]!r}.",
            field="symbol",
        )
    return stored


def check_time(moment: datetime, *, now: datetime, field: str) -> datetime:
    """The time itself, aware and at most 60 s ahead of ``now``."""
    if moment.tzinfo is None:
        raise InvalidInputError(f"{field} has no offset. End it with Z for UTC.", field=field)
    if moment > now + MAX_AHEAD:
        raise InvalidInputError(
            f"{field} {moment.isoformat()} lies in the future: it is {iso(now)} here. Correct the sender's clock.",
            field=field,
        )
    if moment < EARLIEST:
        raise InvalidInputError(f"{field} {moment.isoformat()} lies before the year 2000.", field=field)
    return moment


def check_amount(value: float, *, field: str) -> float:
    """The price or quantity itself: above zero, and of a size with which all that follows can be computed."""
    if not AMOUNT_MIN <= value <= AMOUNT_MAX:
        raise InvalidInputError(
            f"{field} must be a finite number above 0, from {AMOUNT_MIN:g} to {AMOUNT_MAX:g}, not {value}.", field=field
        )
    return value


def check_money(value: float, *, field: str) -> float:
    """The fees or the P&L itself: of a size with which all that follows can be computed."""
    if not abs(value) <= AMOUNT_MAX:
        raise InvalidInputError(
            f"{field} must be a finite number from {-AMOUNT_MAX:g} to {AMOUNT_MAX:g}, not {value}.", field=field
        )
    return value


def check_finite(value: float, *, field: str) -> float:
    """The number itself, neither NaN nor infinite."""
    if not math.isfinite(value):
        raise InvalidInputError(f"{field} must be a finite number, not {value}.", field=field)
    return value
