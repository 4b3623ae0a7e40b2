"""How an exchange names things: its addresses, its symbols, its lengths of a candle. Functions of what ccxt says."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ai_engine.candles import timeframe_ms
from backend.errors import InvalidInputError

_WEB = re.compile(r"(?:https?:)?//[^/]+(?P<path>/[^?#]*)?")
MOST_FINE_CANDLES = 60
"""A coarse candle is gathered from so many fine ones at the most."""


def redirected(addresses: Any, url: str) -> Any:
    """The addresses of an exchange's API, nested as they were, with another scheme, host and prefix.

    >>> redirected({"public": "https://api.binance.com/api/v3", "rest": {"v1": "https://{hostname}"}}, "http://h:1")
    {'public': 'http://h:1/api/v3', 'rest': {'v1': 'http://h:1'}}

    An override that names the path already is not doubled:

    >>> redirected({"public": "https://api.binance.com/api/v3"}, "http://h:1/api/v3/")
    {'public': 'http://h:1/api/v3'}
    """
    base = url.rstrip("/")
    paths = sorted({path for path in _paths(addresses) if path}, key=len, reverse=True)
    given = next((path for path in paths if base.endswith(path)), "")
    return _replaced(addresses, base.removesuffix(given))


def _paths(addresses: Any) -> Iterable[str]:
    if isinstance(addresses, Mapping):
        for inner in addresses.values():
            yield from _paths(inner)
    elif isinstance(addresses, str) and (match := _WEB.match(addresses)):
        yield (match["path"] or "").rstrip("/")


def _replaced(addresses: Any, base: str) -> Any:
    if isinstance(addresses, Mapping):
        return {name: _replaced(inner, base) for name, inner in addresses.items()}
    if isinstance(addresses, str) and (match := _WEB.match(addresses)):
        return base + (match["path"] or "") + addresses[match.end() :]
    return addresses


def spot_only(options: dict[str, Any]) -> None:
    """Let ccxt load an exchange's spot markets alone: the others may lie at hosts that need not be asked."""
    given = options.get("fetchMarkets")
    if not isinstance(given, dict):
        return
    types = given.get("types")
    if isinstance(types, list) and "spot" in types:
        options["fetchMarkets"] = {**given, "types": ["spot"]}
    elif isinstance(types, dict) and types.get("spot"):
        options["fetchMarkets"] = {**given, "types": {name: name == "spot" and kind for name, kind in types.items()}}


def found(markets: Iterable[Mapping[str, Any]], symbols: Sequence[str]) -> dict[str, str]:
    """The exchange's name for each of our symbols that it has: spot first, then perpetual contracts.

    >>> spot = {"symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "spot": True}
    >>> swap = {"symbol": "BTC/USDT:USDT", "base": "BTC", "quote": "USDT", "swap": True}
    >>> found([swap, spot], ["BTCUSDT", "ETHUSDT"])
    {'BTCUSDT': 'BTC/USDT'}
    """
    ranked: dict[str, tuple[tuple[int, bool, str], str]] = {}
    wanted = set(symbols)
    for market in markets:
        ours = f"{market.get('base')}{market.get('quote')}".upper()
        if ours not in wanted or not (market.get("spot") or market.get("swap")):
            continue
        kind = 0 if market.get("spot") else 1 if market.get("linear", True) else 2
        rank = (kind, market.get("active") is False, market["symbol"])
        if ours not in ranked or rank < ranked[ours][0]:
            ranked[ours] = rank, market["symbol"]
    return {symbol: ranked[symbol][1] for symbol in sorted(ranked)}


def fetched_timeframe(exchange_id: str, timeframe: str, has: Iterable[str]) -> str:
    """What to ask for: the timeframe itself, or the coarsest finer one that fills it evenly.

    Raises
    ------
    InvalidInputError
        If the exchange has neither.
    """
    known = {name: length for name in has if (length := _length(name))}
    wanted = timeframe_ms(timeframe)
    same = [name for name, length in known.items() if length == wanted]
    if same:
        return same[0]
    fine = {name: ms for name, ms in known.items() if wanted % ms == 0 and ms < wanted <= ms * MOST_FINE_CANDLES}
    if not fine:
        shown = ", ".join(sorted(known, key=lambda name: known[name]))
        raise InvalidInputError(
            f"QT_TIMEFRAME={timeframe}: {exchange_id} has no candles of that length. It has {shown}.",
            field="QT_TIMEFRAME",
            reason="timeframe_unsupported",
            supported=sorted(known, key=lambda name: known[name]),
        )
    return max(fine, key=lambda name: fine[name])


def _length(name: str) -> int | None:
    try:
        return timeframe_ms(name)
    except ValueError:
        return None


def unknown_exchange(exchange_id: str, known: Sequence[str]) -> InvalidInputError:
    """The refusal of an exchange that ccxt does not know, with the nearest names that it does."""
    near = difflib.get_close_matches(exchange_id, known, n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(near)}?" if near else "Name one that ccxt knows, such as binance or kraken."
    return InvalidInputError(
        f"QT_MARKET={exchange_id} is no exchange that ccxt knows. {hint}",
        field="QT_MARKET",
        reason="unknown_market",
        nearest=near,
    )
