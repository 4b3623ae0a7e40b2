"""An exchange on this machine: a real HTTP server that speaks Binance's public REST, with faults on order.

It answers Kraken's three public calls as well, from the same candles: another form, whole seconds, 720 candles at most.

As a program it lets anybody try a live market offline::

    python -m tests.market.exchange_server --port 9000
    QT_MARKET=binance QT_EXCHANGE_URL=http://127.0.0.1:9000 QT_TIMEFRAME=1m make run
"""

import argparse
import json
import math
import random
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from ai_engine.candles import Candles, timeframe_ms
from backend.clock import Clock, from_ms, to_ms, utc_now
from backend.market.feed import Bar
from backend.market.simulated import SimulatedMarket

SYMBOLS = ("BTCUSDC", "ETHUSDC", "SOLUSDC")
QUOTES = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USD", "EUR", "DAI", "BTC", "ETH", "BNB")
FAR = datetime(2099, 1, 1, tzinfo=UTC)
FOR_EVER = math.inf

Row = list[Any]
"""One candle as Binance sends it: open time, five values as text, close time and five more."""


@dataclass(frozen=True)
class Fault:
    """What one request is answered instead of the truth."""

    name: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    content_type: str = "application/json;charset=UTF-8"
    change_rows: Callable[[list[Row]], list[Row]] | None = None
    change_body: Callable[[bytes], bytes] | None = None
    cut_off: bool = False
    hang_seconds: float = 0.0
    reset: bool = False
    replaces_date: bool = False
    endless: bool = False


def _refusal(name: str, status: int, code: int, message: str, retry_after: str | int | None) -> Fault:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Fault(name, status, headers, json.dumps({"code": code, "msg": message}))


def too_many_requests(retry_after: str | int | None = 1) -> Fault:
    """429, with Retry-After in seconds or as an HTTP date."""
    return _refusal("429", 429, -1003, "Too many requests; current limit is 6000 a minute.", retry_after)


def banned(retry_after: str | int | None = 1) -> Fault:
    """418: who goes on after a 429 is banned for a while."""
    return _refusal("418", 418, -1003, "Way too much request weight used; IP banned.", retry_after)


def server_error(status: int = 503, retry_after: str | int | None = None) -> Fault:
    """An error of the exchange's own."""
    return _refusal("5xx", status, -1000, "An unknown error occurred while processing the request.", retry_after)


def restricted() -> Fault:
    """451: the exchange does not serve this country."""
    return _refusal("451", 451, 0, "Service unavailable from a restricted location.", None)


def html_page(status: int = 200) -> Fault:
    """A page for people, as a proxy or a maintenance notice sends it."""
    page = "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Be right back.</body></html>"
    return Fault("html", status, body=page, content_type="text/html")


