"""Somebody to tell, a clock that moves by hand, and the rows as they are."""

import dataclasses
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.database import Database
from backend.models import Delivery
from backend.operations.codes import News
from backend.operations.events import tell
from backend.settings import Settings
from tests.receiver import Receiver, running_receiver

SECRET = "a-secret-for-signatures"


@dataclasses.dataclass
class HandClock:
    """Tells the time it was set to."""

    time: datetime

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **span: float) -> None:
        self.time += timedelta(**span)


@dataclasses.dataclass
class Office:
    """Settings that tell the receiver, and events to tell it."""

    database: Database
    settings: Settings
    receiver: Receiver
    clock: HandClock

    def with_targets(self, *, webhook: bool = False, people: int = 0) -> Settings:
        return dataclasses.replace(
            self.settings,
            webhook_url=self.receiver.url() if webhook else None,
            webhook_secret=SecretStr(SECRET) if webhook else None,
            notify_urls=tuple(self.receiver.apprise(f"/people/{number}") for number in range(people)),
        )

    def tell(self, sentence: str = "Something happened.", **more: Any) -> str:
        """Store a piece of news; its event's id."""
        told = {"strategy": None, "subject": None, "detail": {}, "at": self.clock(), **more}
        return self.database.write(lambda session: _told(session, sentence, told))

    def deliveries(self, channel: str | None = None) -> list[Delivery]:
        """Every delivery, in the order they were made."""

        def query(session: Session) -> list[Delivery]:
            found = select(Delivery).order_by(Delivery.id)
            return list(session.scalars(found if channel is None else found.where(Delivery.channel == channel)))

        return self.database.read(query)

    def states(self, channel: str | None = None) -> list[str]:
        return [one.state for one in self.deliveries(channel)]


def _told(session: Session, sentence: str, told: dict[str, Any]) -> str:
    return tell(session, News.TEST, sentence=sentence, **told).event_id


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def clock(now: datetime) -> HandClock:
    return HandClock(now)


@pytest.fixture
def office(database: Database, settings: Settings, receiver: Receiver, clock: HandClock) -> Office:
    return Office(database, settings, receiver, clock)
