"""What a backup says of itself: everything that is ever read of it is checked before anything is unpacked."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from backend.clock import from_iso
from backend.errors import InvalidInputError

FORMAT = "qt-backup/1"
MANIFEST = "manifest.json"
DATABASES = {"sqlite": "database.sqlite", "postgresql": "database.dump"}
MODEL = re.compile(r"models/xgb_model_v[0-9]{8}_[0-9]{6}\.pkl")
SHA256 = re.compile(r"[0-9a-f]{64}")
LARGEST = 1 << 60
SHOWN = 80


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a backup, as the manifest names it."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that is read of a manifest: when the backup was made, of which kind of database, and its files."""

    created_at: datetime
    kind: str
    members: tuple[Member, ...]

    @property
    def size(self) -> int:
        """The bytes of all members."""
        return sum(member.size for member in self.members)


def read_manifest(content: bytes, file: Path) -> Manifest:
    """The manifest that the bytes are; InvalidInputError in one sentence where a key lacks or is of another type."""
    try:
        told = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise damaged(file, f"its {MANIFEST} is no JSON") from error
    found = told.get("format") if isinstance(told, dict) else None
    if found != FORMAT:
        raise InvalidInputError(
            f"{file} is of the form {str(found)[:40]!r}; this program reads {FORMAT}. Use the release that wrote it.",
            field="file",
            reason="backup_newer",
        )
    manifest = Manifest(_created_at(told, file), _kind(told, file), _members(told, file))
    names = [member.name for member in manifest.members]
    if len(set(names)) < len(names) or DATABASES[manifest.kind] not in names:
        raise damaged(file, f"its {MANIFEST} names a member twice, or no database")
    known = {*DATABASES.values()} - {DATABASES[manifest.kind]}
    if other := known & set(names):
        raise _foreign(file, min(other))
    return manifest


def damaged(file: Path, why: str) -> InvalidInputError:
    """The refusal of a file that is not what was written."""
    return InvalidInputError(
        f"{file} is damaged: {why}. Nothing was changed; use another backup.", field="file", reason="backup_damaged"
    )


def _created_at(told: Mapping[str, Any], file: Path) -> datetime:
    try:
        return from_iso(told["created_at"])
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(file, f"its {MANIFEST} does not say when it was made") from error


def _kind(told: Mapping[str, Any], file: Path) -> str:
    database = told.get("database")
    kind = database.get("kind") if isinstance(database, dict) else None
    if not isinstance(kind, str) or kind not in DATABASES:
        raise damaged(file, f"its {MANIFEST} names no kind of database that is known")
    return kind


def _members(told: Mapping[str, Any], file: Path) -> tuple[Member, ...]:
    members = told.get("members")
    if not isinstance(members, list):
        raise damaged(file, f"its {MANIFEST} is incomplete")
    return tuple(_member(one, file) for one in members)


def _member(told: Any, file: Path) -> Member:
    if not isinstance(told, dict):
        raise damaged(file, f"its {MANIFEST} is incomplete")
    name, size, sha256 = told.get("name"), told.get("size"), told.get("sha256")
    if not isinstance(name, str) or type(size) is not int or not isinstance(sha256, str):
        raise damaged(file, f"its {MANIFEST} is incomplete")
    known = name in DATABASES.values() or MODEL.fullmatch(name)
    if not known or not 0 <= size <= LARGEST or not SHA256.fullmatch(sha256):
        raise _foreign(file, name)
    return Member(name, size, sha256)


def _foreign(file: Path, name: str) -> InvalidInputError:
    return damaged(file, f"its {MANIFEST} names {name[:SHOWN]!r}, which is no part of a backup")
