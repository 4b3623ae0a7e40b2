"""What became of a decision: its entry fills, its exit fills, and the outcome when it has left."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from ai_engine.types import Action
from backend.clock import iso
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.learning.decisions.checks import check_amount, check_money, check_time, content_hash
from backend.learning.decisions.counters import counted
from backend.learning.decisions.fills import (
    QUANTITY_TOLERANCE,
    NewFill,
    add_fill,
    check_distinct,
    fees_of_trade,
    fills_of,
    is_repeat,
    quantity_of,
    total,
)
from backend.learning.decisions.labelling import (
    LONG_ONLY,
    clear_outcome,
    label_executed,
    trade_log,
    warn_of_early_times,
    warn_of_other_side,
)
from backend.learning.decisions.plausibility import judge_returns
from backend.models import AITrainingSample, Strategy

BESIDE_THE_CONTENT = ("fill_id", "reference_price")


@dataclass(frozen=True, slots=True)
class Execution:
    """An entry fill; ``fees`` in quote currency for this leg.

    ``reference_price`` is what it would have cost without slippage, where whoever traded knows it.
    """

    side: str
    entry_price: float
    quantity: float
    entry_time: datetime | None = None
    fees: float | None = None
    fill_id: str | None = None
    reference_price: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """An exit fill; ``quantity`` None is all that is left, ``fees`` covers both legs of what leaves.

    ``side``, ``entry_price`` and ``entry_time`` come with the outcome of a decision whose entry was never told;
    its quantity is then ``entry_quantity``, or ``quantity``. ``reference_price`` as in ``Execution``.
    """

    exit_price: float
    exit_time: datetime | None = None
    quantity: float | None = None
    fees: float | None = None
    realized_pnl: float | None = None
    exit_reason: str | None = None
    fill_id: str | None = None
    final: bool | None = None
    side: str | None = None
    entry_price: float | None = None
    entry_quantity: float | None = None
    entry_time: datetime | None = None
    reference_price: float | None = None


def find_sample(session: Session, strategy: str, decision_id: str, *, lock: bool = False) -> AITrainingSample:
    """The decision's row, on PostgreSQL locked against other writers if asked; 404 where there is none."""
    row = AITrainingSample
    query = select(row).where(row.strategy == strategy, row.decision_id == decision_id)
    sample = session.scalars(query.with_for_update(of=row) if lock else query).first()
    if sample is not None:
        return sample
    raise NotFoundError(
        f"Strategy {strategy!r} has no decision {decision_id!r}. Post it with POST /ai/decisions first.",
        reason="unknown_decision",
    )


def record_execution(
    session: Session, strategy: str, decision_id: str, execution: Execution, *, now: datetime
) -> AITrainingSample:
    """Enter, or enter more, while the decision is open; a fill may arrive after the exit has begun.

    The same fill again changes nothing, and a counterfactual outcome gives way.
    """
    _check_execution(execution, now)
    sample = find_sample(session, strategy, decision_id, lock=True)
    fills, content = fills_of(session, sample, "entry"), _content(execution)
    if is_repeat(fills, execution.fill_id, content):
        return sample
    _check_may_enter(session, sample, execution)
    check_distinct(fills, execution.fill_id)
    if not sample.executed:
        _begin_trade(sample, execution.side)
    new = NewFill(
        leg="entry",
        fill_id=execution.fill_id,
        price=execution.entry_price,
        quantity=execution.quantity,
        fees=execution.fees,
        filled_at=execution.entry_time or now,
        body_hash=content,
        reference_price=execution.reference_price,
    )
    add_fill(session, sample, new)
    entered = total(fills_of(session, sample, "entry"))
    sample.entry_price, sample.quantity = entered.price, entered.quantity
    sample.entry_time = min(sample.entry_time or entered.first_at, entered.first_at)
    sample.fees, sample.fees_known = entered.fees or 0.0, entered.fees_known
    warn_of_early_times(sample, entry_time=sample.entry_time)
    session.flush()
    return sample


