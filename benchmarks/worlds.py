"""Rows with a known signal, or with none: what benchmarks and tests draw their worlds with."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ai_engine.dataset import Rows
from ai_engine.pipeline import Trained, TrainingContext, train

CANDLE = 300_000
START = 1_700_000_100_000
COST = 0.0024


@dataclass(frozen=True)
class World:
    """How synthetic rows are drawn; ``oracle`` is the accuracy of someone who knows the rule (0.5: there is none)."""

    rows: int = 300
    features: int = 20
    oracle: float = 0.5
    kind: str = "sign"
    symbols: int = 1
    horizon: int = 1
    drift: float = 0.0
    move: float = 0.01
    seed: int = 0


def draw(world: World) -> Rows:
    """Independent outcomes; ``sign``: the sign of the first feature is right in ``oracle`` of the rows.

    ``linear``: the return is a linear function of five features plus noise, with the same oracle.
    """
    rng = np.random.default_rng(world.seed)
    X = rng.normal(size=(world.rows, world.features)).astype(np.float32)
    if world.kind == "sign":
        right = np.where(rng.random(world.rows) < world.oracle, 1.0, -1.0)
        y = right * np.sign(X[:, 0]) * np.abs(rng.normal(size=world.rows))
    else:
        rho = np.sin((world.oracle - 0.5) * np.pi)
        signal = X[:, :5].sum(axis=1) / np.sqrt(5.0)
        y = rho * signal + np.sqrt(1.0 - rho**2) * rng.normal(size=world.rows)
    returns = np.clip(world.move * y + world.drift, -0.9, 0.9)
    times = START + np.arange(world.rows) // world.symbols * CANDLE
    return Rows(
        decision_ids=tuple(f"d{world.seed}-{number:06d}" for number in range(world.rows)),
        symbols=tuple(f"SYM{number % world.symbols}" for number in range(world.rows)),
        times=times.astype(np.int64),
        ends=(times + world.horizon * CANDLE).astype(np.int64),
        X=X,
        feature_names=tuple(f"feature_{number:03d}" for number in range(world.features)),
        forward_returns=returns,
        market_returns=returns.copy(),
        label_sources=("executed",) * world.rows,
    )


def reorder(rows: Rows, order: NDArray[np.intp]) -> Rows:
    """The same rows in another order (or some of them)."""
    chosen = order.tolist()
    return Rows(
        decision_ids=tuple(rows.decision_ids[index] for index in chosen),
        symbols=tuple(rows.symbols[index] for index in chosen),
        times=rows.times[order],
        ends=rows.ends[order],
        X=rows.X[order],
        feature_names=rows.feature_names,
        forward_returns=rows.forward_returns[order],
        market_returns=rows.market_returns[order],
        label_sources=tuple(rows.label_sources[index] for index in chosen),
    )


def join(*several: Rows) -> Rows:
    """Rows one after another; the feature names are those of the first."""
    return replace(
        several[0],
        decision_ids=sum((rows.decision_ids for rows in several), ()),
        symbols=sum((rows.symbols for rows in several), ()),
        times=np.concatenate([rows.times for rows in several]),
        ends=np.concatenate([rows.ends for rows in several]),
        X=np.concatenate([rows.X for rows in several]),
        forward_returns=np.concatenate([rows.forward_returns for rows in several]),
        market_returns=np.concatenate([rows.market_returns for rows in several]),
        label_sources=sum((rows.label_sources for rows in several), ()),
    )


def slice_of(rows: Rows, first: int, last: int) -> Rows:
    """The rows from ``first`` on, before ``last``."""
    return reorder(rows, np.arange(first, last))


def walk(
    seed: int, *, rounds: int, horizon: int, symbols: int = 1, correlation: float = 0.0, features: int = 20
) -> Rows:
    """Random walks decided at every candle, so that ``horizon`` windows overlap; features remember nine tenths."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(rounds + horizon, 1)) * np.sqrt(correlation)
    steps = 0.003 * (shared + rng.normal(size=(rounds + horizon, symbols)) * np.sqrt(1.0 - correlation))
    path = np.concatenate((np.zeros((1, symbols)), np.cumsum(steps, axis=0)))
    returns = np.expm1(path[horizon : horizon + rounds] - path[:rounds]).ravel()
    X = rng.normal(size=(rounds, symbols, features))
    for row in range(1, rounds):
        X[row] += 0.9 * X[row - 1]
    count = rounds * symbols
    times = (START + np.arange(count) // symbols * CANDLE).astype(np.int64)
    return Rows(
        decision_ids=tuple(f"w{seed}-{number:06d}" for number in range(count)),
        symbols=tuple(f"SYM{number % symbols}" for number in range(count)),
        times=times,
        ends=times + horizon * CANDLE,
        X=X.reshape(count, features).astype(np.float32),
        feature_names=tuple(f"feature_{number:03d}" for number in range(features)),
        forward_returns=returns,
        market_returns=returns.copy(),
        label_sources=("executed",) * count,
    )


def judged(rows: Rows, *, seed: int, horizon: int = 1) -> Trained:
    """What a retraining on these rows makes and says, as the service runs it.

    Raises
    ------
    TypeError
        Where the rows cannot train: a world drawn wrongly.
    """
    made = train(rows, TrainingContext("benchmark", CANDLE, horizon, COST, seed, looks=0))
    if not isinstance(made, Trained):
        raise TypeError(f"The world of seed {seed} cannot train: {made.reason}.")
    return made


def has_evidence(made: Trained) -> bool:
    """Whether the verdict is ``evidence`` or better."""
    return str(made.report["verdict"]).endswith("evidence") and made.report["verdict"] != "no_evidence"
