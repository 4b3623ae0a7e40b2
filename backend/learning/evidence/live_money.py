"""What a version's trades earned, and where it went: gross, fees, slippage, net, in quote currency."""

import math
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, case, func, select
from sqlalchemy.orm import Session

from ai_engine.types import Action
from backend.learning.evidence.live_rows import Decisions
from backend.models import AITrainingSample, Fill

ENTRY, EXIT = "entry", "exit"


def trades(decisions: Decisions) -> dict[str, int]:
    """How many trades, and how many of the closed ones ended above, below and at nothing."""
    pnl = decisions.pnl[decisions.closed]
    return {
        "open": int(decisions.is_open.sum()),
        "closed": len(pnl),
        "won": int((pnl > 0).sum()),
        "lost": int((pnl < 0).sum()),
        "even": int((pnl == 0).sum()),
    }


def profit_and_loss(session: Session, version_id: str, decisions: Decisions) -> dict[str, Any]:
    """What the closed trades earned. ``gross`` is always ``net`` and what fees and known slippage took.

    Slippage is what the fills gave up against the price before it. It is known of a trade where it is of every fill;
    where of none, ``slippage`` is None, and ``gross`` is then what was earned at the fills' own prices.
    """
    net, fees = math.fsum(decisions.pnl), math.fsum(decisions.fees)
    lost = _slippage(session, version_id)
    return {
        "gross": net + fees + (lost["both"]["slippage"] or 0.0),
        "fees": fees,
        "slippage": lost["both"]["slippage"],
        "net": net,
        "fees_known_trades": int(decisions.fees_known.sum()),
        "slippage_known_trades": lost["both"]["known_trades"],
        "slippage_by_leg": {leg: lost[leg] for leg in (ENTRY, EXIT)},
    }


def _slippage(session: Session, version_id: str) -> dict[str, dict[str, Any]]:
    """Of both legs together and of each: the closed trades of which it is known, and their sum."""
    told: tuple[Any, ...] = tuple(session.execute(_sums(version_id)).one())
    pairs = zip(("both", ENTRY, EXIT), told[0::2], told[1::2], strict=True)
    return {name: {"known_trades": count, "slippage": total if count else None} for name, count, total in pairs}


def _sums(version_id: str) -> Select[Any]:
    given = _given_up_by_trade(version_id)
    both = case((and_(given.c.entry.is_not(None), given.c.exit.is_not(None)), given.c.entry + given.c.exit))
    return select(*(figure(part) for part in (both, given.c.entry, given.c.exit) for figure in (func.count, func.sum)))


def _given_up_by_trade(version_id: str) -> Subquery:
    """One row a closed trade: what its entry and its exit gave up, NULL where a fill's price before is unknown."""
    row = AITrainingSample
    sign = case((row.execution_side == Action.BUY.value, 1.0), else_=-1.0)
    entry, leave = _given_up_a_unit(ENTRY, func.coalesce(Fill.reference_price, row.price)), _given_up_a_unit(EXIT)
    return (
        select((sign * row.quantity * entry).label("entry"), (-sign * row.quantity * leave).label("exit"))
        .join(Fill, Fill.sample_id == row.id)
        .where(row.model_version == version_id, row.executed, row.outcome_known)
        .group_by(row.id)
        .subquery()
    )


def _given_up_a_unit(leg: str, reference: ColumnElement[Any] | Any = Fill.reference_price) -> ColumnElement[Any]:
    """How far the leg's fills lie above the price before slippage, weighted by quantity; NULL if one has none."""
    mine = Fill.leg == leg
    unknown = func.sum(case((and_(mine, reference.is_(None)), 1), else_=0))
    moved = func.sum(case((mine, Fill.quantity * (Fill.price - reference))))
    return case((unknown == 0, moved / func.sum(case((mine, Fill.quantity)))))
