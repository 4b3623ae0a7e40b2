"""What goes to whom, and what came of it: shared by the queue, its workers and the senders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeAlias


class Channel(StrEnum):
    """``notify``: for people, through apprise. ``webhook``: for programs."""

    NOTIFY = "notify"
    WEBHOOK = "webhook"


class Result(StrEnum):
    """What came of an attempt.

    ``uncertain``: it may have arrived. A person is not told twice because of it; a program, which knows the event's
    id, is.
    """

    SENT = "sent"
    AGAIN = "again"
    REFUSED = "refused"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt and why; after ``pause`` the next one of this target would fare no better."""

    result: Result
    error: str | None = None
    retry_after: timedelta | None = None
    pause: bool = False


@dataclass(frozen=True, slots=True)
class Parcel:
    """One event claimed for one target."""

    delivery_id: int
    attempts: int
    event: dict[str, Any]


Send: TypeAlias = Callable[[Sequence[Parcel], datetime], Outcome]


@dataclass(frozen=True, slots=True)
class Target:
    """Who is told. ``digest`` stands for the address, which may be a secret; ``label`` says where it is set.

    ``at_once`` is how many events one message may hold: people get a flood summed up, programs every event by itself.
    """

    channel: Channel
    digest: str
    label: str
    send: Send
    deadline_seconds: float
    at_once: int
