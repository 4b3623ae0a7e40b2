"""What ``qt import`` says on a terminal: how the file was read, what became of its rows, and what they begin."""

from collections.abc import Mapping, Sequence
from typing import Any

from backend.cli.output import print_facts, print_rows, say
from backend.learning.decisions.labelling import LONG_ONLY

REASONS_TOLD, KINDS_TOLD = 20, 10


def show(told: Mapping[str, Any]) -> None:
    refused, dry = told["rejected"], told.get("dry_run", False)
    count = told.get("rejected_count", len(refused))
    if dry and told["file"]:
        show_plan(told["file"])
    would = "Would be: " if dry else ""
    print(f"{would}{told['accepted']} accepted, {told['duplicates']} duplicates, {count} refused.")
    for text, rows in told["warnings"].items():
        say(f"{rows} rows: {text}", style="yellow")
    for reason, rows in told["quarantined"].items():
        say(f"{rows} rows are kept out of training, {reason}: qt quarantine", style="yellow")
    if told["strategy_begun"]:
        say(_begun(told["strategy_begun"]))
    if told.get("far_from_candles"):
        print(
            f"{told['far_from_candles']} entry prices lie more than 3 % from the candle before them: check --timezone"
            " and the symbols, or the features are those of another time."
        )
    kinds = told.get("rejected_by_reason") or []
    if 0 < len(kinds) < count:
        print("\nReasons, the most frequent first:")
        rows = [{"count": one["count"], "example": one["example"]} for one in kinds[:KINDS_TOLD]]
        print_rows(rows, {"count": "rows", "example": "for example"}, "")
        print("\nThe first of them:")
    for one in refused[:REASONS_TOLD]:
        where = f"line {one['line']}" if "line" in one else f"row {one['index']}"
        print(f"  {where}: {one['reason']}")
    if count > REASONS_TOLD:
        print(f"  and {count - REASONS_TOLD} more: --json lists them{' all' if count == len(refused) else ''}.")
    if dry:
        without = "" if told["status"] == "error" else " Without --dry-run it is."
        print(f"Nothing was written.{without}")


def _begun(strategy: Mapping[str, Any]) -> str:
    """What cannot be changed later, before it is too late."""
    more = " (QT_SIDES=long,short to keep short trades)" if strategy["sides"] == LONG_ONLY else ""
    return (
        f"Begins the strategy {strategy['name']}: {strategy['timeframe']},"
        f" horizon {strategy['horizon_candles']} candles, sides {strategy['sides']}{more}."
    )


def show_plan(plan: Mapping[str, Any], missing: Sequence[str] = ()) -> None:
    """Which column is which field, and which fields have none."""
    features = plan["features"]
    shown = ", ".join(features[:8]) + (f" and {len(features) - 8} more" if len(features) > 8 else "")
    untold = "no column" if missing else "computed from the candles"
    print("Read as:")
    print_facts(
        {
            **{f"  {name}": column for name, column in plan["columns"].items()},
            **{f"  {name}": f"{value} (every row)" for name, value in plan["values"].items()},
            **{f"  {name}": "no column" for name in missing},
            "  features": shown or untold,
            "  not used": plan["not_used"] or "no column",
        }
    )
