"""The local exchange itself: what it tells is consistent, its faults come when ordered, and it runs as a program."""

import http.client
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from backend.clock import to_ms
from backend.settings import ROOT
from tests.market.exchange_server import LocalExchange, clock_at_speed, hang, reset, server_error, too_many_requests
from tests.market.exchange_stage import NOW, StillClock

MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def exchange(clock: StillClock) -> Iterator[LocalExchange]:
    with LocalExchange(("BTCUSDC", "SOLUSDT"), clock=clock) as exchange:
        yield exchange


def get(exchange: LocalExchange, path: str) -> Any:
    with urllib.request.urlopen(exchange.url + path, timeout=5) as answer:
        return json.load(answer)


def klines(exchange: LocalExchange, query: str) -> list[list[Any]]:
    rows: list[list[Any]] = get(exchange, f"/api/v3/klines?{query}")
    return rows


def test_the_last_candle_runs_and_the_others_stay_as_they_are(exchange: LocalExchange, clock: StillClock) -> None:
    before = klines(exchange, "symbol=BTCUSDC&interval=1m&limit=5")
    clock.pass_by(30)
    later = klines(exchange, "symbol=BTCUSDC&interval=1m&limit=5")
    clock.pass_by(60)
    closed = klines(exchange, f"symbol=BTCUSDC&interval=1m&startTime={before[-1][0]}&limit=1")

    assert before[:-1] == later[:-1]
    assert before[-1][0] == later[-1][0] == to_ms(NOW.replace(second=0, microsecond=0))
    assert before[-1][1] == later[-1][1]
    assert before[-1][4:6] != later[-1][4:6]
    assert closed[0][1:6] == [
        repr(value) for value in exchange.bar("BTCUSDC", "1m", NOW.replace(second=0, microsecond=0))
    ]


def test_candles_are_a_function_of_seed_and_time(clock: StillClock) -> None:
    query = f"symbol=BTCUSDC&interval=1h&startTime={to_ms(NOW - timedelta(days=3))}&limit=20"
    answers = []
    for seed in (1, 1, 2):
        with LocalExchange(seed=seed, clock=clock) as exchange:
            answers.append(klines(exchange, query))

    assert answers[0] == answers[1] != answers[2]
    assert len(answers[0]) == 20


def test_start_end_and_limit_are_kept_as_binance_keeps_them(exchange: LocalExchange) -> None:
    start = to_ms(NOW.replace(second=0, microsecond=0)) - 600_000

    from_start = klines(exchange, f"symbol=BTCUSDC&interval=1m&startTime={start}&limit=4")
    between = klines(exchange, f"symbol=BTCUSDC&interval=1m&startTime={start + 1}&endTime={start + 180_000}")
    newest = klines(exchange, "symbol=BTCUSDC&interval=1m")

    assert [row[0] for row in from_start] == [start + 60_000 * n for n in range(4)]
    assert [row[0] for row in between] == [start + 60_000 * n for n in (1, 2, 3)]
    assert len(newest) == 500
    assert all(row[6] == row[0] + 59_999 for row in newest)


def test_unknown_symbols_intervals_and_paths_are_refused_as_binance_does(exchange: LocalExchange) -> None:
    for path, status, code in [
        ("/api/v3/klines?symbol=NOPEUSDC&interval=1m", 400, -1121),
        ("/api/v3/klines?symbol=BTCUSDC&interval=soon", 400, -1120),
        ("/fapi/v1/exchangeInfo", 404, -1),
    ]:
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(exchange, path)
        assert refused.value.code == status
        assert json.load(refused.value)["code"] == code
        refused.value.close()


def test_its_clock_is_its_own_in_the_call_and_in_the_date(exchange: LocalExchange) -> None:
    exchange.skew = timedelta(hours=-2)

    with urllib.request.urlopen(f"{exchange.url}/api/v3/time", timeout=5) as answer:
        told = json.load(answer)["serverTime"]
        date = parsedate_to_datetime(answer.headers["Date"])

    assert told == to_ms(NOW - timedelta(hours=2))
    assert date == (NOW - timedelta(hours=2)).replace(microsecond=0)


