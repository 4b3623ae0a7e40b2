"""The candle store: closed candles in, windows and prices out. Functions of a session; the caller commits."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import numpy as np
from sqlalchemy import ColumnElement, Table, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from ai_engine.candles import Candles, timeframe_ms
from backend.clock import from_ms, to_ms
from backend.market.feed import CandleRound
from backend.models import Candle

_TABLE = cast("Table", Candle.__table__)

# Every round asks for every symbol: to build the query each time would cost three times what it costs to run.
_FIRST_OPEN = (
    select(Candle.open, Candle.open_time)
    .where(
        Candle.market == bindparam("of_market"),
        Candle.symbol == bindparam("of_symbol"),
        Candle.timeframe == bindparam("of_timeframe"),
        Candle.open_time.between(bindparam("earliest"), bindparam("latest")),
    )
    .order_by(Candle.open_time)
    .limit(1)
)


def append(session: Session, market: str, symbol: str, timeframe: str, candles: Candles) -> int:
    """Store the candles not yet known and return their number; of a contradicting repeat the first stays."""
    if candles.timeframe_ms != timeframe_ms(timeframe):
        raise ValueError(f"Candles of {candles.timeframe_ms} ms cannot be stored as {timeframe}; resample them first.")
    key = {"market": market, "symbol": symbol, "timeframe": timeframe}
    columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    bars = zip(candles.open_time.tolist(), *(column.tolist() for column in columns), strict=True)
    return _insert(session, [key | _values(from_ms(opened), bar) for opened, *bar in bars])


def append_round(session: Session, market: str, timeframe: str, round: CandleRound) -> int:  # noqa: A002
    """Store one round's candles not yet known and return their number."""
    opened = round.close_time - _length(timeframe)
    return _insert(
        session,
        [
            {"market": market, "symbol": symbol, "timeframe": timeframe} | _values(opened, bar)
            for symbol, bar in round.candles.items()
        ],
    )


def window(session: Session, market: str, symbol: str, timeframe: str, until: datetime, count: int = 500) -> Candles:
    """The last ``count`` stored candles with ``close_time <= until``, oldest first."""
    query = (
        select(Candle.open_time, Candle.open, Candle.high, Candle.low, Candle.close, Candle.volume)
        .where(*_series(market, symbol, timeframe), Candle.open_time <= until - _length(timeframe))
        .order_by(Candle.open_time.desc())
        .limit(count)
    )
    rows = session.execute(query).all()[::-1]
    times = np.array([to_ms(row[0]) for row in rows], dtype=np.int64)
    bars = np.array([row[1:] for row in rows], dtype=np.float64).reshape(-1, 5)
    opened, high, low, close, volume = bars.T
    return Candles(times, opened, high, low, close, volume, timeframe_ms(timeframe))


def open_at(
    session: Session, market: str, symbol: str, timeframe: str, at: datetime, tolerance: timedelta
) -> tuple[float, datetime] | None:
    """Open and open time of the first candle that opens within ``[at, at + tolerance]``."""
    series = {"of_market": market, "of_symbol": symbol, "of_timeframe": timeframe}
    row = session.execute(_FIRST_OPEN, {**series, "earliest": at, "latest": at + tolerance}).first()
    return None if row is None else (row[0], row[1])


def last_close_time(
    session: Session, market: str, timeframe: str, symbols: Sequence[str] | None = None
) -> datetime | None:
    """Close time of the newest stored candle of any of the symbols, of all when none are named."""
    names = _symbols(session, market) if symbols is None else symbols
    newest = [
        session.scalar(select(func.max(Candle.open_time)).where(*_series(market, symbol, timeframe)))
        for symbol in names
    ]
    return max((opened + _length(timeframe) for opened in newest if opened is not None), default=None)


def _insert(session: Session, rows: list[dict[str, Any]]) -> int:
    """Insert what does not exist; the rows given back are counted, since PostgreSQL's driver counts none of many."""
    if not rows:
        return 0
    connection = session.connection()
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(_TABLE).on_conflict_do_nothing().returning(_TABLE.c.volume)
    return len(connection.execute(statement, rows).all())


def _values(opened: datetime, bar: Sequence[float]) -> dict[str, Any]:
    return {"open_time": opened, **dict(zip(("open", "high", "low", "close", "volume"), bar, strict=True))}


def _series(market: str, symbol: str, timeframe: str) -> tuple[ColumnElement[bool], ...]:
    return (Candle.market == market, Candle.symbol == symbol, Candle.timeframe == timeframe)


def _symbols(session: Session, market: str) -> Iterable[str]:
    """Every symbol of a market, one index seek each: a DISTINCT would read every candle."""
    symbol: str | None = ""
    while (
        symbol := session.scalar(select(func.min(Candle.symbol)).where(Candle.market == market, Candle.symbol > symbol))
    ) is not None:
        yield symbol


def _length(timeframe: str) -> timedelta:
    return timedelta(milliseconds=timeframe_ms(timeframe))
