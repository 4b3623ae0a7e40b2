"""The simulated market: the same candles whenever and however they are read, and as wild as a real market."""

import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_engine.candles import Candles
from backend.clock import Clock, from_ms, to_ms
from backend.errors import NotFoundError
from backend.market.feed import CandleRound, Feed
from backend.market.simulated import SimulatedMarket, describe
from backend.market.simulated_path import block_candles

NOW = datetime(2026, 3, 2, 12, 3, 20, tzinfo=UTC)
LAST_CLOSE = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SYMBOLS = ("BTCUSDC", "ETHUSDC", "SOLUSDC")
LENGTH = 300_000
YEAR = 288 * 365
LONG_READS = (("1m", 300_000), ("1h", 20_000))


def at(moment: datetime) -> Clock:
    return lambda: moment


def market(symbols: tuple[str, ...] = SYMBOLS, timeframe: str = "5m", *, seed: int = 7, now: datetime = NOW) -> Feed:
    return SimulatedMarket(symbols, timeframe, seed=seed, now=at(now))


def columns(candles: Candles) -> tuple[list[float], ...]:
    names = ("open_time", "open", "high", "low", "close", "volume")
    return tuple(getattr(candles, name).tolist() for name in names)


def returns(candles: Candles) -> np.ndarray:
    return np.log(candles.close / candles.open)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1])


@pytest.fixture(scope="module")
def years() -> dict[str, Candles]:
    """Three years of three symbols."""
    feed = market()
    return {symbol: feed.history(symbol, NOW, 3 * YEAR) for symbol in SYMBOLS}


def test_it_says_that_it_is_simulated() -> None:
    feed = market(("SOLUSDC", "BTCUSDC", "SOLUSDC"))

    assert (feed.source, feed.timeframe, feed.symbols) == ("simulated", "5m", ("BTCUSDC", "SOLUSDC"))


def test_a_fresh_trader_starts_thirty_days_back_on_the_grid_with_history_before() -> None:
    feed = market()

    assert feed.start == LAST_CLOSE - timedelta(days=30)
    assert len(feed.history("BTCUSDC", feed.start, 500)) == 500
    assert next(feed.rounds(None)).close_time == feed.start


def test_the_start_stays_where_it_was_at_the_first_call() -> None:
    clock = itertools.chain([NOW], itertools.repeat(NOW + timedelta(days=9)))
    feed = SimulatedMarket(SYMBOLS, "5m", now=lambda: next(clock))

    assert feed.start == feed.start == LAST_CLOSE - timedelta(days=30)


def test_nothing_closes_after_now() -> None:
    feed = market()
    far = NOW + timedelta(days=400)

    times = [round_.close_time for round_ in feed.rounds(NOW - timedelta(hours=1), until=far)]

    assert times[-1] == LAST_CLOSE
    assert len(times) == 12
    assert feed.history("BTCUSDC", far, 5).close_time[-1] == to_ms(LAST_CLOSE)


def test_a_candle_has_closed_at_its_close_time() -> None:
    just_closed = market(now=LAST_CLOSE).history("BTCUSDC", LAST_CLOSE, 1)
    still_open = market(now=LAST_CLOSE - timedelta(microseconds=1)).history("BTCUSDC", NOW, 1)

    assert just_closed.close_time[0] == to_ms(LAST_CLOSE)
    assert still_open.close_time[0] == to_ms(LAST_CLOSE) - LENGTH


def test_rounds_go_on_when_the_clock_has_moved() -> None:
    times = [NOW]
    feed = SimulatedMarket(SYMBOLS, "5m", now=lambda: times[-1])
    before = [round_.close_time for round_ in feed.rounds(LAST_CLOSE - timedelta(minutes=5))]

    times.append(NOW + timedelta(minutes=10))
    after = [round_.close_time for round_ in feed.rounds(before[-1])]

    assert before == [LAST_CLOSE]
    assert after == [LAST_CLOSE + timedelta(minutes=5), LAST_CLOSE + timedelta(minutes=10)]


def test_until_is_the_last_close_time_and_after_the_one_before_the_first() -> None:
    begin = LAST_CLOSE - timedelta(hours=2)

    times = [r.close_time for r in market().rounds(begin, until=begin + timedelta(minutes=15))]

    assert times == [begin + timedelta(minutes=5 * step) for step in (1, 2, 3)]
    assert list(market().rounds(begin, until=begin)) == []


