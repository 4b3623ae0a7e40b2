"""Cells as people and programs write them: read as they are meant, or refused; never guessed."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import InvalidInputError
from backend.learning.decisions.csv_values import Reading, action, flag, moment, number, read_zone

PLAIN, COMMA, POINT = Reading(), Reading(decimal="comma"), Reading(decimal="point")
IN_UTC = Reading(timezone=UTC)
MORNING = datetime(2025, 11, 12, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "reading", "value"),
    [
        ("45000", PLAIN, 45000.0), ("45000.5", PLAIN, 45000.5), ("+1", PLAIN, 1.0), ("-0.5", PLAIN, -0.5),
        (".5", PLAIN, 0.5), ("1.", PLAIN, 1.0), ("1e-5", PLAIN, 1e-5), ("1.5E+3", PLAIN, 1500.0),
        ("1,234.50", PLAIN, 1234.5), ("1,234,567.8", PLAIN, 1234567.8), ("-1,234.5", PLAIN, -1234.5),
        ("$45,000.00", PLAIN, 45000.0), ("-$12.5", PLAIN, -12.5), ("€ 12.5", PLAIN, 12.5), ("12.5 €", PLAIN, 12.5),
        ("0.1BTC", PLAIN, 0.1), ("4500 USDT", PLAIN, 4500.0), ("(12.5)", PLAIN, -12.5), ("\u221212.5", PLAIN, -12.5),
        ("45 000.50", PLAIN, 45000.5), ("45\u00a0000", PLAIN, 45000.0), ("45'000.5", PLAIN, 45000.5),
        ("45\u202f000", PLAIN, 45000.0), ("45\u2019000", PLAIN, 45000.0),
        ("1.234,50", COMMA, 1234.5), ("0,1", COMMA, 0.1), ("1.234", COMMA, 1234.0), ("45000,5", COMMA, 45000.5),
        ("45 000,5", COMMA, 45000.5), ("-0,000012", COMMA, -0.000012), ("1.234.567,8", COMMA, 1234567.8),
        ("1,234", POINT, 1234.0), ("1,234,567", POINT, 1234567.0), ("0", PLAIN, 0.0),
    ],
)  # fmt: skip
def test_numbers_are_read_as_they_are_meant(text: str, reading: Reading, value: float) -> None:
    assert number(text, reading) == value
    assert number(f"  {text} ", reading) == value


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        ("1,234", PLAIN), ("0,1", PLAIN), ("45000,5", PLAIN), ("1.234,50", PLAIN), ("12,34.5", PLAIN),
        ("1,23,456.0", PLAIN), ("1,234.", COMMA), ("12.5", COMMA), ("1.2.3", PLAIN), ("nan", PLAIN), ("inf", PLAIN),
        ("NaN", PLAIN), ("", PLAIN), ("-", PLAIN), ("abc", PLAIN), ("0x10", PLAIN), ("1_000", PLAIN), ("1,23", POINT),
        ("12 34", PLAIN), ("--1", PLAIN), ("1e", PLAIN), ("USD", PLAIN), ("1.5%", PLAIN),
    ],
)  # fmt: skip
def test_what_is_no_number_or_could_be_two_is_refused(text: str, reading: Reading) -> None:
    with pytest.raises(InvalidInputError) as told:
        number(text, reading)

    assert "\n" not in told.value.message


@pytest.mark.parametrize("zone", ["+14:00", "Asia/Tokyo"])
def test_a_clock_may_show_what_utc_cannot_say(zone: str) -> None:
    with pytest.raises(InvalidInputError, match="outside the years 1 to 9999"):
        moment("0001-01-01 00:00", Reading(timezone=read_zone(zone)))


def test_a_number_that_could_be_two_says_what_to_say() -> None:
    with pytest.raises(InvalidInputError, match="--decimal comma, or --decimal point"):
        number("1,234", PLAIN)
    with pytest.raises(InvalidInputError, match="--decimal comma"):
        number("1.234,50", PLAIN)


@pytest.mark.parametrize(("text", "value"), [("1.11%", 0.0111), ("1.11 %", 0.0111), ("-5%", -0.05), ("100%", 1.0)])
def test_a_percentage_is_a_fraction_where_fractions_are_wanted(text: str, value: float) -> None:
    assert number(text, PLAIN, percent=True) == pytest.approx(value, rel=1e-15)
    with pytest.raises(InvalidInputError, match="is a percentage"):
        number(text, PLAIN)


@given(st.floats(-1e12, 1e12), st.integers(0, 6))
def test_every_usual_way_of_writing_a_number_is_read_back(value: float, digits: int) -> None:
    expected = float(f"{value:.{digits}f}")
    english = f"{value:,.{digits}f}"
    continental = english.replace(",", "_").replace(".", ",").replace("_", ".")

    assert number(repr(value), PLAIN) == value
    assert number(english, POINT) == expected
    assert number(continental, COMMA) == expected
    assert number(english.replace(",", " "), POINT) == expected


@given(st.text(max_size=20))
def test_no_text_breaks_the_reader_of_numbers(text: str) -> None:
    try:
        found = number(text, PLAIN)
    except InvalidInputError:
        return
    assert isinstance(found, float)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        *((word, "BUY") for word in ("BUY", "buy", "Long", " long ", "B", "Open Long", "open_long", "OPEN-LONG")),
        *((word, "SELL") for word in ("SELL", "Short", "S", "Sell Short", "open short")),
        *((word, "HOLD") for word in ("HOLD", "hold", "flat")),
    ],
)
def test_the_words_of_other_programs_are_sides(text: str, found: str) -> None:
    assert action(text) == found


@pytest.mark.parametrize("text", ["", "what", "true", "1", "buys", "close long"])
def test_another_word_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is no side"):
        action(text)


@pytest.mark.parametrize(("text", "found"), [("True", "SELL"), ("false", "BUY"), ("1", "SELL"), ("0", "BUY")])
def test_a_column_of_shorts_says_yes_or_no(text: str, found: str) -> None:
    assert action(text, of_short_column=True) == found


def test_flags() -> None:
    assert [flag(text) for text in ("true", "No", "1", "n")] == [True, False, True, False]
    with pytest.raises(InvalidInputError):
        flag("maybe")


@pytest.mark.parametrize(
    "text",
    [
        "2025-11-12T10:30:00Z", "2025-11-12T10:30Z", "2025-11-12 10:30:00+00:00", "2025-11-12T11:30:00+01:00",
        "2025-11-12 10:30:00 UTC", "2025-11-12 10:30 utc", "1762943400", "1762943400000", "1762943400000000",
        "1762943400000000000", "2025-11-12 10:30 +0000", "2025.11.12 10:30 Z", "2025/11/12 05:30:00 -0500",
        "20251112T103000Z",
    ],
)  # fmt: skip
def test_times_that_say_their_zone_need_no_other(text: str) -> None:
    assert moment(text, PLAIN) == MORNING
    assert moment(text, Reading(timezone=ZoneInfo("Asia/Tokyo"))) == MORNING


@pytest.mark.parametrize(
    "text",
    [
        "2025-11-12 10:30", "2025-11-12T10:30:00", "2025.11.12 10:30:00", "2025/11/12 10:30", "12.11.2025 10:30",
        "2025-11-12 10:30 AM", "12.11.2025, 10:30:00", "2025-11-12 10:30:00.000", "2025-11-12 10:30:00,000",
    ],
)  # fmt: skip
def test_times_without_a_zone_need_one_said(text: str) -> None:
    assert moment(text, IN_UTC) == MORNING
    assert moment(text, Reading(), in_utc=True) == MORNING
    assert moment(text, Reading(timezone=timezone(timedelta(hours=2)))) == MORNING - timedelta(hours=2)
    with pytest.raises(InvalidInputError, match="--timezone"):
        moment(text, PLAIN)


def test_dates_with_strokes_need_their_order_said() -> None:
    assert moment("12/11/2025 10:30", Reading(timezone=UTC, date_order="dmy")) == MORNING
    assert moment("11/12/2025 10:30 AM", Reading(timezone=UTC, date_order="mdy")) == MORNING
    assert moment("11/12/2025 10:30 PM", Reading(timezone=UTC, date_order="mdy")) == MORNING + timedelta(hours=12)
    assert moment("11-12-2025 12:05 am", Reading(timezone=UTC, date_order="mdy")).hour == 0
    for text in ("12/11/2025 10:30", "13/11/2025", "11/13/2025"):
        with pytest.raises(InvalidInputError, match="--date-order"):
            moment(text, IN_UTC)


def test_a_form_that_is_said_is_the_only_one() -> None:
    reading = Reading(timezone=UTC, date_format="%d %b %Y %H:%M")

    assert moment("12 Nov 2025 10:30", reading) == MORNING
    with pytest.raises(InvalidInputError, match="of the form"):
        moment("2025-11-12 10:30", reading)
    assert moment("12 Nov 2025 10:30 +0100", Reading(date_format="%d %b %Y %H:%M %z")) == MORNING - timedelta(hours=1)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2025-13-01 10:00", "2025-11-12 25:00", "Nov 12, 2025", "12.13.2025", "2025-11-12 10:30 XYZ",
     "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-14:00", "0001-01-01 00:00 +0100",
     "2025-11-12 13:30 PM", "2025-11-12 0:30 am", "2025-02-30", "12345", "2025-11-12 10:30 +99:00"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError) as told:
        moment(text, IN_UTC)

    assert "\n" not in told.value.message


def test_summer_time_is_counted() -> None:
    oslo = Reading(timezone=ZoneInfo("Europe/Oslo"))

    assert moment("2025-07-01 12:00", oslo) == datetime(2025, 7, 1, 10, tzinfo=UTC)
    assert moment("2025-12-01 12:00", oslo) == datetime(2025, 12, 1, 11, tzinfo=UTC)


@pytest.mark.parametrize(("text", "said"), [("2025-10-26 02:30", "twice"), ("2025-03-30 02:30", "not at all")])
def test_an_hour_that_the_clocks_repeated_or_skipped_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        moment(text, Reading(timezone=ZoneInfo("Europe/Oslo")))


@given(st.datetimes(datetime(2001, 1, 1), datetime(2037, 1, 1)))  # noqa: DTZ001
def test_every_second_is_read_back(naive: datetime) -> None:
    naive = naive.replace(microsecond=0)
    expected = naive.replace(tzinfo=UTC)

    assert moment(naive.isoformat(sep=" "), IN_UTC) == expected
    assert moment(naive.strftime("%d.%m.%Y %H:%M:%S"), IN_UTC) == expected
    assert moment(naive.strftime("%m/%d/%Y %I:%M:%S %p"), Reading(timezone=UTC, date_order="mdy")) == expected
    assert moment(str(int(expected.timestamp())), PLAIN) == expected
    assert moment(str(int(expected.timestamp() * 1000)), PLAIN) == expected


@given(st.text(max_size=30))
def test_no_text_breaks_the_reader_of_times(text: str) -> None:
    try:
        found = moment(text, IN_UTC)
    except InvalidInputError:
        return
    assert found.tzinfo is not None


@pytest.mark.parametrize(
    ("text", "offset"), [("UTC", 0), ("utc", 0), ("Z", 0), ("+02:00", 2), ("-0500", -5), ("Europe/Oslo", 1)]
)
def test_zones_by_name_and_offset(text: str, offset: int) -> None:
    assert read_zone(text).utcoffset(MORNING.replace(tzinfo=None)) == timedelta(hours=offset)


@pytest.mark.parametrize("text", ["Oslo", "Europe/Nowhere", "", "+25:00", "../etc/passwd", "CEST+1"])
def test_an_unknown_zone_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        read_zone(text)
