"""The log: readable or JSON, with the request id, without secrets."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from backend.logs import HANDLER_NAME, HIDDEN, FewerRounds, Redactor, configure_logging

SECRET = "a-very-secret-token"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    root = logging.getLogger()
    root.handlers = [kept for kept in root.handlers if kept.get_name() != HANDLER_NAME]
    root.setLevel(logging.WARNING)


def written(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.strip().splitlines()


def test_json_lines_carry_event_level_time_logger_and_request_id(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", Redactor([]))

    with structlog.contextvars.bound_contextvars(request_id="abc"):
        structlog.get_logger("backend.some").info("trained", rows=5)

    (line,) = map(json.loads, written(capsys))
    assert (line["event"], line["level"], line["rows"], line["request_id"]) == ("trained", "info", 5, "abc")
    assert line["logger"] == "backend.some"
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_standard_record_goes_the_same_way(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    configure_logging(log_format, Redactor([]))

    logging.getLogger("backend.other").info("AI signals generated: BUY=%d SELL=%d HOLD=%d", 15, 12, 74)

    (line,) = written(capsys)
    assert "AI signals generated: BUY=15 SELL=12 HOLD=74" in line


def test_a_terminal_shows_one_round_in_half_a_minute_and_says_how_many_it_stands_for() -> None:
    now, shown = 0.0, []
    rounds = FewerRounds(lambda: True, timer=lambda: now)

    for now in (0.0, 0.1, 29.9, 30.0, 61.0):
        line = round_line(now)
        shown.append(line.getMessage() if rounds.filter(line) else None)

    assert shown == [
        "BUY=0 SELL=2 HOLD=3",
        None,
        None,
        "BUY=30 SELL=2 HOLD=3 (2 rounds before it not shown)",
        "BUY=61 SELL=2 HOLD=3",
    ]
    assert rounds.filter(round_line(62.0, name="backend.trading.turns")) is True, "whatever else is said is shown"
    assert rounds.filter(round_line(62.0, level=logging.WARNING)) is True


def test_what_no_person_watches_gets_every_round(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text", Redactor([]))

    for _ in range(3):
        logging.getLogger("backend.trading.round").info("AI signals generated: BUY=%d SELL=%d HOLD=%d", 15, 12, 74)

    assert len(written(capsys)) == 3


def round_line(buys: float, name: str = "backend.trading.round", level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord(name, level, __file__, 1, "BUY=%d SELL=%d HOLD=%d", (buys, 2, 3), None)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_secret_is_ever_written(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    configure_logging(log_format, Redactor([SECRET, None, ""]))

    structlog.get_logger().info(f"event {SECRET}", key=SECRET, nested={"a": [SECRET], SECRET: 1})
    logging.getLogger("x").warning("argument %s", SECRET, extra={"more": SECRET})
    try:
        int(SECRET)
    except ValueError:
        logging.getLogger("x").exception("failed")

    text = "\n".join(written(capsys))
    assert SECRET not in text
    assert HIDDEN in text
    assert "ValueError" in text


def test_a_message_is_not_written_a_second_time_in_colour(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", Redactor([]))

    logging.getLogger("uvicorn.error").info("Started", extra={"color_message": "Started in colour"})

    assert "colour" not in "".join(written(capsys))


def test_configuring_twice_writes_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", Redactor([]))
    configure_logging("json", Redactor([]))

    logging.getLogger("x").info("once")

    assert len(written(capsys)) == 1


def test_the_longest_secret_is_struck_out_first() -> None:
    assert Redactor(["abc", "abcdef"]).text("abcdef abc") == f"{HIDDEN} {HIDDEN}"


def test_what_cannot_be_encoded_is_replaced() -> None:
    assert Redactor([]).value({"a": "\ud800é"}) == {"a": "?é"}


@pytest.mark.parametrize("value", [None, True, 5, 0.5])
def test_plain_values_keep_their_type(value: object) -> None:
    assert Redactor(["5"]).value(value) is value
