"""Alarms, events and the test message as they are answered."""

from typing import Any, Literal

from pydantic import Field

from backend.api.schemas.described import Severity, Time
from backend.api.schemas.fields import Answer


class AlarmOut(Answer):
    """Something that is, or was, wrong: open once per code and subject, closed when its cause was gone."""

    id: int = Field(description="The alarm's number.", examples=[7])
    code: str = Field(description="One of the doctor's codes.", examples=["market_feed_stale"])
    severity: Severity = Field(description="How much it matters.")
    strategy: str | None = Field(description="The strategy it is about; null: the whole installation.")
    subject: str = Field(description="What it is about: a strategy, or a target that events go to.")
    detail: str = Field(description="What was seen, with its numbers.")
    remedy: str | None = Field(description="What helps in general; `GET /ai/doctor` says what helps here.")
    raised_at: Time = Field(description="When it was seen first.")
    closed_at: Time | None = Field(description="When its cause was gone; null: it is open.")


class AlarmList(Answer):
    """Alarms, newest first."""

    status: Literal["ok"] = Field(description="Always `ok`.")
    count: int = Field(description="How many are in this answer.")
    alarms: list[AlarmOut] = Field(description="The alarms.")
    next_cursor: str | None = Field(description="`cursor` of the next page; null: this is the last.")


class DeliveryOut(Answer):
    """One event on its way to one target."""

    channel: Literal["notify", "webhook"] = Field(description="`notify`: QT_NOTIFY_URLS; `webhook`: QT_WEBHOOK_URL.")
    target: str = Field(description="Stands for the address, which may be a secret.", examples=["1bb6dbe2"])
    state: Literal["waiting", "sending", "sent", "failed"] = Field(description="`failed`: it is not tried again.")
    attempts: int = Field(description="How often it was tried; at most 5 times.")
    next_attempt_at: Time | None = Field(description="When it is tried next, or, while `sending`, given up for lost.")
    delivered_at: Time | None = Field(description="When it arrived.")
    last_error: str | None = Field(description="Why the newest attempt failed.")


class EventOut(Answer):
    """What people and programs are told; a webhook's body holds the same keys without `deliveries`."""

    event_id: str = Field(description="Its name; a webhook that is sent again has the same.")
    code: str = Field(description="An alarm's code, or what happened.", examples=["training_finished"])
    state: Literal["news", "raised", "closed"] = Field(description="`raised` and `closed`: an alarm was.")
    severity: Severity = Field(description="How much it matters.")
    strategy: str | None = Field(description="The strategy it is about; null: the whole installation.")
    subject: str | None = Field(description="What it is about, a version for example.")
    sentence: str = Field(description="One sentence with its numbers.")
    detail: dict[str, Any] = Field(description="The same for programs.")
    at: Time = Field(description="When it happened.")
    deliveries: list[DeliveryOut] = Field(description="Whom it goes to; none where nobody was to be told.")


class EventList(Answer):
    """Events, newest first."""

    status: Literal["ok"] = Field(description="Always `ok`.")
    count: int = Field(description="How many are in this answer.")
    total: int = Field(description="How many are kept; none is ever removed.")
    events: list[EventOut] = Field(description="The events.")
    next_cursor: str | None = Field(description="`cursor` of the next page; null: this is the last.")


class TestTarget(Answer):
    """One target of a test message."""

    __test__ = False

    channel: Literal["notify", "webhook"] = Field(description="For people, or for programs.")
    target: str = Field(description="The same as in the event's deliveries.")
    setting: str = Field(description="Where its address is set.", examples=["QT_NOTIFY_URLS, address 1 of 2"])


class TestOut(Answer):
    """A test event is stored and on its way."""

    __test__ = False

    status: Literal["ok"] = Field(description="Always `ok`.")
    event_id: str = Field(description="Look for it in GET /ai/events.")
    targets: list[TestTarget] = Field(description="Whom it goes to; empty where no target is set.")
    message: str = Field(description="What happens next.")
