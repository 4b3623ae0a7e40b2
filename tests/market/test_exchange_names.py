"""How exchanges name things, checked over every exchange that ccxt has: addresses, symbols, candle lengths, kinds."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import ccxt.async_support as ccxt
import pytest

from backend.errors import InvalidInputError
from backend.market.exchange_client import USUAL_MANNERS, connection
from backend.market.exchange_names import fetched_timeframe, found, redirected, spot_only, unknown_exchange
from backend.settings import DERIVATIVES_ONLY

OURS = "http://127.0.0.1:9000"
USUAL = ("binance", "kraken", "bybit", "okx", "coinbase", "kucoin", "gate", "bitget", "krakenfutures", "hyperliquid")


def addresses(nested: Any) -> Iterator[str]:
    if isinstance(nested, dict):
        for inner in nested.values():
            yield from addresses(inner)
    elif isinstance(nested, str):
        yield nested


def offering() -> list[str]:
    """Every exchange that offers candles."""
    return [name for name in ccxt.exchanges if getattr(ccxt, name)().has.get("fetchOHLCV") is True]


def test_the_list_of_exchanges_with_derivatives_only_is_ccxt_s() -> None:
    without_spot = {name for name in ccxt.exchanges if not getattr(ccxt, name)().has.get("spot")}

    assert without_spot == DERIVATIVES_ONLY


def test_every_rest_address_of_every_exchange_is_redirected_and_keeps_its_path() -> None:
    for name in ccxt.exchanges:
        before = list(addresses(getattr(ccxt, name)().urls.get("api")))
        after = list(addresses(redirected(getattr(ccxt, name)().urls.get("api"), OURS)))

        assert len(before) == len(after)
        for old, new in zip(before, after, strict=True):
            if old.startswith("ws"):
                assert new == old
            else:
                assert new.startswith(OURS)
                assert new.removeprefix(OURS).split("?")[0] == urlsplit(old).path
                assert "{host" not in new


@pytest.mark.parametrize(
    ("url", "public", "other"),
    [
        (OURS, f"{OURS}/api/v3", f"{OURS}/sapi/v1"),
        (f"{OURS}/", f"{OURS}/api/v3", f"{OURS}/sapi/v1"),
        (f"{OURS}/api/v3", f"{OURS}/api/v3", f"{OURS}/sapi/v1"),
        (f"{OURS}/api/v3/", f"{OURS}/api/v3", f"{OURS}/sapi/v1"),
        (f"{OURS}/binance", f"{OURS}/binance/api/v3", f"{OURS}/binance/sapi/v1"),
        (f"{OURS}/binance/api/v3", f"{OURS}/binance/api/v3", f"{OURS}/binance/sapi/v1"),
    ],
)
def test_an_override_may_end_with_the_path_or_not_and_may_have_a_prefix(url: str, public: str, other: str) -> None:
    urls = connection("binance", url, USUAL_MANNERS).urls["api"]

    assert urls["public"] == public
    assert urls["sapi"] == other


@pytest.mark.parametrize("name", USUAL)
def test_usual_exchanges_are_made_for_public_calls_at_the_address_given(name: str) -> None:
    exchange = connection(name, OURS, USUAL_MANNERS)

    assert all(url.startswith((OURS, "ws")) for url in addresses(exchange.urls["api"]))
    assert exchange.enableRateLimit
    assert exchange.timeout == 10_000
    assert exchange.has["fetchCurrencies"] is False
    assert not exchange.apiKey


def test_an_exchange_with_spot_markets_loads_these_alone() -> None:
    for name in offering():
        exchange = connection(name, None, USUAL_MANNERS)
        given = exchange.options.get("fetchMarkets")
        types = given.get("types") if isinstance(given, dict) else None
        if exchange.has.get("spot") and types:
            assert [kind for kind in types if not isinstance(types, dict) or types[kind]] == ["spot"], name


@pytest.mark.parametrize(
    "options", [{}, {"fetchMarkets": "fetchMarketsV3"}, {"fetchMarkets": {"types": ["linear"]}}, {"fetchMarkets": {}}]
)
def test_options_without_kinds_stay_as_they_are(options: dict[str, Any]) -> None:
    before = dict(options)

    spot_only(options)

    assert options == before


def market(symbol: str, **more: Any) -> dict[str, Any]:
    base, _, rest = symbol.partition("/")
    kind = "swap" if ":" in rest else "spot"
    return {"symbol": symbol, "base": base, "quote": rest.partition(":")[0], kind: True, "active": True, **more}


def test_symbols_are_found_on_the_spot_market_first_then_among_linear_then_inverse_perpetuals() -> None:
    inverse = market("BTC/USD:BTC", linear=False, inverse=True)
    linear, spot = market("BTC/USDT:USDT", linear=True), market("BTC/USDT")

    assert found([inverse, linear, spot], ["BTCUSDT", "BTCUSD"]) == {"BTCUSD": "BTC/USD:BTC", "BTCUSDT": "BTC/USDT"}
    assert found([inverse, linear], ["BTCUSDT"]) == {"BTCUSDT": "BTC/USDT:USDT"}


def test_contracts_that_end_and_options_are_no_symbols_of_ours() -> None:
    future = {"symbol": "BTC/USDT:USDT-261225", "base": "BTC", "quote": "USDT", "future": True}

    assert found([future], ["BTCUSDT"]) == {}


def test_of_two_markets_with_one_name_the_one_that_trades_is_taken() -> None:
    dead, alive = market("AB/CUSDT", active=False), market("ABC/USDT")

    assert found([dead, alive], ["ABCUSDT"]) == {"ABCUSDT": "ABC/USDT"}
    assert found([dead], ["ABCUSDT"]) == {"ABCUSDT": "AB/CUSDT"}


def test_markets_without_names_are_passed_over() -> None:
    assert found([{"symbol": None, "base": None, "quote": None, "spot": True}], ["BTCUSDT"]) == {}


@pytest.mark.parametrize(
    ("timeframe", "has", "fetched"),
    [
        ("5m", ["1m", "5m", "1h"], "5m"),
        ("60m", ["1m", "1h"], "1h"),
        ("10m", ["1m", "5m", "1h", "1M", "1w"], "5m"),
        ("4h", ["1m", "5m", "1h", "6h"], "1h"),
        ("1h", ["1m"], "1m"),
    ],
)
def test_what_is_fetched_is_the_timeframe_or_the_coarsest_that_fills_it(
    timeframe: str, has: list[str], fetched: str
) -> None:
    assert fetched_timeframe("anywhere", timeframe, has) == fetched


@pytest.mark.parametrize(("timeframe", "has"), [("5m", ["3m", "1h"]), ("1d", ["1m"]), ("1s", ["1m"]), ("5m", [])])
def test_a_timeframe_that_cannot_be_made_is_refused(timeframe: str, has: list[str]) -> None:
    with pytest.raises(InvalidInputError, match=f"QT_TIMEFRAME={timeframe}: anywhere has no candles"):
        fetched_timeframe("anywhere", timeframe, has)


def test_a_name_that_is_near_nothing_is_told_what_would_do() -> None:
    assert "such as binance or kraken" in str(unknown_exchange("zzzzzzz", ccxt.exchanges))
    assert "kraken" in str(unknown_exchange("krakn", ccxt.exchanges))
