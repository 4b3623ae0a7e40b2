"""What the self-audit says of noise, of the simulated market and of real candles, and how long it takes.

    .venv/bin/python -m benchmarks.self_audit --placebos 100 --planted 40

Each is audited as the service does it, by two children at idle priority. It must hold on all of them, because worlds
without a signal are made of each; how often a planted signal is found stands beside it and is held to nothing.
"""

import argparse
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ai_engine.audit_ground import MOST_ROWS, ground_of
from ai_engine.audit_result import result
from ai_engine.candles import Candles
from ai_engine.dataset import Rows, build
from ai_engine.features.catalogue import FEATURE_NAMES, WINDOW
from ai_engine.pipeline import TrainingContext
from ai_engine.self_audit import Task
from backend.learning.evidence.auditor import SubprocessAuditor
from backend.learning.evidence.self_audit import SEED
from backend.market.simulated import SimulatedMarket
from benchmarks.claims import Claims
from benchmarks.findings.sets import SETS, candles_of

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "market-data"
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
FIVE_MINUTES, HORIZON, COST = 300_000, 12, 0.0024
WINDOW_CANDLES = 30 * 288
SYMBOLS = ("BTCUSDC", "ETHUSDC", "SOLUSDC")

Given = tuple[str, Rows, Mapping[str, Candles], int]
"""A name, the rows, the candles they were seen in, and the horizon in candles."""


def noise(count: int = MOST_ROWS, features: int = 20) -> Given:
    """A bot's own features that know nothing of outcomes which do not overlap."""
    rng = np.random.default_rng(1)
    times = np.arange(count, dtype=np.int64) * FIVE_MINUTES
    names = tuple(f"feature_{number:02d}" for number in range(features))
    moved = 0.01 * rng.normal(size=count)
    drawn = rng.normal(size=(count, features))
    return "posted noise", _rows(("ONE",) * count, times, FIVE_MINUTES, names, drawn, moved), {}, 1


def traded(name: str, candles: Mapping[str, Candles]) -> Given:
    """A decision of every symbol at every candle; worlds compute features and outcomes, so none are needed here."""
    recent = {symbol: series.tail(WINDOW_CANDLES) for symbol, series in candles.items()}
    first = max(series.close_time[WINDOW - 1] for series in recent.values())
    last = min(series.close_time[-1] for series in recent.values()) - (HORIZON + 1) * FIVE_MINUTES
    moments = np.arange(first, last, FIVE_MINUTES, dtype=np.int64)
    count = len(moments) * len(recent)
    moved = 0.01 * np.random.default_rng(1).normal(size=count)
    times, nothing = np.repeat(moments, len(recent)), np.zeros((count, len(FEATURE_NAMES)))
    symbols = tuple(recent) * len(moments)
    return name, _rows(symbols, times, HORIZON * FIVE_MINUTES, FEATURE_NAMES, nothing, moved), recent, HORIZON


def _rows(
    symbols: tuple[str, ...],
    times: np.ndarray[tuple[int], np.dtype[np.int64]],
    horizon_ms: int,
    names: tuple[str, ...],
    drawn: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    moved: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> Rows:
    return Rows(
        decision_ids=tuple(f"d{number:07d}" for number in range(len(times))),
        symbols=symbols,
        times=times,
        ends=times + horizon_ms,
        X=drawn.astype(np.float32),
        feature_names=names,
        forward_returns=moved,
        market_returns=np.full(len(times), np.nan),
        label_sources=("counterfactual",) * len(times),
    )


def given(data: Path) -> Iterator[Given]:
    """What is audited; real candles only where they are."""
    yield noise()
    market = SimulatedMarket(SYMBOLS, "5m", now=lambda: NOW)
    yield traded("simulated market", {symbol: market.history(symbol, NOW, WINDOW_CANDLES) for symbol in SYMBOLS})
    if data.is_dir():
        yield traded(f"real candles, {SETS[0].title}", candles_of(SETS[0], data))


def audit(claims: Claims, one: Given, placebos: int, planted: int) -> None:
    """Audit it and say what came of it."""
    name, rows, candles, horizon = one
    dataset = build(rows)
    context = TrainingContext("benchmark", FIVE_MINUTES, horizon, COST if candles else 0.0, SEED, looks=1)
    ground = ground_of(dataset, candles, horizon_ms=horizon * FIVE_MINUTES)
    task = Task(ground, context, len(dataset), placebos, planted, SEED)
    auditor, begun = SubprocessAuditor(), time.monotonic()
    judged, _ = auditor(task, lambda _stage, _share: None)
    took, found = time.monotonic() - begun, result(task, judged)
    if not found["judged"]:
        raise RuntimeError(f"{name}: {found['sentence']}")
    claims.at_most(f"{name}: lower end of the false approvals", found["false_approval_ci95"][0], 0.05)
    claims.at_most(f"{name}: accuracy above chance, standard errors", found["placebo_accuracy"]["standard_errors"], 3.0)
    claims.told("", found["sentence"])
    claims.told("mean accuracy without skill", found["placebo_accuracy"])
    claims.told("verdicts", found["verdicts"])
    claims.told("rows", f"{found['rows']} of {found['rows_available']}, {found['kind']}; {took:.0f} s")


def main() -> None:
    """Audit each; exit 1 where one does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--placebos", type=int, default=100)
    parser.add_argument("--planted", type=int, default=40)
    parser.add_argument("--data", type=Path, default=BESIDE, help="folder of candle files, one folder a market")
    options = parser.parse_args()
    claims = Claims()
    for one in given(options.data):
        audit(claims, one, options.placebos, options.planted)
    claims.end()


if __name__ == "__main__":
    main()
