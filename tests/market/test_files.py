"""Candle files as a market: joined, resampled and replayed in event order."""

import csv
import gzip
import os
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai_engine.candles import timeframe_ms
from backend.clock import from_ms, to_ms
from backend.errors import InvalidInputError, NotFoundError
from backend.market.files import FileMarket, expand, read_file

START = datetime(2024, 5, 1, tzinfo=UTC)
START_MS = to_ms(START)
MINUTE = 60_000
Writer = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    """Writes one file: name, then (index, close) rows; other values follow from the close."""

    def write(name: str, rows: list[tuple[int, float]], folder: Path = tmp_path) -> Path:
        length = timeframe_ms(name.replace(".", "-").split("-")[1])
        lines = []
        for index, close in rows:
            opened = START_MS + index * length
            lines.append(
                f"{opened},{close},{close + 1},{close / 2},{close},{index % 7},{opened + length - 1},0,0,0,0,0"
            )
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def steady(count: int, first: int = 0) -> list[tuple[int, float]]:
    return [(index, 100.0 + index) for index in range(first, first + count)]


def closes(feed: FileMarket, symbol: str) -> list[float]:
    return feed.history(symbol, datetime(2099, 1, 1, tzinfo=UTC), 10_000).close.tolist()


def minutes(feed: FileMarket, after: datetime | None = START) -> list[tuple[float, tuple[str, ...]]]:
    """Close time in minutes after the start, and the symbols, of every round."""
    return [((r.close_time - START) / timedelta(minutes=1), tuple(r.candles)) for r in feed.rounds(after)]


def test_it_names_its_source_timeframe_and_symbols(write: Writer, tmp_path: Path) -> None:
    write("ETHUSDT-5m.csv", steady(3))
    write("BTCUSDT-5m.csv", steady(3))

    feed = FileMarket(tmp_path, "5m")

    assert (feed.source, feed.timeframe, feed.symbols) == ("replay", "5m", ("BTCUSDT", "ETHUSDT"))


def test_a_round_holds_the_values_of_the_file_at_the_close_time(write: Writer, tmp_path: Path) -> None:
    write("BTCUSDT-5m.csv", [(0, 10.0), (1, 12.0)])

    first, second = FileMarket(tmp_path, "5m").rounds(START)

    assert first.close_time == START + timedelta(minutes=5)
    assert second.candles == {"BTCUSDT": (12.0, 13.0, 6.0, 12.0, 1.0)}
    assert all(type(value) is float for value in second.candles["BTCUSDT"])


def test_rounds_follow_time_over_all_symbols_with_gaps_and_late_listings(write: Writer, tmp_path: Path) -> None:
    write("AAA-5m.csv", [(0, 1.0), (1, 1.0), (4, 1.0)])
    write("BBB-5m.csv", [(1, 1.0), (2, 1.0), (4, 1.0)])
    write("CCC-5m.csv", [(4, 1.0), (5, 1.0)])

    assert minutes(FileMarket(tmp_path, "5m")) == [
        (5, ("AAA",)),
        (10, ("AAA", "BBB")),
        (15, ("BBB",)),
        (25, ("AAA", "BBB", "CCC")),
        (30, ("CCC",)),
    ]


def test_rounds_lie_after_one_time_and_up_to_another(write: Writer, tmp_path: Path) -> None:
    write("AAA-5m.csv", steady(10))
    feed = FileMarket(tmp_path, "5m")

    found = [r.close_time for r in feed.rounds(START + timedelta(minutes=10), until=START + timedelta(minutes=20))]

    assert found == [START + timedelta(minutes=15), START + timedelta(minutes=20)]
    assert list(feed.rounds(START + timedelta(minutes=50))) == []
    assert len(list(feed.rounds(START + timedelta(minutes=49.99)))) == 1


def test_the_start_is_the_first_candle_after_a_full_window_of_any_symbol(write: Writer, tmp_path: Path) -> None:
    write("AAA-5m.csv", steady(600, first=100))
    write("BBB-5m.csv", steady(750))
    write("CCC-5m.csv", steady(10, first=700))

    feed = FileMarket(tmp_path, "5m")

    assert feed.start == START + timedelta(minutes=5 * 501)
    assert len(feed.history("BBB", feed.start - timedelta(minutes=5), 500)) == 500
    assert len(feed.history("AAA", feed.start - timedelta(minutes=5), 500)) == 400
    assert minutes(feed, None)[0] == (5 * 501, ("AAA", "BBB"))
    assert minutes(feed, None)[200] == (5 * 701, ("BBB", "CCC"))


