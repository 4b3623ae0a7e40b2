"""``qt import``: closed trades of another bot from a JSON or CSV file, batch by batch."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from ai_engine.candles import Candles
from backend.api.strict_json import parse, storable
from backend.cli.assembly import ACTOR, Assembly, assembled
from backend.cli.import_options import CsvOptions
from backend.cli.import_view import show, show_plan
from backend.cli.output import JsonOption, answer, progress_bar
from backend.errors import InvalidInputError
from backend.learning.decisions.candle_features import complete
from backend.learning.decisions.csv_columns import ColumnsMissingError, Plan
from backend.learning.decisions.imports import MAX_ROWS, Earlier, ImportResult, import_samples, try_samples
from backend.learning.decisions.strategies import DEFAULT, find_strategy
from backend.learning.decisions.trade_csv import TradeFile, open_trades
from backend.market.files import FileMarket

UNSTORABLE = "A text in the row holds a NUL character or half of a surrogate pair. Remove it."
MOST_KEPT = 10_000
FAR_FUTURE, ALL = datetime(9000, 1, 1, tzinfo=UTC), 2**31
VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|[-+]?\d[\d.,:TZe+-]*")
NO_FEATURES = (
    "{file} has no feature columns, and a decision without the features it saw teaches nothing. Name them with"
    " --features or --feature-prefix, or give the candles they can be computed from: --candles GLOB."
)


class FeaturesMissingError(InvalidInputError):
    """The file tells no feature; ``plan`` is what was recognised."""

    missing: tuple[str, ...] = ("features",)

    def __init__(self, file: Path, plan: Plan) -> None:
        super().__init__(NO_FEATURES.format(file=file), field="features", reason="features_missing")
        self.plan = plan


@dataclass
class Tally:
    """What became of the rows so far; ``dry`` writes nothing."""

    dry: bool
    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    far: int = 0
    begun: dict[str, Any] | None = None
    warnings: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    kinds: dict[str, dict[str, Any]] = field(default_factory=dict)
    earlier: Earlier = field(default_factory=Earlier)

    def refuse(self, where: dict[str, int], reason: str) -> None:
        """Count a row that is not taken."""
        self.refused += 1
        if len(self.rejected) < MOST_KEPT:
            self.rejected.append({**where, "reason": reason})
        kind = VARIABLE.sub("...", reason)
        known = self.kinds.setdefault(kind, {"count": 0, **where, "example": reason})
        known["count"] += 1


Rows = list[dict[str, Any]]
Completing = Callable[[Rows], tuple[Rows, dict[int, str]]]


@dataclass(frozen=True)
class Intake:
    """Where the rows go."""

    assembly: Assembly
    strategy: str
    tally: Tally

    def take(self, rows: list[Any], places: list[dict[str, int]]) -> None:
        """Store a batch, or only judge it; ``places`` say where each row stands."""
        good = [index for index, row in enumerate(rows) if storable(row)]
        result = self._judge([rows[index] for index in good])
        self.tally.accepted += result.accepted
        self.tally.duplicates += result.duplicates
        self.tally.begun = self.tally.begun or result.strategy_begun
        self.tally.warnings.update(result.warnings)
        self.tally.quarantined.update(result.quarantined)
        refused = dict.fromkeys(set(range(len(rows))) - set(good), UNSTORABLE)
        refused |= {good[one["index"]]: one["reason"] for one in result.rejected}
        for index in sorted(refused):
            self.tally.refuse(places[index], refused[index])

    def _judge(self, rows: list[Any]) -> ImportResult:
        database, settings, now = self.assembly.database, self.assembly.settings, self.assembly.clock()
        if self.tally.dry:
            earlier = self.tally.earlier
            return database.read(try_samples, self.strategy, rows, settings=settings, now=now, earlier=earlier)
        return database.write(import_samples, self.strategy, rows, settings=settings, now=now, actor=ACTOR)

    def candles(self, paths: list[str]) -> dict[str, Candles]:
        """Every candle of the files, in the strategy's timeframe."""
        known = self.assembly.database.read(find_strategy, self.strategy)
        market = FileMarket(paths, known.timeframe if known else self.assembly.settings.timeframe, None)
        return {symbol: market.history(symbol, FAR_FUTURE, ALL) for symbol in market.symbols}


