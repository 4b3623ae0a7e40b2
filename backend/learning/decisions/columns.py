"""Many rows of few columns as arrays: fetched some hundred at a time, no object per row and no conversion per value."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select, String, case, type_coerce
from sqlalchemy.orm import InstrumentedAttribute, Session

from ai_engine.types import FloatArray, TimeArray
from backend.models import AITrainingSample

# So few that the garbage collector never sees more than some hundred rows: with all of them at once it takes as long
# as the rest together.
ROWS_AT_ONCE = 500

Kind: TypeAlias = Callable[[Sequence[Any]], NDArray[Any]]
Time: TypeAlias = InstrumentedAttribute[Any] | ColumnElement[Any]


def moment(time: Time) -> ColumnElement[Any]:
    """A time as the database's driver hands it over, for ``microseconds``: making each one aware takes longest."""
    return type_coerce(time, String)


def known_at() -> ColumnElement[Any]:
    """When a decision's return over the horizon was known: at the horizon's end, or at the later price."""
    row = AITrainingSample
    return moment(case((row.forward_price_at > row.horizon_at, row.forward_price_at), else_=row.horizon_at))


def microseconds(values: Sequence[Any]) -> TimeArray:
    """Microseconds since 1970-01-01 UTC: text on SQLite, which is in UTC, aware times on PostgreSQL."""
    if values and not isinstance(values[0], str):
        values = [value.astimezone(UTC).replace(tzinfo=None) for value in values]
    return np.array(values, dtype="datetime64[us]").astype(np.int64)


def milliseconds(values: Sequence[Any]) -> TimeArray:
    """The same in milliseconds, rounded down as ``to_ms`` does."""
    return np.asarray(microseconds(values) // 1_000, dtype=np.int64)


def numbers(values: Sequence[Any]) -> FloatArray:
    """Numbers, NaN where there is none."""
    return np.array(values, dtype=np.float64)


def amounts(values: Sequence[Any]) -> FloatArray:
    """Numbers, 0 where there is none."""
    return np.nan_to_num(numbers(values), nan=0.0, posinf=np.inf, neginf=-np.inf)


def integers(values: Sequence[Any]) -> NDArray[np.int64]:
    """Whole numbers."""
    return np.array(values, dtype=np.int64)


def flags(values: Sequence[Any]) -> NDArray[np.bool_]:
    """What is true; what is unknown is not."""
    return np.array(values, dtype=np.bool_)


def names(values: Sequence[Any]) -> NDArray[np.str_]:
    """Texts."""
    return np.array(values, dtype=np.str_)


def blobs(values: Sequence[Any]) -> NDArray[np.object_]:
    """Bytes."""
    return np.array(values, dtype=np.object_)


def read_columns(
    session: Session, query: Select[*tuple[Any, ...]], *kinds: Kind, at_once: int = ROWS_AT_ONCE
) -> tuple[NDArray[Any], ...]:
    """The query's columns, each as its kind makes an array of it; shape (n,)."""
    parts: list[list[NDArray[Any]]] = [[kind([])] for kind in kinds]
    for columns in _batches(session, query, at_once):
        for part, kind, values in zip(parts, kinds, columns, strict=True):
            part.append(kind(values))
    return tuple(np.concatenate(part) for part in parts)


def _batches(session: Session, query: Select[*tuple[Any, ...]], at_once: int) -> Iterator[tuple[Any, ...]]:
    # The connection's own result: what the session's would add to it is for objects.
    found = session.connection().execute(query.execution_options(yield_per=at_once))
    for rows in found.partitions():
        yield tuple(zip(*rows, strict=True))
