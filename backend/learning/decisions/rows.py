"""The rows a retraining may use, read as columns: no object per row, features joined as bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from ai_engine.dataset import Rows
from ai_engine.types import FeatureMatrix, LabelSource
from backend.clock import to_ms
from backend.learning.decisions.columns import blobs, integers, read_columns
from backend.learning.decisions.plausibility import RELEASED, by_reason
from backend.models import AITrainingSample, FeatureSchema, Strategy

IDS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class TrainingRead:
    """The window's rows, and what was counted beside them.

    ``samples_count``: rows of the window with a known outcome, quarantined ones and those of another schema
    included; ``since`` and ``until`` bound the window by decision time, None where nothing is known yet.
    ``outcomes_unobservable``: rows of it that will have none, because no price came near their horizon.
    ``ids`` are the rows' own, ``recorded_until`` is when the newest of their outcomes was recorded.
    """

    rows: Rows
    ids: tuple[int, ...]
    recorded_until: datetime | None
    samples_count: int
    outcomes_pending: int
    outcomes_unobservable: int
    quarantined: dict[str, int]
    other_schema: int
    since: datetime | None
    until: datetime | None


def read_training_rows(
    session: Session, strategy: Strategy, *, window_days: int, include_synthetic: bool = False
) -> TrainingRead:
    """Rows with a known outcome, decided within ``window_days`` before the newest that is not in quarantine."""
    row = AITrainingSample
    own = [row.strategy == strategy.name]
    if not include_synthetic:
        own.append(row.origin != LabelSource.SYNTHETIC)
    newest = select(func.max(row.timestamp)).where(*own, row.outcome_known.is_(True))
    believed = session.scalar(newest.where(row.quarantine_reason.is_(None)))
    until = session.scalar(newest) if believed is None else believed
    since = None if until is None else until - timedelta(days=window_days)
    within = own if since is None else [*own, row.timestamp >= since]
    by_state = select(row.state, func.count()).where(*within).group_by(row.state)
    states = dict(session.execute(by_state).all())
    names = _names(session, strategy.feature_schema_id)
    found = _known(session, within) if until is not None else []
    usable = [one for one in found if one.quarantine_reason is None]
    schemas = _projections(session, {one.feature_schema_id for one in usable}, names)
    held = [one for one in usable if one.feature_schema_id in schemas]
    return TrainingRead(
        rows=_rows(held, schemas, names),
        ids=tuple(one.id for one in held),
        recorded_until=max((one.outcome_recorded_at for one in held if one.outcome_recorded_at), default=None),
        samples_count=len(found),
        outcomes_pending=states.get("pending", 0) + states.get("open", 0),
        outcomes_unobservable=states.get("unobservable", 0),
        quarantined=by_reason(found),
        other_schema=len(usable) - len(held),
        since=since,
        until=until,
    )


@dataclass(frozen=True, slots=True)
class RowsThen:
    """Rows that trained a version, as they stand now: those still usable, and how many are not or were relabelled."""

    rows: Rows
    ids: tuple[int, ...]
    gone: int
    quarantined: int
    relabelled: int


def read_rows_again(
    session: Session,
    ids: Sequence[int],
    names: Sequence[str],
    *,
    without_forward: frozenset[int],
    until: datetime | None,
) -> RowsThen:
    """The rows with these ids as ``read_training_rows`` had them when their outcomes were recorded ``until`` then.

    Those of ``without_forward`` had no forward return yet; it is left out again.
    """
    known = [
        one for start in range(0, len(ids), IDS_AT_ONCE) for one in _by_id(session, ids[start : start + IDS_AT_ONCE])
    ]
    labelled = [one for one in known if one.outcome_known and not _later(one, until)]
    usable = [one for one in labelled if one.quarantine_reason is None]
    schemas = _projections(session, {one.feature_schema_id for one in usable}, tuple(names))
    held = sorted((one for one in usable if one.feature_schema_id in schemas), key=lambda one: one.feature_schema_id)
    return RowsThen(
        rows=_rows(held, schemas, tuple(names), without_forward),
        ids=tuple(one.id for one in held),
        gone=len(ids) - len(known),
        quarantined=len(labelled) - len(usable),
        relabelled=len(known) - len(labelled),
    )


def read_features(session: Session, ids: Sequence[int], names: tuple[str, ...]) -> tuple[list[int], FeatureMatrix]:
    """The named features of those of the rows that are there and hold them all, and whose rows they are."""
    row = AITrainingSample
    query = select(row.id, row.feature_schema_id, row.features_blob).where(row.id.in_(ids))
    found: Sequence[Any] = session.execute(query.order_by(row.feature_schema_id, row.id)).all()
    schemas = _projections(session, {one.feature_schema_id for one in found}, names)
    held = [one for one in found if one.feature_schema_id in schemas]
    return [one.id for one in held], _features(held, schemas, names)


def read_feature_matrix(session: Session, chosen: Select[*tuple[Any, ...]], names: tuple[str, ...]) -> FeatureMatrix:
    """The named features of the chosen rows, in their order; a row that does not hold them all is NaN.

    All rows' bytes are in memory at once: choose some thousands.
    """
    row = AITrainingSample
    held = chosen.with_only_columns(row.feature_schema_id, row.features_blob)
    schema_ids, features = read_columns(session, held, integers, blobs)
    X = np.full((len(features), len(names)), np.nan, dtype=np.float32)
    ids = {int(one) for one in np.unique(schema_ids)}
    for schema_id, (width, place) in _projections(session, ids, names).items():
        mine = schema_ids == schema_id
        X[mine] = np.frombuffer(b"".join(features[mine]), dtype="<f4").reshape(-1, width)[:, place]
    return X


def _later(one: Any, until: datetime | None) -> bool:
    """Whether the row's outcome was recorded after then, which is anew."""
    return until is not None and one.outcome_recorded_at is not None and one.outcome_recorded_at > until


