"""``qt serve``, ``start``, ``stop``: from nothing to an answering service and back."""

import http.client
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backend.cli.listening import address, listen
from backend.cli.process import Places, running
from backend.cli.serve import announcement, check_market, check_trader
from backend.database import Database
from backend.errors import ConflictError, InvalidInputError
from backend.learning.decisions.strategies import ensure_strategy
from backend.settings import Settings, load_settings

TOKEN = "a-token-for-the-service-0123"


def settings_of(**given: str) -> Settings:
    """Settings with ``given`` (without the prefix)."""
    return load_settings({"QT_ADMIN_TOKEN": TOKEN} | {f"QT_{name}": value for name, value in given.items()})


@pytest.fixture
def port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class SaysYes(http.server.BaseHTTPRequestHandler):
    """Another program, which answers 200 to whatever it is asked."""

    def do_GET(self) -> None:
        """Say yes."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else answers on."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), SaysYes) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        yield int(other.server_address[1])
        other.shutdown()
        thread.join()


def get(port: int, path: str, token: str | None = None) -> tuple[int, bytes]:
    """The status and body of a GET."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"X-Admin-Token": token} if token else {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_the_announcement_names_the_page_the_token_and_one_call_that_works_as_it_is() -> None:
    text = announcement(settings_of(PORT="8123"))

    assert "http://127.0.0.1:8123/" in text
    assert "QT_ADMIN_TOKEN" in text
    assert TOKEN not in text
    call = next(line for line in text.splitlines() if "Try:" in line)
    assert '-H "X-Admin-Token: $(' in call
    assert "qt token)" in call
    assert call.endswith("http://127.0.0.1:8123/ai/status")


def test_the_announcement_says_what_the_exchange_has_where_there_is_one() -> None:
    sentence = "binance has no NOPE (QT_SYMBOLS); BTCUSDC is traded."

    assert f"  Market: {sentence}\n" in announcement(settings_of(MARKET="binance"), sentence)
    assert "Market:" not in announcement(settings_of(MARKET="simulated"))


def test_an_exchange_that_ccxt_knows_is_not_asked_anything_before_the_start() -> None:
    nowhere = settings_of(MARKET="binance", EXCHANGE_URL="http://127.0.0.1:9")

    assert check_market(nowhere) is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("trader.local", "http://trader.local:8000"),
    ],
)
def test_the_address_is_one_that_this_machine_can_open(host: str, expected: str) -> None:
    assert address(settings_of(HOST=host)) == expected


def test_a_port_in_use_is_one_sentence_with_the_settings_that_change_it(taken: int) -> None:
    with pytest.raises(ConflictError, match=rf"Port {taken} of 127.0.0.1 .*QT_PORT or QT_HOST"):
        listen(settings_of(PORT=str(taken)))


def test_an_address_of_another_machine_is_one_sentence() -> None:
    with pytest.raises(ConflictError, match=r"QT_HOST"):
        listen(settings_of(HOST="203.0.113.7"))


def test_a_port_that_was_just_left_can_be_used_again(port: int) -> None:
    listen(settings_of(PORT=str(port))).close()

    with listen(settings_of(PORT=str(port))) as again:
        assert again.getsockname()[1] == port


def test_a_market_that_cannot_be_had_is_refused_before_anything_is_created(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"QT_MARKET=binanse.*binance"):
        check_market(settings_of(MARKET="binanse"))
    with pytest.raises(InvalidInputError, match="No candle file"):
        check_market(settings_of(MARKET="replay", MARKET_FILES=str(tmp_path)))
    assert check_market(settings_of(MARKET="off")) is None


@pytest.mark.parametrize("content", ["", "1,2,3\n", "not,a,candle\n"])
def test_a_candle_file_that_cannot_be_read_is_refused_by_the_settings_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "BTCUSDC-5m.csv").write_text(content)

    with pytest.raises(InvalidInputError, match=r"QT_MARKET_FILES: .*BTCUSDC-5m.csv"):
        check_market(settings_of(MARKET="replay", MARKET_FILES=str(tmp_path)))


@pytest.mark.parametrize(
    ("now", "remedy"),
    [
        ({"MARKET": "simulated", "TIMEFRAME": "15m"}, "QT_TIMEFRAME=5m"),
        ({"MARKET": "replay", "STRATEGY": "simulated"}, "QT_STRATEGY"),
        ({"MARKET": "simulated"}, None),
        ({"MARKET": "simulated", "TIMEFRAME": "15m", "STRATEGY": "slower"}, None),
        ({"MARKET": "off", "TIMEFRAME": "15m", "STRATEGY": "simulated"}, None),
    ],
)
def test_settings_that_contradict_the_traders_strategy_are_refused(
    database: Database, now: dict[str, str], remedy: str | None
) -> None:
    begun = settings_of(MARKET="simulated")
    database.write(
        ensure_strategy, "simulated", market="simulated", settings=begun, now=datetime.now(UTC), actor="trader"
    )
    settings = settings_of(DATABASE_URL=database.url, MARKET_FILES="candles", **now)

    if remedy is None:
        assert check_trader(settings) is None
    else:
        with pytest.raises(ConflictError, match=remedy):
            check_trader(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QT_ADMIN_TOKEN", "live-admin-token"),
        ("QT_MARKET", "replay"),
        ("QT_PORT", "x"),
        ("QT_NOTIFY_URLS", "jsson://host/topsecret"),
    ],
)
def test_nothing_is_created_while_a_setting_is_wrong(project: Path, qt_there: Any, name: str, value: str) -> None:
    before = {path for path in project.rglob("*") if "__pycache__" not in path.parts}

    answer = qt_there("serve", **{"QT_ADMIN_TOKEN": TOKEN, name: value})

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert "topsecret" not in answer.err
    assert {path for path in project.rglob("*") if "__pycache__" not in path.parts} == before


