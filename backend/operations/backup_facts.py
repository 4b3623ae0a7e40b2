"""What a database holds, as far as a backup must know: its revision, how many rows, and which model files."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from backend.errors import UnavailableError

TABLES = ("strategies", "ai_training_samples", "ai_model_versions", "trade_logs", "candles")
ROWS_OF = {table: f"SELECT count(*) FROM {table}" for table in TABLES}
VERSIONS = (
    "SELECT version_id, strategy, model_path, artifact_sha256, artifact_bytes, is_active FROM ai_model_versions"
    " ORDER BY id"
)


@dataclass(frozen=True, slots=True)
class VersionFile:
    """A published version's file, as its row knows it."""

    version_id: str
    strategy: str
    name: str
    sha256: str
    size: int
    is_active: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """A database in short."""

    revision: str
    rows: Mapping[str, int]
    versions: Sequence[VersionFile]


def facts_of(revision: Sequence[Any] | None, rows: Mapping[str, int], versions: Iterable[Sequence[Any]]) -> Facts:
    """The facts of what was read by ``ROWS_OF`` and ``VERSIONS``."""
    if revision is None:
        raise UnavailableError(
            "The database has no schema revision, so it was never set up. Run: qt migrate",
            reason="database_not_migrated",
        )
    return Facts(
        revision=str(revision[0]),
        rows=rows,
        versions=tuple(
            VersionFile(version_id, strategy, PurePosixPath(path).name, sha256, int(size), bool(active))
            for version_id, strategy, path, sha256, size, active in versions
        ),
    )