def _by_id(session: Session, ids: Sequence[int]) -> Sequence[Any]:
    found: Sequence[Any] = session.execute(_columns().where(AITrainingSample.id.in_(ids))).all()
    return found


def _known(session: Session, within: Sequence[ColumnElement[bool]]) -> Sequence[Any]:
    row = AITrainingSample
    known = _columns().where(*within, row.outcome_known.is_(True))
    found: Sequence[Any] = session.execute(known.order_by(row.feature_schema_id)).all()
    return found


def _columns() -> Any:
    row = AITrainingSample
    return select(
        row.id,
        row.decision_id,
        row.symbol,
        row.timestamp,
        row.horizon_at,
        row.forward_price_at,
        row.exit_time,
        row.forward_return,
        row.market_return,
        row.label_source,
        row.outcome_known,
        row.outcome_recorded_at,
        row.quarantine_reason,
        row.quarantine_decision,
        row.feature_schema_id,
        row.features_blob,
    )


def _names(session: Session, schema_id: int | None) -> tuple[str, ...]:
    return () if schema_id is None else tuple(session.get_one(FeatureSchema, schema_id).names)


def _projections(session: Session, ids: set[int], names: tuple[str, ...]) -> dict[int, tuple[int, NDArray[np.intp]]]:
    """For each schema that holds all the names: its width, and where each name stands in it."""
    projections = {}
    for schema in session.scalars(select(FeatureSchema).where(FeatureSchema.id.in_(ids))):
        place = {name: index for index, name in enumerate(schema.names)}
        if names and all(name in place for name in names):
            projections[schema.id] = (len(place), np.array([place[name] for name in names], dtype=np.intp))
    return projections


def _rows(
    found: Sequence[Any],
    schemas: dict[int, tuple[int, NDArray[np.intp]]],
    names: tuple[str, ...],
    without_forward: frozenset[int] = frozenset(),
) -> Rows:
    return Rows(
        decision_ids=tuple(one.decision_id for one in found),
        symbols=tuple(one.symbol for one in found),
        times=np.array([to_ms(one.timestamp) for one in found], dtype=np.int64),
        ends=np.array([to_ms(_known_at(one, one.id in without_forward)) for one in found], dtype=np.int64),
        X=_features(found, schemas, names),
        feature_names=names,
        forward_returns=_floats([None if one.id in without_forward else one.forward_return for one in found]),
        market_returns=_floats([one.market_return for one in found]),
        label_sources=tuple(one.label_source for one in found),
        vouched_ids=frozenset(one.decision_id for one in found if one.quarantine_decision == RELEASED),
    )


def _known_at(one: Any, without_forward: bool) -> datetime:
    """When all that the row's labels say had happened."""
    forward_at = None if without_forward else one.forward_price_at
    times: tuple[datetime | None, ...] = (one.horizon_at, forward_at, one.exit_time)
    return max(moment for moment in times if moment is not None)


def _features(
    found: Sequence[Any], schemas: dict[int, tuple[int, NDArray[np.intp]]], names: tuple[str, ...]
) -> FeatureMatrix:
    """The features of rows that are ordered by schema; one join and one projection a schema."""
    parts: list[FeatureMatrix] = [np.empty((0, len(names)), dtype=np.float32)]
    for schema_id in sorted({one.feature_schema_id for one in found}):
        blobs = b"".join(one.features_blob for one in found if one.feature_schema_id == schema_id)
        width, place = schemas[schema_id]
        parts.append(np.frombuffer(blobs, dtype="<f4").reshape(-1, width)[:, place])
    return np.ascontiguousarray(np.concatenate(parts), dtype=np.float32)


def _floats(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