def test_a_model_folder_that_cannot_be_used_is_one_sentence_at_the_start(
    project: Path, qt_there: Any, port: int
) -> None:
    (project / "models").write_text("in the way")

    answer = qt_there("serve", QT_ADMIN_TOKEN=TOKEN, QT_PORT=str(port), QT_MODEL_DIR="models", QT_MARKET="off")

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("QT_MODEL_DIR=")
    assert answer.err.count("\n") == 1


def test_migrate_brings_the_database_to_the_newest_revision(qt: Any, tmp_path: Path) -> None:
    first, second = qt("migrate"), qt("migrate", "--json")

    assert "revision" in first.out
    assert second.json["status"] == "ok"
    assert second.json["revision"] in first.out
    assert (tmp_path / "quantum_trader.db").exists()


@pytest.mark.slow
def test_serve_answers_announces_itself_and_ends_on_a_signal(project: Path, port: int) -> None:
    (project / ".env").write_text(f"QT_ADMIN_TOKEN={TOKEN}\nQT_PORT={port}\nQT_MARKET=off\n")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("QT_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "backend.cli.main", "serve"],
        cwd=project,
        env=environ | {"QT_ACCESSIBILITY": "1", "QT_IM_MODULE": "ibus"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    heard = []
    for line in process.stdout:
        heard.append(line)
        if "Stop:" in line:
            break

    live, locked, opened = get(port, "/health/live"), get(port, "/ai/status"), get(port, "/ai/status", TOKEN)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=30)

    text = "".join(heard)
    assert f"http://127.0.0.1:{port}/" in text
    assert "in .env" in text
    assert TOKEN not in text + rest
    assert (live[0], locked[0], opened[0]) == (200, 401, 200)
    assert process.returncode == 0
    assert "Traceback" not in text + rest
    assert (project / "backend" / "quantum_trader.db").exists()


@pytest.mark.slow
def test_start_and_stop_run_it_in_the_background_once(project: Path, qt_there: Any, port: int) -> None:
    own = {"QT_ADMIN_TOKEN": TOKEN, "QT_PORT": str(port), "QT_MARKET": "off"}
    try:
        first = qt_there("start", "--json", **own)
        second = qt_there("start", "--json", **own)
        answered = get(port, "/health/live")[0]
    finally:
        stopped = qt_there("stop", "--json", **own)
    again = qt_there("stop", **own)

    assert first.code == 0, first.err
    assert first.json == {"status": "ok", "pid": first.json["pid"], "url": f"http://127.0.0.1:{port}", "started": True}
    assert (second.json["pid"], second.json["started"]) == (first.json["pid"], False)
    assert answered == 200
    assert stopped.json == {"status": "ok", "pid": first.json["pid"], "stopped": True}
    assert (again.code, again.out) == (0, "It was not running.\n")
    log = (project / "var" / "quantum_trader.log").read_text()
    assert "ready" in log
    assert "qt stop\n" in log
    assert "Ctrl-C" not in log
    with pytest.raises(OSError, match="refused"):
        get(port, "/health/live")


def test_start_on_a_port_in_use_says_so_and_leaves_nothing_running(project: Path, qt_there: Any, taken: int) -> None:
    answer = qt_there("start", QT_ADMIN_TOKEN=TOKEN, QT_PORT=str(taken))

    assert answer.code == 1
    assert f"Port {taken}" in answer.err
    assert answer.err.count("\n") == 1
    assert not (project / "var" / "quantum_trader.pid").exists()


def test_stop_does_not_call_stopped_what_it_did_not_start(project: Path, qt_there: Any, taken: int) -> None:
    answer = qt_there("stop", QT_ADMIN_TOKEN=TOKEN, QT_PORT=str(taken))

    assert (answer.code, answer.out) == (1, "")
    assert f"http://127.0.0.1:{taken}" in answer.err
    assert "Ctrl-C in the terminal" in answer.err
    assert answer.err.count("\n") == 1
    assert get(taken, "/health/live")[0] == 200


@pytest.mark.slow
def test_start_passes_on_why_the_service_ended(project: Path, qt_there: Any, port: int) -> None:
    answer = qt_there("start", QT_ADMIN_TOKEN=TOKEN, QT_PORT=str(port), QT_MARKET="binanse")

    assert answer.code == 1
    assert "QT_MARKET=binanse" in answer.err
    assert answer.err.count("\n") == 1
    assert not (project / "var" / "quantum_trader.pid").exists()


@pytest.mark.parametrize(
    "content", ["", "not json", "[]", '{"pid": "x"}', '{"pid": 1}', '{"pid": 1, "began": "before"}']
)
def test_a_file_that_names_no_process_of_ours_means_not_running(tmp_path: Path, content: str) -> None:
    places = Places(tmp_path)
    places.pid.write_text(content)

    assert running(places) is None


def test_a_later_process_with_the_same_id_is_not_taken_for_the_service(tmp_path: Path) -> None:
    places = Places(tmp_path)
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    places.pid.write_text(json.dumps({"pid": sleeper.pid, "began": "long ago"}))

    try:
        assert running(places) is None
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()
