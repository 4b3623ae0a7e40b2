"""``qt alarms``: what is wrong now or was, what was told to whom, and whether messages arrive."""

import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from backend.cli.assembly import ACTOR, Assembly, assembled
from backend.cli.output import JsonOption, LimitOption, answer, print_rows
from backend.errors import UnavailableError
from backend.learning.decisions.strategies import get_strategy
from backend.operations import alarms as stored
from backend.operations import events as told_events
from backend.operations.delivery import Deliverer
from backend.operations.trial import NOBODY, try_out

ON_ITS_WAY = ("waiting", "sending")
LONGEST_WAIT_SECONDS = 20.0
LOOK_EVERY_SECONDS = 0.2


class State(StrEnum):
    """Which alarms."""

    OPEN = "open"
    CLOSED = "closed"
    ALL = "all"


ALARM_COLUMNS = {
    "code": "alarm",
    "severity": "severity",
    "subject": "about",
    "raised_at": "since",
    "closed_at": "until",
    "detail": "what was seen",
}
EVENT_COLUMNS = {
    "at": "at",
    "code": "event",
    "state": "state",
    "subject": "about",
    "told": "told",
    "sentence": "sentence",
}
DELIVERY_COLUMNS = {
    "setting": "target",
    "channel": "channel",
    "state": "state",
    "attempts": "attempts",
    "last_error": "what went wrong",
}

StateOption = Annotated[State, typer.Option("--state", help="Which alarms.")]
EventsOption = Annotated[bool, typer.Option("--events", help="What was told to whom, in place of the alarms.")]
TestOption = Annotated[bool, typer.Option("--test", help="Send a test to everybody who is told, and wait for it.")]
EveryStrategyOption = Annotated[str | None, typer.Option("--strategy", help="Of one strategy only.")]


def alarms(
    state: StateOption = State.OPEN,
    events: EventsOption = False,
    test: TestOption = False,
    strategy: EveryStrategyOption = None,
    limit: LimitOption = 20,
    as_json: JsonOption = False,
) -> None:
    """What is wrong now or was, what was told to whom, and a test message.

    With --test every address of QT_NOTIFY_URLS and QT_WEBHOOK_URL gets a message; the exit code is 1 where one did not
    arrive.
    """
    with assembled() as assembly:
        if test:
            _test(assembly, as_json)
        elif events:
            found, cursor = assembly.database.read(_events, assembly, strategy, limit)
            told = {"status": "ok", "count": len(found), "events": found, "next_cursor": cursor}
            answer(told, as_json, _show_events)
        else:
            found, cursor = assembly.database.read(_alarms, assembly, strategy, state.value, limit)
            told = {"status": "ok", "count": len(found), "alarms": found, "next_cursor": cursor}
            answer(told, as_json, lambda data: print_rows(data["alarms"], ALARM_COLUMNS, _none(state)))


def _none(state: State) -> str:
    return "No alarm is open." if state is State.OPEN else "There was no such alarm."


def _alarms(session: Session, assembly: Assembly, strategy: str | None, state: str, limit: int) -> Any:
    _refuse_unknown(session, assembly, strategy)
    return stored.list_alarms(session, state=state, strategy=strategy, limit=limit)


def _events(session: Session, assembly: Assembly, strategy: str | None, limit: int) -> Any:
    _refuse_unknown(session, assembly, strategy)
    return told_events.list_events(session, strategy=strategy, limit=limit)


def _refuse_unknown(session: Session, assembly: Assembly, strategy: str | None) -> None:
    if strategy is not None:
        get_strategy(session, strategy, settings=assembly.settings)


def _show_events(data: Mapping[str, Any]) -> None:
    rows = [{**event, "told": _summary(event["deliveries"])} for event in data["events"]]
    print_rows(rows, EVENT_COLUMNS, "Nothing was told yet.")


def _summary(deliveries: list[dict[str, Any]]) -> str:
    return ", ".join(f"{one['channel']} {one['state']}" for one in deliveries) or "nobody"


def _test(assembly: Assembly, as_json: bool) -> None:
    """Send a test from here, beside a service that may run: whoever claims it first sends it."""
    deliverer = Deliverer(assembly.database, assembly.settings, assembly.clock)
    if not deliverer.targets:
        raise UnavailableError(NOBODY, reason="no_targets")
    deliverer.begin()
    told = assembly.database.write(try_out, deliverer.targets, ACTOR, assembly.clock())
    deliveries = _await(assembly, deliverer, told["event_id"])
    settings = {one["target"]: one["setting"] for one in told["targets"]}
    shown = [{**one, "setting": settings.get(one["target"])} for one in deliveries]
    answered = {**told, "deliveries": shown}
    answer(answered, as_json, lambda data: print_rows(data["deliveries"], DELIVERY_COLUMNS, NOBODY))
    if any(one["state"] != "sent" for one in deliveries):
        raise typer.Exit(1)


def _await(assembly: Assembly, deliverer: Deliverer, event_id: str) -> list[dict[str, Any]]:
    """What became of the event once every attempt has ended, or the first has failed."""
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while True:
        deliverer.step()
        found = assembly.database.read(told_events.get_event, event_id)
        deliveries: list[dict[str, Any]] = found["deliveries"]
        pending = [one for one in deliveries if one["state"] in ON_ITS_WAY and one["last_error"] is None]
        if not pending or time.monotonic() > deadline:
            return deliveries
        time.sleep(LOOK_EVERY_SECONDS)