def test_the_same_seed_gives_the_same_market_and_another_seed_another() -> None:
    one, again, other = (market(seed=seed).history("BTCUSDC", NOW, 700) for seed in (7, 7, 8))

    assert columns(one) == columns(again)
    assert abs(correlation(returns(one), returns(other))) < 0.2


def test_candles_do_not_depend_on_now_nor_on_the_other_symbols() -> None:
    known_then = market(now=NOW - timedelta(days=100)).history("ETHUSDC", NOW, 900)

    later = market(("ETHUSDC",), now=NOW + timedelta(days=1_500))

    assert columns(later.history("ETHUSDC", from_ms(int(known_then.close_time[-1])), 900)) == columns(known_then)


def test_rounds_give_the_candles_of_the_history() -> None:
    feed = market()
    rounds: list[CandleRound] = list(market().rounds(NOW - timedelta(days=4)))

    for symbol in SYMBOLS:
        expected = zip(*columns(feed.history(symbol, NOW, len(rounds)))[1:], strict=True)
        assert [round_.candles[symbol] for round_ in rounds] == list(expected)
    assert all(tuple(round_.candles) == SYMBOLS for round_ in rounds)


@settings(max_examples=40, deadline=None)
@given(
    before=st.datetimes(datetime(2019, 1, 1), datetime(2035, 1, 1)),  # noqa: DTZ001
    count=st.integers(1, 900),
    timeframe=st.sampled_from(["1m", "5m", "15m", "1h", "7m", "1d"]),
)
def test_any_window_equals_its_part_of_a_longer_one(before: datetime, count: int, timeframe: str) -> None:
    moment = before.replace(tzinfo=UTC)
    later = datetime(2036, 1, 1, tzinfo=UTC)

    part = market(("ADAUSDT",), timeframe, now=later).history("ADAUSDT", moment, count)
    whole = market(("ADAUSDT",), timeframe, now=later).history("ADAUSDT", moment + timedelta(days=2), count + 3_000)

    assert len(part) == count
    assert columns(part) == columns(whole.upto(int(part.close_time[-1])).tail(count))


