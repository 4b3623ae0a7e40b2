"""What a strategy has done so far, every figure counted by SQL from its rows."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from ai_engine.types import Action, LabelSource, TargetClass
from backend.clock import iso
from backend.learning.versions.retrain import JOB
from backend.models import AIModelVersion, AITrainingSample, JobRun, Position, TradeLog

Sample = AITrainingSample
RUN_STATES = ("success", "skipped", "error", "missed", "running")


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decisions and what became of them; each count is of rows."""

    total: int
    rounds: int
    by_action: dict[str, int]
    cold_start: int
    explored: int
    outcome_known: int
    pending: int
    unobservable: int
    by_class: dict[str, dict[str, int]]
    by_label_source: dict[str, int]


@dataclass(frozen=True, slots=True)
class Trades:
    """Closed trades; money in quote currency: ``net_pnl`` is ``gross_pnl`` less ``fees``."""

    closed: int
    open: int
    cancelled_orders: int
    wins: int
    losses: int
    flat: int
    gross_pnl: float
    fees: float
    net_pnl: float
    by_exit_reason: dict[str, int]


@dataclass(frozen=True, slots=True)
class SymbolFigures:
    """One symbol's share."""

    symbol: str
    decisions: int
    by_action: dict[str, int]
    trades: int
    wins: int
    losses: int
    net_pnl: float


