"""``qt quarantine``: samples kept out of training, and what a person says of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from backend.cli.assembly import ACTOR, Assembly, assembled
from backend.cli.output import Column, JsonOption, LimitOption, StrategyOption, answer, percent, print_rows, say, when
from backend.learning.decisions.plausibility import DROPPED, RELEASED, judges_forecast
from backend.learning.decisions.quarantine import QuarantineFilter, Ruling, list_quarantine, rule_on
from backend.learning.decisions.strategies import get_strategy

COLUMNS: dict[str, str | Column] = {
    "id": "sample",
    "timestamp": Column("decided", when),
    "symbol": "symbol",
    "held_for": "held for",
    "quarantine_decision": Column("ruled", drop=2),
    "entry_price": Column("entry", drop=5),
    "exit_price": Column("exit", drop=6),
    "market_return": Column("trade", percent, drop=4),
    "forward_return": Column("move", percent, drop=3),
    "realized_pnl": Column("P&L", drop=7),
    "decision_id": Column("decision", drop=1),
}


class Verb(StrEnum):
    """What to do with one sample."""

    RELEASE = "release"
    DROP = "drop"


class State(StrEnum):
    """Which samples."""

    HELD = "held"
    RELEASED = "released"
    DROPPED = "dropped"
    ALL = "all"


class Rule(StrEnum):
    """Which rule holds them."""

    RETURN_OUT_OF_BOUNDS = "return_out_of_bounds"
    PRICE_FAR_FROM_CANDLES = "price_far_from_candles"
    TRADE_OUT_OF_BOUNDS = "trade_out_of_bounds"
    TRADE_FAR_FROM_CANDLES = "trade_far_from_candles"
    ALIKE_RETURNS = "alike_returns"


EMPTY = {
    State.HELD: "Nothing waits in quarantine.",
    State.RELEASED: "Nothing was released from quarantine.",
    State.DROPPED: "Nothing was dropped.",
    State.ALL: "Nothing was ever kept out of training.",
}
DECISIONS = {Verb.RELEASE: RELEASED, Verb.DROP: DROPPED}


@dataclass(frozen=True, slots=True)
class Choice:
    """Which samples are listed, or which one is ruled on and why."""

    verb: Annotated[Verb | None, typer.Argument(help="Left out: list them.")] = None
    sample: Annotated[int | None, typer.Argument(help="The sample's number, from the list.")] = None
    reason: Annotated[str | None, typer.Option("--reason", help="Why; it is kept in the audit trail.")] = None
    state: Annotated[State, typer.Option("--state", help="Which samples are listed.")] = State.HELD
    rule: Annotated[Rule | None, typer.Option("--rule", help="Only those that this rule holds or held.")] = None


def quarantine(
    choice: Choice, strategy: StrategyOption = None, limit: LimitOption = 100, as_json: JsonOption = False
) -> None:
    """Samples kept out of training: list them, release one, drop one.

    For example: qt quarantine release 4711 --reason "the exchange did trade there", or drop in the place of release.
    """
    if choice.verb is None:
        with assembled() as assembly:
            told = assembly.database.read(_list, assembly, choice, strategy, limit)
        answer(told, as_json, partial(_show, state=choice.state))
        return
    if choice.sample is None:
        raise typer.BadParameter("name the sample by its number: qt quarantine lists them.", param_hint="SAMPLE")
    if not choice.reason:
        raise typer.BadParameter("say why, for the audit trail.", param_hint="--reason")
    ruling = Ruling(choice.sample, DECISIONS[choice.verb], choice.reason, ACTOR, strategy)
    with assembled() as assembly:
        cost = assembly.settings.cost
        ruled = assembly.database.write(rule_on, ruling, now=assembly.clock(), cost=cost)
    answer(ruled, as_json, lambda data: say(_sentence(data["sample"])))


def _list(session: Session, assembly: Assembly, choice: Choice, strategy: str | None, limit: int) -> dict[str, Any]:
    name = get_strategy(session, strategy or assembly.settings.strategy, settings=assembly.settings).name
    rule = choice.rule.value if choice.rule else None
    found, cursor = list_quarantine(session, QuarantineFilter(name, choice.state.value, rule, limit=limit))
    return {"status": "ok", "count": len(found), "samples": found, "next_cursor": cursor}


def _show(told: Mapping[str, Any], *, state: State) -> None:
    """The rows, and under them what each rule among them is about."""
    print_rows(told["samples"], COLUMNS, EMPTY[state])
    for rule in sorted({one["held_for"] for one in told["samples"]}):
        example = next(one for one in told["samples"] if one["held_for"] == rule)
        say(f"\n{rule}, such as {example['id']}: {example['explanation']}")


def _sentence(sample: Mapping[str, Any]) -> str:
    if sample["quarantine_decision"] == RELEASED:
        return f"Sample {sample['id']} trains and counts again; {sample['held_for']} never holds it again."
    if judges_forecast(sample["quarantine_reason"]):
        return f"Sample {sample['id']} stays out of training; its forecast and its money count on."
    return f"Sample {sample['id']} stays out of training and metrics; its money stays in the books."
