"""What a round may look at is the last 500 candles of each symbol, however the rounds arrive."""

from pathlib import Path

import numpy as np
import pytest

from ai_engine.candles import Candles
from ai_engine.features.catalogue import WINDOW
from ai_engine.features.compute import compute
from backend.clock import to_ms
from backend.market.feed import CandleRound
from backend.market.files import FileMarket
from backend.trading.windows import look
from tests.trading.desk import FIVE_MINUTES, START


@pytest.fixture
def rounds(files: Path) -> list[CandleRound]:
    return list(FileMarket(files, "5m").rounds(START))


def of_files(files: Path, symbol: str) -> Candles:
    return FileMarket(files, "5m").history(symbol, START + 1_000 * FIVE_MINUTES, 1_000)


def test_each_observation_has_the_features_of_its_own_last_candles(files: Path, rounds: list[CandleRound]) -> None:
    seen = [item for one in look({}, rounds, FIVE_MINUTES).seen for item in one]
    candles = {symbol: of_files(files, symbol) for symbol in ("AAAUSDT", "BBBUSDT")}

    assert len(seen) == sum(len(series) - WINDOW + 1 for series in candles.values())
    for item in seen[::17]:
        history = candles[item.symbol].upto(to_ms(item.closed_at))
        np.testing.assert_allclose(item.features, compute(history), rtol=1e-6, atol=1e-6)
        assert item.closes[-1] == history.close[-1]


@pytest.mark.parametrize("size", [1, 7, 64])
def test_chunks_show_the_same_as_single_rounds_do(rounds: list[CandleRound], size: int) -> None:
    rounds = rounds[490:]
    whole = look({}, rounds, FIVE_MINUTES)
    before = look({}, list(rounds), FIVE_MINUTES).windows
    windows: dict[str, Candles] = {}
    seen = []
    for at in range(0, len(rounds), size):
        shown = look(windows, rounds[at : at + size], FIVE_MINUTES)
        windows = shown.windows
        seen += shown.seen

    assert [[item.symbol for item in one] for one in seen] == [[item.symbol for item in one] for one in whole.seen]
    for symbol, window in windows.items():
        np.testing.assert_array_equal(window.close, before[symbol].close)


def test_looking_leaves_the_windows_as_they_were(rounds: list[CandleRound]) -> None:
    windows = look({}, rounds[:510], FIVE_MINUTES).windows
    copy = {symbol: window.close.copy() for symbol, window in windows.items()}

    after = look(windows, rounds[510:520], FIVE_MINUTES).windows

    assert all(np.array_equal(windows[symbol].close, copy[symbol]) for symbol in copy)
    assert all(len(window) <= WINDOW for window in after.values())


def test_a_symbol_without_500_candles_is_not_looked_at(rounds: list[CandleRound]) -> None:
    shown = look({}, rounds[:WINDOW], FIVE_MINUTES)

    assert [item.symbol for one in shown.seen for item in one] == ["AAAUSDT"] * sum(bool(one) for one in shown.seen)
    assert shown.seen[-1]