def test_a_young_symbol_is_in_the_rounds_from_its_first_candle_on(write: Writer, tmp_path: Path) -> None:
    write("AAA-5m.csv", steady(600))
    write("BBB-5m.csv", steady(20, first=550))

    rounds = minutes(FileMarket(tmp_path, "5m"), None)

    assert rounds[49:51] == [(5 * 550, ("AAA",)), (5 * 551, ("AAA", "BBB"))]


def test_without_a_full_window_the_start_is_the_first_candle_there_is(write: Writer, tmp_path: Path) -> None:
    write("AAA-5m.csv", steady(500, first=3))
    write("BBB-5m.csv", steady(5, first=2))

    feed = FileMarket(tmp_path, "5m")

    assert feed.start == START + timedelta(minutes=15)
    assert minutes(feed, None)[0] == (15, ("BBB",))


def test_history_is_closed_candles_only_newest_last(write: Writer, tmp_path: Path) -> None:
    write("AAA-5m.csv", steady(10))
    feed = FileMarket(tmp_path, "5m")

    assert feed.history("AAA", START + timedelta(minutes=20), 2).close.tolist() == [102.0, 103.0]
    assert feed.history("AAA", START + timedelta(minutes=19.99), 2).close.tolist() == [101.0, 102.0]
    assert len(feed.history("AAA", START, 5)) == 0
    with pytest.raises(NotFoundError, match="No file holds BBB; the files hold AAA"):
        feed.history("BBB", START, 5)


def test_several_files_of_one_symbol_are_joined_and_the_first_in_order_stays(write: Writer, tmp_path: Path) -> None:
    write("AAA-5m-2.csv", [(1, 20.0), (2, 20.0)])
    write("AAA-5m-1.csv", [(0, 10.0), (1, 10.0)])

    assert closes(FileMarket(tmp_path, "5m"), "AAA") == [10.0, 10.0, 20.0]
    assert closes(FileMarket(sorted(tmp_path.iterdir(), reverse=True), "5m"), "AAA") == [10.0, 10.0, 20.0]


def test_two_markets_of_one_symbol_do_not_double_it(write: Writer, tmp_path: Path) -> None:
    write("AAA-5m.csv", [(0, 10.0), (1, 11.0)], tmp_path / "perp")
    write("AAA-5m.csv", [(1, 99.0), (2, 99.0)], tmp_path / "spot")

    feed = FileMarket(str(tmp_path / "*" / "AAA-*.csv"), "5m")

    assert closes(feed, "AAA") == [10.0, 11.0, 99.0]


def test_finer_files_are_gathered_and_a_coarse_candle_over_a_file_border_is_whole(
    write: Writer, tmp_path: Path
) -> None:
    write("AAA-1m-a.csv", [(0, 1.0), (1, 2.0), (2, 9.0)])
    write("AAA-1m-b.csv", [(3, 3.0), (4, 4.0), (5, 5.0)])

    ((*_, only),) = [list(FileMarket(tmp_path, "5m").rounds(START))]

    assert only.candles == {"AAA": (1.0, 10.0, 0.5, 4.0, 10.0)}
    assert only.close_time == START + timedelta(minutes=5)


def test_files_of_several_finenesses_are_joined(write: Writer, tmp_path: Path) -> None:
    write("AAA-1m.csv", [(index, 1.0) for index in range(10)])
    write("AAA-5m.csv", [(1, 7.0), (2, 8.0), (3, 9.0)])

    assert closes(FileMarket(tmp_path, "5m"), "AAA") == [1.0, 1.0, 8.0, 9.0]
    assert closes(FileMarket(tmp_path, "10m"), "AAA") == [1.0, 9.0]


@pytest.mark.parametrize(("timeframe", "fault"), [("1m", "coarser than 1m"), ("7m", "do not divide 7m evenly")])
def test_files_that_cannot_make_the_timeframe_are_refused_by_name(
    write: Writer, tmp_path: Path, timeframe: str, fault: str
) -> None:
    path = write("AAA-5m.csv", steady(3))

    with pytest.raises(InvalidInputError, match=fault) as caught:
        FileMarket(tmp_path, timeframe)

    assert str(path) in caught.value.message
    assert caught.value.reason == "timeframe_mismatch"


