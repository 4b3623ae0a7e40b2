"""``qt samples``, ``bootstrap``: rows out, and rows to look at."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from backend.api.sample_export import csv_lines
from backend.cli.assembly import ACTOR, Assembly, assembled
from backend.cli.output import Column, JsonOption, StrategyOption, answer, percent, print_rows, when
from backend.learning.decisions import synthetic
from backend.learning.decisions.queries import SampleFilter, list_samples
from backend.learning.decisions.strategies import get_strategy

COLUMNS: dict[str, str | Column] = {
    "timestamp": Column("decided", when),
    "symbol": "symbol",
    "predicted_action": "action",
    "reason": Column("reason", drop=3),
    "model_version": Column("version", drop=4),
    "state": Column("state", drop=6),
    "entry_price": Column("entry", drop=7),
    "exit_price": Column("exit", drop=8),
    "forward_return": Column("move", percent, drop=2),
    "target_label": Column("earned", percent),
    "target_class": "class",
    "label_source": Column("outcome", drop=5),
    "realized_pnl": "P&L",
}
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