@pytest.mark.parametrize(("timeframe", "year"), [("5m", 2026), ("1m", 2035), ("5m", 2060), ("1d", 2035)])
def test_far_times_are_reached_without_walking_there(timeframe: str, year: int) -> None:
    moment = datetime(year, 6, 1, tzinfo=UTC)
    feed = SimulatedMarket(SYMBOLS, timeframe, now=at(moment))

    found = feed.history("BTCUSDC", moment, 500)

    a_block = block_candles(found.timeframe_ms)
    needed = {int(opened) // found.timeframe_ms // a_block for opened in found.open_time}
    series = feed._series["BTCUSDC"]
    assert len(found) == 500
    assert {*series._blocks} == {*series._own._blocks} == {*series._market._blocks} == needed
    assert not any(feed._series[symbol]._blocks for symbol in ("ETHUSDC", "SOLUSDC"))


def test_before_the_first_candle_there_is_nothing() -> None:
    feed = market(("BTCUSDC",), "1d", now=datetime(1970, 1, 4, tzinfo=UTC))

    assert feed.history("BTCUSDC", datetime(1970, 1, 4, tzinfo=UTC), 500).open_time.tolist() == [
        0,
        86_400_000,
        172_800_000,
    ]
    assert len(feed.history("BTCUSDC", datetime(1969, 1, 1, tzinfo=UTC), 500)) == 0


def test_a_long_read_keeps_only_a_few_blocks_in_memory() -> None:
    feed = SimulatedMarket(SYMBOLS, "5m", now=at(NOW))
    list(feed.rounds(NOW - timedelta(days=60)))

    assert all(len(series._blocks) <= 4 for series in feed._series.values())


def test_an_unknown_symbol_is_refused_with_those_there_are() -> None:
    with pytest.raises(NotFoundError, match="no DOGEUSDC; it has BTCUSDC, ETHUSDC, SOLUSDC"):
        market().history("DOGEUSDC", NOW, 5)


@pytest.mark.parametrize("symbol", ["BTCUSDC", "SHIBUSDT", "X", "1000PEPEUSDT", "ETHBTC", "a-b.c"])
@pytest.mark.parametrize("timeframe", ["1m", "5m", "4h", "1d"])
def test_every_candle_of_any_symbol_keeps_the_rules(symbol: str, timeframe: str) -> None:
    candles = market((symbol,), timeframe).history(symbol, NOW, 2_000)

    assert (np.diff(candles.open_time) == candles.timeframe_ms).all()
    assert (candles.open[1:] == candles.close[:-1]).all()
    assert (candles.low <= np.minimum(candles.open, candles.close)).all()
    assert (candles.high >= np.maximum(candles.open, candles.close)).all()
    assert (candles.low > 0).all()
    assert (candles.volume > 0).all()
    assert ((candles.high > candles.open) & (candles.low < candles.open)).mean() > 0.5


@pytest.mark.parametrize(
    ("symbol", "base"),
    [("BTCUSDC", 60_000), ("BTCEUR", 60_000), ("ETHUSDT", 3_000), ("SOLFDUSD", 150)],
)
def test_well_known_symbols_have_their_usual_price(symbol: str, base: float) -> None:
    assert describe(symbol)[0] == base


def test_other_symbols_have_a_price_of_their_own_that_never_changes() -> None:
    bases = {symbol: describe(symbol)[0] for symbol in ("ADAUSDT", "XRPUSDT", "ETHBTC", "BTCDOMUSDT")}

    assert bases == {symbol: describe(symbol)[0] for symbol in bases}
    assert len(set(bases.values())) == 4
    assert all(0.1 <= base <= 1_000 for base in bases.values())


@pytest.mark.parametrize("timeframe", ["5m", "1h"])
def test_prices_stay_plausible_for_decades(timeframe: str) -> None:
    lasting = market(timeframe=timeframe, now=datetime(2055, 1, 1, tzinfo=UTC))
    ends = [datetime(year, month, 1, tzinfo=UTC) for year in range(2020, 2055) for month in (1, 7)]

    for symbol in SYMBOLS:
        closes = np.array([lasting.history(symbol, end, 1).close[0] for end in ends])
        assert 0.6 < np.median(closes) / describe(symbol)[0] < 1.7
        assert (closes / describe(symbol)[0]).min() > 0.2
        assert (closes / describe(symbol)[0]).max() < 5.0


def test_hourly_moves_often_pay_the_costs_of_a_trade(years: dict[str, Candles]) -> None:
    for candles in years.values():
        hourly = np.log(candles.close[12:] / candles.close[:-12])
        assert 0.0015 < returns(candles).std() < 0.0035
        assert (np.abs(hourly) > 0.0024).mean() > 0.5


def test_volatility_grows_with_the_root_of_the_timeframe() -> None:
    minutes, hours = (market(timeframe=name).history("BTCUSDC", NOW, count) for name, count in LONG_READS)

    assert returns(hours).std() / returns(minutes).std() == pytest.approx(np.sqrt(60), rel=0.15)


def test_volatility_comes_in_clusters_and_returns_hardly_follow_each_other(years: dict[str, Candles]) -> None:
    for candles in years.values():
        moves = returns(candles)
        size = np.abs(moves)
        assert correlation(size[:-1], size[1:]) > 0.1
        assert correlation(size[:-72], size[72:]) > 0.03
        assert abs(correlation(moves[:-1], moves[1:])) < 0.03


def test_volatility_also_comes_and_goes_within_a_day(years: dict[str, Candles]) -> None:
    for candles in years.values():
        size = np.abs(returns(candles))
        slot = candles.open_time // LENGTH % 288
        usual = np.bincount(slot, weights=size) / np.bincount(slot)
        loudness = size / usual[slot]
        assert correlation(loudness[:-6], loudness[6:]) > correlation(loudness[:-144], loudness[144:]) + 0.02


def test_tails_are_fat(years: dict[str, Candles]) -> None:
    for candles in years.values():
        standard = (returns(candles) - returns(candles).mean()) / returns(candles).std()
        assert np.mean(standard**4) > 5
        assert (np.abs(standard) > 4).mean() > 10 * 6.3e-5


def test_there_are_calm_and_wild_days(years: dict[str, Candles]) -> None:
    daily = returns(years["BTCUSDC"]).reshape(-1, 288).std(axis=1)

    assert np.quantile(daily, 0.95) > 2.0 * np.quantile(daily, 0.05)


def test_symbols_move_together_with_a_correlation_of_about_six_tenths(years: dict[str, Candles]) -> None:
    for one, other in itertools.combinations(SYMBOLS, 2):
        assert 0.5 < correlation(returns(years[one]), returns(years[other])) < 0.7


def test_volume_rises_with_the_size_of_the_move(years: dict[str, Candles]) -> None:
    for candles in years.values():
        assert correlation(np.abs(returns(candles)), np.log(candles.volume)) > 0.3


def test_nights_are_calmer_than_afternoons(years: dict[str, Candles]) -> None:
    hour = years["BTCUSDC"].open_time // 3_600_000 % 24
    size = np.abs(returns(years["BTCUSDC"]))

    assert size[(hour >= 14) & (hour < 17)].mean() > 1.3 * size[(hour >= 2) & (hour < 5)].mean()


def test_no_pattern_marks_the_borders_between_the_generated_blocks(years: dict[str, Candles]) -> None:
    for candles in years.values():
        moves = returns(candles)[288 - candles.open_time[0] // LENGTH % 288 :]
        days = moves[: len(moves) // 288 * 288].reshape(-1, 288)
        last, first = days[:-1, -6:].sum(axis=1), days[1:, :6].sum(axis=1)
        assert (
            abs(correlation(last, first) - correlation(days[:, 138:144].sum(axis=1), days[:, 144:150].sum(axis=1)))
            < 0.12
        )
        halves = correlation(days[:, :144].sum(axis=1), days[:, 144:].sum(axis=1))
        assert abs(halves) < 0.3


def forward_accuracy(candles: Candles, signal: np.ndarray) -> float:
    """Share of right directions of the next twelve candles, entered at the next open."""
    decisions = np.arange(600, len(candles) - 12)
    move = candles.close[decisions + 12] - candles.open[decisions + 1]
    right = np.sign(signal[decisions]) == np.sign(move)
    return float(right[move != 0].mean())


def faded_sum(values: np.ndarray, half_life: float) -> np.ndarray:
    weights = 0.5 ** (np.arange(300) / half_life)
    return np.convolve(values, weights)[: len(values)]


def test_past_momentum_foretells_direction_weakly(years: dict[str, Candles]) -> None:
    for candles in years.values():
        assert 0.53 < forward_accuracy(candles, faded_sum(returns(candles), 20)) < 0.57


def test_volume_that_leans_one_way_adds_a_little(years: dict[str, Candles]) -> None:
    for candles in years.values():
        log_volume = np.log(candles.volume)
        surprise = log_volume - faded_sum(log_volume, 36) / faded_sum(np.ones(len(candles)), 36)
        scaled = np.clip(returns(candles) / returns(candles).std(), -3, 3)
        momentum, leaning = faded_sum(scaled, 24), faded_sum(scaled * surprise, 24)
        both = forward_accuracy(candles, 0.3 * momentum + leaning)
        assert forward_accuracy(candles, momentum) < both < 0.58


@pytest.mark.slow
def test_not_even_the_latent_drift_itself_foretells_more_than_a_weak_signal() -> None:
    feed = SimulatedMarket(SYMBOLS, "5m", now=at(NOW))
    first = to_ms(NOW) // LENGTH // 288 - 700

    for symbol in SYMBOLS:
        blocks = [feed._series[symbol].block(first + number) for number in range(700)]
        candles = feed.history(symbol, from_ms((first + 700) * 288 * LENGTH), 700 * 288)
        drift = np.concatenate([block.drift for block in blocks])
        assert 0.57 < forward_accuracy(candles, np.append(drift[1:], 0.0)) < 0.62


def test_the_drift_fades_within_hours() -> None:
    feed = SimulatedMarket(("BTCUSDC",), "5m", now=at(NOW))
    drift = np.concatenate([feed._series["BTCUSDC"].block(19_000 + number).drift for number in range(600)])

    assert drift.std() == pytest.approx(1.0, abs=0.05)
    assert correlation(drift[:-36], drift[36:]) == pytest.approx(0.5, abs=0.05)
    assert abs(correlation(drift[:-288], drift[288:])) < 0.08


def test_a_signal_of_pure_chance_is_right_half_of_the_time(years: dict[str, Candles]) -> None:
    candles = years["BTCUSDC"]
    random = np.random.default_rng(3)

    assert forward_accuracy(candles, random.standard_normal(len(candles))) == pytest.approx(0.5, abs=0.01)