def record_outcome(
    session: Session, strategy: str, decision_id: str, outcome: Outcome, *, now: datetime, cost: float
) -> AITrainingSample:
    """Leave, or leave a part; closed, labelled, logged and counted once all has left or ``final`` says so."""
    _check_outcome(outcome, now)
    sample = find_sample(session, strategy, decision_id, lock=True)
    fills, content = fills_of(session, sample, "exit"), _content(outcome)
    if is_repeat(fills, outcome.fill_id, content):
        return sample
    if sample.executed and sample.outcome_known:
        raise ConflictError(
            f"Decision {decision_id!r} is closed with another outcome; an outcome is told once.",
            reason="outcome_conflict",
        )
    check_distinct(fills, outcome.fill_id)
    if not sample.executed:
        sample = record_execution(session, strategy, decision_id, _entry_of(sample, outcome), now=now)
    _check_agrees(sample, outcome)
    _leave(session, sample, outcome, content, now)
    _close_if_left(session, sample, outcome, now=now, cost=cost)
    session.flush()
    return sample


def _content(told: Execution | Outcome) -> str:
    """The same for the same fill, whatever it is called and whatever it would have cost elsewhere."""
    return content_hash({name: value for name, value in asdict(told).items() if name not in BESIDE_THE_CONTENT})


def _check_execution(execution: Execution, now: datetime) -> None:
    _check_side(execution.side)
    check_amount(execution.entry_price, field="entry_price")
    check_amount(execution.quantity, field="quantity")
    if execution.fees is not None:
        check_money(execution.fees, field="fees")
    if execution.entry_time is not None:
        check_time(execution.entry_time, now=now, field="entry_time")


def _check_outcome(outcome: Outcome, now: datetime) -> None:
    check_amount(outcome.exit_price, field="exit_price")
    for field in ("quantity", "entry_price", "entry_quantity"):
        value = getattr(outcome, field)
        if value is not None:
            check_amount(value, field=field)
    for field in ("fees", "realized_pnl"):
        value = getattr(outcome, field)
        if value is not None:
            check_money(value, field=field)
    for field in ("exit_time", "entry_time"):
        value = getattr(outcome, field)
        if value is not None:
            check_time(value, now=now, field=field)
    if outcome.side is not None:
        _check_side(outcome.side)


def _check_side(side: str) -> None:
    if side not in (Action.BUY, Action.SELL):
        raise InvalidInputError(f"side must be BUY or SELL, not {side!r}.", field="side")


def _check_may_enter(session: Session, sample: AITrainingSample, execution: Execution) -> None:
    strategy = session.get_one(Strategy, sample.strategy)
    if strategy.sides == LONG_ONLY and execution.side == Action.SELL:
        raise ConflictError(
            f"Strategy {strategy.name!r} is long only: a SELL opens nothing in it. Report the end of a long position"
            " as the outcome of the decision that opened it.",
            reason="long_only",
        )
    if sample.origin in ("historical", "synthetic"):
        raise ConflictError(f"A {sample.origin} sample is no decision that could be executed.", reason="not_a_decision")
    if sample.executed and sample.outcome_known:
        raise ConflictError(
            f"Decision {sample.decision_id!r} is closed; it takes no further fill.", reason="already_closed"
        )
    if sample.executed and sample.execution_side != execution.side:
        raise ConflictError(
            f"Decision {sample.decision_id!r} entered with {sample.execution_side}; a fill cannot turn its side.",
            reason="side_conflict",
        )


def _begin_trade(sample: AITrainingSample, side: str) -> None:
    clear_outcome(sample)
    sample.entry_time = sample.warning = None
    sample.executed, sample.execution_side, sample.state = True, side, "open"
    warn_of_other_side(sample)


