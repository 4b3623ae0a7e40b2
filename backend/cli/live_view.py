"""How a version fares, as a person reads it: what was forecast, what it is worth, and where the money went."""

from collections.abc import Mapping
from typing import Any

from backend.cli.output import Column, percent, print_facts, print_rows

MADE_BY = {"wilson": "by Wilson's formula", "block_bootstrap": "by stretches of time drawn again"}
WANTED = 20
CUTS = {"by_symbol": "symbol", "by_side": "entered", "by_action": "answered"}
PART_COLUMNS: dict[str, str | Column] = {
    "name": "",
    "judged": "judged",
    "accuracy": Column("right", percent),
    "trades": "trades",
    "net_pnl": Column("P&L", lambda value: f"{value:,.2f}"),
}


def show_live(live: Mapping[str, Any], *, was_active: bool) -> None:
    """What became of the decisions that the version made."""
    print("\nLive")
    if not live["total_predictions"]:
        print_facts({"forecasts": "none" if was_active else "none: it was never active"})
        return
    print_facts({**_fared(live, live["forecasts"]["total"], live["forecasts"]), **_money(live), **_against(live)})
    print()
    print_rows(_parts(live), PART_COLUMNS, "")


def show_shadow(shadow: Mapping[str, Any]) -> None:
    """What became of what it forecast beside another version, where it did."""
    if shadow["forecasts"]:
        print("\nAs a shadow, beside the version that decided")
        print_facts(_fared(shadow, shadow["forecasts"], shadow))


def _fared(told: Mapping[str, Any], total: int, counts: Mapping[str, int]) -> dict[str, str]:
    """The accuracy, and line by line what it may be believed by."""
    return {
        "forecasts": _forecasts(total, counts),
        "accuracy": f"{percent(told['accuracy'])} of {counts['judged']:,} moves larger than the costs",
        "95 % interval": _interval(told),
        "baseline": _baseline(told),
        "worth": _worth(told),
        "break-even": _break_even(told),
        "evidence": "-" if told["e_value"] is None else f"{told['e_value']:.3g}; {WANTED} is strong, less is little",
    }


def _forecasts(total: int, counts: Mapping[str, int]) -> str:
    said = f"{total:,}: {counts['matured']:,} known, {counts['pending']:,} to come"
    if counts["known_before"]:
        said += f", {counts['known_before']:,} older than what it learned from (they judge nothing)"
    if counts["unobservable"]:
        said += f", {counts['unobservable']:,} without a price at the horizon"
    if counts["quarantined"]:
        said += f", {counts['quarantined']:,} in quarantine"
    return f"{said}; {counts['neutral']:,} of the known too small to count"


def _interval(told: Mapping[str, Any]) -> str:
    if told["accuracy_ci95"] is None:
        return "cannot be told from so little"
    low, high = told["accuracy_ci95"]
    return f"{percent(low)} to {percent(high)}, {MADE_BY[told['ci_method']]}"


def _baseline(told: Mapping[str, Any]) -> str:
    if told["baseline_name"] is None:
        return "-"
    ahead = told["edge"]
    place = "no better" if ahead == 0 else f"{abs(100 * ahead):.1f} points {'better' if ahead > 0 else 'worse'}"
    name = told["baseline_name"].replace("_", " ")
    return f"{percent(told['baseline_accuracy'])} has '{name}' on the same moves: the version is {place}"


def _worth(told: Mapping[str, Any]) -> str:
    least = told["min_detectable_accuracy"]
    shows = "too few to show any accuracy" if least is None else f"they show an accuracy from {percent(least)} on"
    return f"{told['effective_samples']:,} independent outcomes: {shows}"


def _break_even(told: Mapping[str, Any]) -> str:
    if told["costs_exceed_moves"]:
        return "no accuracy pays: the costs exceed the moves"
    return f"{percent(told['break_even_accuracy'])} pays the costs of a trade"


def _money(live: Mapping[str, Any]) -> dict[str, str]:
    trades, pnl, explored = live["trades"], live["pnl"], live["explored"]
    said = {
        "trades": f"{trades['closed']:,} closed ({trades['won']:,} won, {trades['lost']:,} lost),"
        f" {trades['open']:,} open",
        "P&L": _sum(pnl),
    }
    if pnl["fees_known_trades"] < trades["closed"]:
        said["fees"] = f"told of {pnl['fees_known_trades']:,} of {trades['closed']:,} trades; the others count none"
    if pnl["slippage_known_trades"] < trades["closed"]:
        said["slippage"] = f"known of {pnl['slippage_known_trades']:,} of {trades['closed']:,} trades"
    if explored["decisions"]:
        said["explored"] = (
            f"{explored['trades']:,} of the trades, P&L {explored['net_pnl']:,.2f}: a HOLD, traded to explore"
        )
    return said


def _against(live: Mapping[str, Any]) -> dict[str, str]:
    """What speaks against it; of drift only while it decides."""
    said = {"skill": live["skill"]["sentence"]}
    if live["drift"] is not None:
        said |= {name: live["drift"][name]["sentence"] for name in ("errors", "features")}
    return said


def _sum(pnl: Mapping[str, Any]) -> str:
    """The net and what it is made of; what is not known is not in it."""
    said = f"{pnl['net']:,.2f} = {pnl['gross']:,.2f} gross - {pnl['fees']:,.2f} fees"
    return said if pnl["slippage"] is None else f"{said} - {pnl['slippage']:,.2f} slippage"


def _parts(live: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same decisions cut in three ways; what is empty is left out."""
    names = {"none": "nothing"}
    return [
        {"name": f"{word} {names.get(name, name)}", **part}
        for cut, word in CUTS.items()
        for name, part in live[cut].items()
        if part["decisions"]
    ]
