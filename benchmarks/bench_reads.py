"""What a person waits for, and what the service reads each minute and night, beside the bare SQL of the same columns.

    .venv/bin/python -m benchmarks.bench_reads --decisions 20000

The floor is Python's own ``sqlite3``, fetching the columns that the read needs as tuples: nothing in Python is faster.
"""

import argparse
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from backend.database import Database
from backend.learning.evidence.compare import compare
from backend.learning.evidence.since_activation import read_live_rows
from backend.learning.evidence.version_page import version_page
from backend.learning.versions.find import find_version
from backend.learning.versions.past import read_past
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.settings import load_settings
from benchmarks.read_ground import ACTIVE, SHADOW, STRATEGY, build
from benchmarks.timing import report, seconds

MINE = f"FROM ai_training_samples WHERE model_version = '{ACTIVE}' ORDER BY timestamp, id"
SINCE = "timestamp, horizon_at, forward_return, prediction_score, expected_return, volatility"
ALL = f"{SINCE}, symbol, quarantine_reason, predicted_action, explored, execution_side, realized_pnl, fees, fees_known"
DRIFT = "SELECT features_blob FROM ai_training_samples ORDER BY timestamp DESC LIMIT 10000"
BOTH = (
    "SELECT s.timestamp, s.horizon_at, s.forward_return, a.score, a.action, b.score, b.action"
    f" FROM ai_training_samples s JOIN forecasts a ON a.sample_id = s.id AND a.version_id = '{ACTIVE}'"
    f" JOIN forecasts b ON b.sample_id = s.id AND b.version_id = '{SHADOW}' ORDER BY s.timestamp, s.id"
)
PAST = (
    "SELECT id, timestamp, horizon_at, forward_return, prediction_score, model_version FROM ai_training_samples"
    " ORDER BY timestamp, id"
)


@dataclass(frozen=True)
class Read:
    """One read, and the queries that are its floor."""

    name: str
    call: Callable[[], object]
    floor: tuple[str, ...]


def main() -> None:
    """Print each read with its floor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, default=20_000)
    decisions = parser.parse_args().decisions
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database, store = build(folder, decisions)
        bare = sqlite3.connect(folder / "quantum_trader.db")
        print(f"{decisions:,} decisions, the newest of which still await their outcome:")
        for read in reads(database, store):
            floor = seconds(lambda queries=read.floor: [bare.execute(one).fetchall() for one in queries], 1)  # type: ignore[misc]
            report(read.name, seconds(read.call, 1), floor, "the bare SQL")
        bare.close()
        database.close()


def reads(database: Database, store: ArtifactStore) -> tuple[Read, ...]:
    """The reads over the strategy that was built."""
    settings, serving = (
        load_settings({"QT_DATABASE_URL": database.url, "QT_MARKET": "off"}, require_token=False),
        Serving(store),
    )

    def since(session: Session) -> object:
        return read_live_rows(session, find_version(session, ACTIVE))

    return (
        Read(
            "GET /ai/models/{active}",
            lambda: database.read(version_page, ACTIVE, cost=settings.cost, serving=serving),
            (f"SELECT {ALL} {MINE}", f"SELECT {SINCE} {MINE}", DRIFT),
        ),
        Read("GET /ai/compare", lambda: database.read(compare, ACTIVE, SHADOW, settings=settings), (BOTH,)),
        Read("the minute's look at an active version", lambda: database.read(since), (f"SELECT {SINCE} {MINE}",)),
        Read("the night's reading of the past", lambda: read_past(database, store, STRATEGY), (PAST,)),
    )


if __name__ == "__main__":
    main()
