"""Every figure of the summary equals what plain SQL on the raw file says."""

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.clock import utc_now
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.learning.versions.trainer import InProcessTrainer
from backend.market.feed import CandleRound
from backend.market.files import FileMarket
from backend.trading.replay import ReplayOptions, ReplayService, replay
from backend.trading.summary import Figures, figures
from tests.trading.desk import Desk

OpenDesk = Callable[..., Desk]


def run(desk: Desk, feed: FileMarket) -> Figures:
    store = ArtifactStore(desk.settings.model_dir)
    service = ReplayService(desk.database, desk.settings, store, Serving(store), InProcessTrainer(), utc_now)
    return replay(service, feed, ReplayOptions("replay", "newest"), lambda done, total, at, doing: None).figures  # noqa: ARG005


class Book:
    """The database file, opened without any of our code."""

    def __init__(self, desk: Desk) -> None:
        self._file = sqlite3.connect(desk.settings.database_url.removeprefix("sqlite:///"))

    def all(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._file.execute(query, values).fetchall()

    def one(self, query: str, *values: Any) -> Any:
        return self.all(query, *values)[0][0]

    def count(self, where: str, *values: Any) -> int:
        return int(self.one(f"select count(*) from ai_training_samples where strategy = 'replay' and {where}", *values))

    def close(self) -> None:
        self._file.close()


def as_time(stored: str | None) -> datetime | None:
    return None if stored is None else datetime.fromisoformat(f"{stored[:19]}+00:00")


def check_everything(found: Figures, book: Book) -> None:
    """Compare each figure with a query of its own."""
    check_decisions(found, book)
    check_trades(found, book)
    check_symbols(found, book)
    check_versions(found, book)


def check_decisions(found: Figures, book: Book) -> None:
    decisions = found.decisions
    span = book.all("select min(timestamp), max(timestamp) from ai_training_samples where strategy = 'replay'")[0]
    assert (found.first_decision, found.last_decision) == (as_time(span[0]), as_time(span[1]))
    assert decisions.total == book.count("1")
    assert decisions.rounds == book.one("select count(distinct timestamp) from ai_training_samples")
    for action in ("BUY", "SELL", "HOLD"):
        assert decisions.by_action[action] == book.count("predicted_action = ?", action)
        for name in ("WIN", "LOSS", "NEUTRAL"):
            expected = book.count("predicted_action = ? and target_class = ?", action, name)
            assert decisions.by_class[action][name] == expected
    assert decisions.cold_start == book.count("model_version is null")
    assert decisions.explored == book.count("explored = 1")
    assert decisions.outcome_known == book.count("target_label is not null")
    assert decisions.unobservable == book.count("state = 'unobservable' and target_label is null")
    assert decisions.pending == book.count("target_label is null and state != 'unobservable'")
    assert decisions.by_label_source == dict(
        book.all("select label_source, count(*) from ai_training_samples where label_source is not null group by 1")
    )


def check_trades(found: Figures, book: Book) -> None:
    """From the decisions' rows: the summary reads the trade log."""
    trades, closed = found.trades, "executed = 1 and exit_price is not null"
    side = "case execution_side when 'BUY' then 1 else -1 end"
    gross = book.one(
        f"select coalesce(sum({side} * quantity * (exit_price - entry_price)), 0)"
        f" from ai_training_samples where {closed}"
    )
    fees = book.one(f"select coalesce(sum(fees), 0) from ai_training_samples where {closed}")
    assert trades.closed == book.count(closed)
    assert trades.open == book.count("executed = 1 and exit_price is null")
    assert trades.wins == book.count(f"{closed} and realized_pnl > 0")
    assert trades.losses == book.count(f"{closed} and realized_pnl < 0")
    assert trades.flat == book.count(f"{closed} and realized_pnl = 0")
    assert trades.fees == pytest.approx(fees)
    assert trades.gross_pnl == pytest.approx(gross)
    assert trades.net_pnl == pytest.approx(gross - fees)
    assert trades.cancelled_orders == book.one("select count(*) from positions where state = 'cancelled'")
    assert trades.by_exit_reason == dict(
        book.all("select exit_reason, count(*) from ai_training_samples where exit_reason is not null group by 1")
    )


def check_symbols(found: Figures, book: Book) -> None:
    names = [row[0] for row in book.all("select distinct symbol from ai_training_samples order by 1")]
    assert [row.symbol for row in found.symbols] == names
    for row in found.symbols:
        assert row.decisions == book.count("symbol = ?", row.symbol)
        for action, count in row.by_action.items():
            assert count == book.count("symbol = ? and predicted_action = ?", row.symbol, action)
        assert row.trades == book.count("symbol = ? and realized_pnl is not null", row.symbol)
        assert row.wins == book.count("symbol = ? and realized_pnl > 0", row.symbol)
        assert row.losses == book.count("symbol = ? and realized_pnl < 0", row.symbol)
        pnl = book.one("select coalesce(sum(realized_pnl), 0) from ai_training_samples where symbol = ?", row.symbol)
        assert row.net_pnl == pytest.approx(pnl)


def check_versions(found: Figures, book: Book) -> None:
    versions = book.all(
        "select version_id, trained_at, training_samples, validation_samples, train_accuracy, validation_accuracy,"
        " verdict, recommended, is_active from ai_model_versions order by trained_at"
    )
    assert len(found.versions) == len(versions)
    for row, (version, trained_at, training, validation, *judged, recommended, active) in zip(
        found.versions, versions, strict=True
    ):
        assert (row.version_id, row.trained_at) == (version, as_time(trained_at))
        assert (row.training_samples, row.validation_samples) == (training, validation)
        assert [row.train_accuracy, row.validation_accuracy, row.verdict] == judged
        assert (row.recommended, row.is_active) == (bool(recommended), bool(active))
        mine = "select count(*), min(timestamp), max(timestamp) from ai_training_samples where model_version = ?"
        count, first, last = book.all(mine, version)[0]
        assert (row.decisions, row.first_decision, row.last_decision) == (count, as_time(first), as_time(last))
        pnl = book.one(
            "select coalesce(sum(realized_pnl), 0) from ai_training_samples where model_version = ?", version
        )
        assert row.net_pnl == pytest.approx(pnl)
    states = book.all("select state, count(*) from job_runs group by 1")
    assert found.retrainings == dict(states)


@pytest.fixture
def open_book() -> Iterator[Callable[[Desk], Book]]:
    books: list[Book] = []

    def open_book(desk: Desk) -> Book:
        books.append(Book(desk))
        return books[-1]

    yield open_book
    for book in books:
        book.close()


@pytest.mark.slow
def test_every_figure_of_a_replay_equals_independent_sql(
    files: Path, open_desk: OpenDesk, open_book: Callable[[Desk], Book]
) -> None:
    desk = open_desk(ai_retrain_schedule="every 2h", ai_retrain_min_samples=20)

    found = run(desk, desk.feed)

    assert len(found.versions) >= 2
    assert found.trades.closed > 5
    assert found.decisions.unobservable > 0
    check_everything(found, open_book(desk))


@pytest.mark.slow
def test_the_figures_of_one_strategy_leave_others_out(files: Path, open_desk: OpenDesk) -> None:
    desk = open_desk()
    desk.run()
    before = desk.database.read(figures, "replay")

    desk.run(strategy="other")

    assert desk.database.read(figures, "replay") == before
    assert desk.database.read(figures, "other").decisions.total == before.decisions.total


def test_a_strategy_that_never_decided_has_empty_figures(open_desk: OpenDesk) -> None:
    found = open_desk().database.read(figures, "replay").as_dict()

    assert found["first_decision"] is None
    assert found["decisions"]["total"] == found["trades"]["closed"] == 0
    assert found["trades"]["net_pnl"] == 0.0
    assert found["versions"] == found["symbols"] == []


class FewDays(FileMarket):
    """Real candles, the first few days of them."""

    days = 2

    def rounds(self, after: datetime | None, until: datetime | None = None) -> Iterator[CandleRound]:
        """As the files have them, up to the last day wanted."""
        end = self.start + timedelta(days=self.days)
        return super().rounds(after, min(until or end, end))


@pytest.mark.market_data
@pytest.mark.slow
def test_every_figure_over_real_candles_equals_independent_sql(
    market_data: Path, open_desk: OpenDesk, open_book: Callable[[Desk], Book]
) -> None:
    desk = open_desk(ai_retrain_min_samples=100)
    feed = FewDays([market_data / "binance-perp" / f"{name}-1m.csv.gz" for name in ("BTCUSDT", "ETHUSDT")], "5m")

    found = run(desk, feed)

    assert found.first_decision == feed.start
    assert found.first_decision is not None
    assert found.first_decision > datetime(2025, 5, 6, tzinfo=UTC)
    assert found.decisions.total == 2 * found.decisions.rounds == 2 * (2 * 288 + 1)
    assert found.retrainings == {"success": 2}
    check_everything(found, open_book(desk))