def _entry_of(sample: AITrainingSample, outcome: Outcome) -> Execution:
    quantity = outcome.entry_quantity or outcome.quantity
    if outcome.side is None or outcome.entry_price is None or quantity is None:
        raise ConflictError(
            f"Decision {sample.decision_id!r} was never executed. Post its execution first, or send side, entry_price"
            " and quantity with the outcome.",
            reason="not_executed",
        )
    entry_time = outcome.entry_time or min(sample.timestamp, outcome.exit_time or sample.timestamp)
    return Execution(outcome.side, outcome.entry_price, quantity, entry_time)


def _check_agrees(sample: AITrainingSample, outcome: Outcome) -> None:
    """Refuse an outcome that tells another entry than the stored one."""
    told = {"side": outcome.side, "entry_price": outcome.entry_price, "entry_quantity": outcome.entry_quantity}
    stored = {"side": sample.execution_side, "entry_price": sample.entry_price, "entry_quantity": sample.quantity}
    for field, value in told.items():
        known = stored[field]
        near = isinstance(value, float) and isinstance(known, float) and abs(value - known) <= 1e-6 * known
        if value is not None and value != known and not near:
            raise ConflictError(
                f"{field} {value!r} contradicts the entry of decision {sample.decision_id!r}, which is {known!r}.",
                reason="entry_conflict",
            )


def _leave(session: Session, sample: AITrainingSample, outcome: Outcome, content: str, now: datetime) -> None:
    left = quantity_of(fills_of(session, sample, "exit"))
    entered = float(sample.quantity or 0.0)
    quantity = entered - left if outcome.quantity is None else outcome.quantity
    if left + quantity > entered * (1 + QUANTITY_TOLERANCE):
        raise ConflictError(
            f"quantity {quantity!r} is more than decision {sample.decision_id!r} still holds: {entered - left!r} of"
            f" {entered!r}.",
            reason="quantity_exceeds_entry",
            remaining=entered - left,
        )
    exit_time = _exit_time(session, sample, outcome, now)
    new = NewFill("exit", outcome.fill_id, outcome.exit_price, quantity, outcome.fees, exit_time, content)
    add_fill(session, sample, replace(new, reference_price=outcome.reference_price))
    warn_of_early_times(sample, exit_time=exit_time)
    if outcome.realized_pnl is not None:
        sample.reported_pnl = (sample.reported_pnl or 0.0) + outcome.realized_pnl
    sample.exit_reason = outcome.exit_reason or sample.exit_reason


def _exit_time(session: Session, sample: AITrainingSample, outcome: Outcome, now: datetime) -> datetime:
    """When it left, not before it entered; an entry time that nobody told gives way to the decision's, or to it."""
    entry_time = sample.entry_time or sample.timestamp
    if outcome.exit_time is None:
        return max(now, entry_time)
    if outcome.exit_time >= entry_time:
        return outcome.exit_time
    if _entry_time_was_told(session, sample):
        raise InvalidInputError(
            f"exit_time lies before entry_time {iso(entry_time)}. Correct the one that is wrong.", field="exit_time"
        )
    sample.entry_time = min(sample.timestamp, outcome.exit_time)
    return outcome.exit_time


def _entry_time_was_told(session: Session, sample: AITrainingSample) -> bool:
    """Whether any entry fill came with its time: its content then differs from the same without."""
    side = str(sample.execution_side)
    return any(
        fill.body_hash != _content(Execution(side, fill.price, float(fill.quantity or 0.0), None, fill.fees))
        for fill in fills_of(session, sample, "entry")
    )


def _close_if_left(session: Session, sample: AITrainingSample, outcome: Outcome, *, now: datetime, cost: float) -> None:
    fills = fills_of(session, sample, "exit")
    left, entered = total(fills), float(sample.quantity or 0.0)
    all_left = left.quantity >= entered * (1 - QUANTITY_TOLERANCE)
    if not (all_left or outcome.final):
        return
    with counted(session, [sample], cost):
        sample.exit_price, sample.exit_time = left.price, left.last_at
        sample.quantity = entered if all_left else left.quantity
        sample.fees, sample.fees_known = fees_of_trade(fills_of(session, sample, "entry"), fills)
        label_executed(sample, now=now)
        judge_returns(sample)
    session.add(trade_log(sample))
