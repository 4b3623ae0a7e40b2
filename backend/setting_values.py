"""How the text of a setting becomes a value: each reader checks its range and says what it wanted."""

import math
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote

from pydantic import SecretStr

from backend.crontab import ScheduleError, parse_schedule
from backend.env_file import SettingsError

Reader = Callable[[str, str], Any]

PRINTED_TOKENS = frozenset({"live-admin-token", "change-me-to-a-random-token", "your-admin-token-here"})
SHORTEST_TOKEN = 16
SHORTEST_SECRET = 6

_TRUE = {"1", "true", "on", "yes"}
_FALSE = {"0", "false", "off", "no"}


def text(_name: str, value: str) -> str:
    """Any text."""
    return value


def flag(name: str, value: str) -> bool:
    """A switch."""
    word = value.lower()
    if word not in _TRUE | _FALSE:
        raise SettingsError(f"{name} must be 1, 0, true, false, on, off, yes or no, not {value!r}.")
    return word in _TRUE


def integer(low: int, high: int) -> Reader:
    """A whole number in [low, high]."""

    def read(name: str, value: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,18}", value) or not low <= int(value) <= high:
            raise SettingsError(f"{name} must be a whole number from {low} to {high}, not {value!r}.")
        return int(value)

    return read


def number(low: float, high: float) -> Reader:
    """A finite number in [low, high]."""

    def read(name: str, value: str) -> float:
        try:
            parsed = float(value)
        except ValueError:
            parsed = math.nan
        if not low <= parsed <= high:
            raise SettingsError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}.")
        return parsed

    return read


def choice(*allowed: str) -> Reader:
    """One of a few words."""

    def read(name: str, value: str) -> str:
        if value.lower() not in allowed:
            raise SettingsError(f"{name} must be {' or '.join(allowed)}, not {value!r}.")
        return value.lower()

    return read


def matching(pattern: str, wanted: str) -> Reader:
    """Text of a form; ``wanted`` says which."""
    form = re.compile(pattern)

    def read(name: str, value: str) -> str:
        if not form.fullmatch(value):
            raise SettingsError(f"{name} must be {wanted}, not {value!r}.")
        return value

    return read


def items(_name: str, value: str) -> tuple[str, ...]:
    """Comma-separated texts, each once, in the order given."""
    return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))


def symbols(name: str, value: str) -> tuple[str, ...]:
    """Comma-separated symbols, written without a slash and in capitals."""
    found = items(name, value.upper().replace("/", ""))
    wrong = [symbol for symbol in found if not re.fullmatch(r"[A-Z0-9][A-Z0-9._:-]{0,31}", symbol)]
    if wrong or not found:
        given = wrong[0] if wrong else value
        raise SettingsError(f"{name} must be comma-separated symbols such as BTCUSDC,ETHUSDC, not {given!r}.")
    return found


def sides(name: str, value: str) -> str:
    """``long`` or ``long,short``."""
    found = set(items(name, value.lower()))
    if found == {"long"}:
        return "long"
    if found == {"long", "short"}:
        return "long,short"
    raise SettingsError(f"{name} must be long, or long,short; not {value!r}.")


def schedule(_name: str, value: str) -> str:
    """A schedule that can be parsed."""
    try:
        parse_schedule(value)
    except ScheduleError as error:
        raise SettingsError(str(error)) from error
    return value


def market(name: str, value: str) -> str:
    """``off``, ``simulated``, ``replay`` or an exchange's id."""
    return str(
        matching(r"[a-z][a-z0-9_]{1,39}", "off, simulated, replay, or an exchange id such as binance")(
            name, value.lower()
        )
    )


def web_address(name: str, value: str) -> str:
    """An http or https address, which may hold a secret and is never repeated."""
    if not re.fullmatch(r"https?://[^\s/]+\S*", value, re.IGNORECASE):
        raise SettingsError(f"{name} must be an address that begins with http:// or https://.")
    return value


def origin(address: str) -> str:
    """A web address as it may be shown: stars for a user and password, and for a path or query that may hold a key.

    >>> origin("http://127.0.0.1:9000"), origin("https://me:word@proxy.example/KEY/api?key=1")
    ('http://127.0.0.1:9000', 'https://***@proxy.example/***')
    """
    scheme, user, host, rest = _parts(address)
    return f"{scheme}://{'***@' if user else ''}{host}{'/***' if rest.strip('/') else ''}"


def secrets_of(address: str) -> list[str]:
    """What may not leave the process of a web address that holds more than its origin: all of it, and what says most.

    >>> secrets_of("http://127.0.0.1:9000/")
    []
    >>> secrets_of("https://me:p%40ssword@proxy.example/?key=12")
    ['https://me:p%40ssword@proxy.example/?key=12', 'me:p%40ssword', 'key=12', 'p%40ssword', 'p@ssword']
    """
    if origin(address) == address.rstrip("/"):
        return []
    _, user, _, rest = _parts(address)
    query = rest.partition("?")[2]
    password = user.partition(":")[2] or user
    # A word that is short would be starred wherever else it stands.
    words = [password, unquote(password), *(value for _, value in parse_qsl(query))]
    found = [address.rstrip("/"), user, query, *(word for word in words if len(word) >= SHORTEST_SECRET)]
    return [one for one in dict.fromkeys(found) if one]


def _parts(address: str) -> tuple[str, str, str, str]:
    """Scheme, user with password, host with port, and the rest."""
    scheme, _, after = address.partition("://")
    place = re.split(r"[/?#]", after, maxsplit=1)[0]
    user, _, host = place.rpartition("@")
    return scheme, user, host, after[len(place) :]


def secret(_name: str, value: str) -> SecretStr:
    """Text that is never shown."""
    return SecretStr(value)


def token(name: str, value: str) -> SecretStr:
    """A token that nobody guesses or finds in a document."""
    remedy = f"Make one with: qt token --new{'' if name == 'QT_ADMIN_TOKEN' else f' (then choose another for {name})'}"
    if value.lower() in PRINTED_TOKENS:
        raise SettingsError(f"{name} is a token that is printed in a document, so everybody knows it. {remedy}")
    if len(value) < SHORTEST_TOKEN:
        raise SettingsError(f"{name} is shorter than {SHORTEST_TOKEN} characters. {remedy}")
    if not re.fullmatch(r"[!-~]+", value):
        raise SettingsError(f"{name} must be printable ASCII without spaces, or no header can carry it. {remedy}")
    return SecretStr(value)