def cut_json() -> Fault:
    """A whole answer by its length, whose text ends in the middle."""
    return Fault("cut json", change_body=lambda body: body[: len(body) // 2])


def cut_off() -> Fault:
    """The connection ends before the body does."""
    return Fault("cut off", cut_off=True)


def hang(seconds: float = 30.0) -> Fault:
    """No answer for so long."""
    return Fault("hang", hang_seconds=seconds)


def reset() -> Fault:
    """The connection is reset instead of answered."""
    return Fault("reset", reset=True)


def endless() -> Fault:
    """An answer that never ends, in pieces."""
    return Fault("endless", endless=True)


def redirect(url: str, status: int = 302) -> Fault:
    """Another address that shall be asked instead."""
    return Fault("redirect", status, {"Location": url}, body="")


def wrong_date(told: datetime, *, cached: bool = False) -> Fault:
    """The Date of another time; with ``cached`` the whole answer was made then."""

    def as_it_was(rows: list[Row]) -> list[Row]:
        now = to_ms(told)
        return [_then(row, now) for row in rows if row[0] <= now]

    headers = {"Date": formatdate(told.timestamp(), usegmt=True)}
    return Fault("date", headers=headers, replaces_date=True, change_rows=as_it_was if cached else None)


def plain_text(body: str, content_type: str = "application/json") -> Fault:
    """Any text in place of the answer."""
    return Fault("text", body=body, content_type=content_type)


def empty() -> Fault:
    """No candles, although there are some."""
    return Fault("empty", change_rows=lambda _: [])


def repeated() -> Fault:
    """Every row twice."""
    return Fault("repeated", change_rows=lambda rows: [row for row in rows for _ in range(2)])


def disordered() -> Fault:
    """The rows in another order."""
    return Fault("disordered", change_rows=lambda rows: random.Random(1).sample(rows, len(rows)))


def changed_value(column: int, value: Any, row: int = -3) -> Fault:
    """One value of one row replaced: null, text, a negative price, another time."""

    def change(rows: list[Row]) -> list[Row]:
        at = max(row, -len(rows)) % len(rows) if rows else 0
        return [[*r[:column], value, *r[column + 1 :]] if n == at else r for n, r in enumerate(rows)]

    return Fault(f"column {column} is {value!r}", change_rows=change)


def shifted(milliseconds: int) -> Fault:
    """Every open time off by so much."""
    return Fault("shifted", change_rows=lambda rows: [[row[0] + milliseconds, *row[1:]] for row in rows])


FAULTS: dict[str, Callable[[], Fault]] = {
    "429": too_many_requests,
    "418": banned,
    "503": server_error,
    "html": html_page,
    "html503": lambda: html_page(503),
    "cut": cut_json,
    "cut_off": cut_off,
    "hang": lambda: hang(12.0),
    "reset": reset,
    "null": lambda: changed_value(4, None),
    "nan": lambda: changed_value(4, "NaN"),
    "negative": lambda: changed_value(4, "-1.0"),
    "empty": empty,
    "repeated": repeated,
    "disordered": disordered,
}
"""Faults by the names that ``--faults`` takes."""


@dataclass(frozen=True)
class Request:
    """One request as it came, by the exchange's own clock."""

    path: str
    query: dict[str, str]
    at: datetime

    @property
    def symbol(self) -> str | None:
        """The symbol asked for."""
        return self.query.get("symbol")


@dataclass
class _Ordered:
    fault: Fault
    path: str
    symbol: str | None
    times: float


class LocalExchange:
    """A running exchange; ``url`` is what ``QT_EXCHANGE_URL`` gets. Candles are a function of seed, symbol and time."""

    def __init__(
        self,
        symbols: Sequence[str] = SYMBOLS,
        *,
        seed: int = 7,
        clock: Clock = utc_now,
        port: int = 0,
        listed_since: datetime | None = None,
    ) -> None:
        self.symbols = list(symbols)
        self.clock = clock
        self.skew = timedelta(0)
        self.requests: list[Request] = []
        self.repeats_border = False
        self.tells_date = True
        self.endless_bytes = 0
        self.faults_at_random: list[Fault] = []
        self.fault_rate = 0.0
        self._seed = seed
        self.listed_since = listed_since
        self._markets: dict[str, SimulatedMarket] = {}
        self._ordered: list[_Ordered] = []
        self._withheld: set[tuple[str, int]] = set()
        self._dice = random.Random(seed)
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """The address to override the exchange's with."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def stopped(self) -> bool:
        """Whether it answers no more."""
        return self._stopped.is_set()

    def start(self) -> Self:
        """Answer from now on."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Answer no more; connections that are open are closed."""
        self._stopped.set()
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- What it knows ---

    def now(self) -> datetime:
        """The time by its own clock."""
        return self.clock() + self.skew

    def closed(self, symbol: str, timeframe: str, count: int = 500) -> Candles:
        """The newest candles that have closed by its own clock, those withheld left out: what books must hold."""
        length = timeframe_ms(timeframe)
        end = to_ms(self.now()) // length
        rows = [row for row in self._closed_rows(symbol, timeframe, end - count, end) if not self._hidden(symbol, row)]
        table = np.array([[float(value) for value in row[:6]] for row in rows]).reshape(-1, 6)
        opened, high, low, close, volume = table[:, 1:].T
        return Candles(table[:, 0].astype(np.int64), opened, high, low, close, volume, length)

    def bar(self, symbol: str, timeframe: str, opened: datetime) -> Bar:
        """The final candle that opens at a time, whether it has closed or not."""
        number = to_ms(opened) // timeframe_ms(timeframe)
        _, opening, high, low, close, volume, *_ = self._closed_rows(symbol, timeframe, number, number + 1)[0]
        return float(opening), float(high), float(low), float(close), float(volume)

    # --- What it is told to do ---

    def fail(self, fault: Fault, path: str = "klines", symbol: str | None = None, times: float = 1) -> None:
        """Answer the next requests for a path (and symbol) with a fault; faults on order are taken one by one."""
        with self._lock:
            self._ordered.append(_Ordered(fault, path, symbol, times))

    def heal(self) -> None:
        """Forget the faults on order."""
        with self._lock:
            self._ordered.clear()

    def orders(self) -> int:
        """How many faults are still on order."""
        with self._lock:
            return len(self._ordered)

    def reseed(self, seed: int) -> None:
        """Throw the dice for faults at random anew; the candles stay."""
        self._dice = random.Random(seed)

    def withhold(self, symbol: str, *opened: datetime) -> None:
        """Leave candles out of every answer."""
        self._withheld |= {(symbol, to_ms(moment)) for moment in opened}

    def fill(self, symbol: str, *opened: datetime) -> None:
        """Give candles that were withheld."""
        self._withheld -= {(symbol, to_ms(moment)) for moment in opened}

    def delist(self, symbol: str) -> None:
        """Know a symbol no more."""
        self.symbols.remove(symbol)

    def asked(self, path: str, symbol: str | None = None) -> list[Request]:
        """The requests so far for one path, of one symbol where it is named."""
        return [one for one in list(self.requests) if one.path.endswith(path) and symbol in (None, one.symbol)]

    # --- What it answers ---

    def fault_for(self, path: str, query: dict[str, str]) -> Fault | None:
        """Record a request and take the fault that is due for it."""
        with self._lock:
            self.requests.append(Request(path, query, self.now()))
            for ordered in self._ordered:
                if path.endswith(ordered.path) and ordered.symbol in (None, query.get("symbol")):
                    ordered.times -= 1
                    if ordered.times <= 0:
                        self._ordered.remove(ordered)
                    return ordered.fault
            if self.faults_at_random and self._dice.random() < self.fault_rate:
                return self._dice.choice(self.faults_at_random)
        return None

    def wait(self, seconds: float) -> None:
        """Let a request hang, until this exchange is stopped."""
        self._stopped.wait(seconds)

    def answer(self, path: str, query: dict[str, str], fault: Fault | None) -> tuple[int, Any]:
        """Status and content of one answer."""
        if path == "/api/v3/ping":
            return 200, {}
        if path == "/api/v3/time":
            return 200, {"serverTime": to_ms(self.now())}
        if path == "/api/v3/exchangeInfo":
            return 200, {"timezone": "UTC", "serverTime": to_ms(self.now()), "symbols": list(map(_info, self.symbols))}
        if path == "/api/v3/klines":
            return self._klines(query, fault)
        if path.startswith("/0/public/"):
            return 200, {"error": [], "result": self._kraken(path, query)}
        return 404, {"code": -1, "msg": f"There is nothing at {path}."}

    def _klines(self, query: dict[str, str], fault: Fault | None) -> tuple[int, Any]:
        symbol, timeframe = query.get("symbol", ""), query.get("interval", "")
        if symbol not in self.symbols:
            return 400, {"code": -1121, "msg": "Invalid symbol."}
        try:
            length = timeframe_ms(timeframe)
        except ValueError:
            return 400, {"code": -1120, "msg": "Invalid interval."}
        limit = min(int(query.get("limit", 500)), 1000)
        now = to_ms(self.now())
        end = now // length + 1
        if "endTime" in query:
            end = min(end, int(query["endTime"]) // length + 1)
        if "startTime" in query:
            first = -(-int(query["startTime"]) // length)
            if self.listed_since is not None:
                first = max(first, -(-to_ms(self.listed_since) // length))
            border = int(self.repeats_border)
            rows = self._rows(symbol, timeframe, first - border, min(end, first + limit), now)
        else:
            rows = self._rows(symbol, timeframe, end - limit, end, now)
        rows = [row for row in rows if not self._hidden(symbol, row)]
        return 200, fault.change_rows(rows) if fault and fault.change_rows else rows

    def _kraken(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        now = to_ms(self.now())
        if path.endswith("Time"):
            return {"unixtime": now // 1_000}
        if path.endswith("AssetPairs"):
            return {symbol: _pair(symbol) for symbol in self.symbols}
        symbol, length = query["pair"], int(query.get("interval", 1)) * 60_000
        end = now // length + 1
        first = max(end - 720, int(query.get("since", 0)) * 1_000 // length + 1)
        rows = self._rows(symbol, f"{length // 60_000}m", first, end, now)
        shown = [[row[0] // 1_000, *row[1:5], "0.0", row[5], 10] for row in rows if not self._hidden(symbol, row)]
        return {symbol: shown, "last": now // 1_000}

    def _hidden(self, symbol: str, row: Row) -> bool:
        listed = self.listed_since is None or row[0] >= to_ms(self.listed_since)
        return not listed or (symbol, row[0]) in self._withheld

    def _rows(self, symbol: str, timeframe: str, first: int, end: int, now: int) -> list[Row]:
        """Candles ``first`` to before ``end``, counted from 1970; the last one may still be running."""
        length = timeframe_ms(timeframe)
        rows = self._closed_rows(symbol, timeframe, first, min(end, now // length))
        if end > now // length >= first:
            whole = self._closed_rows(symbol, timeframe, now // length, now // length + 1)[0]
            rows.append(_running(whole, (now % length) / length))
        return rows

    def _closed_rows(self, symbol: str, timeframe: str, first: int, end: int) -> list[Row]:
        length = timeframe_ms(timeframe)
        if end <= first:
            return []
        with self._lock:
            market = self._markets.setdefault(
                f"{symbol} {timeframe}", SimulatedMarket([symbol], timeframe, seed=self._seed, now=lambda: FAR)
            )
            found = market.history(symbol, from_ms(end * length), end - first)
        columns = (found.open, found.high, found.low, found.close, found.volume)
        bars = zip(found.open_time.tolist(), *(column.tolist() for column in columns), strict=True)
        return [_row(opened, bar, length) for opened, *bar in bars]


def _row(opened: int, bar: Sequence[float], length: int) -> Row:
    volume, close = bar[4], bar[3]
    return [opened, *map(repr, bar), opened + length - 1, repr(volume * close), 10, repr(volume / 2), "0.0", "0"]


def _then(row: Row, now: int) -> Row:
    length = row[6] + 1 - row[0]
    return _running(row, (now - row[0]) / length) if now < row[0] + length else row


def _running(whole: Row, share: float) -> Row:
    """A candle after part of its time: so far along the way to its end, and not yet as high, low or busy."""
    opened, high, low, close, volume = (float(value) for value in whole[1:6])
    last = opened + (close - opened) * share
    bar = (opened, max(opened, last, opened + (high - opened) * share), min(opened, last, low), last, volume * share)
    return _row(whole[0], bar, whole[6] + 1 - whole[0])


def _info(symbol: str) -> dict[str, Any]:
    quote = next(quote for quote in QUOTES if symbol.endswith(quote) and symbol != quote)
    return {
        "symbol": symbol,
        "status": "TRADING",
        "baseAsset": symbol.removesuffix(quote),
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "permissions": ["SPOT"],
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.00000001", "maxPrice": "1000000", "tickSize": "0.00000001"},
            {"filterType": "LOT_SIZE", "minQty": "0.00000001", "maxQty": "9000000", "stepSize": "0.00000001"},
        ],
    }


def _pair(symbol: str) -> dict[str, Any]:
    quote = next(quote for quote in QUOTES if symbol.endswith(quote) and symbol != quote)
    base = symbol.removesuffix(quote)
    names = {"altname": symbol, "wsname": f"{base}/{quote}", "base": base, "quote": quote}
    return {**names, "pair_decimals": 8, "lot_decimals": 8, "status": "online", "fees": [[0, 0.4]], "leverage_buy": []}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], exchange: LocalExchange) -> None:
        self.exchange = exchange
        self.resetting: set[socket.socket] = set()
        self._connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        if request in self.resetting:
            self.resetting.remove(request)
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def close_connections(self) -> None:
        """End the connections that clients keep open."""
        for connection in list(self._connections):
            self.shutdown_request(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves early is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body leave in one packet: in two, the second would wait for the first to be acknowledged.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        """Answer one request, rightly or as ordered."""
        exchange = self.server.exchange
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        fault = exchange.fault_for(url.path, query)
        if fault and fault.hang_seconds:
            exchange.wait(fault.hang_seconds)
        if fault and fault.reset:
            # With a linger of nothing the kernel resets the connection instead of closing it.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.server.resetting.add(self.connection)
            self.close_connection = True
            return
        if fault and fault.endless:
            self._send_without_end()
            return
        if fault and fault.body is not None:
            status, body = fault.status, fault.body.encode()
        else:
            status, content = exchange.answer(url.path, query, fault)
            body = json.dumps(content).encode()
        if fault and fault.change_body:
            body = fault.change_body(body)
        self._send(status, body, fault)

    def _send(self, status: int, body: bytes, fault: Fault | None) -> None:
        self.send_response_only(status)
        if self.server.exchange.tells_date and not (fault and fault.replaces_date):
            self.send_header("Date", formatdate(self.server.exchange.now().timestamp(), usegmt=True))
        self.send_header("Content-Type", fault.content_type if fault else "application/json;charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (fault.headers if fault else {}).items():
            self.send_header(name, value)
        self.end_headers()
        if fault and fault.cut_off:
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)

    def _send_without_end(self) -> None:
        self.send_response_only(200)
        self.send_header("Content-Type", "application/json;charset=UTF-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        try:
            while not self.server.exchange.stopped:
                self.wfile.write(piece)
                self.server.exchange.endless_bytes += 0x100000
        except OSError:
            return

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Requests are recorded, not printed."""


def clock_at_speed(speed: float, hours_behind: float, clock: Clock = utc_now) -> Clock:
    """A clock that begins so far back and runs faster until it has caught up with the real one."""
    begun, behind = clock(), timedelta(hours=hours_behind)
    return lambda: min(clock(), begun - behind + (clock() - begun) * speed)


def main() -> None:
    """Run an exchange until it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.market.exchange_server", description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--symbols", default=",".join(SYMBOLS), help="comma-separated")
    parser.add_argument("--seed", type=int, default=7, help="another seed is another path of prices")
    parser.add_argument("--speed", type=float, default=1.0, help="how fast its clock runs until it reaches now")
    parser.add_argument("--hours-behind", type=float, help="how far back its clock begins (24 with a --speed)")
    parser.add_argument("--skew", type=float, default=0.0, help="seconds its clock is ahead of this machine's")
    parser.add_argument("--faults", default="", help=f"comma-separated, thrown in at random: all, {', '.join(FAULTS)}")
    parser.add_argument("--fault-rate", type=float, default=0.1, help="share of the answers that are faults")
    given = parser.parse_args()
    behind = given.hours_behind if given.hours_behind is not None else (24.0 if given.speed > 1 else 0.0)
    clock = clock_at_speed(given.speed, behind)
    names = list(FAULTS) if given.faults == "all" else [name for name in given.faults.split(",") if name]
    if unknown := [name for name in names if name not in FAULTS]:
        parser.error(f"unknown fault {unknown[0]}; known are {', '.join(FAULTS)}")
    exchange = LocalExchange(given.symbols.split(","), seed=given.seed, clock=clock, port=given.port)
    exchange.skew = timedelta(seconds=given.skew)
    exchange.faults_at_random, exchange.fault_rate = [FAULTS[name]() for name in names], given.fault_rate
    with exchange:
        print(f"An exchange with {', '.join(exchange.symbols)} answers at {exchange.url}. In another terminal:")
        print(f"  QT_MARKET=binance QT_EXCHANGE_URL={exchange.url} QT_TIMEFRAME=1m make run")
        print("Interrupt it with Ctrl+C.", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("Stopped.")


if __name__ == "__main__":
    main()
