"""JSON as the standard has it: one UTF-8 value, no repeated keys, nested no deeper than anything here needs."""

import json
from typing import Any

from backend.errors import InvalidInputError

MAX_DEPTH = 24


def parse(body: bytes, *, unique_keys: bool = True) -> Any:
    """The value of a JSON text.

    ``NaN`` and ``Infinity`` are let through as floats: the field that holds one refuses it by its own name.
    """
    try:
        value = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_object if unique_keys else None)
    except UnicodeDecodeError:
        raise _not_json("The body is not UTF-8 text. Encode it as UTF-8.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _not_json(f"The body is not JSON: {error.msg} at {where}.") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # Python's own limit on the digits of an integer
        raise _not_json("The body holds a number with too many digits. Shorten it.") from None
    if _deeper_than(value, MAX_DEPTH):
        raise _too_deep()
    return value


def storable(value: Any) -> bool:
    """Whether all text in a value can be stored and sent again: no NUL, no half of a surrogate pair."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(item)
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, str) and not storable_text(item):
            return False
    return True


def storable_text(text: str) -> bool:
    """Whether a text can be stored and sent again.

    >>> storable_text("BTCUSDC"), storable_text(chr(0)), storable_text(chr(0xD800))
    (True, False, False)
    """
    return "\x00" not in text and (text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text))


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit + 1):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)[:80]
        raise InvalidInputError(
            f"{repeated!r} is given more than once. Give it once.", field=repeated, reason="repeated_key"
        )
    return found


def _not_json(message: str) -> InvalidInputError:
    return InvalidInputError(message, field="body", reason="invalid_json")


def _too_deep() -> InvalidInputError:
    return InvalidInputError(f"The body is nested more than {MAX_DEPTH} levels deep. Flatten it.", field="body")
