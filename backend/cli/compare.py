"""``qt compare``: two versions side by side."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from backend.cli.assembly import assembled
from backend.cli.completion import complete_version
from backend.cli.output import JsonOption, answer, percent, print_rows, say
from backend.learning.evidence.compare import compare as compare_versions


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A version.", autocompletion=complete_version)],
    b: Annotated[str, typer.Argument(metavar="B", help="The other version.", autocompletion=complete_version)],
    as_json: JsonOption = False,
) -> None:
    """Two versions side by side, and on the decisions that both forecast.

    The verdict says how B did against A. Money made at different times stands beside it and decides nothing.
    """
    with assembled() as assembly:
        told = assembly.database.read(compare_versions, a, b, settings=assembly.settings)
    answer(told, as_json, _show)


def _show(told: Mapping[str, Any]) -> None:
    say(told["sentence"])
    print(f"Verdict: {told['verdict']}.\n")
    a, b, paired = told["a"], told["b"], told["paired"]
    rows = [
        *(_row(name, a["report"][key], b["report"][key], show) for key, (name, show) in JUDGED.items()),
        _row("live accuracy", a["live"]["live_accuracy"], b["live"]["live_accuracy"], percent),
        _row("live forecasts known", a["live"]["matured_predictions"], b["live"]["matured_predictions"], _count),
    ]
    if paired["rows"]:
        name = f"on the {paired['rows']:,} shared"
        rows += [
            _row(f"accuracy {name}", paired["a"]["accuracy"], paired["b"]["accuracy"], percent),
            _row("net return a round", paired["a"]["mean_net_return"], paired["b"]["mean_net_return"], percent),
        ]
    if paired["known_before"]:
        rows.append(_row("left out, known before", paired["known_before"], paired["known_before"], _count))
    rows += [
        _row("trades (beside)", a["executed"]["total_trades"], b["executed"]["total_trades"], _count),
        _row("P&L (beside)", a["executed"]["total_pnl"], b["executed"]["total_pnl"], _money),
    ]
    print_rows(rows, {"name": "", "a": a["version_id"], "b": b["version_id"]}, "")
    if paired["rows"]:
        say(
            f"\nBoth forecast the same direction on {percent(paired['agreement'])} of the shared decisions; a round, B"
            f" less A is {percent(paired['mean_difference'])}. {_certain(told['confidence_sequence'])}"
        )


def _certain(sequence: Mapping[str, Any]) -> str:
    """What the verdict rests on."""
    closed, fewest = sequence["stretches"], sequence["fewest_stretches"]
    if sequence["low"] is None:
        return f"{closed} stretches of time have closed; the verdict needs {fewest} that are not all alike."
    return (
        f"At {sequence['level']:.0%}, however often one looks, it lies within {sequence['low']:+.3%} and"
        f" {sequence['high']:+.3%} ({closed} stretches of time)."
    )


def _row(name: str, a: Any, b: Any, show: Any) -> dict[str, str]:
    return {"name": name, "a": show(a), "b": show(b)}


def _count(value: Any) -> str:
    return f"{value:,}"


def _money(value: Any) -> str:
    return "-" if value is None else f"{value:,.2f}"


def _plain(value: Any) -> str:
    return "-" if value is None else {True: "yes", False: "no"}.get(value, str(value))


def _interval(value: Any) -> str:
    return f"{percent(value[0])} to {percent(value[1])}" if value else "-"


JUDGED: dict[str, tuple[str, Any]] = {
    "verdict": ("verdict", _plain),
    "recommended": ("recommended", _plain),
    "validation_accuracy": ("accuracy on newer rows", percent),
    "validation_accuracy_ci95": ("95 % interval", _interval),
    "baseline_accuracy": ("baseline", percent),
    "break_even_accuracy": ("break-even", percent),
    "net_return_after_costs": ("net return a trade", percent),
    "validation_samples": ("judged on rows", _count),
}
