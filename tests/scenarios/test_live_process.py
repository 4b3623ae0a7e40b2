"""A real ``qt serve`` on an exchange, killed in the middle, leaves what one that was never disturbed leaves."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from backend.clock import utc_now
from backend.database import Database
from tests.market import exchange_server as faults
from tests.market.exchange_server import LocalExchange
from tests.postgres import free_port
from tests.scenarios.live_market import SYMBOLS, LiveMarket, everything, rows
from tests.service import ADMIN_TOKEN, ROOT, environment_of

SETTINGS = {"QT_MARKET": "binance", "QT_TIMEFRAME": "1s", "QT_EXPLORATION_RATE": "0.5", "QT_HORIZON_CANDLES": "4"}
PATIENCE_SECONDS = 90.0


class PatientClock:
    """The real time, which can stand still until somebody asks for it.

    To those who ask it never stands still and is never set back: a service that measured it may count on it.
    """

    def __init__(self) -> None:
        self._behind = timedelta(0)
        self._stopped_at: datetime | None = None
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        with self._lock:
            now = utc_now()
            if self._stopped_at is not None:
                self._behind += now - self._stopped_at
                self._stopped_at = None
            return now - self._behind

    def wait_for_a_question(self) -> None:
        """Stand still from now until the next question."""
        with self._lock:
            self._stopped_at = self._stopped_at or utc_now()


@pytest.fixture
def clock() -> PatientClock:
    return PatientClock()


@pytest.fixture
def exchange(clock: PatientClock) -> Iterator[LocalExchange]:
    with LocalExchange(SYMBOLS, seed=5, clock=clock) as exchange:
        yield exchange


@contextmanager
def serving(folder: Path, exchange: LocalExchange, **given: str) -> Iterator["Served"]:
    """``qt serve`` with its announcement read; killed at the end where it still runs."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    environment = environment_of(folder, port, **{**SETTINGS, "QT_EXCHANGE_URL": exchange.url, **given})
    process = subprocess.Popen(
        [sys.executable, "-m", "backend.cli.main", "serve"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    served = Served(process, port)
    try:
        yield served
    finally:
        process.kill()
        process.wait()
        served.reader.join()
        assert process.stdout is not None
        process.stdout.close()


class Served:
    """A service in a process of its own, and what it printed."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self._port = process, port
        self.lines: list[str] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)

    @property
    def text(self) -> str:
        """Everything printed so far."""
        return "".join(self.lines)

    def announced(self) -> str:
        """The announcement, once it is there."""
        eventually(lambda: "Stop:" in self.text or self.process.poll() is not None, self)
        return self.text[self.text.index("Quantum Trader is ready") :]

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """One call with the admin token."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("GET", path, headers={"X-Admin-Token": ADMIN_TOKEN})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def kill(self) -> None:
        """As a power cut would."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


def eventually(check: Callable[[], bool], served: Served) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not check():
        assert time.monotonic() < deadline, served.text[-3000:]
        time.sleep(0.05)


def lived(database: Database, decisions: int, *, trades: int) -> bool:
    """Whether it decided so often, traded so often, and holds a position: what is traded depends on the hour."""
    seen = (count(database, "ai_training_samples"), count(database, "trade_logs"), count(database, "positions"))
    return all(found >= wanted for found, wanted in zip(seen, (decisions, trades, trades + 1), strict=True))


@pytest.mark.slow
def test_a_service_that_is_killed_twice_leaves_what_an_undisturbed_one_leaves(
    tmp_path: Path, exchange: LocalExchange, clock: PatientClock
) -> None:
    folder = tmp_path / "killed"
    database = Database(f"sqlite:///{folder / 'quantum_trader.db'}")
    decided = 0
    for life in range(3):
        with serving(folder, exchange) as service:
            service.announced()
            eventually(partial(lived, database, decided + 5 * len(SYMBOLS), trades=life), service)
            time.sleep(0.03 * life)
            service.kill()
            clock.wait_for_a_question()  # nobody is too late to trade only because a process takes seconds to start
        decided = count(database, "ai_training_samples")
    span = rows(database, "select min(timestamp), max(timestamp) from ai_training_samples")[0]
    first, last = moment(span[0]), moment(span[1])
    killed = everything(database)
    database.close()

    undisturbed = LiveMarket(
        tmp_path, exchange, given={**SETTINGS, "QT_EXCHANGE_URL": exchange.url}, begin=first + timedelta(seconds=0.5)
    )
    undisturbed.until(last + timedelta(seconds=0.3))
    expected = undisturbed.everything()
    undisturbed.close()

    assert last - first >= timedelta(seconds=13)
    assert len(killed["trades"]) >= 2
    for name in ("samples", "positions", "fills", "trades", "candles"):
        assert killed[name] == expected[name], name


@pytest.mark.slow
def test_a_start_names_what_the_exchange_has_and_lacks(tmp_path: Path, exchange: LocalExchange) -> None:
    with serving(tmp_path / "it", exchange, QT_SYMBOLS="BTCUSDC,NOPEUSDC") as service:
        announced = service.announced()
        status, answer = service.get("/ai/status")

    assert "Market: binance has no NOPEUSDC (QT_SYMBOLS); BTCUSDC is traded." in announced
    assert status == 200
    assert answer["market"]["source"] == "binance"
    assert answer["market"]["state"] in ("warming", "running")


@pytest.mark.slow
def test_an_exchange_that_is_away_does_not_keep_the_service_from_answering(
    tmp_path: Path, exchange: LocalExchange
) -> None:
    exchange.fail(faults.server_error(), "", times=faults.FOR_EVER)
    begun = time.monotonic()
    with serving(tmp_path / "it", exchange) as service:
        announced = service.announced()
        took = time.monotonic() - begun
        market = service.get("/ai/status")[1]["market"]
        ready = service.get("/health/ready")
        exchange.heal()
        eventually(lambda: service.get("/ai/status")[1]["market"]["state"] == "running", service)
        service.process.send_signal(signal.SIGTERM)
        code = service.process.wait(timeout=30)

    assert "The trader goes on trying." in announced
    assert took < 40
    assert (market["state"], ready[0]) == ("warming", 200)
    assert "binance" in market["detail"]
    assert code in (0, -signal.SIGTERM)
    assert "Traceback" not in service.text


def count(database: Database, table: str) -> int:
    """How many rows there are; 0 while there is no table yet."""
    if not rows(database, "select 1 from sqlite_master where name = :table", table=table):
        return 0
    return int(rows(database, f"select count(*) from {table}")[0][0])


def moment(stored: str) -> datetime:
    """A time as SQLite stores it."""
    return datetime.fromisoformat(f"{stored}+00:00")
