"""What every endpoint receives: the assembled application, and who is calling."""

from dataclasses import dataclass
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Depends, Request

from backend.api.auth import role_of
from backend.clock import Clock
from backend.crontab import Schedule
from backend.database import Database
from backend.learning.decisions.posted import DecisionService
from backend.learning.evidence.self_audit import AuditService
from backend.learning.versions.activation import VersionService
from backend.learning.versions.retrain import RetrainService
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.learning.versions.trainer import Trainer
from backend.settings import Settings

DEFAULT_STRATEGY = "default"


@dataclass(frozen=True, slots=True)
class AppContext:
    """Everything the entrances call into; assembled once, when the service starts.

    ``schedule`` is None where retraining by schedule is off; ``waiting`` are the threads of calls that wait for runs.
    """

    settings: Settings
    database: Database
    store: ArtifactStore
    serving: Serving
    trainer: Trainer
    schedule: Schedule | None
    retraining: RetrainService
    auditing: AuditService
    versions: VersionService
    decisions: DecisionService
    clock: Clock
    waiting: CapacityLimiter

    def strategy(self, named: str | None) -> str:
        """The strategy of a call that may name one."""
        return named or self.settings.strategy


def _context(request: Request) -> AppContext:
    context: AppContext = request.app.state.context
    return context


def _actor(request: Request) -> str:
    return str(role_of(request))


ContextDep = Annotated[AppContext, Depends(_context)]
ActorDep = Annotated[str, Depends(_actor)]
