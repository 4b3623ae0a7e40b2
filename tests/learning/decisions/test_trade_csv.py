"""CSV files as spreadsheets, exchanges and bots write them, line by line into rows an import takes."""

import csv
import gzip
import io
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.errors import InvalidInputError
from backend.learning.decisions.csv_columns import Wishes
from backend.learning.decisions.csv_values import Reading
from backend.learning.decisions.trade_csv import Form, TradeLine, open_trades

HEAD = "Symbol,Side,Open Time,Close Time,Open Price,Close Price,Qty,Fee,f_rsi,f_trend"
LINE = "BTC/USDT,long,2025-11-12T10:30:00Z,2025-11-12T11:30:00Z,45000.5,45500,0.1,1.2,41.5,0.25"
ROW = {
    "symbol": "BTC/USDT",
    "entry_time": "2025-11-12T10:30:00Z",
    "exit_time": "2025-11-12T11:30:00Z",
    "predicted_action": "BUY",
    "entry_price": 45000.5,
    "exit_price": 45500.0,
    "quantity": 0.1,
    "fees": 1.2,
    "timestamp": "2025-11-12T10:30:00Z",
    "features": {"rsi": 41.5, "trend": 0.25},
}
PREFIX = Wishes(feature_prefix="f_")
FORM = Form(Reading(timezone=UTC))


def read(path: Path, wishes: Wishes = PREFIX, form: Form = FORM) -> list[TradeLine]:
    with open_trades(path, wishes, form) as trades:
        return list(trades.lines)


def rows(folder: Path, text: str | bytes, wishes: Wishes = PREFIX, form: Form = FORM, name: str = "t.csv") -> list[Any]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [one.row for one in read(path, wishes, form)]


def test_a_line_becomes_a_row_of_the_import(tmp_path: Path) -> None:
    assert rows(tmp_path, f"{HEAD}\n{LINE}\n") == [ROW]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_the_mark_between_columns_is_found_out(tmp_path: Path, delimiter: str, newline: str) -> None:
    text = newline.join([HEAD, LINE, LINE]).replace(",", delimiter)

    assert rows(tmp_path, text) == [ROW, ROW]


def test_a_comma_within_numbers_does_not_deceive(tmp_path: Path) -> None:
    text = f"{HEAD}\n{LINE}\n".replace(",", ";").replace(".", ",")

    assert rows(tmp_path, text, form=Form(Reading(timezone=UTC, decimal="comma"))) == [ROW]


@pytest.mark.parametrize("first", ["sep=;", "SEP=;"])
def test_the_line_that_spreadsheets_put_first_is_heeded(tmp_path: Path, first: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{first}\n{HEAD}\n{LINE}\n".replace(",", ";"))

    (line,) = read(path)

    assert (line.row, line.line) == (ROW, 3)


def test_a_mark_that_is_said_is_the_one(tmp_path: Path) -> None:
    text = f"{HEAD}\n{LINE}\n".replace(",", "~")

    assert rows(tmp_path, text, form=Form(Reading(), delimiter="~")) == [ROW]
    assert rows(tmp_path, text.replace("~", "\t"), form=Form(Reading(), delimiter="tab")) == [ROW]
    with pytest.raises(InvalidInputError, match="--delimiter"):
        rows(tmp_path, text)


@pytest.mark.parametrize("delimiter", ["ab", "", "tabs"])
def test_what_parts_no_columns_is_refused_in_one_sentence(tmp_path: Path, delimiter: str) -> None:
    with pytest.raises(InvalidInputError, match="parts no columns") as told:
        rows(tmp_path, f"{HEAD}\n{LINE}\n", form=Form(Reading(), delimiter=delimiter))

    assert told.value.extra["field"] == "delimiter"


@pytest.mark.parametrize("encoding", ["undefined", "rot13", "zip"])
def test_what_is_no_encoding_of_text_is_refused_in_one_sentence(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(InvalidInputError, match="is not known"):
        rows(tmp_path, f"{HEAD}\n{LINE}\n", form=Form(Reading(), encoding))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_files_own_mark_says_its_encoding(tmp_path: Path, encoding: str) -> None:
    assert rows(tmp_path, f"{HEAD},Not\u00e9\n{LINE},\u20ac\n".encode(encoding)) == [ROW]


def test_another_encoding_is_refused_with_what_to_say(tmp_path: Path) -> None:
    text = f"{HEAD},Note\n{LINE},pr\u00eat\n".encode("latin-1")

    with pytest.raises(InvalidInputError, match="--encoding cp1252") as told:
        rows(tmp_path, text)

    assert told.value.reason == "encoding_unknown"
    assert rows(tmp_path, text, form=Form(Reading(), "latin-1")) == [ROW]
    with pytest.raises(InvalidInputError, match="is not known"):
        rows(tmp_path, text, form=Form(Reading(), "klingon"))


def test_a_wrong_byte_far_below_is_one_sentence_too(tmp_path: Path) -> None:
    text = f"{HEAD},Note\n".encode() + f"{LINE},x\n".encode() * 5000 + f"{LINE},\xe9\n".encode("latin-1")

    with pytest.raises(InvalidInputError, match="is not utf-8 text"):
        rows(tmp_path, text)


def test_a_packed_file_is_unpacked(tmp_path: Path) -> None:
    packed = gzip.compress(f"{HEAD}\n{LINE}\n".encode())

    assert rows(tmp_path, packed, name="t.csv.gz") == [ROW]
    with pytest.raises(InvalidInputError, match="cannot be read"):
        rows(tmp_path, packed[:-12], name="t.csv.gz")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        rows(tmp_path, b"no gzip", name="t.csv.gz")


@pytest.mark.parametrize("text", ["", "\n", "\ufeff"])
def test_an_empty_file_says_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInputError) as told:
        rows(tmp_path, text)

    assert "t.csv" in told.value.message


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="No such file"):
        read(tmp_path / "none.csv")
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read(tmp_path)


