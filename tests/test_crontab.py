"""Schedules: read like crontab, in UTC, checked against an evaluator that knows nothing of the parser."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.crontab import ScheduleError, latest_slot, next_slot, parse_schedule, slots_between

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


def matches(text: str, moment: datetime) -> bool:
    """Evaluate one minute the slow way: every field by itself, then crontab's rule for days."""
    fields = text.split()
    minute, hour, month_day, month = (
        within(fields[i], value, *FIELDS[i])
        for i, value in enumerate((moment.minute, moment.hour, moment.day, moment.month))
    )
    weekday = (moment.weekday() + 1) % 7
    week_day = within(fields[4], weekday, 0, 7) or (weekday == 0 and within(fields[4], 7, 0, 7))
    if fields[2][0] == "*" or fields[4][0] == "*":
        return minute and hour and month and month_day and week_day
    return minute and hour and month and (month_day or week_day)


def within(field: str, value: int, low: int, high: int) -> bool:
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = (f"{low}-{high}" if span == "*" else span).partition("-")
        end = int(last) if last else (high if step else int(first))
        if int(first) <= value <= end and (value - int(first)) % int(step or 1) == 0:
            return True
    return False


@st.composite
def items(draw: st.DrawFn, low: int, high: int) -> str:
    first = draw(st.integers(low, high))
    last = draw(st.integers(first, high))
    step = draw(st.integers(1, 20))
    return draw(
        st.sampled_from(["*", f"*/{step}", str(first), f"{first}-{last}", f"{first}-{last}/{step}", f"{first}/{step}"])
    )


@st.composite
def crontabs(draw: st.DrawFn) -> str:
    fields = [",".join(draw(st.lists(items(low, high), min_size=1, max_size=2))) for low, high in FIELDS]
    return " ".join(fields)


@given(text=crontabs(), day=st.integers(0, 800))
def test_a_days_slots_are_those_of_an_independent_evaluator(text: str, day: int) -> None:
    start = MONDAY + timedelta(days=day)
    try:
        schedule = parse_schedule(text)
    except ScheduleError:
        at_midnight = " ".join(["0", "0", *text.split()[2:]])
        assert not any(matches(at_midnight, MONDAY + timedelta(days=i)) for i in range(1500))
        return

    slots = list(slots_between(schedule, start - timedelta(minutes=1), start + timedelta(minutes=1439)))

    assert slots == [m for i in range(1440) if matches(text, m := start + timedelta(minutes=i))]


@given(text=crontabs(), seconds=st.integers(0, 40_000_000))
def test_the_next_slot_is_the_first_one_after(text: str, seconds: int) -> None:
    try:
        schedule = parse_schedule(text)
    except ScheduleError:
        return
    after = MONDAY + timedelta(seconds=seconds)

    slot = next_slot(schedule, after)

    assert slot > after
    assert matches(text, slot)
    assert list(slots_between(schedule, after, slot)) == [slot]


@pytest.mark.parametrize(("number", "name"), list(enumerate(WEEKDAYS)))
def test_weekday_numbers_are_crontabs_and_names_mean_the_same(number: int, name: str) -> None:
    by_number = parse_schedule(f"0 3 * * {number}")
    by_name = parse_schedule(f"0 3 * * {name}")

    slot = next_slot(by_number, MONDAY)

    assert slot == next_slot(by_name, MONDAY)
    assert slot.strftime("%a").upper() == name


@pytest.mark.parametrize(("number", "name"), list(enumerate(MONTHS, start=1)))
def test_month_names_mean_their_numbers(number: int, name: str) -> None:
    assert next_slot(parse_schedule(f"0 0 1 {name.lower()} *"), MONDAY).month == number


@pytest.mark.parametrize("text", ["0 0 * * fri-sun", "0 0 * * 5-7", "0 0 * * 5-0", "0 0 * * FRI,SAT,SUN"])
def test_a_weekend_may_be_written_in_any_way(text: str) -> None:
    schedule = parse_schedule(text)

    days = {slot.strftime("%a") for slot in slots_between(schedule, MONDAY, MONDAY + timedelta(days=14))}

    assert days == {"Fri", "Sat", "Sun"}


def test_day_of_month_or_day_of_week_suffices_where_both_are_restricted() -> None:
    schedule = parse_schedule("0 0 13 * fri")

    slots = list(slots_between(schedule, MONDAY, MONDAY + timedelta(days=31)))

    assert slots == [datetime(2026, 3, day, tzinfo=UTC) for day in (6, 13, 20, 27)]


@pytest.mark.parametrize(
    ("text", "first", "count"),
    [("every 6h", "06:00", 4), ("every 5m", "00:05", 288), ("every 1440m", "00:00", 1), ("every 5h", "05:00", 5)],
)
def test_every_counts_from_midnight_utc(text: str, first: str, count: int) -> None:
    schedule = parse_schedule(text)

    slots = list(slots_between(schedule, MONDAY, MONDAY + timedelta(days=1)))

    assert f"{slots[0]:%H:%M}" == first
    assert len(slots) == count
    assert slots[-1] == MONDAY + timedelta(days=1)


def test_the_default_is_three_at_night() -> None:
    schedule = parse_schedule("0 3 * * *")

    assert next_slot(schedule, MONDAY) == MONDAY.replace(hour=3)
    assert next_slot(schedule, MONDAY.replace(hour=3)) == datetime(2026, 3, 3, 3, tzinfo=UTC)


def test_a_leap_day_that_must_fall_on_a_weekend_is_found() -> None:
    assert next_slot(parse_schedule("0 0 29 2 */6"), MONDAY).date().isoformat() == "2032-02-29"


def test_the_latest_slot_is_not_older_than_asked() -> None:
    schedule = parse_schedule("@daily")

    assert latest_slot(schedule, MONDAY + timedelta(hours=5), timedelta(hours=24)) == MONDAY
    assert latest_slot(schedule, MONDAY + timedelta(hours=5), timedelta(hours=4)) is None


@pytest.mark.parametrize("name", ["@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"])
def test_nicknames_have_slots(name: str) -> None:
    assert next_slot(parse_schedule(name), MONDAY).minute == 0


@pytest.mark.parametrize(
    "text",
    ["", "0 3 * *", "0 3 * * * *", "60 3 * * *", "0 24 * * *", "0 0 0 * *", "0 0 * 13 *", "0 0 * * 8", "5-2 * * * *",
     "*/0 * * * *", "a * * * *", "0 0 30 2 *", "every", "every 0m", "every 25h", "every 6d", "every -5m", "@reboot",
     "0 0 * * mond", "1,,2 * * * *", "*-5 * * * *", "٣ 3 * * *", "0 0 31 apr *"],
)  # fmt: skip
def test_a_wrong_schedule_is_refused_by_the_settings_name(text: str) -> None:
    with pytest.raises(ScheduleError, match="QT_AI_RETRAIN_SCHEDULE"):
        parse_schedule(text)
