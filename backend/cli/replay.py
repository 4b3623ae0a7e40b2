"""``qt replay FILES``: the whole loop over history in event order, and what came of it."""

import dataclasses
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from ai_engine.candles import timeframe_ms
from backend import migrations
from backend.cli.output import JsonOption, answer, console
from backend.cli.replay_tables import tables
from backend.clock import iso, utc_now
from backend.database import Database, explained
from backend.errors import InvalidInputError
from backend.learning.decisions.checks import normal_symbol
from backend.learning.decisions.strategies import check_name, find_strategy
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.learning.versions.trainer import SubprocessTrainer
from backend.market.files import FileMarket
from backend.settings import Settings, load_settings
from backend.trading.replay import ACTIVATE, Progress, ReplayOptions, ReplayService
from backend.trading.replay import replay as run_replay

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILES", help="Candle files (SYMBOL-TIMEFRAME.csv or .csv.gz), folders or globs."),
]
Strategy = Annotated[str, typer.Option(help="The strategy that the decisions belong to.")]
Timeframe = Annotated[
    str | None, typer.Option(help="Candles to decide on; finer files are gathered. Default: QT_TIMEFRAME.")
]
Symbols = Annotated[
    str | None, typer.Option(help="Only these symbols, separated by commas. Default: all in the files.")
]
Activate = Annotated[
    str, typer.Option(help="Which new versions decide: recommended, newest (as a person who always does), none.")
]


def replay(
    files: Files,
    strategy: Strategy = "replay",
    timeframe: Timeframe = None,
    symbols: Symbols = None,
    activate: Activate = "recommended",
    as_json: JsonOption = False,
) -> None:
    """Run the whole loop over candle files, and say what came of it.

    Candles in event order, retraining on schedule in market time. Run again, it goes on where it was; over files
    that it has taken, it adds nothing.
    """
    if activate not in ACTIVATE:
        raise typer.BadParameter(f"must be {', '.join(ACTIVATE)}, not {activate!r}", param_hint="--activate")
    settings = load_settings(require_token=False)
    check_name(strategy)
    migrations.upgrade(settings.database_url)
    database, trainer = Database(settings.database_url), SubprocessTrainer()
    try:
        settings = _with_timeframe(settings, database, strategy, timeframe)
        feed = FileMarket([str(path) for path in files], settings.timeframe, _names(symbols))
        store = ArtifactStore(settings.model_dir)
        service = ReplayService(database, settings, store, Serving(store), trainer, utc_now)
        with (
            explained(settings.database_url),
            _interruptible(trainer) as stopping,
            _bar(stopping, quiet=as_json) as progress,
        ):
            summary = run_replay(service, feed, ReplayOptions(strategy, activate), progress)
    finally:
        trainer.close()
        database.close()
    answer(summary.as_dict(), as_json, lambda _: _show(tables(summary, feed.reports)))


def _show(parts: Iterable[Table | str]) -> None:
    screen = console()
    for part in parts:
        screen.print(part)


def _names(symbols: str | None) -> tuple[str, ...] | None:
    if symbols is None:
        return None
    names = tuple(normal_symbol(name.strip().upper()) for name in symbols.split(",") if name.strip())
    if not names:
        raise InvalidInputError("--symbols names no symbol. Leave it out, or write BTCUSDT,ETHUSDT.", field="symbols")
    return names


def _with_timeframe(settings: Settings, database: Database, strategy: str, wanted: str | None) -> Settings:
    """The settings with the timeframe asked for, or the one that the strategy began with."""
    try:
        timeframe_ms(wanted or settings.timeframe)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--timeframe") from error
    known = database.read(find_strategy, strategy)
    timeframe = wanted or (known.timeframe if known is not None else settings.timeframe)
    return dataclasses.replace(settings, timeframe=timeframe, strategy=strategy)


@contextmanager
def _interruptible(trainer: SubprocessTrainer) -> Iterator[Event]:
    """Ctrl-C finishes the batch in hand, and gives up a training for the next run to take over.

    A second one ends at once.
    """
    stopping = Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        stopping.set()
        Thread(target=trainer.close).start()  # not here: the thread that is interrupted may hold its lock

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopping
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _bar(stopping: Event, *, quiet: bool) -> Iterator[Progress]:
    """A progress bar on standard error, where that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    screen = Console(stderr=True)
    with Bar(*columns, console=screen, disable=quiet or not screen.is_terminal) as bar:
        task = bar.add_task("reading", total=None)

        def tell(done: int, total: int, at: datetime, doing: str) -> None:
            bar.update(task, completed=done, total=total or None, description=f"{iso(at)} {doing}")
            if stopping.is_set():
                raise typer.Abort

        yield tell
