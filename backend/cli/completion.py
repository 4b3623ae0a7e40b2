"""What a shell completes: names from the database, read by the standard library alone, and silent whatever fails."""

import contextlib
import re
import sqlite3
from pathlib import Path
from typing import Annotated

import typer

from backend.env_file import SettingsError
from backend.settings import database_url_in_force

MOST = 50
SECONDS = 0.5
BEGINS = "substr({}, 1, length(?1)) = ?1"
VERSIONS = "SELECT version_id, verdict || CASE WHEN is_active THEN ', active' ELSE '' END FROM ai_model_versions"
STRATEGIES = "SELECT name, market || ' ' || timeframe FROM strategies"


def complete_version(incomplete: str) -> list[tuple[str, str]]:
    """Versions, the newest first, each with its verdict."""
    return _found(f"{VERSIONS} WHERE {BEGINS.format('version_id')} ORDER BY id DESC LIMIT {MOST}", incomplete)


def complete_strategy(incomplete: str) -> list[tuple[str, str]]:
    """Strategies, each with its market."""
    return _found(f"{STRATEGIES} WHERE {BEGINS.format('name')} ORDER BY name LIMIT {MOST}", incomplete)


def _found(query: str, incomplete: str) -> list[tuple[str, str]]:
    """Rows of a SQLite database that is there; of another kind of database nothing is asked, for it may be far."""
    with contextlib.suppress(sqlite3.Error, SettingsError, OSError, ValueError):
        match = re.fullmatch(r"sqlite:///([^?]+)(\?.*)?", database_url_in_force())
        if match and Path(match[1]).is_file():
            address = f"{Path(match[1]).absolute().as_uri()}?mode=ro"
            with contextlib.closing(sqlite3.connect(address, uri=True, timeout=SECONDS)) as connection:
                return [(str(name), str(told)) for name, told in connection.execute(query, (incomplete,))]
    return []


VersionName = Annotated[str, typer.Argument(autocompletion=complete_version)]
StrategyName = Annotated[str | None, typer.Option("--strategy", autocompletion=complete_strategy)]


def _of_none(strategy: StrategyName = None) -> None:
    """A command without a version."""


def _of_one(version: VersionName, strategy: StrategyName = None) -> None:
    """A command of one version."""


def _of_two(a: VersionName, b: VersionName, strategy: StrategyName = None) -> None:
    """A command of two versions."""


OUTLINES = (_of_none, _of_one, _of_two)
"""What is completed of a command that is given so many versions."""
