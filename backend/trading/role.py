"""The role of trading for one strategy: one process at a time holds it, by a lease."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from backend.clock import Clock
from backend.database import Database
from backend.errors import ConflictError
from backend.operations import leases

LEASE_TTL = timedelta(seconds=15)


class LeaseLostError(ConflictError):
    """Another process trades for the strategy now."""

    def __init__(self, strategy: str) -> None:
        super().__init__(f"Another process trades for {strategy}.", reason="lease_lost")


@dataclass(frozen=True, slots=True)
class TraderRole:
    """The right to trade for one strategy, while ``holder`` keeps its lease."""

    database: Database
    strategy: str
    clock: Clock
    holder: str
    ttl: timedelta = LEASE_TTL

    @property
    def name(self) -> str:
        """The lease's name."""
        return f"trader:{self.strategy}"

    def take(self) -> bool:
        """Take or keep the role; False while another process holds it."""
        taken = self.database.write(leases.acquire, self.name, self.holder, self.clock(), self.ttl)
        return taken is not None

    def keep(self, session: Session) -> None:
        """Prolong the lease in the transaction that relies on it; LeaseLostError where another took it."""
        if not leases.renew(session, self.name, self.holder, self.clock(), self.ttl):
            raise LeaseLostError(self.strategy)

    def give_back(self) -> None:
        """Let another process take over at once."""
        self.database.write(leases.release, self.name, self.holder, self.clock())
