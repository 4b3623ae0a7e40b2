"""Fills of one leg: repeats recognised, distinct ones added up, in whatever order they arrive."""

import math
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
    """One fill as it was told; ``quantity`` in base, ``fees`` in quote currency.

    ``reference_price`` is the price before slippage, None where nobody knows it.
    """

    leg: str
    fill_id: str | None
    price: float
    quantity: float
    fees: float | None
    filled_at: datetime
    body_hash: str
    reference_price: float | None = None


@dataclass(frozen=True, slots=True)
class LegTotal:
    """A leg's fills together: volume-weighted price, summed quantity and fees, first and last time.

    ``fees`` are those that were told, None where no fill told any; ``fees_known`` where every fill told its own.
    """

    price: float
    quantity: float
    fees: float | None
    fees_known: bool
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
            reference_price=new.reference_price,
            quantity=new.quantity,
            fees=new.fees,
            filled_at=new.filled_at,
            body_hash=new.body_hash,
        )
    )
    session.flush()


def quantity_of(fills: Sequence[Fill]) -> float:
    """What the fills moved together."""
    return math.fsum(fill.quantity or 0.0 for fill in fills)


def total(fills: Sequence[Fill]) -> LegTotal:
    """The leg as one. Sums are exact before they are rounded, so that the order of arrival does not matter."""
    quantity = quantity_of(fills)
    known = [fill.fees for fill in fills if fill.fees is not None]
    return LegTotal(
        price=fills[0].price
        if len({fill.price for fill in fills}) == 1
        else math.fsum(fill.price * (fill.quantity or 0.0) for fill in fills) / quantity,
        quantity=quantity,
        fees=math.fsum(known) if known else None,
        fees_known=len(known) == len(fills),
        first_at=min(fill.filled_at for fill in fills),
        last_at=max(fill.filled_at for fill in fills),
    )


def fees_of_trade(entries: Sequence[Fill], exits: Sequence[Fill]) -> tuple[float, bool]:
    """The fees of what has left, and whether they are known.

    An exit fill that tells fees tells those of both legs of its part. One that tells none carries its part's share
    of the entry's fees, so that a trade which ends before all has left carries only the share of what did.

    They are known where every exit fill told its fees; or where none did and every entry fill did: such a sender
    tells its fees at the entry. Where only some exit fills told theirs, the others left something out.
    """
    entered = total(entries)
    told = [fill.fees for fill in exits if fill.fees is not None]
    untold = [fill for fill in exits if fill.fees is None]
    share = quantity_of(untold) / entered.quantity
    if abs(share - 1.0) <= QUANTITY_TOLERANCE:
        share = 1.0
    known = not untold or (not told and entered.fees_known)
    return math.fsum([*told, share * (entered.fees or 0.0)]), known
