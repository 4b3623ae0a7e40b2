"""How commands answer: a table for people, JSON for programs, a progress bar where somebody watches."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

JsonOption = Annotated[bool, typer.Option("--json", help="Answer as JSON, with the keys of the HTTP interface.")]
StrategyOption = Annotated[str | None, typer.Option("--strategy", help="Which strategy. Default: QT_STRATEGY.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")]

PIPE_WIDTH = 200


def console() -> Console:
    """Standard output, wide enough for whole tables where it is not a terminal."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


def answer(data: Mapping[str, Any], as_json: bool, show: Callable[[Mapping[str, Any]], None]) -> None:
    """Print the answer as JSON, or as ``show`` does."""
    if as_json:
        print(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        show(data)


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], empty: str) -> None:
    """A table with one line a row; ``columns`` maps a key to its heading. ``empty`` is said where there is no row."""
    if not rows:
        print(empty)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for key, heading in columns.items():
        numeric = all(isinstance(row.get(key), int | float | None) for row in rows)
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(row.get(key))) for key in columns))
    console().print(table)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Names and values, one a line, aligned."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, Text(cell(value)))
    console().print(table)


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
