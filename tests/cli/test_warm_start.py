"""``qt warm-start``: from files and from the market, once and again, dry, refused, taken away."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ai_engine.candles import Candles
from backend.cli.warm_start import ATTEMPTS, PAGE, fetched
from backend.clock import to_ms
from backend.errors import InvalidInputError
from backend.learning.decisions.historical_plan import Terms
from backend.market.feed import FeedUnavailableError, OwnMarket
from tests.market.exchange_server import LocalExchange, too_many_requests
from tests.trading.desk import random_bars, write_file

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE = 60_000
TERMS = Terms("default", "binance", False, "1m", 12, "long,short")


@pytest.fixture
def candles(tmp_path: Path) -> Path:
    """Files of two symbols, one with a gap."""
    write_file(tmp_path / "candles", "AAAUSDT", random_bars(620, 1), missing=frozenset({530, 531}))
    write_file(tmp_path / "candles", "BBBUSDT", random_bars(620, 2))
    return tmp_path / "candles"


def count(environ: dict[str, str], where: str = "1=1") -> int:
    connection = sqlite3.connect(environ["QT_DATABASE_URL"].removeprefix("sqlite:///"))
    try:
        return int(connection.execute(f"select count(*) from ai_training_samples where {where}").fetchone()[0])
    finally:
        connection.close()


def test_files_become_samples_once(migrated: Any, environ: dict[str, str], candles: Path) -> None:
    first = migrated("warm-start", candles, "--json").json
    second = migrated("warm-start", candles, "--json").json
    shown = migrated("warm-start", candles, "--stride", 1)

    assert (first["status"], first["strategy"], first["strategy_created"], first["stride"]) == (
        "ok",
        "default",
        True,
        3,
    )
    assert first["added"] == first["rows"] == first["historical_samples"] > 60
    assert [one["symbol"] for one in first["symbols"]] == ["AAAUSDT", "BBBUSDT"]
    assert (second["added"], second["left_out"]["stored_before"]) == (0, first["added"])
    assert (second["training_window"], second["strategy_created"]) == (None, False)
    assert f"added to default, which holds {count(environ)} now" in shown.out
    assert "qt retrain --strategy default" in shown.out
    assert shown.err == ""


def test_a_dry_run_says_the_same_and_writes_nothing(migrated: Any, environ: dict[str, str], candles: Path) -> None:
    dry = migrated("warm-start", candles, "--dry-run", "--json").json
    shown = migrated("warm-start", candles, "--dry-run")
    assert count(environ) == 0

    real = migrated("warm-start", candles, "--json").json

    changed = {"dry_run", "added", "historical_samples", "strategy_created"}
    assert {key: dry[key] for key in dry.keys() - changed} == {key: real[key] for key in real.keys() - changed}
    assert (dry["added"], dry["historical_samples"], dry["strategy_created"]) == (0, 0, False)
    assert f"{dry['rows']} historical samples would be added to default. Nothing was written." in shown.out


def test_finer_files_are_gathered_to_the_strategys_timeframe(
    migrated: Any, environ: dict[str, str], candles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(environ, "QT_TIMEFRAME", "10m")
    monkeypatch.setenv("QT_TIMEFRAME", "10m")
    write_file(candles, "CCCUSDT", random_bars(1_200, 3))

    told = migrated("warm-start", candles, "--symbols", "cccusdt", "--stride", 1, "--json").json

    assert (told["timeframe"], told["symbols"][0]["candles"]) == ("10m", 600)
    assert count(environ, "decision_id like 'historical-CCCUSDT-10m-%'") == told["added"] == 600 - 499 - 12


def test_rows_outside_the_training_window_are_told_with_the_setting_that_takes_them_in(
    migrated: Any, candles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QT_AI_RETRAIN_WINDOW_DAYS", "1")
    write_file(candles, "AAAUSDT", random_bars(1_500, 1))

    answer = migrated("warm-start", candles, "--symbols", "AAAUSDT", "--stride", 1)

    assert "lie in the training window of 1 days before the newest outcome" in answer.out
    assert "QT_AI_RETRAIN_WINDOW_DAYS=4." in answer.out


def test_they_are_taken_away_again_and_nothing_else_is(migrated: Any, environ: dict[str, str], candles: Path) -> None:
    migrated("bootstrap", "--strategy", "default")
    added = migrated("warm-start", candles, "--json").json["added"]

    told = migrated("warm-start", "--remove", "--json").json
    shown = migrated("warm-start", "--remove")

    assert told == {"status": "ok", "strategy": "default", "removed": added}
    assert (count(environ), count(environ, "origin = 'synthetic'")) == (30, 30)
    assert "Removed 0 historical samples from default" in shown.out


@pytest.mark.parametrize(
    ("arguments", "settings", "code", "words"),
    [
        ([], {}, 2, "one of FILES, --days N and --remove"),
        (["FILES", "--days", "3"], {}, 2, "one of FILES, --days N and --remove"),
        (["--days", "0"], {}, 2, "--days"),
        (["FILES", "--stride", "0"], {}, 2, "--stride"),
        (["nowhere.csv"], {}, 1, "nowhere.csv"),
        (["FILES", "--symbols", "DOGEUSDT"], {}, 1, "DOGEUSDT"),
        (["FILES", "--symbols", ","], {}, 1, "--symbols"),
        (["FILES", "--strategy", "No Such"], {}, 1, "strategy"),
        (["--days", "3"], {}, 1, "QT_MARKET=off has no past to fetch"),
        (["--remove", "--strategy", "defualt"], {}, 1, "'default'"),
        (["FILES"], {"QT_MARKET": "simulated", "QT_STRATEGY": ""}, 1, "qt warm-start --strategy default"),
        (["FILES"], {"QT_TIMEFRAME": "1m"}, 1, "1m"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    migrated: Any,
    candles: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    settings: dict[str, str],
    code: int,
    words: str,
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    answer = migrated("warm-start", *(str(candles) if word == "FILES" else word for word in arguments))

    assert (answer.code, answer.out) == (code, "")
    assert words in answer.err
    assert answer.err.count("\n") == 1


def test_the_simulated_markets_own_past_warms_its_own_strategy(
    migrated: Any, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QT_MARKET", "simulated")
    monkeypatch.setenv("QT_STRATEGY", "simulated")

    told = migrated("warm-start", "--days", 1, "--symbols", "BTCUSDC,ETHUSDC", "--json").json
    refused = migrated("warm-start", "--days", 1, "--strategy", "default")

    assert (told["market"], told["strategy"]) == ("simulated", "simulated")
    assert told["added"] == count(environ) == pytest.approx(2 * 288 / 3, abs=10)
    assert refused.code == 1
    assert "--strategy simulated" in refused.err


# --- Pages of an exchange that is slow, lacks candles, or lacks the symbol ---


class Pages(OwnMarket):
    """A feed that counts what it is asked and may say no."""

    source = "binance"
    timeframe = "1m"
    start = NOW

    def __init__(self, symbols: tuple[str, ...], held: range, refusals: list[float] | None = None) -> None:
        self.symbols = symbols
        self.asked: list[int] = []
        self._opened = to_ms(NOW) + MINUTE * np.array(held, dtype=np.int64)
        self._refusals = refusals or []

    def now(self) -> datetime:
        return NOW

    def history(self, symbol: str, before: datetime, count: int) -> Candles:
        assert symbol in self.symbols
        if self._refusals:
            raise FeedUnavailableError("The exchange said 429.", retry_after_seconds=self._refusals.pop(0))
        self.asked.append(count)
        opened = self._opened[self._opened + MINUTE <= to_ms(before)][-count:]
        price = np.full(len(opened), 100.0)
        return Candles(opened, price, price, price, price, price, MINUTE)

    def rounds(self, after: datetime | None, until: datetime | None = None) -> Iterator[Any]:
        raise NotImplementedError


def quiet(_stage: str, _part: float) -> None:
    """Nobody watches."""


def test_pages_go_back_to_the_window_before_the_days_asked_for() -> None:
    feed = Pages(("AAAUSDT", "BBBUSDT"), range(-10_000, 0))

    found = fetched(feed, timedelta(days=1), TERMS, quiet)

    for series in found.candles.values():
        assert len(series) == 1_440 + 500
        assert (np.diff(series.open_time) == MINUTE).all()
        assert int(series.close_time[-1]) == to_ms(NOW)
    assert set(feed.asked) == {PAGE}
    assert len(feed.asked) == 2 * 2


def test_a_late_listing_ends_where_its_candles_do() -> None:
    found = fetched(Pages(("AAAUSDT",), range(-300, 0)), timedelta(days=2), TERMS, quiet)

    assert len(found.candles["AAAUSDT"]) == 300


def test_a_market_that_asks_for_patience_gets_it() -> None:
    waited: list[float] = []

    found = fetched(Pages(("AAAUSDT",), range(-600, 0), [7.0, 0.0]), timedelta(hours=1), TERMS, quiet, waited.append)

    assert waited == [7.0, 1.0]
    assert len(found.candles["AAAUSDT"]) == 560


@pytest.mark.parametrize(("refusals", "waits"), [([1.0] * ATTEMPTS, ATTEMPTS - 1), ([100_000.0], 0)])
def test_a_market_that_stays_away_is_given_up_with_its_own_sentence(refusals: list[float], waits: int) -> None:
    waited: list[float] = []

    with pytest.raises(FeedUnavailableError, match="429"):
        fetched(Pages(("AAAUSDT",), range(-600, 0), refusals), timedelta(hours=1), TERMS, quiet, waited.append)

    assert len(waited) == waits


def test_a_market_without_any_of_the_symbols_is_refused() -> None:
    feed = Pages((), range(-600, 0))
    feed.unknown_symbols = ("NOSUCHUSDT",)

    with pytest.raises(InvalidInputError, match="NOSUCHUSDT") as refused:
        fetched(feed, timedelta(hours=1), TERMS, quiet)

    assert refused.value.reason == "symbols_unknown"


# --- A real exchange on this machine, asked through ccxt ---


@pytest.fixture
def exchange(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalExchange]:
    """An exchange whose address and market are in the settings."""
    with LocalExchange(("BTCUSDC", "ETHUSDC")) as exchange:
        asked = {"QT_MARKET": "binance", "QT_EXCHANGE_URL": exchange.url, "QT_SYMBOLS": "BTCUSDC,ETHUSDC,NOPEUSDC"}
        for name, value in asked.items():
            monkeypatch.setitem(environ, name, value)
            monkeypatch.setenv(name, value)
        yield exchange


def test_an_exchanges_own_past_becomes_samples_whose_returns_are_in_its_books(
    migrated: Any, environ: dict[str, str], exchange: LocalExchange
) -> None:
    exchange.fail(too_many_requests(1))

    told = migrated("warm-start", "--days", 2, "--stride", 6, "--json").json
    again = migrated("warm-start", "--days", 2, "--stride", 6)

    assert (told["market"], told["strategy"], told["unknown_symbols"]) == ("binance", "default", ["NOPEUSDC"])
    assert told["added"] == pytest.approx(2 * 2 * 288 / 6, abs=8)
    assert "binance has no NOPEUSDC; the others were taken." in again.out
    connection = sqlite3.connect(environ["QT_DATABASE_URL"].removeprefix("sqlite:///"))
    rows = connection.execute("select symbol, timestamp, price, forward_return from ai_training_samples").fetchall()
    connection.close()
    hour, candle = timedelta(hours=1), timedelta(minutes=5)
    for symbol, timestamp, price, forward_return in rows[::17]:
        decided = datetime.fromisoformat(timestamp).replace(tzinfo=UTC)
        assert price == exchange.bar(symbol, "5m", decided)[0]
        close = exchange.bar(symbol, "5m", decided + hour - candle)[3]
        assert forward_return == pytest.approx(close / price - 1, abs=1e-12)