def import_file(
    file: Annotated[Path, typer.Argument(help='A CSV file with one closed trade a line, or JSON {"samples": [...]}.')],
    options: CsvOptions,
    strategy: Annotated[str, typer.Option(help="Which strategy they belong to; it is begun if need be.")] = DEFAULT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be taken, and write nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring in the closed trades of another bot from a CSV or JSON file.

    Good rows are kept, each bad one is refused with its line and the reason; the same rows again are duplicates. Common
    headings of a CSV file (Symbol, Side, Open time, Close price, ...) are recognised; --dry-run shows which.
    """
    options = options.completed()
    with assembled() as assembly, progress_bar("Importing", quiet=as_json) as progress:
        intake = Intake(assembly, strategy, Tally(dry_run))
        plan = None
        if _is_json(file):
            if given := options.said():
                raise typer.BadParameter("is for CSV files; a JSON file names its fields itself", param_hint=given[0])
            _take_json(file, intake, progress)
        else:
            with _shown(dry_run and not as_json), open_trades(file, options.wishes, options.form) as trades:
                plan = {**_told_plan(trades.plan), "delimiter": trades.delimiter}
                _take_csv(trades, intake, _completing(intake, file, trades, options), progress)
    told = _told(intake.tally, plan)
    answer(told, as_json, show)
    if told["status"] == "error":
        raise typer.Exit(1)


@contextmanager
def _shown(wanted: bool) -> Iterator[None]:
    """Where columns are missing, show first what was made of those that are there."""
    try:
        yield
    except (ColumnsMissingError, FeaturesMissingError) as error:
        if wanted:
            show_plan(_told_plan(error.plan), error.missing)
        raise


def _is_json(file: Path) -> bool:
    """By its name, or where that says nothing by its first sign."""
    if file.suffix.lower() in (".json", ".csv", ".gz", ".tsv", ".txt"):
        return file.suffix.lower() == ".json"
    try:
        with file.open("rb") as handle:
            return handle.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror}.", field="file") from error


def _take_json(file: Path, intake: Intake, progress: Callable[[str, float], None]) -> None:
    rows = _rows_of(file)
    for start in range(0, len(rows), MAX_ROWS):
        part = rows[start : start + MAX_ROWS]
        intake.take(part, [{"index": start + offset} for offset in range(len(part))])
        progress(f"{start + len(part):,} rows", (start + len(part)) / len(rows))


def _rows_of(file: Path) -> list[object]:
    try:
        body = parse(file.read_bytes(), max_containers=None)
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror}.", field="file") from error
    rows = body.get("samples") if isinstance(body, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InvalidInputError(
            f'{file} must hold an object {{"samples": [...]}} with a list of objects.', field="samples"
        )
    return rows


def _take_csv(
    trades: TradeFile, intake: Intake, completing: Completing, progress: Callable[[str, float], None]
) -> None:
    start = 0
    while part := list(islice(trades.lines, MAX_ROWS)):
        places = [{"index": start + offset, "line": one.line} for offset, one in enumerate(part)]
        rows, kept = [], []
        for place, one in zip(places, part, strict=True):
            if one.row is None:
                intake.tally.refuse(place, str(one.reason))
            else:
                rows.append(one.row)
                kept.append(place)
        rows, refused = completing(rows)
        for index, reason in sorted(refused.items()):
            intake.tally.refuse(kept[index], reason)
        good = [index for index in range(len(rows)) if index not in refused]
        intake.take([rows[index] for index in good], [kept[index] for index in good])
        start += len(part)
        progress(f"{start:,} rows", trades.share())


def _completing(intake: Intake, file: Path, trades: TradeFile, options: CsvOptions) -> Completing:
    """What gives each row its features: its own columns, or the candles."""
    if trades.plan.features:
        if options.candles:
            raise typer.BadParameter("and feature columns: choose one", param_hint="--candles")
        return lambda rows: (rows, {})
    if not options.candles:
        raise FeaturesMissingError(file, trades.plan)
    candles = intake.candles(options.candles)

    def from_candles(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[int, str]]:
        completed = complete(rows, candles)
        intake.tally.far += completed.far
        return completed.rows, completed.refused

    return from_candles


def _told_plan(plan: Plan) -> dict[str, Any]:
    return {
        "columns": {name: f"{'-' if one.negated else ''}{one.heading}" for name, one in plan.columns.items()},
        "values": dict(plan.constants),
        "features": list(plan.features),
        "not_used": list(plan.unused),
    }


def _told(tally: Tally, plan: dict[str, Any] | None) -> dict[str, Any]:
    """The answer of ``POST /ai/training-samples``, and beside it what only a file has."""
    nothing = tally.refused > 0 and not tally.accepted and not tally.duplicates
    told = {
        "status": "error" if nothing else "success",
        "accepted": tally.accepted,
        "duplicates": tally.duplicates,
        "rejected": sorted(tally.rejected, key=lambda one: one["index"]),
        "strategy_created": tally.begun is not None,
        "strategy_begun": tally.begun,
        "warnings": dict(tally.warnings),
        "quarantined": dict(tally.quarantined),
    }
    if plan is not None or tally.dry:
        kinds = sorted(tally.kinds.values(), key=lambda kind: -kind["count"])
        told |= {"dry_run": tally.dry, "rejected_count": tally.refused, "rejected_by_reason": kinds, "file": plan}
        told["far_from_candles"] = tally.far
    return told
