"""What the doctor looks at: a handful of numbers about one strategy, read from one snapshot."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.learning.decisions.quarantine import count_held
from backend.learning.decisions.strategies import get_strategy
from backend.learning.evidence.doctor.readings import (
    RECENT,
    Decisions,
    Outcomes,
    read_alarms,
    read_damaged,
    read_decisions,
    read_live,
    read_outcomes,
    read_skill,
    read_without_price,
)
from backend.learning.evidence.status import active_model, market_state
from backend.learning.versions.serving import Serving
from backend.models import JobRun, Strategy
from backend.operations import runs
from backend.operations.codes import Code
from backend.settings import Settings

__all__ = ["RECENT", "Decisions", "Facts", "Outcomes", "Terms", "read_facts"]


@dataclass(frozen=True, slots=True)
class Terms:
    """The strategy's own market and horizon, which may differ from what the settings say today."""

    market: str
    timeframe: str
    horizon_candles: int


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything a finding may rest on.

    ``damaged`` says what is wrong with the files of the active version and of the one a rollback would go to,
    ``alarms`` what the open alarms of the strategy say, by code, ``quarantined`` how many rows wait for somebody to
    look, by reason, ``without_price`` how many decisions found no price at their horizon, of how many, by symbol,
    ``skill`` the figures where an alarm says that it is lost, and ``unwritable`` why nothing can be
    stored.
    """

    strategy: str
    now: datetime
    settings: Settings
    created_at: datetime | None
    terms: Terms
    decisions: Decisions
    outcomes: Outcomes
    last_run: dict[str, Any] | None
    last_due: datetime | None
    last_slot: datetime | None
    active: dict[str, Any]
    damaged: dict[str, str]
    live: dict[str, Any] | None
    market: dict[str, Any]
    alarms: dict[str, tuple[str, ...]]
    quarantined: dict[str, int]
    without_price: dict[str, tuple[int, int]]
    skill: dict[str, Any] | None = None
    unwritable: str | None = None


def read_facts(
    session: Session, strategy: str, settings: Settings, now: datetime, serving: Serving, last_due: datetime | None
) -> Facts:
    """The facts of one strategy; ``last_due`` is the newest scheduled slot that has passed."""
    known = session.get(Strategy, strategy)
    row = known or get_strategy(session, strategy, settings=settings)
    own = (JobRun.job == runs.RETRAINING, JobRun.strategy == strategy)
    finished = select(JobRun).where(*own, JobRun.state.not_in(("running", "missed")))
    last_run = session.scalars(finished.order_by(JobRun.id.desc()).limit(1)).one_or_none()
    last_slot = session.scalars(select(func.max(JobRun.slot)).where(*own, JobRun.state != "missed")).one()
    return Facts(
        strategy=strategy,
        now=now,
        settings=settings,
        created_at=known.created_at if known else None,
        terms=Terms(row.market, row.timeframe, row.horizon_candles),
        decisions=(decisions := read_decisions(session, strategy)),
        outcomes=read_outcomes(session, strategy, decisions.outcomes_known),
        last_run=runs.public(last_run) if last_run else None,
        last_due=last_due,
        last_slot=last_slot,
        active=active_model(session, strategy, serving),
        damaged=read_damaged(session, strategy, serving),
        live=read_live(session, strategy),
        market=market_state(session, strategy, now),
        alarms=(alarms := read_alarms(session, strategy)),
        skill=read_skill(session, strategy, settings) if Code.SKILL_LOST in alarms else None,
        quarantined=count_held(session, strategy),
        without_price=read_without_price(session, strategy, settings.ai_retrain_window_days),
    )
