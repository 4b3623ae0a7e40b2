"""The catalogue says what each feature is, and what it says is so."""

import hashlib
import json
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_engine.candles import COLUMNS, Candles
from ai_engine.features import calendar, momentum, trend, volatility, volume
from ai_engine.features.catalogue import CATALOGUE, FEATURE_NAMES, SCHEMA_HASH, WINDOW, Feature, schema_hash
from ai_engine.features.compute import compute
from ai_engine.features.feature import ema_warmup, wilder_warmup

FAMILIES = {
    "trend": trend,
    "momentum": momentum,
    "volatility": volatility,
    "volume": volume,
    "calendar": calendar,
}

each_feature = pytest.mark.parametrize("feature", CATALOGUE, ids=FEATURE_NAMES)


def each_of(*families: str, warmup: int = 1) -> pytest.MarkDecorator:
    """Run for the features of these families that look back ``warmup`` candles or more."""
    chosen = [feature for feature in CATALOGUE if feature.family in families and feature.warmup >= warmup]
    return pytest.mark.parametrize("feature", chosen, ids=[feature.name for feature in chosen])


def test_there_are_between_105_and_140_features() -> None:
    assert 105 <= len(CATALOGUE) <= 140


def test_the_names_are_sorted_and_unique() -> None:
    assert list(FEATURE_NAMES) == sorted(set(FEATURE_NAMES))
    assert tuple(feature.name for feature in CATALOGUE) == FEATURE_NAMES


def test_every_family_gives_features_and_no_other_does() -> None:
    by_file = {family: {feature.name for feature in module.FEATURES} for family, module in FAMILIES.items()}
    by_row = {family: {feature.name for feature in CATALOGUE if feature.family == family} for family in FAMILIES}

    assert by_file == by_row
    assert sum(map(len, by_row.values())) == len(CATALOGUE)
    assert all(len(names) >= 5 for names in by_row.values())


@each_feature
def test_a_row_says_what_the_feature_is(feature: Feature) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*[a-z0-9]", feature.name)
    assert not re.search(r"pnl|exit|target|label|future|outcome", feature.name)
    assert len(feature.formula) >= 10
    assert feature.unit
    assert 1 <= feature.warmup <= WINDOW
    assert np.isfinite(feature.neutral)


def test_formulas_are_told_apart() -> None:
    assert len({feature.formula for feature in CATALOGUE}) == len(CATALOGUE)


def test_recursive_means_stay_within_the_longest_periods() -> None:
    for feature in CATALOGUE:
        wilder = re.findall(r"(?:RSI|ATR|ADX|DI|CMO)\((\d+)\)", feature.formula)
        exponential = re.findall(r"EMA\((\d+)\)", feature.formula)

        assert max(map(int, wilder), default=0) <= 28
        assert max(map(int, exponential), default=0) <= 50


def test_several_periods_of_ta_lib_are_there() -> None:
    from_ta_lib = [feature.name for feature in CATALOGUE if "TA-Lib" in feature.formula]

    assert len(from_ta_lib) >= 25
    assert {"rsi_7", "rsi_14", "rsi_28", "close_to_ema_5", "close_to_ema_50"} <= set(from_ta_lib)


@given(names=st.lists(st.text(max_size=8), max_size=6), seed=st.randoms(use_true_random=False))
def test_a_schemas_hash_is_that_of_its_sorted_names(names: list[str], seed) -> None:
    shuffled = list(names)
    seed.shuffle(shuffled)

    assert schema_hash(shuffled) == schema_hash(names)
    assert schema_hash(names) == hashlib.sha256(json.dumps(sorted(names)).encode()).hexdigest()


def test_other_names_have_another_hash() -> None:
    assert schema_hash(reversed(FEATURE_NAMES)) == SCHEMA_HASH
    assert schema_hash(FEATURE_NAMES[1:]) != SCHEMA_HASH
    assert schema_hash(["a", "bc"]) != schema_hash(["ab", "c"])


@each_of("trend", "momentum", "volatility", "volume")
def test_a_market_that_stands_still_gives_the_neutral_value(feature: Feature, make_still) -> None:
    row = compute(make_still(WINDOW, volume=0.0))

    assert row[FEATURE_NAMES.index(feature.name)] == pytest.approx(feature.neutral, abs=1e-6)


@pytest.fixture(scope="module")
def rewritten(make_walk: Callable[..., Candles]) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
    """Rows of a window before and after all candles older than the newest ``keep`` were replaced by others."""
    series, other = make_walk(WINDOW, seed=1), make_walk(WINDOW, seed=2, wild=1.3)
    known: dict[int, np.ndarray] = {WINDOW: compute(series)}

    def rows(keep: int) -> tuple[np.ndarray, np.ndarray]:
        if keep not in known:
            joint = series.close[WINDOW - keep] / other.close[WINDOW - keep - 1] if keep < WINDOW else 1.0
            columns = {name: getattr(series, name).copy() for name in COLUMNS}
            for name in ("open", "high", "low", "close"):
                columns[name][: WINDOW - keep] = getattr(other, name)[: WINDOW - keep] * joint
            known[keep] = compute(Candles(**columns, timeframe_ms=series.timeframe_ms))
        return known[WINDOW], known[keep]

    return rows


@each_feature
def test_candles_older_than_the_warm_up_do_not_move_a_feature(feature: Feature, rewritten) -> None:
    column = FEATURE_NAMES.index(feature.name)

    before, after = rewritten(feature.warmup)

    assert after[column] == pytest.approx(before[column], rel=1e-6, abs=1e-6)


@each_of("trend", "momentum", "volatility", warmup=5)
def test_the_warm_up_is_not_longer_than_the_feature_needs(feature: Feature, rewritten) -> None:
    """Prices further back than half, a quarter or an eighth of it do move a feature that looks at prices."""
    column = FEATURE_NAMES.index(feature.name)

    pairs = [rewritten(max(1, feature.warmup // part)) for part in (2, 4, 8)]

    assert any(abs(after[column] - before[column]) > 1e-6 for before, after in pairs)


@pytest.mark.parametrize("period", [5, 14, 28, 50])
def test_a_warm_up_leaves_a_ten_millionth(period: int) -> None:
    for warmup, weight in ((ema_warmup(period), 2 / (period + 1)), (wilder_warmup(period), 1 / period)):
        assert warmup <= WINDOW
        assert warmup == WINDOW or (1 - weight) ** (warmup - period) <= 1e-7
