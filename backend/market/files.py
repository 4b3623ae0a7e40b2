"""Candle files as a market: joined by symbol, resampled to one timeframe, replayed in event order."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ai_engine.candles import Candles, clean, resample, timeframe_ms
from ai_engine.features.windows import WINDOW
from backend.clock import from_ms, to_ms
from backend.errors import InvalidInputError, NotFoundError
from backend.market.feed import Bar, CandleRound, OwnMarket
from backend.market.klines import SUFFIXES, USED, name_parts, read_file

__all__ = ["FileMarket", "FileReport", "expand", "read_file"]

SOURCE = "replay"
Paths: TypeAlias = str | Path | Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class FileReport:
    """What one file held, and how many of its rows were dropped for which reason."""

    path: Path
    symbol: str
    timeframe_ms: int
    counts: dict[str, int]


class FileMarket(OwnMarket):
    """A feed over candle files; where files of one symbol contradict each other, the first in order stays."""

    source = SOURCE

    def __init__(self, paths: Paths, timeframe: str, symbols: Sequence[str] | None = None) -> None:
        self.timeframe = timeframe
        length_ms = timeframe_ms(timeframe)
        files = [path for path in expand(paths) if symbols is None or name_parts(path)[0] in symbols]
        for path in files:
            _check_timeframe(path, timeframe)
        read = [(path, *read_file(path)) for path in files]
        self.reports = tuple(
            FileReport(path, symbol, candles.timeframe_ms, counts) for path, symbol, candles, counts in read
        )
        by_symbol: dict[str, list[Candles]] = {}
        for _, symbol, candles, _ in read:
            by_symbol.setdefault(symbol, []).append(candles)
        if missing := sorted(set(symbols or ()) - set(by_symbol)):
            raise InvalidInputError(
                f"No candle file for {', '.join(missing)}. Add the file, or leave the symbol out.",
                field="symbols",
                reason="no_candle_file",
            )
        self._candles = {symbol: _joined(parts, length_ms) for symbol, parts in sorted(by_symbol.items())}
        self.symbols = tuple(self._candles)
        if not any(len(candles) for candles in self._candles.values()):
            raise InvalidInputError(
                f"The files hold no complete candle of {timeframe}. Choose a shorter timeframe.",
                field="timeframe",
                reason="no_candle",
            )

    @property
    def start(self) -> datetime:
        """Close of the first candle with a full window before it; of the very first where no symbol has one."""
        closes = [candles.close_time for candles in self._candles.values()]
        ready = [int(times[WINDOW]) for times in closes if len(times) > WINDOW]
        return from_ms(min(ready or [int(times[0]) for times in closes if len(times)]))

    def history(self, symbol: str, before: datetime, count: int) -> Candles:
        """The last ``count`` candles with ``close_time <= before``."""
        if symbol not in self._candles:
            raise NotFoundError(f"No file holds {symbol}; the files hold {', '.join(self.symbols)}.")
        return self._candles[symbol].upto(to_ms(before)).tail(count)

    def rounds(self, after: datetime | None, until: datetime | None = None) -> Iterator[CandleRound]:
        """Every close time at which any symbol has a candle, in order; a symbol without one is left out."""
        first = to_ms(self.start) if after is None else to_ms(after) + 1
        last = None if until is None else to_ms(until)
        streams = [_stream(symbol, candles, first, last) for symbol, candles in self._candles.items()]
        for close_time, group in groupby(heapq.merge(*streams), key=itemgetter(0)):
            yield CandleRound(from_ms(close_time), {symbol: bar for _, symbol, bar in group})


def expand(paths: Paths) -> list[Path]:
    """The candle files of folders, globs and paths, each once, sorted."""
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    return sorted({path for entry in given for path in _matches(Path(entry).expanduser())}, key=str)


def _matches(entry: Path) -> list[Path]:
    if entry.is_dir():
        found = [path for path in entry.iterdir() if path.is_file()]
    elif entry.exists():
        return [entry]
    else:
        found = list(Path(entry.anchor or ".").glob(str(entry.relative_to(entry.anchor))))
    found = [path for path in found if path.name.endswith(SUFFIXES) and not path.name.startswith(".")]
    if not found:
        raise InvalidInputError(
            f"No candle file (*.csv, *.csv.gz) at {entry}. Name a file, the folder that holds the files, or a glob.",
            field="files",
            reason="no_candle_file",
        )
    return found


def _check_timeframe(path: Path, timeframe: str) -> None:
    """Refuse candles that cannot be gathered into the timeframe, before anything is read."""
    fine, coarse = name_parts(path)[1], timeframe_ms(timeframe)
    if fine > coarse:
        fault = f"holds candles coarser than {timeframe}"
    elif coarse % fine:
        fault = f"holds candles that do not divide {timeframe} evenly"
    else:
        return
    raise InvalidInputError(
        f"{path} {fault}. Leave it out, or choose a timeframe that is a whole multiple of every file's.",
        field="timeframe",
        reason="timeframe_mismatch",
        path=str(path),
    )


def _joined(parts: list[Candles], length_ms: int) -> Candles:
    """One symbol's candles; files of one fineness are joined first, so that no border cuts a coarse candle."""
    finenesses = dict.fromkeys(part.timeframe_ms for part in parts)
    gathered = [
        resample(_first_stays([part for part in parts if part.timeframe_ms == fine], fine), length_ms)
        for fine in finenesses
    ]
    return _first_stays(gathered, length_ms)


def _first_stays(parts: list[Candles], length_ms: int) -> Candles:
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in USED}
    return clean(columns, length_ms)[0]


def _stream(symbol: str, candles: Candles, first: int, last: int | None) -> Iterator[tuple[int, str, Bar]]:
    closes = candles.close_time
    end = len(closes) if last is None else int(np.searchsorted(closes, last, side="right"))
    inside = slice(int(np.searchsorted(closes, first)), end)
    columns = (closes, candles.open, candles.high, candles.low, candles.close, candles.volume)
    for close_time, *bar in zip(*(column[inside].tolist() for column in columns), strict=True):
        opened, high, low, close, volume = bar
        yield close_time, symbol, (opened, high, low, close, volume)