def test_a_timeframe_that_no_candle_fills_is_refused(write: Writer, tmp_path: Path) -> None:
    write("AAA-1m.csv", steady(3))

    with pytest.raises(InvalidInputError, match="no complete candle of 5m"):
        FileMarket(tmp_path, "5m")


def test_only_the_named_symbols_are_read(write: Writer, tmp_path: Path) -> None:
    write("AAA-5m.csv", steady(3))
    (tmp_path / "BBB-5m.csv").write_text("damaged")

    assert FileMarket(tmp_path, "5m", ("AAA",)).symbols == ("AAA",)
    with pytest.raises(InvalidInputError, match="No candle file for CCC, DDD"):
        FileMarket(tmp_path, "5m", ("AAA", "DDD", "CCC"))
    with pytest.raises(InvalidInputError, match=r"BBB-5m\.csv is damaged at line 1"):
        FileMarket(tmp_path, "5m")


def test_every_file_reports_what_was_dropped(write: Writer, tmp_path: Path) -> None:
    path = write("AAA-5m.csv", [(0, 1.0), (0, 1.0), (2, -1.0), (1, 1.0)])
    write("BBB-5m.csv", steady(2))

    reports = FileMarket(tmp_path, "5m").reports

    assert [(report.path, report.symbol, report.timeframe_ms) for report in reports] == [
        (path, "AAA", 5 * MINUTE),
        (tmp_path / "BBB-5m.csv", "BBB", 5 * MINUTE),
    ]
    assert reports[0].counts == read_file(path)[2]
    assert {name: count for name, count in reports[0].counts.items() if count} == {
        "rows": 4,
        "price_not_positive": 1,
        "repeated_time": 1,
        "backward_times": 1,
        "zero_volume": 1,
    }


def test_a_folder_a_glob_and_a_list_find_the_same_files_sorted_and_once(write: Writer, tmp_path: Path) -> None:
    expected = [write(f"{name}-5m.csv", steady(2)) for name in ("AAA", "BBB", "CCC")]
    (tmp_path / "README.md").write_text("not a candle file")
    (tmp_path / ".AAA-5m.csv").write_text("half a download")
    (tmp_path / "deeper").mkdir()

    assert expand(tmp_path) == expected
    assert expand(str(tmp_path)) == expected
    assert expand(f"{tmp_path}/*-5m.csv") == expected
    assert expand([*reversed(expected), f"{tmp_path}/[AB]*", tmp_path]) == expected
    assert expand(str(tmp_path / "**" / "*.csv")) == expected


def test_relative_paths_start_at_the_current_folder(write: Writer, tmp_path: Path) -> None:
    write("AAA-5m.csv", steady(2), tmp_path / "data")
    before = Path.cwd()
    try:
        os.chdir(tmp_path)
        assert expand("data") == expand("data/*.csv") == expand("*/AAA*") == [Path("data/AAA-5m.csv")]
    finally:
        os.chdir(before)


@pytest.mark.parametrize("pattern", ["", "missing", "*.nothing", "missing/AAA-5m.csv"])
def test_a_path_that_leads_to_no_candle_file_is_refused_by_name(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(InvalidInputError, match="No candle file") as caught:
        FileMarket(str(tmp_path / pattern), "5m")

    assert str(tmp_path / pattern) in caught.value.message
    assert caught.value.reason == "no_candle_file"


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    known=st.dictionaries(st.sampled_from(["AAA", "BBB", "CCC"]), st.sets(st.integers(0, 40), min_size=1), min_size=1),
    cut=st.integers(-1, 41),
)
def test_reading_in_two_parts_gives_what_one_reading_gives(
    write: Writer, tmp_path: Path, known: dict[str, set[int]], cut: int
) -> None:
    files = [write(f"{symbol}-5m.csv", [(index, 5.0) for index in rows]) for symbol, rows in known.items()]
    feed = FileMarket(files, "5m")
    border = START + timedelta(minutes=5 * cut + 5)

    whole = list(feed.rounds(START - timedelta(days=1)))
    parts = [*feed.rounds(START - timedelta(days=1), until=border), *feed.rounds(border)]

    expected = defaultdict(list)
    for symbol in sorted(known):
        for index in known[symbol]:
            expected[START + timedelta(minutes=5 * index + 5)].append(symbol)
    assert parts == whole
    assert [(r.close_time, list(r.candles)) for r in whole] == sorted(expected.items())


