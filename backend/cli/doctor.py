"""``qt doctor``: what is wrong with this installation, why, and what to do."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.padding import Padding
from rich.text import Text
from sqlalchemy.orm import Session

from backend.cli.assembly import Assembly, assembled
from backend.cli.output import JsonOption, StrategyOption, answer, console
from backend.cli.words import in_terminal_words
from backend.crontab import parse_schedule
from backend.learning.decisions.strategies import get_strategy
from backend.learning.evidence.doctor import diagnose, read_facts, unwritable
from backend.learning.evidence.doctor.facts import Facts
from backend.learning.evidence.doctor.running_checks import newest_due

UNHEALTHY = 3
STYLES = {"error": "bold red", "warning": "bold yellow", "info": "bold cyan"}


def doctor(
    strategy: StrategyOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="End with exit code 3 where a warning or an error is found, for scripts.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """What is wrong with this installation, why, and what to do.

    Exit codes: 0 when it could look, whatever it found; with --check 3 where a warning or an error was found;
    1 when it could not look, with one sentence on standard error. Information alone leaves an installation healthy.
    """
    with assembled() as assembly:
        facts = assembly.database.read(_facts, assembly, strategy)
        told = diagnose(facts, unwritable_because=unwritable(assembly.database))
    answer(told, as_json, _show)
    if check and not told["healthy"]:
        raise typer.Exit(UNHEALTHY)


def _facts(session: Session, assembly: Assembly, named: str | None) -> Facts:
    settings, now = assembly.settings, assembly.clock()
    strategy = get_strategy(session, named or settings.strategy, settings=settings).name
    enabled = settings.ai_retraining_enabled
    schedule = parse_schedule(settings.ai_retrain_schedule) if enabled else None
    return read_facts(session, strategy, settings, now, assembly.serving, newest_due(schedule, now))


def _show(told: Mapping[str, Any]) -> None:
    screen = console()
    for finding in told["findings"]:
        severity = finding["severity"]
        heading = Text.assemble((f"{severity.upper()} ", STYLES[severity]), (finding["code"], "bold"))
        screen.print(heading, soft_wrap=True)
        for line in (
            Text(finding["explanation"]),
            Text.assemble(("What to do: ", "bold"), in_terminal_words(finding["remedy"])),
        ):
            screen.print(Padding(line, (0, 0, 0, 2), expand=False))
    screen.print(_summary(told), soft_wrap=True)


def _summary(told: Mapping[str, Any]) -> str:
    """One line: how many findings of each kind, and whether that is healthy."""
    counts = dict.fromkeys(STYLES, 0)
    for finding in told["findings"]:
        counts[finding["severity"]] += 1
    if not told["findings"]:
        return f"Strategy {told['strategy']}: nothing is wrong."
    named = ", ".join(f"{count} {severity}" for severity, count in counts.items() if count)
    state = "healthy" if told["healthy"] else "not healthy; every code is explained in docs/troubleshooting.md"
    return f"Strategy {told['strategy']}: {named}: {state}."
