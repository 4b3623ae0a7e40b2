"""Schedules in UTC: five crontab fields, or ``every 6h`` and ``every 5m`` counted from midnight."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

SETTING = "QT_AI_RETRAIN_SCHEDULE"
MINUTES_A_DAY = 24 * 60
LONGEST_GAP = timedelta(days=41 * 366)
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


class ScheduleError(ValueError):
    """A schedule that cannot be read; the message names the setting, what is wrong and two that work."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(f"{SETTING}={text!r}: {why}. Write '0 3 * * *' (UTC), or 'every 6h', 'every 5m'.")


@dataclass(frozen=True)
class Schedule:
    """When something is due: on which days, and at which minutes of such a day.

    Crontab's rule for days: where day of month and day of week are both restricted (neither begins with ``*``),
    a day that satisfies either is meant; otherwise it must satisfy both.
    """

    text: str
    minutes: tuple[int, ...]
    months: frozenset[int]
    month_days: frozenset[int]
    week_days: frozenset[int]
    either_day: bool

    def falls_on(self, day: date) -> bool:
        """Whether there are slots on that day."""
        by_month = day.day in self.month_days
        by_week = day.isoweekday() % 7 in self.week_days
        meant = (by_month or by_week) if self.either_day else (by_month and by_week)
        return day.month in self.months and meant


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, MONTHS),
    _Field("day of week", 0, 7, WEEKDAYS),
)


def parse_schedule(text: str) -> Schedule:
    """Read a schedule; ScheduleError says what is wrong with it.

    >>> parse_schedule("every 6h").minutes
    (0, 360, 720, 1080)
    """
    wanted = " ".join(text.split()).lower()
    if wanted.startswith("every"):
        return _every(text, wanted)
    fields = NICKNAMES.get(wanted, wanted).split(" ")
    if len(fields) != len(FIELDS):
        raise ScheduleError(text, f"a crontab has five fields, this has {len(fields)}")
    minutes, hours, month_days, months, week_days = (
        _values(text, field, value) for field, value in zip(FIELDS, fields, strict=True)
    )
    schedule = Schedule(
        text=text,
        minutes=tuple(sorted(60 * hour + minute for hour in hours for minute in minutes)),
        months=frozenset(months),
        month_days=frozenset(month_days),
        week_days=frozenset(day % 7 for day in week_days),
        either_day=not fields[2].startswith("*") and not fields[4].startswith("*"),
    )
    if not _ever(schedule):
        raise ScheduleError(text, "there is no such day")
    return schedule


def _every(text: str, wanted: str) -> Schedule:
    match = re.fullmatch(r"every ?([0-9]{1,4}) ?(m|h)", wanted)
    step = int(match[1]) * (60 if match[2] == "h" else 1) if match else 0
    if not 1 <= step <= MINUTES_A_DAY:
        raise ScheduleError(text, "'every' takes 1m to 1440m, or 1h to 24h")
    return Schedule(
        text=text,
        minutes=tuple(range(0, MINUTES_A_DAY, step)),
        months=frozenset(range(1, 13)),
        month_days=frozenset(range(1, 32)),
        week_days=frozenset(range(7)),
        either_day=False,
    )


def _values(text: str, field: _Field, value: str) -> set[int]:
    found: set[int] = set()
    for item in value.split(","):
        match = re.fullmatch(r"(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:/([0-9]{1,4}))?", item)
        if match is None or (match[1] == "*" and match[2]):
            raise ScheduleError(text, f"{field.name} {value!r} cannot be read")
        step = int(match[3] or 1)
        low, high = _bounds(text, field, match)
        if step < 1 or low > high:
            raise ScheduleError(text, f"{field.name} {value!r} is an empty range")
        found.update(range(low, high + 1, step))
    return found


def _bounds(text: str, field: _Field, match: re.Match[str]) -> tuple[int, int]:
    """A lone number with a step means from there to the end, as in crontab."""
    if match[1] == "*":
        return field.low, field.high
    low = _number(text, field, match[1])
    if match[2]:
        high = _number(text, field, match[2])
        return low, 7 if field.names is WEEKDAYS and high == 0 < low else high
    return low, field.high if match[3] else low


def _number(text: str, field: _Field, word: str) -> int:
    if word[:3] in field.names and len(word) == 3:
        return field.names.index(word) + (1 if field.names is MONTHS else 0)
    if not (word.isascii() and word.isdigit()) or not field.low <= int(word) <= field.high:
        raise ScheduleError(text, f"{field.name} must be {field.low} to {field.high}, not {word!r}")
    return int(word)


def _ever(schedule: Schedule) -> bool:
    start = datetime(2000, 1, 1, tzinfo=UTC)
    return next(slots_between(schedule, start, start + LONGEST_GAP), None) is not None


def slots_between(schedule: Schedule, start: datetime, end: datetime) -> Iterator[datetime]:
    """The slots after ``start`` up to and including ``end``, in order."""
    day = start.astimezone(UTC).date()
    while day <= end.astimezone(UTC).date():
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        for minute in schedule.minutes if schedule.falls_on(day) else ():
            slot = midnight + timedelta(minutes=minute)
            if start < slot <= end:
                yield slot
        day += timedelta(days=1)


def next_slot(schedule: Schedule, after: datetime) -> datetime:
    """The first slot after that time."""
    return next(slots_between(schedule, after, after + LONGEST_GAP))


def latest_slot(schedule: Schedule, until: datetime, within: timedelta) -> datetime | None:
    """The newest slot at or before that time, not older than ``within``."""
    return max(slots_between(schedule, until - within, until), default=None)
