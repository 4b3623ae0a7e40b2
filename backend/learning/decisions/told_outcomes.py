"""Outcomes as bots tell them: recorded, and held where they cannot be believed.

The built-in trader's trades are made of candles and are recorded alone; imports are judged where they are stored.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from backend.learning.decisions.counters import counted
from backend.learning.decisions.intervals import hold
from backend.learning.decisions.known_prices import judge_prices
from backend.learning.decisions.outcomes import Outcome, record_outcome
from backend.learning.decisions.plausibility import find_alike, hold_alike
from backend.learning.decisions.prices import markets_of
from backend.learning.decisions.strategies import find_strategy
from backend.models import AITrainingSample, Strategy
from backend.settings import Settings


def tell_outcome(
    session: Session, strategy: str, decision_id: str, outcome: Outcome, *, settings: Settings, now: datetime
) -> AITrainingSample:
    """``record_outcome``, and once the trade is closed the row and those alike are judged."""
    in_turn(session, strategy)
    sample = record_outcome(session, strategy, decision_id, outcome, now=now, cost=settings.cost)
    if not (sample.executed and sample.outcome_known):
        return sample
    row = session.get_one(Strategy, strategy)
    alike = find_alike(session, sample)
    with counted(session, alike or [sample], settings.cost):
        for one in alike:
            hold_alike(one)
        judge_prices(session, row, markets_of(row, settings), [sample])
    session.flush()
    return sample


def in_turn(session: Session, name: str) -> None:
    """On PostgreSQL, let nobody else tell, settle or rule on rows of the strategy until this transaction ends.

    Two outcomes told at once would not see each other, and the last two of a burst would both find it incomplete.
    """
    strategy = find_strategy(session, name)
    if strategy is not None:
        hold(session, strategy)
