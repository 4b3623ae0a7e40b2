"""How commands answer: a table for people, JSON for programs, a progress bar where somebody watches."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from backend.cli.completion import complete_strategy

JsonOption = Annotated[bool, typer.Option("--json", help="Answer as JSON, with the keys of the HTTP interface.")]
StrategyOption = Annotated[
    str | None,
    typer.Option("--strategy", help="Which strategy. Default: QT_STRATEGY.", autocompletion=complete_strategy),
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")]

PIPE_WIDTH = 200
GAP = 2


def console() -> Console:
    """Standard output, wide enough for whole tables where it is not a terminal."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


def answer(data: Mapping[str, Any], as_json: bool, show: Callable[[Mapping[str, Any]], None]) -> None:
    """Print the answer as JSON, or as ``show`` does."""
    if as_json:
        print(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        show(data)


def cell(value: Any) -> str:
    """A value as a person reads it; what is not known is a dash, never 0."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if value and abs(value) < 1 else f"{value:,.2f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {cell(item)}" for name, item in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(cell(item) for item in value) or "-"
    return str(value)


def percent(value: Any) -> str:
    """A fraction as a person reads it; what is not known is a dash.

    >>> percent(0.5192), percent(-0.00235), percent(None)
    ('51.9 %', '-0.235 %', '-')
    """
    if value is None:
        return "-"
    digits = 1 if abs(value) >= 0.1 or value == 0 else 3
    return f"{100 * value:.{digits}f} %"


def when(value: Any) -> str:
    """A time to the minute, in UTC; what is not known is a dash.

    >>> when("2025-06-02T03:00:14.961659Z"), when(None)
    ('2025-06-02 03:00', '-')
    """
    return str(value)[:16].replace("T", " ") if value else "-"


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column: its heading, how a value is written, and when it goes where the terminal is narrow.

    Of the columns with ``drop`` above 0 the one with the highest goes first; 0 stays.
    """

    heading: str
    show: Callable[[Any], str] = cell
    drop: int = 0


def say(sentence: str, style: str = "") -> None:
    """A sentence, broken between words on a terminal and whole in a pipe."""
    screen = console()
    screen.print(Text(sentence, style=style), soft_wrap=not screen.is_terminal)


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str | Column], empty: str) -> None:
    """A table with one line a row; ``columns`` maps a key to its heading. ``empty`` is said where there is no row."""
    if not rows:
        print(empty)
        return
    named = {key: Column(one) if isinstance(one, str) else one for key, one in columns.items()}
    screen = console()
    named = fitting(rows, named, screen.width)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for key, column in named.items():
        numeric = all(isinstance(row.get(key), int | float | None) for row in rows)
        table.add_column(column.heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(column.show(row.get(key))) for key, column in named.items()))
    _print_trimmed(screen, table)


def fitting(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Column], width: int) -> dict[str, Column]:
    """The columns that stand side by side in the width; those that may go do so, the most dispensable first."""
    kept = dict(columns)
    while _needed(rows, kept) > width:
        key = max(kept, key=lambda name: kept[name].drop)
        if kept[key].drop == 0:
            break
        del kept[key]
    return kept


def _needed(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Column]) -> int:
    widths = (
        max(len(column.heading), *(cell_len(column.show(row.get(key))) for row in rows))
        for key, column in columns.items()
    )
    return sum(widths) + GAP * (len(columns) - 1)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Names and values, one a line, aligned."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, Text(cell(value)))
    _print_trimmed(console(), table)


def _print_trimmed(screen: Console, table: Table) -> None:
    """The table without the blanks that would follow each line in a pipe."""
    if screen.is_terminal:
        screen.print(table)
        return
    with screen.capture() as captured:
        screen.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


@contextmanager
def progress_bar(description: str, *, quiet: bool) -> Iterator[Callable[[str, float], None]]:
    """A bar on standard error where that is a terminal; what it yields is told the stage and the part that is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    terminal = Console(stderr=True)
    with Progress(*columns, console=terminal, disable=quiet or not terminal.is_terminal, transient=True) as bar:
        task = bar.add_task(description, total=1.0)

        def tell(stage: str, fraction: float) -> None:
            bar.update(task, description=f"{description}: {stage.replace('_', ' ')}", completed=fraction)

        yield tell
