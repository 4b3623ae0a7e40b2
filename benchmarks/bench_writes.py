"""One decision stored through the write door, beside a bare insert of as many bytes with the same safety."""

import itertools
import sqlite3
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from ai_engine.features.catalogue import FEATURE_NAMES
from backend import migrations
from backend.database import Database
from backend.learning.decisions.record import NewDecision, record
from backend.learning.decisions.strategies import ensure_strategy
from backend.settings import Settings, load_settings
from benchmarks.timing import report, seconds

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
FEATURES = np.zeros(len(FEATURE_NAMES), dtype=np.float32)
REPEATS = 50
TOGETHER = 100


def main() -> None:
    """Print a decision alone, and one of many in a transaction."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/quantum_trader.db"
        settings = load_settings({"QT_DATABASE_URL": url, "QT_MARKET": "off"}, require_token=False)
        migrations.upgrade(url)
        database, numbers = Database(url), itertools.count()
        floor, floor_is = _bare_insert(Path(folder)), "a bare insert and commit"
        alone = seconds(lambda: database.write(_store, settings, numbers, 1), REPEATS)
        report("one decision", alone, floor, floor_is)
        together = seconds(lambda: database.write(_store, settings, numbers, TOGETHER), 2) / TOGETHER
        report(f"one decision of {TOGETHER} in a transaction", together, floor, floor_is)
        database.close()


def _store(session: Session, settings: Settings, numbers: "itertools.count[int]", count: int) -> None:
    strategy, _ = ensure_strategy(
        session, "default", market="external", settings=settings, now=BEGIN, actor="benchmark"
    )
    record(session, strategy, [_decision(next(numbers)) for _ in range(count)], now=BEGIN)


def _decision(number: int) -> NewDecision:
    return NewDecision(
        decision_id=f"decision-{number}",
        symbol="BTCUSDC",
        timestamp=BEGIN + timedelta(minutes=number),
        price=100.0,
        feature_names=FEATURE_NAMES,
        features=FEATURES,
        action="HOLD",
        forecast=None,
        model_version=None,
        reason=None,
        explored=False,
        propensity=1.0,
        body_hash=None,
    )


def _bare_insert(folder: Path) -> float:
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, b)"
    )
    blob = FEATURES.tobytes()

    def insert() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t (b) VALUES (?)", (blob,))
        connection.execute("COMMIT")

    measured = seconds(insert, REPEATS)
    connection.close()
    return measured


if __name__ == "__main__":
    main()
