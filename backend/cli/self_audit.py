"""``qt self-audit``: how often this installation is fooled."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from backend.cli.assembly import ACTOR, assembled
from backend.cli.output import JsonOption, StrategyOption, answer, cell, percent, print_facts, progress_bar, say
from backend.learning.evidence.self_audit import FEWEST, MOST, PLACEBOS, PLANTED
from backend.learning.evidence.self_audit import self_audit as audit

HOLDS = {
    True: "yes",
    False: "NO: activate nothing, and read what the manual says of it",
    None: "not known: nothing could be judged",
}


def self_audit(
    strategy: StrategyOption = None,
    placebos: Annotated[
        int, typer.Option(min=FEWEST, max=MOST, help="Worlds without a signal; more narrow the interval.")
    ] = PLACEBOS,
    planted: Annotated[
        int, typer.Option(min=FEWEST, max=MOST, help="Worlds with a planted signal, half of 60 %, half of 70 %.")
    ] = PLANTED,
    as_json: JsonOption = False,
) -> None:
    """How often this installation finds skill where there is none, and where there is some."""
    with assembled() as assembly, progress_bar("Auditing", quiet=as_json) as progress:
        told = audit(
            assembly.auditing,
            strategy=strategy or assembly.settings.strategy,
            actor=ACTOR,
            placebos=placebos,
            planted=planted,
            progress=progress,
        )
    answer(told, as_json, _show)
    if told["status"] == "error":
        raise typer.Exit(1)


def _show(told: Mapping[str, Any]) -> None:
    if told["status"] != "success":
        rest = {key: value for key, value in told.items() if key not in ("status", "reason", "strategy", "run_id")}
        print(f"{told['status']}: {told['reason']} ({cell(rest)}).")
        return
    say(told["sentence"])
    print()
    print_facts(
        {
            "holds": HOLDS[told["holds"]],
            **(_rates(told) if told["judged"] else {}),
            "verdicts": ", ".join(f"{count} {word}" for word, count in told["verdicts"].items()),
            "made of": f"the newest {told['rows']:,} of {told['rows_available']:,} usable rows, {_kind(told['kind'])}",
            "audited": f"recipe {told['recipe_version']}, seed {told['seed']}",
        }
    )


def _rates(told: Mapping[str, Any]) -> dict[str, str]:
    seen = told["placebo_accuracy"]
    return {
        "without skill": f"{told['false_approvals']} of {told['placebos']} called evidence,"
        f" {_share(told['false_approval_rate'], told['false_approval_ci95'])}; at most 5 % is promised",
        "their accuracy": f"{_share(seen['mean'], seen['ci95'])}; chance gives {percent(seen['baseline'])}",
        **{
            f"true {one['accuracy']:.0%}": f"{one['detected']} of {one['worlds']} found,"
            f" {_share(one['detection_rate'], one['ci95'])}"
            for one in told["planted"]
        },
    }


def _share(value: float | None, interval: list[float] | None) -> str:
    between = f" (95 %: {percent(interval[0])} to {percent(interval[1])})" if interval else ""
    return f"{percent(value)}{between}"


def _kind(kind: str) -> str:
    return "candles mirrored by coins" if kind == "candles" else "features turned against outcomes"
