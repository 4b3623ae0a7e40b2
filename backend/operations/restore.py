"""Putting a backup in the place of what is there: everything is verified first, and the switch is one step."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from backend import migrations, system
from backend.clock import iso
from backend.errors import ConflictError, InvalidInputError, UnavailableError
from backend.operations import backup_sqlite
from backend.operations.backup_archive import Progress, extract, member_of
from backend.operations.backup_facts import Facts, VersionFile
from backend.operations.backup_manifest import DATABASES, Manifest


class Target(Protocol):
    """A database that can be exchanged for another."""

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgresql``."""

    @property
    def workspace(self) -> Path:
        """A folder for what is being restored, on the same disk as what it will replace; emptied at each start."""

    def refuse_in_use(self) -> None:
        """ConflictError while anything else has the database open."""

    def stage(self, copied: Path) -> Facts:
        """Make the copy ready beside the old database, brought to this program's revision."""

    def known_files(self) -> dict[str, str]:
        """The SHA-256 of each model file that the old database knows; empty where it cannot be read."""

    def switch(self) -> str | None:
        """Let the staged database take the old one's place in one step; where the old one is kept."""

    def abandon(self) -> None:
        """Remove what was staged outside the workspace."""


@dataclass(frozen=True, slots=True)
class RestoreOrder:
    """What is restored, and where the model files go."""

    file: Path
    model_dir: Path


def restore(target: Target, order: RestoreOrder, progress: Progress) -> dict[str, Any]:
    """Put the backup in place of the database; killed at any moment, the old one is there, or the new one."""
    target.refuse_in_use()
    with _workspace(target.workspace) as folder:
        manifest = extract(order.file, folder, progress)
        try:
            return _switched(target, order, manifest, progress)
        except BaseException:
            target.abandon()
            raise


def _switched(target: Target, order: RestoreOrder, manifest: Manifest, progress: Progress) -> dict[str, Any]:
    kind, folder = manifest.kind, target.workspace
    if kind != target.kind:
        raise InvalidInputError(
            f"{order.file} holds a {kind} database, but QT_DATABASE_URL names a {target.kind} one. Name a database of"
            " the same kind there.",
            field="file",
            reason="backup_of_other_kind",
        )
    progress("migrating", 0.0)
    facts = target.stage(folder / DATABASES[kind])
    brought = sorted((folder / "models").iterdir()) if (folder / "models").is_dir() else []
    _check_active(facts.versions, brought, order.file)
    progress("placing the models", 0.0)
    _place(brought, order.model_dir, target.known_files())
    progress("switching", 0.9)
    target.refuse_in_use()
    kept = target.switch()
    progress("done", 1.0)
    return {
        "status": "success",
        "created_at": iso(manifest.created_at),
        "revision": facts.revision,
        "rows": dict(facts.rows),
        "models": len(brought),
        "without_file": _without_file(facts.versions, order.model_dir),
        "old_database": kept,
    }


@contextlib.contextmanager
def _workspace(folder: Path) -> Iterator[Path]:
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        raise UnavailableError(
            f"{folder} cannot be made ({error.strerror or error}). Restore as a user who may write there.",
            reason="backup_io",
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_active(versions: Sequence[VersionFile], brought: Sequence[Path], file: Path) -> None:
    """Refuse a backup whose active version's file is another than its row says."""
    digests = {path.name: path for path in brought}
    for one in versions:
        if one.is_active and one.name in digests:
            found = member_of(one.name, digests[one.name])
            if (found.sha256, found.size) != (one.sha256, one.size):
                raise InvalidInputError(
                    f"{file} is damaged: the file of {one.version_id}, which is active, is not the published one."
                    " Nothing was changed; use another backup.",
                    field="file",
                    reason="backup_damaged",
                )


def _place(brought: Sequence[Path], folder: Path, known: dict[str, str]) -> None:
    """Put each model file under its name; one that the old database knows with other content is never replaced."""
    for path in brought:
        target = folder / path.name
        if target.exists():
            there = member_of(path.name, target).sha256
            if there == known.get(path.name) and there != member_of(path.name, path).sha256:
                raise ConflictError(
                    f"{target} is a published version of the database that is there now, with other content. Set"
                    " QT_MODEL_DIR to an empty folder and restore again.",
                    reason="model_file_conflict",
                )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in brought:
            _copy_into(path, folder)
        system.sync_folder(folder)
    except OSError as error:
        raise UnavailableError(
            f"QT_MODEL_DIR={folder} cannot hold the models ({error.strerror or error}). Name a folder that can be"
            " written to, or mend this one.",
            reason="model_dir_unusable",
        ) from error


def _copy_into(path: Path, folder: Path) -> None:
    """Write the file whole before it has its name; the folder may lie on another disk."""
    temporary = folder / f".restoring.{path.name}"
    with path.open("rb") as source, temporary.open("wb") as copy:
        shutil.copyfileobj(source, copy)
        copy.flush()
        os.fsync(copy.fileno())
    temporary.replace(folder / path.name)


def _without_file(versions: Sequence[VersionFile], folder: Path) -> list[dict[str, Any]]:
    """Versions whose file is not what was published, the active ones first."""
    missing = []
    for one in versions:
        path = folder / one.name
        if not path.is_file() or member_of(one.name, path).sha256 != one.sha256:
            missing.append({"version_id": one.version_id, "strategy": one.strategy, "is_active": one.is_active})
    return sorted(missing, key=lambda one: not one["is_active"])


@dataclass(frozen=True, slots=True)
class SqliteTarget:
    """The database's file."""

    file: Path
    url: str
    now: datetime
    kind: str = "sqlite"

    @property
    def workspace(self) -> Path:
        """Beside the file, so that the switch is a rename."""
        return self.file.with_name(f".{self.file.name}.restoring")

    def refuse_in_use(self) -> None:
        """ConflictError while another process has it open."""
        backup_sqlite.refuse_in_use(self.file, self.url)

    def stage(self, copied: Path) -> Facts:
        """Bring the copy to this program's revision, where it lies."""
        try:
            backup_sqlite.check_whole(copied)
            before = backup_sqlite.facts(copied)
            migrations.upgrade(f"sqlite:///{copied.absolute().as_posix()}")
            backup_sqlite.release(copied, self.url)
            return backup_sqlite.facts(copied)
        except sqlite3.Error as error:
            raise InvalidInputError(
                f"The database in the backup cannot be used: {error}. Nothing was changed; use another backup.",
                field="file",
                reason="backup_damaged",
            ) from error
        except UnavailableError as error:
            if error.reason == "database_newer":
                raise newer(before.revision) from error
            raise

    def known_files(self) -> dict[str, str]:
        """The SHA-256 of each model file that the old database knows."""
        try:
            return {one.name: one.sha256 for one in backup_sqlite.facts(self.file).versions}
        except (sqlite3.Error, UnavailableError):
            return {}

    def switch(self) -> str | None:
        """Rename the copy over the old file, which stays beside it under another name."""
        readable = backup_sqlite.release(self.file, self.url)
        staged = self.workspace / DATABASES[self.kind]
        kept = backup_sqlite.exchange(self.file, staged, self.now, readable=readable)
        return str(kept) if kept else None

    def abandon(self) -> None:
        """Nothing is staged outside the workspace."""


def newer(revision: str) -> InvalidInputError:
    """The backup is of a newer release."""
    return InvalidInputError(
        f"The backup is newer than this program: its schema revision {revision} is not known here. Install the release"
        " that wrote it. Nothing was changed.",
        field="file",
        reason="backup_newer",
    )
