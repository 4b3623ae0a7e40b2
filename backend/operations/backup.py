"""A backup of one installation: its database, every published model file, and a manifest; never its settings."""

import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from backend.clock import iso
from backend.errors import UnavailableError
from backend.operations.backup_archive import Progress, check_name, member_of, write_archive
from backend.operations.backup_facts import Facts, VersionFile
from backend.operations.backup_manifest import DATABASES, Member

DISTRIBUTION = "quantum-trader"


class Source(Protocol):
    """A database that can be copied while others write."""

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgresql``."""

    def copy(self, into: Path, progress: Progress) -> None:
        """Write a consistent copy into a new file."""

    def facts(self, copied: Path) -> Facts:
        """What the copy holds."""


@dataclass(frozen=True, slots=True)
class BackupOrder:
    """Where the backup goes, and where the model files are."""

    file: Path
    model_dir: Path
    now: datetime
    overwrite: bool = False


def backup(source: Source, order: BackupOrder, progress: Progress) -> dict[str, Any]:
    """Write a backup and say what is in it; ``left_out`` are model files that are missing or damaged already."""
    check_name(order.file, overwrite=order.overwrite)
    try:
        return _backup(source, order, progress)
    except OSError as error:
        raise UnavailableError(
            f"{order.file} could not be written: {error.strerror or error}. Choose a folder with room that can be"
            " written to.",
            reason="backup_io",
        ) from error


def _backup(source: Source, order: BackupOrder, progress: Progress) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=order.file.parent, prefix=".qt-backup-") as name:
        copied = Path(name) / DATABASES[source.kind]
        source.copy(copied, progress)
        facts = source.facts(copied)
        members, left_out = _model_files(facts.versions, order.model_dir)
        members.insert(0, (member_of(copied.name, copied), copied))
        manifest = {
            "created_at": iso(order.now),
            "program": {"quantum_trader": program_version(), "python": platform.python_version()},
            "database": {"kind": source.kind, "revision": facts.revision, "rows": dict(facts.rows)},
            "left_out": left_out,
        }
        write_archive(order.file, manifest, members, overwrite=order.overwrite, progress=progress)
    return {
        "status": "success",
        "file": str(order.file),
        "bytes": order.file.stat().st_size,
        "models": len(members) - 1,
        **manifest,
    }


def _model_files(
    versions: Sequence[VersionFile], folder: Path
) -> tuple[list[tuple[Member, Path]], list[dict[str, str]]]:
    """The files that are what was published, and the others with the reason why they are left out."""
    members, left_out = [], []
    for one in versions:
        path = folder / one.name
        if not path.is_file():
            left_out.append({"version_id": one.version_id, "reason": "artifact_missing"})
            continue
        member = member_of(f"models/{one.name}", path)
        if (member.sha256, member.size) == (one.sha256, one.size):
            members.append((member, path))
        else:
            left_out.append({"version_id": one.version_id, "reason": "artifact_corrupt"})
    return members, left_out


def program_version() -> str:
    """The installed release, ``0`` where the program runs uninstalled."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "0"