def test_faults_are_taken_in_order_by_path_and_symbol_and_every_request_is_recorded(exchange: LocalExchange) -> None:
    exchange.fail(too_many_requests(9), symbol="SOLUSDT")
    exchange.fail(server_error(502), path="time")

    assert klines(exchange, "symbol=BTCUSDC&interval=1m&limit=2")
    with pytest.raises(urllib.error.HTTPError) as limited:
        klines(exchange, "symbol=SOLUSDT&interval=1m")
    with pytest.raises(urllib.error.HTTPError) as failed:
        get(exchange, "/api/v3/time")
    assert klines(exchange, "symbol=SOLUSDT&interval=1m&limit=2")

    assert (limited.value.code, limited.value.headers["Retry-After"], failed.value.code) == (429, "9", 502)
    assert len(exchange.requests) == 4
    assert [request.symbol for request in exchange.asked("klines")] == ["BTCUSDC", "SOLUSDT", "SOLUSDT"]
    assert len(exchange.asked("klines", "SOLUSDT")) == 2
    limited.value.close()
    failed.value.close()


def test_a_reset_is_a_reset_and_a_hang_ends_when_the_exchange_stops(clock: StillClock) -> None:
    exchange = LocalExchange(clock=clock).start()
    exchange.fail(reset(), path="ping")
    exchange.fail(hang(60), path="ping")

    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):
        get(exchange, "/api/v3/ping")
    host, port = exchange.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n")
        while len(exchange.requests) != 2:
            time.sleep(0.01)
        exchange.stop()


def test_a_candle_that_is_withheld_comes_when_it_is_filled_and_the_books_say_so(exchange: LocalExchange) -> None:
    gap = NOW.replace(second=0, microsecond=0) - 3 * MINUTE
    query = "symbol=BTCUSDC&interval=1m&limit=6"

    exchange.withhold("BTCUSDC", gap)
    without = klines(exchange, query)
    books = exchange.closed("BTCUSDC", "1m", 5)
    exchange.fill("BTCUSDC", gap)

    assert to_ms(gap) not in [row[0] for row in without]
    assert books.open_time.tolist() == [row[0] for row in without[:-1]]
    assert to_ms(gap) in [row[0] for row in klines(exchange, query)]


def test_a_fast_clock_begins_in_the_past_and_ends_as_the_real_one() -> None:
    real = StillClock(datetime(2026, 1, 2, tzinfo=UTC))
    fast = clock_at_speed(60.0, 24.0, real)

    assert fast() == datetime(2026, 1, 1, tzinfo=UTC)
    real.pass_by(60)
    assert fast() == datetime(2026, 1, 1, 1, tzinfo=UTC)
    real.pass_by(24 * 60)
    assert fast() == real()


def test_it_runs_as_a_program_that_says_how_to_use_it() -> None:
    command = [
        sys.executable,
        "-m",
        "tests.market.exchange_server",
        "--port",
        "0",
        "--symbols",
        "ABCUSDT",
        "--faults",
        "503",
    ]
    with subprocess.Popen([*command, "--fault-rate", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        said = program.stdout.readline() + program.stdout.readline()
        address = said.split("answers at ")[1].split(". In")[0]
        with urllib.request.urlopen(f"{address}/api/v3/exchangeInfo", timeout=5) as answer:
            listed = json.load(answer)["symbols"]
        program.terminate()

    assert [one["symbol"] for one in listed] == ["ABCUSDT"]
    assert f"QT_EXCHANGE_URL={address}" in said


def test_an_unknown_fault_is_refused_with_the_known_ones() -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "tests.market.exchange_server", "--faults", "rain"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert refused.returncode == 2
    assert "unknown fault rain; known are 429" in refused.stderr