@dataclass(frozen=True, slots=True)
class VersionFigures:
    """A version, how it was judged, and when it decided; a version that never decided has no first decision."""

    version_id: str
    trained_at: datetime
    training_samples: int
    validation_samples: int
    train_accuracy: float | None
    validation_accuracy: float | None
    verdict: str
    recommended: bool
    is_active: bool
    decisions: int
    first_decision: datetime | None
    last_decision: datetime | None
    live_accuracy: float | None
    net_pnl: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything the rows of one strategy say, of one snapshot; times are market times."""

    strategy: str
    first_decision: datetime | None
    last_decision: datetime | None
    decisions: Decisions
    trades: Trades
    retrainings: dict[str, int]
    symbols: tuple[SymbolFigures, ...]
    versions: tuple[VersionFigures, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe: times as text."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def figures(session: Session, strategy: str) -> Figures:
    """Count everything."""
    span = select(func.min(Sample.timestamp), func.max(Sample.timestamp)).where(*_decided(strategy))
    first, last = session.execute(span).one()
    return Figures(
        strategy=strategy,
        first_decision=first,
        last_decision=last,
        decisions=_decisions(session, strategy),
        trades=_trades(session, strategy),
        retrainings=_retrainings(session, strategy),
        symbols=_symbols(session, strategy),
        versions=_versions(session, strategy),
    )


def _decided(strategy: str) -> tuple[ColumnElement[bool], ...]:
    return (Sample.strategy == strategy, Sample.origin == "decision")


def _decisions(session: Session, strategy: str) -> Decisions:
    unobservable = (Sample.state == "unobservable", ~Sample.outcome_known)
    total, known = _count(session, strategy), _count(session, strategy, Sample.outcome_known)
    lost = _count(session, strategy, *unobservable)
    by_action = _counts(session, strategy, Sample.predicted_action)
    by_source = _counts(session, strategy, Sample.label_source, Sample.outcome_known)
    rounds = select(func.count(Sample.timestamp.distinct())).where(*_decided(strategy))
    return Decisions(
        total=total,
        rounds=session.scalars(rounds).one(),
        by_action={str(action): by_action.get(action, 0) for action in Action},
        cold_start=_count(session, strategy, Sample.model_version.is_(None)),
        explored=_count(session, strategy, Sample.explored),
        outcome_known=known,
        pending=total - known - lost,
        unobservable=lost,
        by_class=_by_class(session, strategy),
        by_label_source={str(source): by_source[source] for source in LabelSource if source in by_source},
    )


def _by_class(session: Session, strategy: str) -> dict[str, dict[str, int]]:
    query = select(Sample.predicted_action, Sample.target_class, func.count()).where(
        *_decided(strategy), Sample.outcome_known
    )
    rows = session.execute(query.group_by(Sample.predicted_action, Sample.target_class)).all()
    found = {(action, name): count for action, name, count in rows}
    return {str(action): {str(name): found.get((action, name), 0) for name in TargetClass} for action in Action}


def _counts(
    session: Session, strategy: str, column: Any, *where: ColumnElement[bool] | InstrumentedAttribute[bool]
) -> dict[str, int]:
    query = select(column, func.count()).where(*_decided(strategy), *where).group_by(column)
    return {value: count for value, count in session.execute(query).all() if value is not None}


def _count(session: Session, strategy: str, *where: ColumnElement[bool] | InstrumentedAttribute[bool]) -> int:
    return session.scalars(select(func.count()).select_from(Sample).where(*_decided(strategy), *where)).one()


def _sum(value: Any) -> Any:
    return func.coalesce(func.sum(value), 0.0)


def _number_of(rule: ColumnElement[bool]) -> Any:
    return func.coalesce(func.sum(case((rule, 1), else_=0)), 0)


def _trades(session: Session, strategy: str) -> Trades:
    pnl, mine = TradeLog.realized_pnl, TradeLog.strategy == strategy
    signs = (_number_of(pnl > 0), _number_of(pnl < 0), _number_of(pnl == 0))
    totals = select(func.count(), *signs, _sum(pnl), _sum(TradeLog.fees)).where(mine)
    closed, wins, losses, flat, net, fees = session.execute(totals).one()
    reasons = select(TradeLog.exit_reason, func.count()).where(mine).group_by(TradeLog.exit_reason)
    states = select(Position.state, func.count()).where(Position.strategy == strategy).group_by(Position.state)
    by_state = dict(session.execute(states).all())
    return Trades(
        closed=closed,
        open=by_state.get("open", 0),
        cancelled_orders=by_state.get("cancelled", 0),
        wins=wins,
        losses=losses,
        flat=flat,
        gross_pnl=net + fees,
        fees=fees,
        net_pnl=net,
        by_exit_reason={
            reason or "unknown": count for reason, count in session.execute(reasons.order_by(TradeLog.exit_reason))
        },
    )


def _retrainings(session: Session, strategy: str) -> dict[str, int]:
    query = (
        select(JobRun.state, func.count()).where(JobRun.job == JOB, JobRun.strategy == strategy).group_by(JobRun.state)
    )
    found = dict(session.execute(query).all())
    return {state: found[state] for state in RUN_STATES if state in found}


def _symbols(session: Session, strategy: str) -> tuple[SymbolFigures, ...]:
    actions = [_number_of(Sample.predicted_action == action) for action in Action]
    decided = select(Sample.symbol, func.count(), *actions).where(*_decided(strategy)).group_by(Sample.symbol)
    pnl = TradeLog.realized_pnl
    traded = select(TradeLog.symbol, func.count(), _number_of(pnl > 0), _number_of(pnl < 0), _sum(pnl))
    traded = traded.where(TradeLog.strategy == strategy).group_by(TradeLog.symbol)
    trades = {symbol: tuple(rest) for symbol, *rest in session.execute(traded).all()}
    return tuple(
        SymbolFigures(
            symbol, total, dict(zip(map(str, Action), by_action, strict=True)), *trades.get(symbol, (0, 0, 0, 0.0))
        )
        for symbol, total, *by_action in session.execute(decided.order_by(Sample.symbol)).all()
    )


def _versions(session: Session, strategy: str) -> tuple[VersionFigures, ...]:
    used = select(Sample.model_version, func.count(), func.min(Sample.timestamp), func.max(Sample.timestamp))
    used = used.where(*_decided(strategy), Sample.model_version.is_not(None)).group_by(Sample.model_version)
    spans = {version: (count, first, last) for version, count, first, last in session.execute(used)}
    query = select(AIModelVersion).where(AIModelVersion.strategy == strategy).order_by(AIModelVersion.id)
    return tuple(_version(row, *spans.get(row.version_id, (0, None, None))) for row in session.scalars(query))


def _version(row: AIModelVersion, count: int, first: datetime | None, last: datetime | None) -> VersionFigures:
    return VersionFigures(
        version_id=row.version_id,
        trained_at=row.trained_at,
        training_samples=row.training_samples,
        validation_samples=row.validation_samples,
        train_accuracy=row.train_accuracy,
        validation_accuracy=row.validation_accuracy,
        verdict=row.verdict,
        recommended=row.recommended,
        is_active=row.is_active,
        decisions=count,
        first_decision=first,
        last_decision=last,
        live_accuracy=row.live_accuracy,
        net_pnl=row.total_pnl,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
