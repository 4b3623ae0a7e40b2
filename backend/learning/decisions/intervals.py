"""The 80 % interval of a decision's return: given when it is recorded, learned from when its return becomes known.

What is learned moves in the transaction that settles, and is read in the one that records. So an interval is a function
of what was settled before it, whatever came together in one transaction, and whoever was restarted in between.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ai_engine import conformal
from ai_engine.conformal import Residuals, Volatility
from backend.learning.decisions.plausibility import judges_forecast
from backend.models import AITrainingSample, IntervalState, Strategy, SymbolVolatility


@dataclass(frozen=True, slots=True)
class _Known:
    """What has been learned of a strategy, read once a transaction; its rows go back with the transaction."""

    state: IntervalState
    symbols: dict[str, SymbolVolatility]

    @property
    def residuals(self) -> Residuals:
        """In the order in which they matured."""
        return np.frombuffer(self.state.residuals, dtype="<f4")


def hold(session: Session, strategy: Strategy) -> None:
    """On PostgreSQL, let no other process settle or record for the strategy until this transaction ends.

    For whoever settles: before it reads which rows wait, so that none is taken for new by two processes; and before it
    writes anything else, so that all take their locks in one order. SQLite has one writer anyway.
    """
    if session.get_bind().dialect.name != "sqlite":
        _known(session, strategy)


def give_intervals(session: Session, strategy: Strategy, samples: Iterable[AITrainingSample]) -> None:
    """Write into new decisions their symbol's volatility, and the interval of those that a version forecast.

    Both stay null while too little has matured to know them.
    """
    known = _known(session, strategy)
    ordered = np.sort(known.residuals)
    for sample in samples:
        symbol = known.symbols.get(sample.symbol)
        if symbol is None:
            continue
        sample.volatility = Volatility(symbol.level, symbol.weight).value
        reached = conformal.reach(ordered, symbol.miss_rate)
        if sample.volatility is not None and sample.expected_return is not None and reached is not None:
            interval = conformal.interval(sample.expected_return, sample.volatility, reached)
            sample.expected_return_low, sample.expected_return_high = interval


@contextmanager
def learned(session: Session, strategy: Strategy, samples: Iterable[AITrainingSample]) -> Iterator[None]:
    """Whichever of the rows get their return inside teach the intervals, once: a later correction teaches nothing."""
    waiting = [sample for sample in samples if sample.forward_return is None]
    yield
    settled(session, strategy, [sample for sample in waiting if sample.forward_return is not None])


def settled(session: Session, strategy: Strategy, samples: Iterable[AITrainingSample]) -> None:
    """Learn from rows whose return has just become known, in the order of their horizons, and is believed."""
    rows = sorted(
        (sample for sample in samples if judges_forecast(sample.quarantine_reason)),
        key=lambda sample: (sample.horizon_at, sample.symbol, sample.decision_id),
    )
    if not rows:
        return
    known = _known(session, strategy)
    residuals: list[float] = []
    for (_, symbol), group in groupby(rows, key=lambda row: (row.horizon_at, row.symbol)):
        if symbol not in known.symbols:
            known.symbols[symbol] = _begin(session, strategy, symbol)
        residuals += _learn(known.symbols[symbol], list(group))
    if residuals:
        known.state.residuals = conformal.kept(known.residuals, residuals).astype("<f4").tobytes()
        known.state.matured += len(residuals)


def _learn(known: SymbolVolatility, rows: Sequence[AITrainingSample]) -> list[float]:
    """Move one symbol by the rows of one horizon, which saw the same move; their scaled residuals."""
    told = [_missed(row) for row in rows if row.expected_return_low is not None]
    if told:
        known.miss_rate = conformal.adapted(known.miss_rate, sum(told) / len(told))
    moves = [abs(row.forward_return) for row in rows if row.forward_return is not None]
    volatility = Volatility(known.level, known.weight).after(sum(moves) / len(moves))
    known.level, known.weight = volatility.level, volatility.weight
    return [
        conformal.scaled(row.forward_return, row.expected_return or 0.0, row.volatility)
        for row in rows
        if row.forward_return is not None and row.volatility is not None
    ]


def _missed(row: AITrainingSample) -> bool:
    low, high, moved = row.expected_return_low, row.expected_return_high, row.forward_return
    return low is not None and high is not None and moved is not None and not low <= moved <= high


def _known(session: Session, strategy: Strategy) -> _Known:
    """What is known of the strategy, begun if need be; on PostgreSQL locked until the transaction ends."""
    kept = session.info.setdefault(_Known, {})
    if strategy.name not in kept:
        state, symbol = _locked(session, strategy), SymbolVolatility
        query = select(symbol).where(symbol.strategy == strategy.name)
        kept[strategy.name] = _Known(state, {one.symbol: one for one in session.scalars(query)})
    found: _Known = kept[strategy.name]
    return found


def _locked(session: Session, strategy: Strategy) -> IntervalState:
    query = select(IntervalState).where(IntervalState.strategy == strategy.name).with_for_update()
    state = session.scalars(query).one_or_none()
    if state is not None:
        return state
    try:
        with session.begin_nested():
            session.add(IntervalState(strategy=strategy.name, residuals=b"", matured=0))
    except IntegrityError:
        pass  # another process began it meanwhile
    return session.scalars(query).one()


def _begin(session: Session, strategy: Strategy, symbol: str) -> SymbolVolatility:
    nothing = Volatility()
    known = SymbolVolatility(
        strategy=strategy.name,
        symbol=symbol,
        level=nothing.level,
        weight=nothing.weight,
        miss_rate=conformal.MISS_RATE,
    )
    session.add(known)
    return known
