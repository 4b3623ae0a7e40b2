"""Columns are what the objects say, on both databases, however many rows are fetched at a time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from backend.clock import to_ms
from backend.database import Database
from backend.learning.decisions import columns
from backend.learning.decisions.rows import read_feature_matrix
from backend.models import AITrainingSample, Base, FeatureSchema, Strategy

BEGIN = datetime(1969, 12, 31, 23, 59, tzinfo=UTC)
ROW = AITrainingSample
ROWS = 23


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def filled(request: pytest.FixtureRequest, database: Database) -> Iterator[Database]:
    """Decisions of which every third has no score and no price, and every fifth one that came late."""
    if request.param == "postgresql":
        database = Database(request.getfixturevalue("postgres_url"))
        Base.metadata.create_all(database.engine)
    database.write(_fill)
    yield database
    database.close()


def _fill(session: Any) -> None:
    session.add_all(
        FeatureSchema(id=number, hash=str(number), names=names, created_at=BEGIN)
        for number, names in ((1, ["a", "b"]), (2, ["b", "c", "a"]), (3, ["a"]))
    )
    session.add(Strategy(name="s", market="m", timeframe="5m", horizon_candles=1, sides="long,short", created_at=BEGIN))
    session.flush()
    session.add_all(_row(number) for number in range(ROWS))


def _row(number: int) -> AITrainingSample:
    at = BEGIN + number * timedelta(seconds=7, microseconds=1_999)
    ends = at + timedelta(minutes=5)
    known = number % 3 != 0
    late = timedelta(seconds=-1 if number % 2 else 90) if number % 5 == 0 else timedelta(0)
    schema = number % 3 + 1
    return AITrainingSample(
        decision_id=f"d{number}",
        strategy="s",
        symbol="BTC" if number % 2 else "DOGECOIN",
        timestamp=at,
        origin="decision",
        predicted_action="BUY",
        prediction_score=number / 7 if known else None,
        feature_schema_id=schema,
        features_blob=np.arange(number, number + (2, 3, 1)[schema - 1], dtype="<f4").tobytes(),
        horizon_at=ends,
        forward_price_at=ends + late if known else None,
        explored=number % 4 == 0,
        created_at=at,
    )


@pytest.mark.parametrize("at_once", [1, 5, ROWS, 500])
def test_the_columns_are_what_the_objects_say(filled: Database, at_once: int) -> None:
    query = select(
        columns.moment(ROW.timestamp), columns.moment(ROW.timestamp), columns.known_at(),
        ROW.prediction_score, ROW.prediction_score, ROW.explored, ROW.symbol, ROW.id,
    ).order_by(ROW.id)  # fmt: skip
    kinds = (
        columns.microseconds, columns.milliseconds, columns.milliseconds,
        columns.numbers, columns.amounts, columns.flags, columns.names, columns.integers,
    )  # fmt: skip

    found = filled.read(columns.read_columns, query, *kinds, at_once=at_once)
    rows = filled.read(lambda session: session.scalars(select(ROW).order_by(ROW.id)).all())

    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    scores = [one.prediction_score for one in rows]
    assert found[0].tolist() == [(one.timestamp - epoch) // timedelta(microseconds=1) for one in rows]
    assert found[1].tolist() == [to_ms(one.timestamp) for one in rows]
    assert found[2].tolist() == [to_ms(max(one.horizon_at, one.forward_price_at or one.horizon_at)) for one in rows]
    assert [None if np.isnan(value) else value for value in found[3]] == scores
    assert found[4].tolist() == [score or 0.0 for score in scores]
    assert found[5].tolist() == [one.explored for one in rows]
    assert found[6].tolist() == [one.symbol for one in rows]
    assert found[7].tolist() == [one.id for one in rows]


def test_no_rows_are_empty_columns_of_their_kind(filled: Database) -> None:
    query = select(columns.moment(ROW.timestamp), ROW.symbol, ROW.explored).where(ROW.id < 0)

    times, names, flags = filled.read(columns.read_columns, query, columns.milliseconds, columns.names, columns.flags)

    assert (len(times), len(names), len(flags)) == (0, 0, 0)
    assert (times.dtype.kind, names.dtype.kind, flags.dtype.kind) == ("i", "U", "b")


def test_features_come_in_the_order_asked_for_and_by_name_whatever_the_schema(filled: Database) -> None:
    X = filled.read(read_feature_matrix, select(ROW.id).order_by(ROW.id.desc()).limit(ROWS - 2), ("b", "a"))

    for number, row in zip(range(ROWS - 1, 1, -1), X.tolist(), strict=True):
        held = ([number + 1.0, number], [number, number + 2.0], None)[number % 3]
        assert row == held or (held is None and np.isnan(row).all())
