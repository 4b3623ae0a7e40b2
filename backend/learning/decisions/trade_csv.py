"""A CSV file of closed trades as the rows that an import takes, one at a time, with the line each stands on."""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from backend.clock import iso
from backend.errors import InvalidInputError
from backend.learning.decisions.csv_columns import SHORT_COLUMN, Column, Plan, Wishes, bare, plan_of
from backend.learning.decisions.csv_values import Reading, action, flag, moment, number

DELIMITERS = (",", ";", "\t", "|")
SNIFFED_LINES = 20
TIMES = ("timestamp", "entry_time", "exit_time")
NUMBERS = ("entry_price", "exit_price", "quantity", "fees", "realized_pnl", "prediction_score")
SHARES = ("target_label", "prediction_confidence")
UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class TradeLine:
    """One line: the row it tells, or why it tells none."""

    line: int
    row: dict[str, Any] | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class TradeFile:
    """An open file: how it is read, its lines, and how much of it was read (0 to 1)."""

    plan: Plan
    delimiter: str
    lines: Iterator[TradeLine]
    share: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Form:
    """How a file is written: its encoding, what parts its columns (None: found out), and how its cells are read."""

    reading: Reading
    encoding: str = "utf-8"
    delimiter: str | None = None


@contextmanager
def open_trades(path: Path, wishes: Wishes, form: Form) -> Iterator[TradeFile]:
    """Open the file and match its columns; InvalidInputError in one sentence where that cannot be done."""
    with _bytes_of(path) as (raw, handle):
        size = max(path.stat().st_size, 1)
        encoding = _encoding(handle, form.encoding)
        text = io.TextIOWrapper(handle, encoding=encoding, newline="")
        with _explained(path, encoding):
            delimiter, skipped = _delimiter(text, form.delimiter, path)
            reader = csv.reader(text, delimiter=delimiter)
            headings = [heading.strip() for heading in next(reader)]
            plan = plan_of(headings, wishes)
        lines = _lines(reader, plan, form.reading, skipped)
        yield TradeFile(plan, delimiter, _guarded(lines, path, encoding), lambda: min(raw.tell() / size, 1.0))


@contextmanager
def _bytes_of(path: Path) -> Iterator[tuple[IO[bytes], io.BufferedReader | gzip.GzipFile]]:
    """The file as it lies there, and unpacked."""
    try:
        with path.open("rb") as raw:
            if not path.name.endswith(".gz"):
                yield raw, raw
                return
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield raw, unpacked
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise InvalidInputError(f"{path} cannot be read: {why}.", field="file", reason="file_unreadable") from error


def _encoding(handle: io.BufferedReader | gzip.GzipFile, wanted: str) -> str:
    """The encoding asked for; a mark at the beginning of the file goes before UTF-8."""
    try:
        "".encode(wanted)
    except (LookupError, UnicodeError):
        raise InvalidInputError(
            f"--encoding {wanted[:40]!r} is not known. Write utf-8, cp1252, latin-1 or utf-16.", field="encoding"
        ) from None
    if wanted.lower().replace("_", "-") not in ("utf-8", "utf8"):
        return wanted
    return "utf-16" if handle.peek(2)[:2] in UTF16 else "utf-8-sig"


@contextmanager
def _explained(path: Path, encoding: str) -> Iterator[None]:
    try:
        yield
    except UnicodeError as error:
        raise InvalidInputError(
            f"{path} is not {encoding.removesuffix('-sig')} text. Say how it is encoded: --encoding cp1252 (Windows),"
            " latin-1, or utf-16.",
            field="encoding",
            reason="encoding_unknown",
        ) from error
    except csv.Error as error:
        raise InvalidInputError(f"{path} is no CSV: {error}.", field="file", reason="file_unreadable") from error
    except StopIteration:
        raise InvalidInputError(
            f"{path} is empty. Its first line must name the columns.", field="file", reason="file_unreadable"
        ) from None


def _guarded(lines: Iterator[TradeLine], path: Path, encoding: str) -> Iterator[TradeLine]:
    with _explained(path, encoding):
        yield from lines


