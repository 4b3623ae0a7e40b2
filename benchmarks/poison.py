"""Bad rows among good ones: does a report change in any digit, or the model in any byte?

    python -m benchmarks.poison [--seeds N]

For each seed 400 closed trades are learned from twice: alone, and with 120 bad rows among them, all in random order and
through the doors that bots use. Where no door lets a bad row in (not a number in a stored feature, a demo row), it is
written into the table.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from ai_engine.candles import Candles
from backend.clock import to_ms
from backend.database import Database
from backend.errors import QuantumTraderError
from backend.learning.decisions.imports import import_samples
from backend.learning.decisions.observed import DecisionBody
from backend.learning.decisions.outcomes import Outcome
from backend.learning.decisions.posted import DecisionService, post_decision
from backend.learning.decisions.prices import posted_market
from backend.learning.decisions.told_outcomes import tell_outcome
from backend.learning.versions.retrain import RetrainService, retrain
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.learning.versions.trainer import InProcessTrainer
from backend.market import candles as candle_store
from backend.models import AIModelVersion, AITrainingSample, Base
from backend.settings import Settings, load_settings
from benchmarks.claims import Claims, over_seeds

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
START = NOW - timedelta(days=20)
GOOD, STRATEGY, BATCH = 400, "bot", 20
TOKEN = "a-token-for-benchmarks-only"
EXPECTED = {
    "alike_returns": 12,
    "trade_far_from_candles": 10,
    "trade_out_of_bounds": 8,
    "nan_feature": 5,
    "infinite_feature": 5,
    "synthetic": 10,
}
REFUSED, DUPLICATES = 60, 10


@dataclass
class World:
    """A database, what was answered so far, and the trades that are put into it."""

    database: Database
    settings: Settings
    features: int
    refused: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0

    @property
    def store(self) -> ArtifactStore:
        """Where versions are published."""
        return ArtifactStore(self.settings.model_dir)

    def bring(self, rows: list[Any]) -> None:
        """Import closed trades."""
        given: dict[str, Any] = {"settings": self.settings, "now": NOW, "actor": "benchmark"}
        result = self.database.write(import_samples, STRATEGY, rows, **given)
        self.refused["import"] += len(result.rejected)
        self.duplicates += result.duplicates

    def tell(self, name: str, exit_price: float, minute: float) -> None:
        """Post a decision, and the outcome of its trade."""
        decided = START + timedelta(minutes=minute)
        service = DecisionService(self.database, self.settings, Serving(self.store), lambda: NOW)
        seen = {f"f{index}": 0.5 for index in range(self.features)}
        body = DecisionBody("ETHUSDC", name, decided, 100.0, seen, predicted_action="BUY")
        post_decision(service, STRATEGY, body, "benchmark")
        told = Outcome(exit_price, decided + timedelta(minutes=20), side="BUY", entry_price=100.0, entry_quantity=1.0)
        self.database.write(tell_outcome, STRATEGY, name, told, settings=self.settings, now=NOW)

    def refuse(self, call: Callable[[], object]) -> None:
        """A call that must be refused."""
        try:
            call()
        except QuantumTraderError as error:
            self.refused[error.reason] += 1

    def learn(self) -> AIModelVersion:
        """Train, and give back the version."""
        service = RetrainService(self.database, self.settings, self.store, InProcessTrainer(), lambda: NOW)
        answer = retrain(service, strategy=STRATEGY, actor="benchmark", min_samples=1)
        if answer["status"] != "success":
            raise RuntimeError(f"the training made no version: {answer}")
        query = select(AIModelVersion).where(AIModelVersion.version_id == answer["version_id"])
        return self.database.read(lambda session: session.scalars(query).one())


@dataclass(frozen=True)
class Compared:
    """What a clean and a poisoned run have in common, and what the poisoned one said of the bad rows."""

    different: tuple[str, ...]
    same_bytes: bool
    same_data: bool
    quarantined: dict[str, int]
    refused: int
    duplicates: int


def compare(seed: int, features: int = 20) -> Compared:
    """Learn from the same trades alone and among bad rows."""
    random = np.random.default_rng(seed)
    rows = good_rows(random, features)
    with tempfile.TemporaryDirectory() as folder:
        clean, poisoned = (world_in(Path(folder) / name, features) for name in ("clean", "poisoned"))
        clean.bring(rows)
        events = [*good_events(poisoned, rows), *bad_events(poisoned, rows)]
        poisoned.bring(rows[:1])  # a strategy begins with its first accepted row: it must be a good one
        for index in random.permutation(len(events)):
            events[index]()
        poisoned.duplicates -= 1
        first, second = clean.learn(), poisoned.learn()
        for world in (clean, poisoned):
            world.database.close()
    keys = first.report.keys() | second.report.keys()
    return Compared(
        different=tuple(key for key in sorted(keys - {"quarantined"}) if first.report[key] != second.report[key]),
        same_bytes=first.artifact_sha256 == second.artifact_sha256,
        same_data=first.data_hash == second.data_hash,
        quarantined=second.report["quarantined"],
        refused=poisoned.refused.total(),
        duplicates=poisoned.duplicates,
    )


def world_in(folder: Path, features: int) -> World:
    """An empty world below the folder."""
    folder.mkdir()
    environ = {
        "QT_ADMIN_TOKEN": TOKEN,
        "QT_MARKET": "off",
        "QT_DATABASE_URL": f"sqlite:///{folder / 'rows.db'}",
        "QT_MODEL_DIR": str(folder / "models"),
    }
    settings = load_settings(environ, env_file=None)
    database = Database(settings.database_url)
    Base.metadata.create_all(database.engine)
    world = World(database, settings, features)
    world.store.prepare()
    return world


def good_rows(random: np.random.Generator, features: int) -> list[dict[str, Any]]:
    """Closed trades an hour apart whose direction follows the first feature."""
    X = random.normal(size=(GOOD, features))
    moves = 0.004 * np.tanh(2 * X[:, 0]) + 0.004 * random.normal(size=GOOD)
    return [trade(number, 100.0 * (1 + float(moves[number])), X[number]) for number in range(GOOD)]


def trade(number: int, exit_price: float, seen: Any, **changes: Any) -> dict[str, Any]:
    """One closed trade, an hour after the one before."""
    decided = START + timedelta(hours=number)
    row = {
        "decision_id": f"t{number}",
        "symbol": "BTCUSDC",
        "timestamp": decided.isoformat(),
        "predicted_action": "BUY",
        "entry_price": 100.0,
        "exit_price": exit_price,
        "exit_time": (decided + timedelta(minutes=30)).isoformat(),
        "features": {f"f{index}": float(value) for index, value in enumerate(seen)},
    }
    return row | changes


def good_events(world: World, rows: list[dict[str, Any]]) -> Iterator[Callable[[], None]]:
    """The good trades, in batches."""
    for start in range(0, GOOD, BATCH):
        yield partial(world.bring, rows[start : start + BATCH])


def bad_events(world: World, rows: list[dict[str, Any]]) -> Iterator[Callable[[], None]]:
    """120 bad rows: 60 that are refused, 10 that are there already, 50 that get in and must not train."""
    for index, spoil in enumerate(SPOILED * 5):
        yield partial(world.bring, [rows[index] | {"decision_id": f"bad-{index}"} | spoil])
    for index in range(DUPLICATES):
        yield partial(world.bring, [rows[7 * index + 1]])
    for index in range(10):
        yield partial(world.refuse, partial(world.tell, f"nan-{index}", float("nan"), 1_000.0 + index))
    yield from _held(world, rows)
    yield from _written(world)


SPOILED: list[dict[str, Any]] = [
    {"exit_price": 250.0},
    {"exit_price": "101"},
    {"exit_price": None},
    {"entry_price": -1.0},
    {"entry_price": float("nan")},
    {"exit_time": START.isoformat(), "timestamp": (START + timedelta(hours=1)).isoformat()},
    {"exit_time": (NOW + timedelta(days=1)).isoformat()},
    {"features": {"other": 1.0}},
    {"features": {"f0": float("inf")}},
    {"quantity": True},
]


def _held(world: World, rows: list[dict[str, Any]]) -> Iterator[Callable[[], None]]:
    """What a rule must hold: a burst of one outcome, trades that quadruple, prices that no candle knows."""
    for index in range(12):
        yield partial(world.tell, f"alike-{index}", 101.5, 2_000.0)
    for index in range(8):
        yield partial(world.tell, f"wild-{index}", 350.0, 3_000.0 + 200 * index)
    for index in range(10):
        far = rows[10 * index] | {"decision_id": f"far-{index}", "exit_price": 150.0}
        yield partial(_bring_far, world, 10 * index, far)


def _bring_far(world: World, hour: int, far: dict[str, Any]) -> None:
    """A trade beside candles that know better."""
    _keep_candles(world, hour)
    world.bring([far])


def _keep_candles(world: World, hour: int) -> None:
    """Posted candles around the trade of that hour, where prices were near 100."""
    begin, count = START + timedelta(hours=hour), 8
    times = [to_ms(begin) + 300_000 * number for number in range(count)]
    low, high = np.full(count, 98.5), np.full(count, 101.5)
    some = Candles(np.array(times, dtype=np.int64), low, high, low, high, np.ones(count), timeframe_ms=300_000)
    world.database.write(candle_store.append, posted_market(STRATEGY), "BTCUSDC", "5m", some)


def _written(world: World) -> Iterator[Callable[[], None]]:
    """Rows that no door lets in: stored features that are no numbers, and demo rows."""
    for index in range(20):
        value = (np.nan, np.inf)[index % 2] if index < 10 else 1.0
        origin = "import" if index < 10 else "synthetic"
        yield partial(world.database.write, _write, index, value, origin)


def _write(session: Session, index: int, value: float, origin: str) -> None:
    row = AITrainingSample
    schema_id = session.scalars(select(row.feature_schema_id).limit(1)).one()
    width = len(session.scalars(select(row).limit(1)).one().features)
    decided = START + timedelta(hours=11 * index, minutes=7)
    blob = np.full(width, value, dtype="<f4").tobytes()
    session.add(
        AITrainingSample(
            decision_id=f"written-{index}",
            strategy=STRATEGY,
            symbol="BTCUSDC",
            timestamp=decided,
            origin=origin,
            state="closed",
            predicted_action="BUY",
            feature_schema_id=schema_id,
            features_blob=blob,
            horizon_at=decided + timedelta(minutes=30),
            exit_time=decided + timedelta(minutes=30),
            market_return=0.005,
            target_label=0.005,
            target_class="WIN",
            label_source="executed" if origin == "import" else "synthetic",
            outcome_known=True,
            outcome_recorded_at=NOW,
            created_at=NOW,
        )
    )


def main() -> None:
    """Measure and say what holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = range(parser.parse_args().seeds)
    found, claims = over_seeds(compare, seeds, "poison"), Claims()
    expected = {name: count for name, count in EXPECTED.items() if name != "synthetic"}
    claims.at_most("report keys that differ, over all seeds", sum(len(one.different) for one in found), 0)
    same = sum(one.same_bytes and one.same_data for one in found)
    claims.at_least("runs with the same bytes and data hash", same, len(found))
    answered = [one for one in found if (one.refused, one.duplicates) == (REFUSED, DUPLICATES)]
    right = [one for one in answered if one.quarantined == expected]
    claims.at_least("runs in which every bad row is counted by its reason", len(right), len(found))
    claims.told("kept out, by reason", found[0].quarantined)
    claims.told("differences", sorted({key for one in found for key in one.different}))
    claims.end()


if __name__ == "__main__":
    main()
