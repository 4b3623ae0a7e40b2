"""No skill is found where there is none: a random walk, stops at half the target, a policy that sticks to its side.

    .venv/bin/python -m benchmarks.random_walk --seeds 60

Each seed is a bot's whole history, told through the service's own functions: decisions with slowly moving features,
executions, outcomes by target, stop or time; then a retraining. What the market did until the horizon is a coin, so
the mean of `validation_accuracy` must lie within 0.48 and 0.52. The accuracy of "the side taken", which the exits
distort, stands beside it.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from sqlalchemy.orm import Session

from backend import migrations
from backend.database import Database
from backend.learning.decisions.observed import DecisionBody
from backend.learning.decisions.outcomes import Execution, Outcome, record_execution, record_outcome
from backend.learning.decisions.posted import DecisionService, post_decisions
from backend.learning.versions.retrain import RetrainService, retrain
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.learning.versions.trainer import InProcessTrainer
from backend.settings import Settings, load_settings

BEGIN, STEP, HORIZON = datetime(2026, 1, 5, tzinfo=UTC), timedelta(minutes=5), 12
NOW = BEGIN + timedelta(days=60)
TARGET, STOP = 0.01, 0.005
FEATURES, KEEP_SIDE = 20, 0.9
WITHIN = (0.48, 0.52)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class History:
    """Prices at every step, a decision every ``HORIZON`` steps with features of its own, and the side it took."""

    prices: Array
    features: Array
    sides: Array


def draw(seed: int, decisions: int) -> History:
    """A walk with fat tails, features that remember nine tenths of themselves, sides that mostly stay."""
    rng = np.random.default_rng(seed)
    steps = 0.002 * rng.standard_t(5, (decisions + 1) * HORIZON + 1)
    features = np.zeros((decisions, FEATURES))
    sides = np.ones(decisions)
    for row in range(1, decisions):
        features[row] = 0.9 * features[row - 1] + rng.normal(size=FEATURES)
        sides[row] = sides[row - 1] * (1 if rng.random() < KEEP_SIDE else -1)
    return History(45_000 * np.exp(np.cumsum(steps)), features, sides)


def leave(prices: Array, side: float) -> int:
    """The step at which target, stop or the horizon ends a trade that was entered at the first price."""
    earned = side * (prices / prices[0] - 1)
    ended = np.flatnonzero((earned >= TARGET) | (earned <= -STOP))
    return int(ended[0]) if len(ended) else len(prices) - 1


def tell(database: Database, settings: Settings, serving: Serving, history: History) -> Array:
    """Post the whole history; which trades took the side that paid."""
    service = DecisionService(database, settings, serving, lambda: NOW)
    bodies, trades = [], []
    for row, side in enumerate(history.sides):
        at = row * HORIZON
        path = history.prices[at : at + HORIZON + 1]
        body = DecisionBody(
            decision_id=f"d{row}",
            symbol="BTCUSDC",
            timestamp=BEGIN + at * STEP,
            price=float(path[0]),
            features={f"f{number}": float(value) for number, value in enumerate(history.features[row])},
            predicted_action="BUY" if side > 0 else "SELL",
        )
        bodies.append(body)
        trades.append((body, float(path[leave(path, side)]), leave(path, side), side))
    post_decisions(service, "default", bodies, "benchmark")
    database.write(report_trades, trades, settings.cost)
    return np.array([side * (got / float(body.price or 0) - 1) > 0 for body, got, _, side in trades])


def report_trades(session: Session, trades: Sequence[tuple[DecisionBody, float, int, float]], cost: float) -> None:
    """Entry and exit of every decision."""
    for body, got, steps, _ in trades:
        moment, decision_id = body.timestamp or BEGIN, str(body.decision_id)
        entry = Execution(str(body.predicted_action), float(body.price or 0), 0.1, moment)
        record_execution(session, "default", decision_id, entry, now=NOW)
        exit_ = Outcome(got, moment + max(steps, 1) * STEP, fees=0.0)
        record_outcome(session, "default", decision_id, exit_, now=NOW, cost=cost)


def judge(seed: int, decisions: int) -> tuple[float, float]:
    """Validation accuracy after one retraining, and the share of trades whose side paid."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/quantum_trader.db"
        settings = load_settings({"QT_DATABASE_URL": url, "QT_MARKET": "off"}, require_token=False)
        migrations.upgrade(url)
        database, store = Database(url), ArtifactStore(Path(folder) / "models")
        sides = tell(database, settings, Serving(store), draw(seed, decisions))
        service = RetrainService(database, settings, store, InProcessTrainer(), lambda: NOW)
        answer = retrain(service, strategy="default", actor="benchmark", min_samples=100)
        database.close()
    return float(answer["validation_accuracy"]), float(sides.mean())


def main() -> None:
    """Print the mean over the seeds; exit 1 where it lies outside."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("--decisions", type=int, default=600)
    options = parser.parse_args()
    found = np.array([judge(seed, options.decisions) for seed in track(range(options.seeds), "retraining on noise")])
    error = found[:, 0].std(ddof=1) / np.sqrt(len(found))
    print(f"validation_accuracy {found[:, 0].mean():.4f} +- {error:.4f} over {len(found)} histories without skill")
    print(f"side taken paid     {found[:, 1].mean():.4f}: the exits distort it, so nothing learns from it")
    sys.exit(0 if WITHIN[0] <= found[:, 0].mean() <= WITHIN[1] else 1)


if __name__ == "__main__":
    main()
