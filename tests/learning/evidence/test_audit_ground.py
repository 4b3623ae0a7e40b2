"""What a self-audit is made of: the trader's own rows and candles, from which the live path is gone again."""

from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy.orm import Session

from ai_engine import pipeline
from ai_engine.audit_ground import ground_of
from ai_engine.dataset import Dataset
from ai_engine.placebo import placebo, recomputed
from backend.learning.decisions.strategies import find_strategy
from backend.learning.evidence.audit_ground import Reading, read_ground
from backend.settings import Settings
from tests.trading.conftest import desks_in, write_files
from tests.trading.desk import Desk


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A trader that has taken every round of two symbols' files, one of them with gaps."""
    folder = tmp_path_factory.mktemp("audited")
    write_files(folder / "files")
    with desks_in(folder) as open_desk:
        traded = open_desk()
        traded.run()
        yield traded


def read(session: Session, settings: Settings) -> Reading:
    strategy = find_strategy(session, "replay")
    assert strategy is not None
    return read_ground(session, strategy, settings, seed=1)


@pytest.fixture(scope="module")
def reading(desk: Desk) -> Reading:
    return desk.database.read(read, desk.settings)


@pytest.fixture(scope="module")
def dataset(reading: Reading) -> Dataset:
    prepared = pipeline.prepare(reading.rows.rows, reading.context)
    assert isinstance(prepared, Dataset)
    return prepared


def horizon_ms(reading: Reading) -> int:
    return reading.context.horizon_candles * reading.context.timeframe_ms


def test_the_traders_own_candles_are_read_for_every_symbol(reading: Reading, desk: Desk) -> None:
    stored = dict(desk.rows("select symbol, count(*) from candles group by symbol"))

    assert {symbol: len(series) for symbol, series in reading.candles.items()} == stored
    assert reading.known_outcomes == reading.rows.samples_count > 100


def test_candles_left_as_they_are_give_back_every_stored_feature_and_outcome(
    reading: Reading, dataset: Dataset
) -> None:
    ground = ground_of(dataset, reading.candles, horizon_ms=horizon_ms(reading))

    again = recomputed(ground, ground.candles)

    assert ground.kind == "candles"
    assert len(ground.rows) == len(dataset)
    np.testing.assert_array_equal(again.X, ground.rows.X)
    np.testing.assert_allclose(again.forward_returns, ground.rows.forward_returns, rtol=1e-12)


def test_a_mirrored_world_keeps_when_each_outcome_was_known(reading: Reading, dataset: Dataset) -> None:
    ground = ground_of(dataset, reading.candles, horizon_ms=horizon_ms(reading))

    world = placebo(ground, number=0, seed=1)
    built = pipeline.prepare(world, reading.context)

    assert isinstance(built, Dataset)
    assert len(built) == len(dataset)
    np.testing.assert_array_equal(built.ends, dataset.ends)
    np.testing.assert_array_equal(built.weights, dataset.weights)
    assert np.mean(np.sign(built.y) == np.sign(dataset.y)) == pytest.approx(0.5, abs=0.2)


def test_without_stored_candles_the_rows_are_turned(reading: Reading, dataset: Dataset, desk: Desk) -> None:
    def without(session: Session) -> Reading:
        strategy = find_strategy(session, "replay")
        assert strategy is not None
        strategy.market = "external"
        with session.no_autoflush:
            return read_ground(session, strategy, desk.settings, seed=1)

    elsewhere = desk.database.read(without)

    assert elsewhere.candles == {}
    assert ground_of(dataset, elsewhere.candles, horizon_ms=horizon_ms(reading)).kind == "rotated"
