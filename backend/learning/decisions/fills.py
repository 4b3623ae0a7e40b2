"""Fills of one leg: repeats recognised, distinct ones added up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import ConflictError
from backend.models import AITrainingSample, Fill

NO_FILL_ID = ""
QUANTITY_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class NewFill:
    """One fill as it was told; ``quantity`` in base, ``fees`` in quote currency."""

    leg: str
    fill_id: str | None
    price: float
    quantity: float
    fees: float | None
    filled_at: datetime
    body_hash: str


@dataclass(frozen=True, slots=True)
class LegTotal:
    """A leg's fills together: volume-weighted price, summed quantity and fees, first and last time."""

    price: float
    quantity: float
    fees: float | None
    first_at: datetime
    last_at: datetime


def fills_of(session: Session, sample: AITrainingSample, leg: str) -> list[Fill]:
    """The leg's fills in the order in which they were told."""
    query = select(Fill).where(Fill.sample_id == sample.id, Fill.leg == leg).order_by(Fill.id)
    return list(session.scalars(query))


def is_repeat(fills: Sequence[Fill], fill_id: str | None, body_hash: str) -> bool:
    """Whether this very fill is stored already."""
    return any(fill.fill_id == (fill_id or NO_FILL_ID) and fill.body_hash == body_hash for fill in fills)


def check_distinct(fills: Sequence[Fill], fill_id: str | None) -> None:
    """Refuse a further fill that cannot be told from a stored one."""
    if fills and fill_id is None:
        raise ConflictError(
            "A different fill of this leg is stored already. Give each partial fill a fill_id of its own.",
            reason="fill_conflict",
        )
    if any(fill.fill_id == fill_id for fill in fills):
        raise ConflictError(
            f"Fill {fill_id!r} is stored with other content. A further fill needs a fill_id of its own.",
            reason="fill_conflict",
        )


def add_fill(session: Session, sample: AITrainingSample, new: NewFill) -> None:
    """Store one fill."""
    session.add(
        Fill(
            sample_id=sample.id,
            leg=new.leg,
            fill_id=new.fill_id or NO_FILL_ID,
            price=new.price,
            quantity=new.quantity,
            fees=new.fees,
            filled_at=new.filled_at,
            body_hash=new.body_hash,
        )
    )
    session.flush()


def total(fills: Sequence[Fill]) -> LegTotal:
    """The leg as one; ``fees`` is None where no fill told any."""
    quantity = sum(fill.quantity or 0.0 for fill in fills)
    known = [fill.fees for fill in fills if fill.fees is not None]
    return LegTotal(
        price=fills[0].price
        if len({fill.price for fill in fills}) == 1
        else sum(fill.price * (fill.quantity or 0.0) for fill in fills) / quantity,
        quantity=quantity,
        fees=sum(known) if known else None,
        first_at=min(fill.filled_at for fill in fills),
        last_at=max(fill.filled_at for fill in fills),
    )
