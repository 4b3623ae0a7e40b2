"""No skill is found where there is none: a random walk, stops at half the target, a policy that sticks to its side.

    .venv/bin/python -m benchmarks.random_walk --seeds 60

Each seed is a bot's whole history, told through the service's own functions: decisions with slowly moving features,
executions, outcomes by target, stop or time; then a retraining. What the market did until the horizon is a coin, so
the mean of `validation_accuracy`, over the newest fifth, and that of the walk-forward, over three times as many rows,
must lie within 0.48 and 0.52. Their standard errors and the accuracy of "the side taken", which the exits distort,
stand beside them. The same walks, forecast for 60 nights by what each night fitted, must bring a bettor from 1 to 20 in
at most 5 % of them.

Telling is what takes time, about eleven milliseconds a decision with its entry and exit; histories are told side by
side, each to a copy of one empty database.
"""

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from ai_engine.dataset import Rows
from ai_engine.sequential import ENOUGH
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
from benchmarks.claims import Claims, over_seeds
from benchmarks.many_nights import A_DAY, BEFORE, NIGHTS, stream

BEGIN, STEP, HORIZON = datetime(2026, 1, 5, tzinfo=UTC), timedelta(minutes=5), 12
NOW = BEGIN + timedelta(days=60)
TARGET, STOP = 0.01, 0.005
FEATURES, KEEP_SIDE = 20, 0.9
WITHIN = (0.48, 0.52)
DATABASE = "quantum_trader.db"

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


def judge(seed: int, *, decisions: int, empty: Path) -> tuple[float, float, float]:
    """Accuracy of the newest fifth and of the walk-forward after one retraining; the share of sides that paid."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{shutil.copy(empty, Path(folder) / DATABASE)}"
        settings = load_settings({"QT_DATABASE_URL": url, "QT_MARKET": "off"}, require_token=False)
        database, store = Database(url), ArtifactStore(Path(folder) / "models")
        sides = tell(database, settings, Serving(store), draw(seed, decisions))
        service = RetrainService(database, settings, store, InProcessTrainer(), lambda: NOW)
        answer = retrain(service, strategy="default", actor="benchmark", min_samples=100)
        database.close()
    walked = answer["report"]["walk_forward"]["accuracy"]
    return float(answer["validation_accuracy"]), float(walked), float(sides.mean())


def judge_all(seeds: int, decisions: int) -> Array:
    """What :func:`judge` finds of every seed, shape (seeds, 3)."""
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / DATABASE
        migrations.upgrade(f"sqlite:///{empty}")
        found = over_seeds(partial(judge, decisions=decisions, empty=empty), range(seeds), "retraining on noise")
    return np.array(found)


def rows_of(history: History, seed: int) -> Rows:
    """The history as the engine reads it: what the market did until the horizon, whatever the exit."""
    count = len(history.sides)
    at = np.arange(count) * HORIZON
    returns = history.prices[at + HORIZON] / history.prices[at] - 1
    step_ms = int(STEP.total_seconds() * 1000)
    times = (int(BEGIN.timestamp() * 1000) + at * step_ms).astype(np.int64)
    return Rows(
        decision_ids=tuple(f"d{seed}-{row:06d}" for row in range(count)),
        symbols=("BTCUSDC",) * count,
        times=times,
        ends=times + HORIZON * step_ms,
        X=history.features.astype(np.float32),
        feature_names=tuple(f"f{number:02d}" for number in range(FEATURES)),
        forward_returns=returns,
        market_returns=returns.copy(),
        label_sources=("executed",) * count,
    )


def most_wealth(seed: int) -> float:
    """The most that a bettor on sixty nights' forecasts of a walk ever had."""
    return stream(rows_of(draw(seed, BEFORE + NIGHTS * A_DAY), seed), seed).most


def main() -> None:
    """Print the mean over the seeds; exit 1 where it lies outside."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=60, help="histories told to the service; 0: none")
    parser.add_argument("--decisions", type=int, default=600)
    parser.add_argument("--streams", type=int, default=200, help="walks of sixty nights; 0: none")
    options = parser.parse_args()
    claims = Claims()
    if options.seeds:
        claim_accuracy(claims, judge_all(options.seeds, options.decisions))
    if options.streams:
        claim_evidence(claims, np.array(over_seeds(most_wealth, range(options.streams), "sixty nights on walks")))
    claims.end()


def claim_accuracy(claims: Claims, found: Array) -> None:
    """The means of what :func:`judge_all` found lie about a half."""
    for name, values in zip(("validation_accuracy", "walk-forward accuracy"), found.T, strict=False):
        claims.within(f"mean {name} of {len(values)} histories without skill", float(values.mean()), *WITHIN)
        claims.told("its standard error", f"{values.std(ddof=1) / np.sqrt(len(values)):.4f}")
    claims.told("side taken paid (the exits distort it, so nothing learns from it)", f"{found[:, 2].mean():.4f}")


def claim_evidence(claims: Claims, wealth: Array) -> None:
    """Few bettors ever had enough."""
    reached = float(np.mean(wealth >= ENOUGH))
    claims.at_most(f"evidence of 20 at any of {NIGHTS} nights, share of {len(wealth)} walks", reached, 0.05)


if __name__ == "__main__":
    main()
