"""What the commands work on: the settings, the migrated database, and the services the HTTP interface uses too."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from backend import migrations
from backend.clock import Clock, utc_now
from backend.database import Database, explained
from backend.errors import UnavailableError
from backend.learning.evidence.auditor import SubprocessAuditor
from backend.learning.evidence.self_audit import AuditService
from backend.learning.versions.activation import VersionService
from backend.learning.versions.retrain import RetrainService
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.learning.versions.trainer import SubprocessTrainer
from backend.settings import Settings, load_settings

ACTOR = "terminal"


@dataclass(frozen=True, slots=True)
class Assembly:
    """One command's services; the database is closed when the command ends."""

    settings: Settings
    database: Database
    store: ArtifactStore
    serving: Serving
    trainer: SubprocessTrainer
    auditor: SubprocessAuditor
    clock: Clock

    @property
    def versions(self) -> VersionService:
        """What a change of the active version needs."""
        return VersionService(self.database, self.settings, self.store, self.clock)

    @property
    def retraining(self) -> RetrainService:
        """What a retraining needs."""
        return RetrainService(self.database, self.settings, self.store, self.trainer, self.clock)

    @property
    def auditing(self) -> AuditService:
        """What a self-audit needs."""
        return AuditService(self.database, self.settings, self.auditor, self.clock)


@contextmanager
def assembled() -> Iterator[Assembly]:
    """The services on the configured database; whoever may read its file needs no token."""
    settings = load_settings(require_token=False)
    if not migrations.current_is_head(settings.database_url):
        raise UnavailableError(
            "The database does not exist yet or has not been brought up to date. Run: qt migrate",
            reason="database_not_migrated",
        )
    database, trainer, auditor = Database(settings.database_url), SubprocessTrainer(), SubprocessAuditor()
    store = ArtifactStore(settings.model_dir)
    try:
        with explained(settings.database_url):
            yield Assembly(settings, database, store, Serving(store), trainer, auditor, utc_now)
    finally:
        trainer.close()
        auditor.close()
        database.close()
