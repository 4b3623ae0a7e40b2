"""``qt samples``, ``import``, ``bootstrap``: rows out, rows in, and rows to look at."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from backend.api.sample_export import csv_lines
from backend.api.strict_json import parse, storable
from backend.cli.assembly import ACTOR, Assembly, assembled
from backend.cli.output import JsonOption, StrategyOption, answer, print_rows, progress_bar
from backend.errors import InvalidInputError
from backend.learning.decisions import synthetic
from backend.learning.decisions.imports import MAX_ROWS, import_samples
from backend.learning.decisions.queries import SampleFilter, list_samples
from backend.learning.decisions.strategies import DEFAULT, get_strategy

COLUMNS = {
    "timestamp": "decided",
    "symbol": "symbol",
    "predicted_action": "action",
    "reason": "reason",
    "model_version": "version",
    "state": "state",
    "entry_price": "entry",
    "exit_price": "exit",
    "forward_return": "forward return",
    "target_label": "label",
    "target_class": "class",
    "label_source": "source",
    "realized_pnl": "P&L",
}
UNSTORABLE = "A text in the row holds a NUL character or half of a surrogate pair. Remove it."
REASONS_TOLD = 20
MOST, CSV_MOST = 1000, 1_000_000


def samples(
    strategy: StrategyOption = None,
    limit: Annotated[
        int, typer.Option(min=1, max=CSV_MOST, help="How many at most; more than 1000 only with --csv.")
    ] = 50,
    known: Annotated[bool, typer.Option("--known", help="Only those whose outcome is known.")] = False,
    features: Annotated[bool, typer.Option("--features", help="With the features (JSON and CSV).")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Answer as CSV.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Decisions with their outcomes, newest first, as a table, JSON or CSV."""
    if limit > MOST and not as_csv:
        raise typer.BadParameter(f"{limit} is more than {MOST}; only --csv gives as many.", param_hint="--limit")
    with assembled() as assembly:
        name = strategy or assembly.settings.strategy
        assembly.database.read(get_strategy, name, settings=assembly.settings)
        chosen = SampleFilter(strategy=name, outcome_known=True if known else None, features=features, limit=limit)
        if as_csv:
            sys.stdout.writelines(line.replace("\r\n", "\n") for line in csv_lines(assembly.database, chosen, limit))
            return
        found, cursor = assembly.database.read(list_samples, chosen)
    told = {"status": "ok", "count": len(found), "samples": found, "next_cursor": cursor}
    answer(told, as_json, lambda data: print_rows(data["samples"], COLUMNS, "There is no such decision yet."))


def import_file(
    file: Annotated[
        Path, typer.Argument(help='A JSON file {"samples": [...]}, rows as POST /ai/training-samples takes.')
    ],
    strategy: Annotated[str, typer.Option(help="Which strategy they belong to; it is begun if need be.")] = DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Bring in the closed trades of another bot from a JSON file.

    Good rows are kept, each bad one is refused with its index and the reason; the same rows again are duplicates.
    """
    rows = _rows_of(file)
    told: dict[str, Any] = {"status": "success", "accepted": 0, "duplicates": 0, "rejected": []}
    with assembled() as assembly, progress_bar("Importing", quiet=as_json) as progress:
        for start in range(0, len(rows), MAX_ROWS):
            _import_part(assembly, strategy, rows[start : start + MAX_ROWS], start, told)
            progress(f"{start + MAX_ROWS:,} rows", min((start + MAX_ROWS) / len(rows), 1.0))
    answer(told, as_json, _show_import)


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


def _import_part(assembly: Assembly, strategy: str, rows: list[object], offset: int, told: dict[str, Any]) -> None:
    good = [index for index, row in enumerate(rows) if storable(row)]
    result = assembly.database.write(
        import_samples,
        strategy,
        [rows[index] for index in good],
        settings=assembly.settings,
        now=assembly.clock(),
        actor=ACTOR,
    )
    told["accepted"] += result.accepted
    told["duplicates"] += result.duplicates
    refused = dict.fromkeys(set(range(len(rows))) - set(good), UNSTORABLE)
    refused |= {good[one["index"]]: one["reason"] for one in result.rejected}
    told["rejected"] += [{"index": offset + index, "reason": refused[index]} for index in sorted(refused)]
    told["strategy_created"] = told.get("strategy_created", False) or result.strategy_created


def _show_import(told: Mapping[str, Any]) -> None:
    refused = told["rejected"]
    print(f"{told['accepted']} accepted, {told['duplicates']} duplicates, {len(refused)} refused.")
    for one in refused[:REASONS_TOLD]:
        print(f"  row {one['index']}: {one['reason']}")
    if len(refused) > REASONS_TOLD:
        print(f"  and {len(refused) - REASONS_TOLD} more: --json lists them all.")


def bootstrap(
    strategy: StrategyOption = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take them away again.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Add 30 demo rows, tagged synthetic, which never train; or remove them.

    15 BUY (10 won, 5 lost), 8 SELL (won), 7 HOLD. They show what a sample looks like and enter no metric.
    """
    with assembled() as assembly:
        told = assembly.database.write(_bootstrap, assembly, strategy or assembly.settings.strategy, remove)
    answer(told, as_json, _show_bootstrap)


def _bootstrap(session: Session, assembly: Assembly, strategy: str, remove: bool) -> dict[str, Any]:
    now, added, removed = assembly.clock(), 0, 0
    if remove:
        get_strategy(session, strategy, settings=assembly.settings)
        removed = synthetic.remove_demo_rows(session, strategy, now=now, actor=ACTOR)
    else:
        added = synthetic.add_demo_rows(session, strategy, settings=assembly.settings, now=now, actor=ACTOR)
    total = synthetic.count(session, strategy)
    return {"status": "ok", "strategy": strategy, "added": added, "removed": removed, "synthetic": total}


def _show_bootstrap(told: Mapping[str, Any]) -> None:
    strategy = told["strategy"]
    if told["added"]:
        print(f"Added {told['added']} rows to {strategy}, tagged synthetic: they never train and enter no metric.")
    elif told["removed"]:
        print(f"Removed {told['removed']} synthetic rows from {strategy}.")
    else:
        print(f"Nothing changed: {strategy} holds {told['synthetic']} synthetic rows.")