def raw_rows(path: Path) -> list[list[str]]:
    with gzip.open(path, "rt") as file:
        return list(csv.reader(file))


@pytest.mark.market_data
def test_real_minutes_gather_into_what_plain_arithmetic_gives(market_data: Path) -> None:
    path = market_data / "bittrex-spot" / "XRPBTC-1m.csv.gz"
    buckets = defaultdict(list)
    for cells in raw_rows(path):
        buckets[int(cells[0]) // 300_000 * 300_000].append([float(cell) for cell in cells[1:6]])

    candles = FileMarket(path, "5m").history("XRPBTC", datetime(2099, 1, 1, tzinfo=UTC), 10**6)

    assert candles.open_time.tolist() == sorted(buckets)[: len(candles)]
    assert len(buckets) - len(candles) in (0, 1)
    for index in range(0, len(candles), 97):
        rows = buckets[int(candles.open_time[index])]
        assert candles.open[index] == rows[0][0]
        assert candles.high[index] == max(row[1] for row in rows)
        assert candles.low[index] == min(row[2] for row in rows)
        assert candles.close[index] == rows[-1][3]
        assert candles.volume[index] == pytest.approx(sum(row[4] for row in rows))


@pytest.mark.market_data
def test_minutes_of_the_same_market_gather_into_the_published_coarse_candles(market_data: Path) -> None:
    spot = market_data / "binance-spot"
    end = datetime(2024, 9, 1, tzinfo=UTC)

    gathered = FileMarket(spot / "SOLUSDT-5m.csv.gz", "1h").history("SOLUSDT", end, 5_000)
    published = FileMarket(spot / "SOLUSDT-1h.csv.gz", "1h").history("SOLUSDT", end, 5_000)

    for name in ("open_time", "open", "high", "low", "close"):
        np.testing.assert_array_equal(getattr(gathered, name), getattr(published, name))
    np.testing.assert_allclose(gathered.volume, published.volume, rtol=1e-9)


@pytest.mark.market_data
def test_two_downloads_appended_are_one_clean_series(market_data: Path) -> None:
    path = market_data / "awkward" / "BTCUSDT-1h-overlap.csv.gz"
    plain = market_data / "binance-spot" / "BTCUSDT-1h.csv.gz"
    feed, reference = FileMarket(path, "1h"), FileMarket(plain, "1h")

    rounds = list(feed.rounds(datetime(2023, 1, 1, tzinfo=UTC)))

    assert len(rounds) == 7_815 - 2_703
    times = [to_ms(r.close_time) for r in rounds]
    assert times == list(range(times[0], times[-1] + 1, 3_600_000))
    expected = reference.history("BTCUSDT", from_ms(times[-1]), len(rounds))
    assert [r.candles["BTCUSDT"][3] for r in rounds] == expected.close.tolist()


@pytest.mark.market_data
def test_a_real_late_listing_joins_the_rounds_when_it_begins(market_data: Path) -> None:
    spot = market_data / "binance-spot"
    feed = FileMarket([spot / "RENDERUSDT-5m.csv.gz", spot / "XRPUSDT-5m.csv.gz"], "5m")

    rounds = list(feed.rounds(None))

    assert feed.start == datetime(2024, 7, 24, 15, 15, tzinfo=UTC)
    first = next(r.close_time for r in rounds if "RENDERUSDT" in r.candles)
    assert first == datetime(2024, 7, 26, 8, 5, tzinfo=UTC)
    assert [tuple(r.candles) for r in rounds[-2:]] == [("RENDERUSDT", "XRPUSDT"), ("RENDERUSDT",)]


@pytest.mark.market_data
def test_a_coarse_file_among_real_ones_is_refused(market_data: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"BTCUSDT-1h\.csv\.gz holds candles coarser than 5m"):
        FileMarket(market_data / "binance-spot", "5m")


@pytest.mark.market_data
def test_a_month_of_five_real_symbols_is_resampled_whole(market_data: Path) -> None:
    feed = FileMarket(str(market_data / "binance-perp" / "*-1m.csv.gz"), "5m")

    count = sum(len(r.candles) for r in feed.rounds(None))

    assert feed.symbols == ("BTCUSDT", "ETHUSDT", "LTCUSDT", "SOLUSDT", "XRPUSDT")
    assert count == 5 * 7_954
