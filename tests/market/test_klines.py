"""One candle file: what it holds, what was wrong with it, and the line that makes it unreadable."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from backend.errors import InvalidInputError
from backend.market.klines import name_parts, read_file

START_MS = int(datetime(2024, 5, 1, tzinfo=UTC).timestamp()) * 1000
HOUR = 3_600_000
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
REASONS = ("not_finite", "price_not_positive", "high_low_contradiction", "negative_volume", "off_grid", "repeated_time")


def row(index: int, bar: str = "10,12,9,11,5", *, unit: int = 1) -> str:
    """One line of an hourly file; ``unit`` 1000 writes microseconds."""
    opened = (START_MS + index * HOUR) * unit
    return f"{opened},{bar},{opened + HOUR * unit - 1},55,3,2,22,0"


def write(folder: Path, *lines: str, name: str = "BTCUSDT-1h.csv", end: str = "\n") -> Path:
    path = folder / name
    content = end.join([*lines, ""]).encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def refusal(path: Path) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        read_file(path)
    assert str(path) in caught.value.message
    assert caught.value.reason == "invalid_candle_file"
    assert caught.value.extra["path"] == str(path)
    return caught.value


@pytest.mark.parametrize("name", ["BTCUSDT-1h.csv", "BTCUSDT-1h.csv.gz"])
@pytest.mark.parametrize("unit", [1, 1000], ids=["milliseconds", "microseconds"])
@pytest.mark.parametrize("top", [[], [HEADER]], ids=["without header", "with header"])
def test_every_dialect_of_the_layout_gives_the_same_candles(
    tmp_path: Path, name: str, unit: int, top: list[str]
) -> None:
    lines = [row(0, "10,12,9,11,5", unit=unit), row(1, "11,13.5,10,10.5,0", unit=unit)]

    symbol, candles, counts = read_file(write(tmp_path, *top, *lines, name=name))

    assert symbol == "BTCUSDT"
    assert candles.timeframe_ms == HOUR
    assert candles.open_time.tolist() == [START_MS, START_MS + HOUR]
    assert candles.open.tolist() == [10, 11]
    assert candles.high.tolist() == [12, 13.5]
    assert candles.low.tolist() == [9, 10]
    assert candles.close.tolist() == [11, 10.5]
    assert candles.volume.tolist() == [5, 0]
    assert counts["rows"] == 2
    assert counts["zero_volume"] == 1
    assert not any(counts[reason] for reason in REASONS)


def test_windows_line_ends_blank_lines_and_a_byte_order_mark_do_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, row(0), "", row(1), end="\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    _, candles, _ = read_file(path)

    assert len(candles) == 2


def test_a_header_repeated_where_files_were_appended_is_skipped(tmp_path: Path) -> None:
    _, candles, counts = read_file(write(tmp_path, HEADER, row(0), HEADER, row(1)))

    assert len(candles) == counts["rows"] == 2


def test_milliseconds_and_microseconds_may_stand_in_one_file(tmp_path: Path) -> None:
    _, candles, _ = read_file(write(tmp_path, row(0), row(1, unit=1000)))

    assert candles.open_time.tolist() == [START_MS, START_MS + HOUR]


def test_rows_are_sorted_and_of_a_repeated_time_the_first_stays(tmp_path: Path) -> None:
    lines = [row(3), row(0), row(1, "1,1,1,1,1"), row(1, "2,2,2,2,2"), row(6)]

    _, candles, counts = read_file(write(tmp_path, *lines))

    assert ((candles.open_time - START_MS) // HOUR).tolist() == [0, 1, 3, 6]
    assert candles.close.tolist() == [11, 1, 11, 11]
    assert (counts["repeated_time"], counts["backward_times"]) == (1, 1)
    assert (counts["gaps"], counts["missing_candles"]) == (2, 3)


@pytest.mark.parametrize(
    ("bar", "reason"),
    [
        ("10,12,9,nan,5", "not_finite"),
        ("10,12,9,,5", "not_finite"),
        ("10,inf,9,11,5", "not_finite"),
        ("0,12,0,11,5", "price_not_positive"),
        ("-1,12,-2,11,5", "price_not_positive"),
        ("10,10.5,9,11,5", "high_low_contradiction"),
        ("10,12,10.5,11,5", "high_low_contradiction"),
        ("10,12,9,11,-5", "negative_volume"),
    ],
)
def test_a_row_that_cannot_be_a_candle_is_dropped_and_counted(tmp_path: Path, bar: str, reason: str) -> None:
    _, candles, counts = read_file(write(tmp_path, row(0), row(1, bar), row(2)))

    assert ((candles.open_time - START_MS) // HOUR).tolist() == [0, 2]
    assert {name: counts[name] for name in REASONS} == dict.fromkeys(REASONS, 0) | {reason: 1}
    assert (counts["rows"], counts["gaps"]) == (3, 1)


def test_a_candle_off_the_grid_is_dropped_and_counted(tmp_path: Path) -> None:
    _, candles, counts = read_file(
        write(tmp_path, row(0), row(1).replace(str(START_MS + HOUR), str(START_MS + 90_000)))
    )

    assert len(candles) == counts["off_grid"] == 1


def test_unused_columns_may_be_empty(tmp_path: Path) -> None:
    short = ",".join([*row(1).split(",")[:6], "", "", "", "", "", ""])

    _, candles, _ = read_file(write(tmp_path, row(0), short))

    assert len(candles) == 2


@pytest.mark.parametrize("lines", [[], [""], [HEADER], [HEADER, "", " "], [HEADER, HEADER]])
@pytest.mark.parametrize("name", ["BTCUSDT-1h.csv", "BTCUSDT-1h.csv.gz"])
def test_a_file_without_a_row_is_refused(tmp_path: Path, lines: list[str], name: str) -> None:
    assert "is empty" in refusal(write(tmp_path, *lines, name=name)).message


@pytest.mark.parametrize(
    ("lines", "line", "fault"),
    [
        ([row(0), row(1), "what is this"], 3, "12 columns expected, 1 found"),
        ([row(0), "", row(1) + ",7"], 3, "12 columns expected, 13 found"),
        ([row(0), row(1)[:22]], 2, "12 columns expected, 5 found"),
        ([HEADER, row(0), row(1, "10,12,x9,11,5")], 3, "x9"),
        ([row(0, "10,12,9,null,5")], 1, "null"),
        ([",".join(row(0).split(",")[:6]), ",".join(row(1).split(",")[:6])], 1, "12 columns expected, 6 found"),
        ([HEADER, row(0) + ",1", row(1) + ",1"], 2, "12 columns expected, 13 found"),
        (["<html><body>404 Not Found</body></html>"], 1, "12 columns expected, 1 found"),
    ],
)
def test_text_that_is_no_row_is_refused_with_its_line(tmp_path: Path, lines: list[str], line: int, fault: str) -> None:
    error = refusal(write(tmp_path, *lines))

    assert error.extra["line"] == line
    assert f"damaged at line {line}" in error.message
    assert fault in error.message
    assert "Download it again" in error.message


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_gzip_file_is_refused_near_the_line_where_it_breaks(tmp_path: Path, cut: float) -> None:
    random = np.random.default_rng(1)
    path = write(tmp_path, *(row(i, f"10,12,9,11,{random.random()}") for i in range(4_000)), name="BTCUSDT-1h.csv.gz")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * cut)])

    error = refusal(path)

    assert error.extra["line"] == pytest.approx(4_000 * cut, abs=200)
    assert "compressed data" in error.message


def test_a_gzip_file_with_broken_bytes_inside_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, *(row(i) for i in range(2_000)), name="BTCUSDT-1h.csv.gz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = b"\x00" * 40
    path.write_bytes(bytes(content))

    assert "damaged at line" in refusal(path).message


def test_plain_text_under_a_gzip_name_is_read_as_the_text_it_is(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-1h.csv.gz"
    path.write_text(row(0) + "\n")

    assert len(read_file(path)[1]) == 1


def test_random_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSDT-1h.csv"
    path.write_bytes(np.random.default_rng(5).bytes(5_000))

    assert "damaged at line 1" in refusal(path).message


def test_a_file_none_of_whose_rows_is_a_candle_is_refused_with_the_counts(tmp_path: Path) -> None:
    error = refusal(write(tmp_path, row(0, "0,0,0,0,0"), row(1, "nan,1,1,1,1")))

    assert "1 not_finite, 1 price_not_positive" in error.message


def test_open_times_in_seconds_are_refused(tmp_path: Path) -> None:
    lines = [
        row(index).replace(str(START_MS + index * HOUR), str((START_MS + index * HOUR) // 1000)) for index in (0, 1)
    ]

    assert "neither milliseconds nor microseconds" in refusal(write(tmp_path, *lines)).message


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "BTCUSDT-1h.csv").message


@pytest.mark.parametrize(
    ("name", "symbol", "length"),
    [
        ("BTCUSDT-5m.csv", "BTCUSDT", 300_000),
        ("BTCUSDT-1h-overlap.csv.gz", "BTCUSDT", 3_600_000),
        ("ETHUSDT-1h-2020.csv.gz", "ETHUSDT", 3_600_000),
        ("BTCUSDT-1m-2024-05.csv", "BTCUSDT", 60_000),
        ("1000PEPEUSDT-1d.v2.csv", "1000PEPEUSDT", 86_400_000),
        ("btcusdt-5m_old.csv", "BTCUSDT", 300_000),
        ("BTCUSDT_240628-5m.csv", "BTCUSDT_240628", 300_000),
    ],
)
def test_the_name_gives_symbol_and_timeframe(name: str, symbol: str, length: int) -> None:
    assert name_parts(Path(name)) == (symbol, length)


@pytest.mark.parametrize(
    "name", ["BTCUSDT.csv", "candles.csv.gz", "-5m.csv", "BTCUSDT-5mx.csv", "BTCUSDT-1M.csv", "BTCUSDT-0m.csv"]
)
def test_a_name_without_symbol_and_timeframe_is_refused_with_the_remedy(tmp_path: Path, name: str) -> None:
    message = refusal(write(tmp_path, row(0), name=name)).message

    assert "is not named SYMBOL-TIMEFRAME" in message or "unknown timeframe" in message


def published(folder: Path) -> dict[str, list[str]]:
    """The table of the data's own README: file -> cells."""
    lines = (folder / "README.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.count("|") == 13]
    return {line[0]: line for line in cells if line[0].endswith(".csv.gz")}


@pytest.mark.market_data
def test_every_real_file_holds_what_its_documentation_says(market_data: Path) -> None:
    table = published(market_data)
    assert len(table) == 32

    for name, cells in table.items():
        symbol, candles, counts = read_file(market_data / name)
        rows, gaps, missing, zero, repeated, backward = (int(cell.replace(",", "")) for cell in cells[4:10])
        first, last = (datetime.strptime(cell, "%Y-%m-%d %H:%M").replace(tzinfo=UTC) for cell in cells[2:4])
        lowest, highest = (float(cell) for cell in cells[10].split(" .. "))
        assert Path(name).name.startswith(f"{symbol}-{cells[1]}")
        assert counts["rows"] == rows
        assert (counts["gaps"], counts["missing_candles"]) == (gaps, missing), name
        assert (counts["repeated_time"], counts["backward_times"]) == (repeated, backward), name
        assert counts["zero_volume"] == zero, name
        assert len(candles) == rows - repeated
        assert (candles.open_time[0], candles.open_time[-1]) == (first.timestamp() * 1000, last.timestamp() * 1000)
        assert (candles.low.min(), candles.high.max()) == (lowest, highest)
        assert not any(counts[reason] for reason in REASONS if reason != "repeated_time")