def test_each_line_is_numbered_as_an_editor_numbers_it(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f'{HEAD},Note\n{LINE},"two\nlines"\n\n{LINE},x\n,,,,,,,,,,\n{LINE},y\n')

    assert [one.line for one in read(path)] == [3, 5, 7]


def reason(folder: Path, line: str, wishes: Wishes = PREFIX) -> str:
    path = folder / "t.csv"
    path.write_text(f"{HEAD}\n{line}\n{LINE}\n")
    first, second = read(path, wishes)
    assert first.row is None
    assert second.row == ROW
    return str(first.reason)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("long", "what"), "predicted_action (column 'Side'): 'what' is no side"),
        (("45000.5", "x"), "entry_price (column 'Open Price'): 'x' is not a number"),
        (("45000.5", "1.5%"), "is a percentage"),
        (("2025-11-12T11:30:00Z", "soon"), "exit_time (column 'Close Time'): 'soon' is not a time"),
        (("41.5", "high"), "rsi (column 'f_rsi'): 'high' is not a number"),
        ((",0.25", ""), "The line has 9 columns, the first line 10."),
        (("0.25", "0.25,more"), "The line has 11 columns, the first line 10."),
        ((",1.2", ",-1.2"), "--map 'fees=-Fee'"),
    ],
)
def test_what_is_wrong_in_a_line_refuses_that_line_alone(tmp_path: Path, changed: tuple[str, str], said: str) -> None:
    assert said in reason(tmp_path, LINE.replace(*changed, 1))


def test_columns_that_end_in_nothing_do_no_harm(tmp_path: Path) -> None:
    assert rows(tmp_path, f"{HEAD}\n{LINE},\n{LINE},,\n") == [ROW, ROW]


def test_an_empty_cell_tells_nothing(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, f"{HEAD}\n{LINE.replace('0.1,1.2,41.5', ',,')}\n")

    assert "quantity" not in row
    assert "fees" not in row
    assert row["features"] == {"trend": 0.25}


def test_a_sign_is_turned_where_it_was_said(tmp_path: Path) -> None:
    wishes = Wishes(columns={"fees": "-Fee"}, feature_prefix="f_")

    assert rows(tmp_path, f"{HEAD}\n{LINE.replace(',1.2,', ',-1.2,')}\n", wishes) == [ROW]


def test_a_value_for_every_row_is_read_like_a_cell(tmp_path: Path) -> None:
    wishes = Wishes(constants={"predicted_action": "short", "quantity": "2"}, feature_prefix="f_")
    head, line = HEAD.replace(",Side", "").replace(",Qty", ""), LINE.replace(",long", "").replace(",0.1", "")

    (row,) = rows(tmp_path, f"{head}\n{line}\n", wishes)

    assert (row["predicted_action"], row["quantity"]) == ("SELL", 2.0)


def test_without_features_a_row_has_none(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, f"{HEAD}\n{LINE}\n", Wishes())

    assert "features" not in row


def test_a_naive_time_is_refused_unless_its_zone_is_said(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{HEAD}\n{LINE}\n".replace(":00Z", ":00"))

    (line,) = read(path, form=Form(Reading()))

    assert "--timezone" in str(line.reason)


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8),
            st.floats(0.01, 1e6),
            st.floats(-1e3, 1e3),
        ),
        max_size=8,
    ),
    st.sampled_from([",", ";", "\t", "|"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_the_notes_hold_the_figures_are_read_back(
    tmp_path: Path, lines: list[tuple[str, float, float]], delimiter: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow([*HEAD.split(","), "Note"])
    for note, price, feature in lines:
        cells = LINE.split(",")
        cells[4], cells[8] = repr(price), repr(feature)
        writer.writerow([*cells, note])

    found = rows(tmp_path, text.getvalue())

    assert [(row["entry_price"], row["features"]["rsi"]) for row in found] == [(line[1], line[2]) for line in lines]


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_bytes_break_the_reader(tmp_path: Path, content: bytes) -> None:
    told = None
    try:
        rows(tmp_path, f"{HEAD}\n".encode() + content)
    except InvalidInputError as error:
        told = error.message

    assert "\n" not in (told or "")


def test_a_file_is_read_as_it_is_asked_for_and_says_how_far(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"{HEAD}\n" + f"{LINE}\n" * 50_000)

    with open_trades(path, PREFIX, FORM) as trades:
        assert trades.share() < 0.1
        for _ in range(25_000):
            next(trades.lines)
        assert 0.4 < trades.share() < 0.6
        assert sum(1 for _ in trades.lines) == 25_000
        assert trades.share() == 1.0
