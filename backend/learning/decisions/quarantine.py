"""Rows that are kept out of training: which they are, why, and what a person says of them.

A person releases a row, and the rule that held it never holds it again; or drops it, and it stays out of training and
metrics for good. Either may be changed later. The row's money counts in any case: a loss cannot be dropped.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select, union_all
from sqlalchemy.orm import Session, lazyload

from backend.clock import iso
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.learning.decisions.checks import MAX_RETURN
from backend.learning.decisions.counters import counted
from backend.learning.decisions.plausibility import (
    ALIKE_AT_LEAST,
    ALIKE_RETURNS,
    DROPPED,
    LEAST_FORWARD_RETURN,
    PRICE_FAR_FROM_CANDLES,
    RELEASED,
    RETURN_OUT_OF_BOUNDS,
    RULES,
    TRADE_FAR_FROM_CANDLES,
    TRADE_OUT_OF_BOUNDS,
    hold_if_alike,
    out_of_bounds,
    overruled,
    returns_of,
)
from backend.learning.decisions.queries import after_cursor, cursor_of, sample_dict
from backend.learning.decisions.told_outcomes import in_turn
from backend.models import AITrainingSample
from backend.operations import audit

HELD, ALL = "held", "all"
STATES = (HELD, RELEASED, DROPPED, ALL)


@dataclass(frozen=True, slots=True)
class QuarantineFilter:
    """Which kept out rows of one strategy; ``state`` is what a person said of them, ``reason`` one of the rules."""

    strategy: str
    state: str = HELD
    reason: str | None = None
    cursor: str | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a person says of one row, and why; ``decision`` is ``released`` or ``dropped``."""

    sample_id: int
    decision: str
    reason: str
    actor: str
    strategy: str | None = None


def list_quarantine(session: Session, chosen: QuarantineFilter) -> tuple[list[dict[str, Any]], str | None]:
    """A page of rows, newest first, and the cursor of the next one where there is one."""
    row = AITrainingSample
    query = _chosen(chosen).order_by(row.timestamp.desc(), row.id.desc()).limit(chosen.limit + 1)
    samples = list(session.scalars(query.options(lazyload(row.feature_schema))))
    page = samples[: chosen.limit]
    return [kept_out_dict(sample) for sample in page], cursor_of(page[-1]) if len(samples) > chosen.limit else None


def count_held(session: Session, strategy: str) -> dict[str, int]:
    """How many rows wait for somebody to look, by the rule that holds them."""
    row = AITrainingSample
    held = (row.strategy == strategy, row.quarantine_reason.in_(RULES), row.quarantine_decision.is_(None))
    query = select(row.quarantine_reason, func.count()).where(*held).group_by(row.quarantine_reason)
    return {str(reason): count for reason, count in session.execute(query.order_by(row.quarantine_reason))}


def rule_on(session: Session, ruling: Ruling, *, now: datetime, cost: float) -> dict[str, Any]:
    """Release or drop the row (audited), the live counters with it; said again, nothing changes."""
    sample = _find(session, ruling)
    if sample.quarantine_decision != ruling.decision:
        held_for = _held_for(sample)
        with counted(session, [sample], cost):
            _release(session, sample, held_for) if ruling.decision == RELEASED else _drop(sample, held_for)
        audit.append(
            session,
            at=now,
            actor=ruling.actor,
            action=f"sample_{ruling.decision}",
            strategy=sample.strategy,
            subject=str(sample.id),
            reason=ruling.reason,
            detail={"decision_id": sample.decision_id, "symbol": sample.symbol, "held_for": held_for},
        )
        session.flush()
    return {"status": "success", "sample": kept_out_dict(sample)}


def kept_out_dict(sample: AITrainingSample) -> dict[str, Any]:
    """The sample's keys, with the rule that holds or held it, and why in its own figures."""
    released = overruled(sample)
    held_for = sample.quarantine_reason or (released[-1] if released else None)
    return {**sample_dict(sample), "held_for": held_for, "explanation": explain(sample, held_for)}


