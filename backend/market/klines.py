"""Candle files in Binance's public klines layout: one file in, clean candles and what was wrong with it out."""

import contextlib
import gzip
import io
import re
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ai_engine.candles import Candles, clean, timeframe_ms
from backend.errors import InvalidInputError

COLUMNS = 12
USED = ("open_time", "open", "high", "low", "close", "volume")
SUFFIXES = (".csv", ".csv.gz")
MILLISECONDS_FROM = 1e11
_NAME = re.compile(r"(?P<symbol>[A-Za-z0-9_]+)-(?P<timeframe>[0-9]+[A-Za-z]+)(?:[-_.].*)?\.csv(?:\.gz)?")
_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_file(path: Path) -> tuple[str, Candles, dict[str, int]]:
    """The symbol and candles of one file, and its counts: rows, rows dropped by reason, gaps, zero volumes.

    A file that is damaged as a whole is refused with its line; single rows that cannot be candles are dropped.
    """
    symbol, length_ms = name_parts(path)
    table = _table(path, _content(path))
    opened = table[:, 0]
    if np.median(np.where(np.isfinite(opened), opened, np.inf)) < MILLISECONDS_FROM:
        raise _refused(
            path, "has open times that are neither milliseconds nor microseconds. Convert them to milliseconds."
        )
    candles, dropped = clean(dict(zip(USED, table.T, strict=True)), length_ms)
    if not len(candles):
        found = ", ".join(f"{count} {reason}" for reason, count in dropped.items() if count)
        raise _refused(path, f"has no row that can be a candle ({found}). Download it again.")
    steps = np.diff(candles.open_time) // length_ms - 1
    return (
        symbol,
        candles,
        {
            "rows": len(table),
            **dropped,
            "backward_times": int((np.diff(opened) < 0).sum()),
            "gaps": int((steps > 0).sum()),
            "missing_candles": int(steps.sum()),
            "zero_volume": int((candles.volume == 0).sum()),
        },
    )


def name_parts(path: Path) -> tuple[str, int]:
    """Symbol and candle length in ms from a name such as ``BTCUSDT-5m-2024-05.csv.gz``."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise _refused(path, "is not named SYMBOL-TIMEFRAME.csv or .csv.gz, as in BTCUSDT-5m.csv.gz. Rename it.")
    try:
        return match["symbol"].upper(), timeframe_ms(match["timeframe"])
    except ValueError as error:
        raise _refused(path, f"names an unknown timeframe: {error}") from error


def _content(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}. Check the path and its permissions.") from error
    if data.startswith(_GZIP):
        try:
            data = gzip.decompress(data)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise _damaged(path, _intact(data).count(b"\n") + 1, "the compressed data ends or breaks there") from error
    return data.removeprefix(_BYTE_ORDER_MARK)


def _intact(data: bytes) -> bytes:
    """What can still be decompressed of a damaged gzip file."""
    reader = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    parts: list[bytes] = []
    with contextlib.suppress(zlib.error):
        parts.extend(reader.decompress(data[at : at + 1024]) for at in range(0, len(data), 1024))
    return b"".join(parts)


def _table(path: Path, content: bytes) -> npt.NDArray[np.float64]:
    """The used columns of every row, shape (n, 6)."""
    first, _, rest = content.lstrip().partition(b"\n")
    header = _is_header(first.decode("utf-8", "replace"))
    body = rest if header else content
    if not body.strip():
        raise _empty(path)
    try:
        table = np.loadtxt(io.BytesIO(body), delimiter=",", comments=None, ndmin=2)
    except ValueError:
        return _line_by_line(path, content)
    if table.shape[1] != COLUMNS:
        raise _wrong_columns(path, 1 + header, table.shape[1])
    return np.asarray(table[:, : len(USED)])


def _line_by_line(path: Path, content: bytes) -> npt.NDArray[np.float64]:
    """Slowly, so that the first line that is no row can be named; empty cells become NaN, columns not used pass."""
    rows = []
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
        cells = line.split(",")
        if not line.strip() or _is_header(line):
            continue
        if len(cells) != COLUMNS:
            raise _wrong_columns(path, number, len(cells))
        try:
            rows.append([float(cell) if cell.strip() else float("nan") for cell in cells[: len(USED)]])
        except ValueError as error:
            raise _damaged(path, number, f"{str(error)[:80]}") from error
    if not rows:
        raise _empty(path)
    return np.array(rows, dtype=np.float64)


def _is_header(line: str) -> bool:
    """Whether a line names the columns, as newer dumps do."""
    cells = [cell.strip().lower() for cell in line.split(",")]
    return len(cells) == COLUMNS and cells[0] in ("open_time", "open time", "opentime")


def _empty(path: Path) -> InvalidInputError:
    return _refused(path, "is empty: it holds no candle. Download it again.")


def _wrong_columns(path: Path, line: int, found: int) -> InvalidInputError:
    return _damaged(path, line, f"{COLUMNS} columns expected, {found} found")


def _damaged(path: Path, line: int, fault: str) -> InvalidInputError:
    return _refused(path, f"is damaged at line {line}: {fault}. Download it again.", line=line)


def _refused(path: Path, fault: str, **extra: int) -> InvalidInputError:
    return InvalidInputError(f"{path} {fault}", field="files", reason="invalid_candle_file", path=str(path), **extra)
