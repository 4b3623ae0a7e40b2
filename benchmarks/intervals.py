"""The 80 % intervals on real candles: a decision a candle, twelve candles ahead, by the service's own functions.

Decisions are recorded with their prices and settled by them in a real database, symbols of one group as one strategy,
as a bot would post them. The forecast is a weak guess: a tenth of the last twelve candles' move, turned round. A block
is 200 consecutive decisions of one symbol; the intervals' own first rows count too.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import groupby, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from ai_engine.types import Forecast
from backend import migrations
from backend.clock import from_ms
from backend.database import Database
from backend.learning.decisions.record import NewDecision, record
from backend.learning.decisions.settle import settle_due
from backend.learning.decisions.strategies import ensure_strategy
from backend.market.klines import read_file
from backend.models import AITrainingSample
from backend.settings import Settings, load_settings
from benchmarks.claims import Claims, over_seeds

HORIZON, BLOCK = 12, 200
ROUNDS_A_TRANSACTION = 64
NOW = datetime(2026, 6, 1, tzinfo=UTC)
GROUPS = (
    ("5m", ("binance-spot/SOLUSDT", "binance-spot/AVAXUSDT", "binance-perp/BTCUSDT")),
    ("1m", tuple(f"binance-perp/{name}USDT" for name in ("BTC", "ETH", "SOL", "XRP", "LTC"))),
    ("1h", tuple(f"binance-spot/{name}USDT" for name in ("BTC", "ETH", "SOL", "XRP", "SHIB"))),
    ("5m", tuple(f"bittrex-spot/{name}BTC" for name in ("ADA", "ETH", "LTC", "TRX", "DASH"))),
    ("1h", ("fx/EURUSD",)),
    ("1m", ("bittrex-spot/XRPBTC",)),
)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """One symbol at one time: the price one could trade at, and what is expected of it."""

    at: datetime
    symbol: str
    price: float
    expected: float


@dataclass(frozen=True)
class Held:
    """Of each interval of a file's decisions, in time order: did it hold, and how wide was it."""

    inside: NDArray[np.bool_]
    width: Array
    typical_move: float

    @property
    def worst_block(self) -> float:
        """The lowest coverage of 200 consecutive decisions."""
        return float(self.inside[: len(self.inside) // BLOCK * BLOCK].reshape(-1, BLOCK).mean(axis=1).min())


def seen_in(path: Path, decisions: int) -> list[Seen]:
    """The newest decisions of a file: at each close, dated by it, at the next candle's open."""
    symbol, candles, _ = read_file(path)
    opened = candles.open[-decisions - HORIZON :]
    moments = candles.open_time[-decisions - HORIZON :].tolist()
    moves = opened[HORIZON:] / opened[:-HORIZON] - 1.0
    guesses = np.concatenate([np.zeros(HORIZON), -0.1 * moves])
    return [
        Seen(from_ms(moment), symbol, price, guess)
        for moment, price, guess in zip(moments, opened.tolist(), guesses.tolist(), strict=True)
    ]


def rounds_of(seen: list[Seen]) -> Iterator[tuple[datetime, list[Seen]]]:
    """Everything seen at one time, in time order."""
    ordered = sorted(seen, key=lambda one: (one.at, one.symbol))
    return ((moment, list(group)) for moment, group in groupby(ordered, key=lambda one: one.at))


def take(session: Session, settings: Settings, rounds: list[tuple[datetime, list[Seen]]]) -> None:
    """Record each round, then settle what its prices settle."""
    strategy, _ = ensure_strategy(
        session, "benchmark", market="external", settings=settings, now=rounds[0][0], actor="benchmark"
    )
    for moment, seen in rounds:
        record(session, strategy, [decision_of(one) for one in seen], now=NOW)
        settle_due(session, strategy, market_time=moment, costs=settings, markets=(), now=NOW)


def decision_of(one: Seen) -> NewDecision:
    """A decision as a bot posts it."""
    return NewDecision(
        decision_id=f"{one.symbol}-{one.at:%Y%m%dT%H%M}",
        symbol=one.symbol,
        timestamp=one.at,
        price=one.price,
        feature_names=("guess",),
        features=np.array([one.expected], dtype=np.float32),
        action="BUY" if one.expected > 0 else "SELL",
        forecast=Forecast(one.expected, one.expected, 0.5),
        model_version=None,
        reason=None,
        explored=False,
        propensity=1.0,
        body_hash=f"{one.at}",
    )


def walk(folder: Path, decisions: int, group: int) -> dict[str, Held]:
    """Tell a group's candles to a new database; what became of its intervals, by file."""
    timeframe, names = GROUPS[group]
    with tempfile.TemporaryDirectory() as place:
        url = f"sqlite:///{place}/quantum_trader.db"
        told = {"QT_DATABASE_URL": url, "QT_MARKET": "off", "QT_TIMEFRAME": timeframe}
        settings = load_settings(told, require_token=False)
        migrations.upgrade(url)
        database = Database(url)
        rounds = rounds_of([one for name in names for one in seen_in(folder / f"{name}-{timeframe}.csv.gz", decisions)])
        while some := list(islice(rounds, ROUNDS_A_TRANSACTION)):
            database.write(take, settings, some)
        held = {f"{name}-{timeframe}": database.read(read_held, Path(name).name) for name in names}
        database.close()
    return held


def read_held(session: Session, symbol: str) -> Held:
    """The intervals of a symbol whose returns are known."""
    row = AITrainingSample
    columns = (row.expected_return_low, row.expected_return_high, row.forward_return)
    known = (row.symbol == symbol, row.expected_return_low.is_not(None), row.forward_return.is_not(None))
    found = np.array(session.execute(select(*columns).where(*known).order_by(row.timestamp)).all(), dtype=np.float64)
    low, high, moved = found.T
    return Held((low <= moved) & (moved <= high), high - low, float(np.mean(np.abs(moved))))


def claim(claims: Claims, folder: Path, *, decisions: int) -> None:
    """Coverage and worst block of every file."""
    if not folder.is_dir():
        claims.at_least(f"real candles in {folder} (--without-real leaves them out)", 0, 1)
        return
    found = over_seeds(partial(walk, folder, decisions), range(len(GROUPS)), "intervals on real candles")
    for name, held in (item for group in found for item in group.items()):
        claims.within(f"{name}, {len(held.inside)} intervals: coverage", float(held.inside.mean()), 0.77, 0.83)
        claims.at_least(f"{name}: worst of {len(held.inside) // BLOCK} blocks", held.worst_block, 0.65)
        claims.told("mean width in typical moves", f"{float(held.width.mean()) / held.typical_move:.2f}")
