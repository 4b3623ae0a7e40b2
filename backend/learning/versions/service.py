"""What changing a version's role takes: the files, the rows, the clock, and the proof that a file can serve."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from backend.clock import Clock
from backend.database import Database
from backend.errors import ConflictError
from backend.learning.versions.find import find_version, locked
from backend.learning.versions.store import ArtifactStore
from backend.models import AIModelVersion, FeatureSchema, Strategy
from backend.settings import Settings


@dataclass(frozen=True)
class VersionService:
    """What a change of the active version, or of its shadows, needs."""

    database: Database
    settings: Settings
    store: ArtifactStore
    clock: Clock


def prove(service: VersionService, version: AIModelVersion) -> None:
    """Read the file as serving will, with no transaction open."""
    model = service.store.load(version.model_path, sha256=version.artifact_sha256, size=version.artifact_bytes)
    known = service.database.read(current_names, version.strategy)
    unknown = sorted(set(model.feature_names) - known)
    if unknown:
        raise ConflictError(
            f"{version.version_id} needs features that decisions of {version.strategy} no longer have:"
            f" {', '.join(unknown[:10])}. Retrain, or admit a schema that has them.",
            reason="schema_mismatch",
            missing=unknown,
        )


def current_names(session: Session, strategy: str) -> frozenset[str]:
    """The features that decisions of the strategy have now."""
    row = session.get_one(Strategy, strategy)
    schema = session.get(FeatureSchema, row.feature_schema_id) if row.feature_schema_id else None
    return frozenset(schema.names if schema else ())


def lock_and_recheck(session: Session, proved: AIModelVersion) -> AIModelVersion:
    """The row again, in the write: still there, still naming the file that was proved."""
    locked(session, proved.strategy)
    version = find_version(session, proved.version_id)
    if version.artifact_sha256 != proved.artifact_sha256:
        raise ConflictError(
            f"The row of {version.version_id} changed while its file was checked. Try again.",
            reason="activation_changed",
        )
    return version
