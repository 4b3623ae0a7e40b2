"""JSON as the standard has it: one UTF-8 value, no repeated keys, nested no deeper than anything here needs."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from backend.errors import InvalidInputError

MAX_DEPTH = 24
MAX_CONTAINERS = 1_000_000
OPENING = 0b10
"""The bit by which ``[`` and ``{`` differ from ``]`` and ``}``."""
OTHER_BYTES = bytes(set(range(256)) - set(b'[]{}"'))


def parse(body: bytes, *, unique_keys: bool = True, max_containers: int | None = MAX_CONTAINERS) -> Any:
    """The value of a JSON text.

    ``NaN`` and ``Infinity`` are let through as floats: the field that holds one refuses it by its own name.
    """
    _check_shape(body, max_containers)
    hooks: dict[str, Any] = {"object_pairs_hook": _object} if unique_keys else LETTING_OTHERS_RUN
    try:
        return json.loads(body.decode("utf-8-sig"), **hooks)
    except UnicodeDecodeError:
        raise _not_json("The body is not UTF-8 text. Encode it as UTF-8.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _not_json(f"The body is not JSON: {error.msg} at {where}.") from None
    except ValueError:  # Python's own limit on the digits of an integer
        raise _not_json("The body holds a number with too many digits. Shorten it.") from None


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


def _check_shape(body: bytes, max_containers: int | None) -> None:
    """Refuse what is nested too deep, or holds too many lists and objects, before a value is made of any of it.

    Only brackets outside texts are looked at. It goes piece by piece, so that other threads get their turn.
    """
    depth, containers = 0, 0
    for brackets in outside_texts(body):
        opening = (np.frombuffer(brackets, dtype=np.uint8) & OPENING) // OPENING
        path = depth + np.cumsum(2 * opening.astype(np.int64) - 1)
        if path.max(initial=0) > MAX_DEPTH:
            raise InvalidInputError(f"The body is nested more than {MAX_DEPTH} levels deep. Flatten it.", field="body")
        depth = int(path[-1]) if len(path) else depth
        containers += int(opening.sum())
        if max_containers is not None and containers > max_containers:
            raise InvalidInputError(
                f"The body holds more than {max_containers} lists and objects. Send it in parts.", field="body"
            )


def outside_texts(body: bytes, piece: int = 1 << 18) -> Iterator[bytes]:
    """The brackets of a JSON text that stand outside its texts, piece by piece.

    >>> list(outside_texts(rb'{"a [": ["}", 1]}'))
    [b'{[]}']
    """
    inside, rest = False, b""
    for start in range(0, len(body), piece):
        part = rest + body[start : start + piece]
        cut = len(part) - (len(part) - len(part.rstrip(b"\\"))) % 2  # an escape is not torn from what it escapes
        part, rest = part[:cut], part[cut:]
        marks = part.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, OTHER_BYTES)
        texts = marks.split(b'"')
        yield b"".join(texts[int(inside) :: 2])
        inside ^= len(texts) % 2 == 0


def _float(text: str) -> float:
    return float(text)


def _int(text: str) -> int:
    return int(text)


LETTING_OTHERS_RUN = {"parse_float": _float, "parse_int": _int}
"""Each call of Python code from within the parser lets other threads have their turn while a large body is read."""


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