def _delimiter(text: io.TextIOWrapper, wanted: str | None, path: Path) -> tuple[str, int]:
    """What parts the columns, and how many lines stand before their names; the file is then at the names."""
    start = text.tell()
    first = text.readline()
    if first.lower().startswith("sep=") and len(first.strip()) <= 5:
        return _checked_delimiter(first.strip()[4:] or "\t"), 1
    head = first + "".join(text.readline() for _ in range(SNIFFED_LINES))
    text.seek(start)
    if wanted is not None:
        return _checked_delimiter("\t" if wanted in ("\\t", "tab") else wanted), 0
    columns = {mark: _columns(head, mark) for mark in DELIMITERS}
    best = max(DELIMITERS, key=columns.__getitem__)
    if columns[best] < 2:
        if not first:
            raise StopIteration
        raise InvalidInputError(
            f"{path} has one column only, or its columns are parted by an unknown mark. Say which: --delimiter ';'.",
            field="delimiter",
        )
    return best, 0


def _checked_delimiter(wanted: str) -> str:
    """The mark, where the reader can part columns by it."""
    try:
        csv.reader((), delimiter=wanted)
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"--delimiter {wanted[:40]!r} parts no columns. Give one sign, such as ';', or tab.", field="delimiter"
        ) from None
    return wanted


def _columns(head: str, mark: str) -> int:
    """How many columns the mark makes of the names, where most lines below have as many; else one."""
    rows = [row for row in csv.reader(io.StringIO(head, newline=""), delimiter=mark) if row]
    full = sum(len(row) >= len(rows[0]) for row in rows)
    return len(rows[0]) if full * 2 > len(rows) else 1


def _lines(reader: Any, plan: Plan, reading: Reading, skipped: int) -> Iterator[TradeLine]:
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        line = reader.line_num + skipped
        try:
            yield TradeLine(line, _row(cells, plan, reading))
        except InvalidInputError as error:
            yield TradeLine(line, None, error.message)


def _row(cells: list[str], plan: Plan, reading: Reading) -> dict[str, Any]:
    """The row as JSON would tell it; an empty cell tells nothing."""
    if len(cells) < plan.width or any(cell.strip() for cell in cells[plan.width :]):
        raise InvalidInputError(f"The line has {len(cells)} columns, the first line {plan.width}.")
    row: dict[str, Any] = {}
    for name, column in plan.columns.items():
        if cell := cells[column.index].strip():
            row[name] = _value(name, cell, column, reading)
    for name, constant in plan.constants.items():
        row.setdefault(name, _value(name, constant, Column(-1, name), Reading(timezone=reading.timezone)))
    if "timestamp" not in row and "entry_time" in row:
        row["timestamp"] = row["entry_time"]
    if plan.features:
        row["features"] = _features(cells, plan, reading)
    return row


def _features(cells: list[str], plan: Plan, reading: Reading) -> dict[str, float]:
    """The features that the line tells; one whose cell is empty is not there."""
    told = {name: (column, cells[column.index].strip()) for name, column in plan.features.items()}
    return {
        name: _told(name, column, partial(number, cell, reading, percent=True))
        for name, (column, cell) in told.items()
        if cell
    }


def _value(name: str, cell: str, column: Column, reading: Reading) -> Any:
    if name in TIMES:
        return _told(name, column, lambda: iso(moment(cell, reading, in_utc=column.in_utc)))
    if name in NUMBERS or name in SHARES:
        found = _told(name, column, lambda: number(cell, reading, percent=name in SHARES))
        return _checked_fees(-found if column.negated else found, column) if name == "fees" else _signed(found, column)
    if name in ("predicted_action", "execution_side"):
        short = bare(column.heading) == SHORT_COLUMN
        return _told(name, column, lambda: action(cell, of_short_column=short))
    return _told(name, column, lambda: flag(cell)) if name == "executed" else cell


def _signed(found: float, column: Column) -> float:
    return -found if column.negated else found


def _checked_fees(fees: float, column: Column) -> float:
    if fees < 0:
        raise InvalidInputError(
            f"fees (column {column.heading!r}): {fees} is negative; what was paid counts as positive. Say"
            f" --map 'fees=-{column.heading}' where the file shows payments as negative."
        )
    return fees


def _told(name: str, column: Column, read: Callable[[], Any]) -> Any:
    """What the cell says; a refusal names the field and the column."""
    try:
        return read()
    except InvalidInputError as error:
        where = f" (column {column.heading!r})" if column.heading != name else ""
        raise InvalidInputError(f"{name}{where}: {error.message}") from error
