"""Messages for people, through apprise: a short title, the sentence with its numbers, and what to do."""

import logging
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from backend.operations.delivery_types import Outcome, Parcel, Result

ANSWER_WITHIN_SECONDS = 10.0
LONGEST_BODY = 1800  # the shortest limit of the common services is 2000 characters
LONGEST_LINE = 300
SHORTEST_SECRET = 4
NOISY = ("apprise", "urllib3", "requests")

_heard = threading.local()


class _Listener(logging.Handler):
    """Keeps what apprise says for the thread that asked; nobody else hears it, because it may name addresses."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record where its thread listens."""
        kept: list[logging.LogRecord] | None = getattr(_heard, "records", None)
        if kept is not None:
            kept.append(record)


_LISTENER = _Listener()


@contextmanager
def _listening() -> Iterator[list[logging.LogRecord]]:
    """What apprise and its transport say in this thread, and only here."""
    for name in NOISY:
        logger = logging.getLogger(name)
        logger.propagate = False
        if _LISTENER not in logger.handlers:
            logger.addHandler(_LISTENER)
    logging.getLogger("apprise").setLevel(logging.DEBUG)
    _heard.records = []
    try:
        yield _heard.records
    finally:
        _heard.records = None


class People:
    """One apprise address."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._service: Any = None

    def usable(self) -> bool:
        """Whether apprise knows what to do with the address."""
        with _listening():
            return self._apprise() is not None

    def __call__(self, parcels: Sequence[Parcel], now: datetime) -> Outcome:  # noqa: ARG002
        """Send one message about one event, or one that sums several up."""
        with _listening() as said:
            service = self._apprise()
            if service is None:
                return Outcome(Result.REFUSED, "Apprise cannot use the address.")
            title, body = message([parcel.event for parcel in parcels])
            kind = "info" if all(_is_over(parcel.event) for parcel in parcels) else _worst(parcels)
            if service.notify(title=title, body=body, notify_type=kind, body_format="text"):
                return Outcome(Result.SENT)
            return self._failure(said)

    def _failure(self, said: Sequence[logging.LogRecord]) -> Outcome:
        told = [record.getMessage() for record in said if record.levelno >= logging.WARNING]
        reason = self._without_secrets(" ".join(told))[:LONGEST_LINE] or "Apprise gave no reason."
        if any(_is_unanswered(record.getMessage()) for record in said):
            return Outcome(Result.UNCERTAIN, f"No answer in time. {reason}", pause=True)
        return Outcome(Result.AGAIN, reason, pause=True)

    def _without_secrets(self, text: str) -> str:
        """The text without any part of the address: which of them is a token, only its service knows."""
        parts = re.split(r"[/:@?&=#,;]+", self._url)[1:]
        hidden = {self._url, *parts, *(unquote(part) for part in parts)}
        for part in sorted(hidden, key=len, reverse=True):
            text = text.replace(part, "***") if len(part) >= SHORTEST_SECRET else text
        return text

    def _apprise(self) -> Any:
        import apprise

        if self._service is None:
            # In this thread and without a pool of apprise's own, whose threads would hold up the end of the process.
            asset = apprise.AppriseAsset(
                async_mode=False, service_timeout=0, app_id="Quantum Trader", app_desc="Alarms and news", app_url=""
            )
            service = apprise.Apprise.instantiate(self._url, asset=asset)
            if service is not None:
                service.socket_read_timeout = max(service.socket_read_timeout, ANSWER_WITHIN_SECONDS)
                self._service = apprise.Apprise(service, asset=asset)
        return self._service


def _is_unanswered(said: str) -> bool:
    lowered = said.lower()
    return "timed out" in lowered and "connect timeout" not in lowered


def _is_over(event: dict[str, Any]) -> bool:
    return bool(event["state"] == "closed")


def _worst(parcels: Sequence[Parcel]) -> str:
    found = {parcel.event["severity"] for parcel in parcels}
    return next(kind for severity, kind in KINDS.items() if severity in found or severity == "info")


KINDS = {"error": "failure", "warning": "warning", "info": "info"}


def message(events: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """Title and text about one event, or about several in one."""
    if len(events) == 1:
        return f"Quantum Trader: {headline(events[0])}", _cut(_text(events[0]), LONGEST_BODY)
    lines: list[str] = []
    for event in events:
        line = _cut(f"{event['at']} {headline(event)}. {event['sentence']}", LONGEST_LINE)
        if len("\n".join((*lines, line))) > LONGEST_BODY - 100:
            break
        lines.append(line)
    left = len(events) - len(lines)
    more = [f"And {left} more: GET /ai/events, or qt alarms --events."] if left else []
    return f"Quantum Trader: {len(events)} messages in one", "\n".join((*lines, *more))


def headline(event: dict[str, Any]) -> str:
    """A few words.

    >>> headline({"code": "clock_skew", "state": "closed", "severity": "error", "subject": "default"})
    'over: clock skew (default)'
    """
    about = f" ({event['subject']})" if event["subject"] else ""
    kind = {"raised": f"{event['severity']}: ", "closed": "over: "}.get(event["state"], "")
    return f"{kind}{event['code'].replace('_', ' ')}{about}"


def _text(event: dict[str, Any]) -> str:
    remedy = event["detail"].get("remedy")
    of = f"Strategy {event['strategy']}, " if event["strategy"] else ""
    todo = [f"What to do: {remedy}"] if remedy and event["state"] == "raised" else []
    return "\n".join((_cut(event["sentence"], LONGEST_BODY - 600), *todo, f"{of}{event['at']}"))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