def explain(sample: AITrainingSample, reason: str | None) -> str | None:
    """What the rule saw in the row, and what to look at."""
    if reason in (RETURN_OUT_OF_BOUNDS, TRADE_OUT_OF_BOUNDS):
        beyond = [f"{name} {value:g}" for name, value in returns_of(sample).items() if out_of_bounds(name, value)]
        return (
            f"A return beyond ±{MAX_RETURN:g}, or a forward_return below {LEAST_FORWARD_RETURN:g},"
            f" ({', '.join(beyond) or 'none any more'}) is nearly always a wrong price."
            " Compare its prices with the exchange's; release it if they are right."
        )
    if reason in (PRICE_FAR_FROM_CANDLES, TRADE_FAR_FROM_CANDLES):
        decided = f"decision {_at(sample.price, sample.timestamp)}"
        traded = f"entry {_at(sample.entry_price, sample.entry_time)}, exit {_at(sample.exit_price, sample.exit_time)}"
        return (
            f"A price told for {sample.symbol} ({decided}, {traded}) or the one at the horizon lies far from the"
            " candles known for its time. Check symbol and price, and send entry_time and exit_time with trades that"
            " are told late; release it if the price was really paid."
        )
    if reason == ALIKE_RETURNS:
        left = "an unknown time" if sample.exit_time is None else iso(sample.exit_time)
        return (
            f"{ALIKE_AT_LEAST} or more trades of {sample.symbol} left within a minute around {left} with the same"
            f" market_return, {sample.market_return!r}. Such a burst is mostly one outcome told for many decisions;"
            " release the row if it was a trade of its own."
        )
    return None


def _chosen(chosen: QuarantineFilter) -> Select[AITrainingSample]:
    row = AITrainingSample
    if chosen.state not in STATES:
        raise InvalidInputError(f"state must be one of {', '.join(STATES)}; not {chosen.state!r}.", field="state")
    if chosen.reason is not None and chosen.reason not in RULES:
        raise InvalidInputError(f"reason must be one of {', '.join(RULES)}; not {chosen.reason!r}.", field="reason")
    # By id of rows found by their own index: with the order in one query, SQLite reads every row of the strategy.
    kept_out = row.quarantine_reason.in_(RULES)
    states: dict[str, list[ColumnElement[bool]]] = {
        HELD: [kept_out & row.quarantine_decision.is_(None)],
        RELEASED: [row.quarantine_decision == RELEASED],
        DROPPED: [row.quarantine_decision == DROPPED],
        ALL: [kept_out, row.quarantine_decision == RELEASED],
    }
    found = [select(row.id).where(row.strategy == chosen.strategy, state) for state in states[chosen.state]]
    query = select(row).where(row.id.in_(union_all(*found)))
    if chosen.reason is not None:
        was = row.quarantine_reason.is_(None) & row.released_reasons.contains(chosen.reason)
        query = query.where(or_(row.quarantine_reason == chosen.reason, was))
    return query if chosen.cursor is None else after_cursor(query, chosen.cursor)


def _find(session: Session, ruling: Ruling) -> AITrainingSample:
    """The row, locked on PostgreSQL with its strategy's turn, in the order in which outcomes lock them."""
    row = AITrainingSample
    strategy = session.scalar(select(row.strategy).where(row.id == ruling.sample_id))
    if strategy is None or ruling.strategy not in (None, strategy):
        raise NotFoundError(
            f"There is no sample {ruling.sample_id}, or it is of another strategy. GET /ai/quarantine lists those that"
            " are kept out.",
            reason="unknown_sample",
        )
    in_turn(session, strategy)
    query = select(row).where(row.id == ruling.sample_id).with_for_update(of=row)
    sample = session.scalars(query.execution_options(populate_existing=True)).one()
    if sample.quarantine_reason is None and sample.quarantine_decision is None:
        raise ConflictError(
            f"Sample {sample.id} is not in quarantine: it trains as any other.", reason="not_quarantined"
        )
    return sample


def _held_for(sample: AITrainingSample) -> str:
    """The rule that holds it; where it was released, the one that held it last."""
    return sample.quarantine_reason or overruled(sample)[-1]


def _release(session: Session, sample: AITrainingSample, held_for: str) -> None:
    rules = [rule for rule in overruled(sample) if rule != held_for]
    sample.released_reasons = " ".join([*rules, held_for])
    sample.quarantine_reason, sample.quarantine_decision = None, RELEASED
    hold_if_alike(session, sample)


def _drop(sample: AITrainingSample, held_for: str) -> None:
    sample.released_reasons = " ".join(rule for rule in overruled(sample) if rule != held_for) or None
    sample.quarantine_reason, sample.quarantine_decision = held_for, DROPPED


def _at(price: float | None, moment: datetime | None) -> str:
    return "none" if price is None else f"{price!r} at {'an unknown time' if moment is None else iso(moment)}"
