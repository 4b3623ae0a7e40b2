"""Rows with a known signal, or with none."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from ai_engine.dataset import Rows

CANDLE = 300_000
START = 1_700_000_100_000


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


def reorder(rows: Rows, order: np.ndarray) -> Rows:
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


@pytest.fixture(scope="session")
def world() -> type[World]:
    """The description of a world, to be filled in."""
    return World


@pytest.fixture(scope="session")
def draw_rows() -> Callable[[World], Rows]:
    """Draws the rows of a world."""
    return draw


@pytest.fixture(scope="session")
def reorder_rows() -> Callable[[Rows, np.ndarray], Rows]:
    """Puts rows into another order."""
    return reorder


@pytest.fixture(scope="session")
def join_rows() -> Callable[..., Rows]:
    """Puts several batches of rows together."""
    return join
