"""What a trader works with, and what its settings mean for its strategy."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from ai_engine import labels
from ai_engine.policy import PolicySettings
from backend.clock import Clock
from backend.database import Database
from backend.learning.versions.serving import Serving
from backend.market.feed import Feed
from backend.settings import Settings


@dataclass(frozen=True, slots=True)
class TraderContext:
    """What the trader works with; ``guard`` runs inside every write and may refuse it (a lease that was lost).

    Symbols in ``exits_only`` are followed until nothing of theirs is left, and never decided on.
    """

    database: Database
    settings: Settings
    serving: Serving
    feed: Feed
    strategy: str
    clock: Clock
    seed: int = 0
    guard: Callable[[Session], None] | None = None
    exits_only: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Terms:
    """What every fill of one strategy costs, and how long a position may live."""

    fee_rate: float
    slippage_bps: float
    timeframe: timedelta
    horizon_candles: int
    sides: str

    @property
    def cost(self) -> float:
        """Fees and slippage of a round trip as a fraction."""
        return labels.round_trip_cost(self.fee_rate, self.slippage_bps)

    @property
    def horizon(self) -> timedelta:
        """How long after its decision a position is left at the latest."""
        return self.horizon_candles * self.timeframe


def policy_of(settings: Settings, terms: Terms) -> PolicySettings:
    """The policy in force on the strategy's own terms."""
    return PolicySettings(
        min_confidence=settings.min_confidence,
        require_edge=settings.require_edge,
        cost=terms.cost,
        sides=terms.sides,
        exploration_rate=settings.exploration_rate,
    )
