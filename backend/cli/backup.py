"""``qt backup`` and ``qt restore``: all of an installation in one file, and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from backend import system
from backend.cli.output import JsonOption, answer, cell, progress_bar
from backend.cli.process import answers, places_below, running
from backend.clock import utc_now
from backend.database import explained, open_engine, parsed
from backend.errors import ConflictError, UnavailableError
from backend.operations.backup import BackupOrder, Source
from backend.operations.backup import backup as write_backup
from backend.operations.backup_archive import check_name
from backend.operations.backup_postgres import PostgresSource, PostgresTarget
from backend.operations.backup_sqlite import SqliteSource
from backend.operations.restore import RestoreOrder, SqliteTarget, Target
from backend.operations.restore import restore as put_back
from backend.settings import ROOT, Settings, load_settings

FOLDER = ROOT / "var" / "backups"


def backup(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="A .tar.gz, .tgz or .tar. Default: var/backups/, named after the time."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file where it exists.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy the database and every published model file into one file, while the service runs.

    The settings and tokens in .env stay out: keep them elsewhere. PostgreSQL is dumped by pg_dump.
    """
    settings, now = load_settings(require_token=False), utc_now()
    if file is None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        file = FOLDER / f"quantum_trader_{now:%Y%m%dT%H%M%SZ}.tar.gz"
    order = BackupOrder(file.absolute(), settings.model_dir, now, overwrite)
    check_name(order.file, overwrite=overwrite)
    with explained(settings.database_url), progress_bar("Backup", quiet=as_json) as progress:
        told = write_backup(_source(settings), order, progress)
    answer(told, as_json, _show_backup)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that qt backup wrote.")],
    as_json: JsonOption = False,
) -> None:
    """Put a backup in the place of the database; the old database is kept beside it.

    Everything is verified before anything is changed. Stop the service first: qt stop. A backup of an older release is
    brought up to date.
    """
    settings = load_settings(require_token=False)
    places = places_below(ROOT / "var")
    with system.file_lock(places.lock) as free:
        if not free:
            raise UnavailableError("A qt start, stop or restore is at work. Try again in a moment.", reason="busy")
        _refuse_running(settings, running(places))
        order = RestoreOrder(file.absolute(), settings.model_dir)
        with explained(settings.database_url), progress_bar("Restore", quiet=as_json) as progress:
            told = put_back(_target(settings), order, progress)
    answer(told, as_json, _show_restore)


def _source(settings: Settings) -> Source:
    url = parsed(settings.database_url)
    if url.get_backend_name() != "sqlite":
        return PostgresSource(url, _connect)
    path = Path(str(url.database))
    if not path.exists():
        raise UnavailableError(
            f"The database {path} does not exist yet, so there is nothing to back up. Run: qt migrate",
            reason="database_not_migrated",
        )
    return SqliteSource(path, settings.database_url)


def _target(settings: Settings) -> Target:
    url = parsed(settings.database_url)
    if url.get_backend_name() != "sqlite":
        return PostgresTarget(url, _connect, utc_now(), ROOT / "var" / ".restoring")
    path = Path(str(url.database))
    path.parent.mkdir(parents=True, exist_ok=True)
    return SqliteTarget(path, settings.database_url, utc_now())


def _connect(url: Any) -> Any:
    return open_engine(url.render_as_string(hide_password=False))


def _refuse_running(settings: Settings, pid: int | None) -> None:
    """Refuse while a service of these settings runs, also one whose database cannot be asked who has it open."""
    if pid is not None or answers(settings):
        who = f"(process {pid}) " if pid is not None else f"on port {settings.port} "
        raise ConflictError(f"The service {who}runs. Stop it first: qt stop", reason="service_running")


def _show_backup(told: Mapping[str, Any]) -> None:
    rows = told["database"]["rows"]
    counts = f"{cell(rows.get('ai_training_samples'))} samples, {told['models']} model files"
    print(f"Wrote {told['file']} ({told['bytes'] / 1e6:,.1f} MB): {counts}.")
    for one in told["left_out"]:
        print(f"Left out: the file of {one['version_id']} ({one['reason']}).")
    print("Settings and tokens (.env) are not in it; keep them elsewhere. Back with: qt restore FILE")


def _show_restore(told: Mapping[str, Any]) -> None:
    rows = told["rows"]
    counts = f"{cell(rows.get('ai_training_samples'))} samples, {told['models']} model files"
    print(f"Restored the backup of {told['created_at']}: {counts}.")
    if told["old_database"]:
        print(f"The database that was there is kept as {told['old_database']}; remove it when you are content.")
    for one in told["without_file"]:
        active = ", which is active: activate another version, or rebuild it" if one["is_active"] else ""
        print(f"Without its file: {one['version_id']} of {one['strategy']}{active}.")
