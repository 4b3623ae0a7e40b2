"""What earlier nights left for tonight's judgement: forecasts whose outcomes are known, and the active version."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from ai_engine.artifact import Model
from ai_engine.past import Champion, Matured, Past
from ai_engine.types import FloatArray, TimeArray
from backend.clock import to_ms
from backend.database import Database
from backend.learning.decisions.columns import integers, known_at, milliseconds, moment, numbers, read_columns
from backend.learning.decisions.plausibility import forecast_is_believed
from backend.learning.decisions.rows import read_features
from backend.learning.versions.store import ArtifactStore, UnusableArtifactError
from backend.models import AIModelVersion, AITrainingSample, Forecast

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 1_000
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class PastRead:
    """What was found; ``uncompared`` says why there is no champion although a version is active."""

    past: Past
    uncompared: str | None = None


@dataclass(frozen=True, slots=True)
class _Version:
    """A version's file, and when the newest outcome that it was trained on was known (ms)."""

    version_id: str
    path: str
    sha256: str
    size: int
    is_active: bool
    known_until: int


@dataclass(frozen=True, slots=True)
class _Reading:
    """One snapshot: versions from the oldest on; of the decisions columns of shape (n,), in time order.

    ``y`` is NaN where the outcome is still awaited, ``scores`` where no version forecast the row before its outcome.
    """

    versions: tuple[_Version, ...]
    ids: NDArray[np.int64]
    times: TimeArray
    ends: TimeArray
    y: FloatArray
    scores: FloatArray


def read_past(database: Database, store: ArtifactStore, strategy: str) -> PastRead:
    """Read rows in one short transaction; files are verified and models asked with none open.

    A decision's forecast is that of the version that decided, else of its newest shadow. Only one that was made
    before the outcome counts. For a decision without one the newest version answers now all of whose training
    outcomes were known before the decision; where the file is damaged, the one before it.
    """
    reading = database.read(_read, strategy)
    for version in reversed(reading.versions):
        missing = np.isnan(reading.scores) & (reading.times >= version.known_until)
        if missing.any():
            _forecast_now(database, store, version, reading, missing)
    champion, uncompared = _champion(store, reading.versions)
    return PastRead(Past(_matured(reading), champion), uncompared)


def _matured(reading: _Reading) -> Matured | None:
    """Every known outcome; bet on are the forecasts of rounds of which none awaits its outcome any more.

    The mean of such a round would change under the bet.
    """
    known = ~np.isnan(reading.y)
    awaited = reading.times[~known & ~np.isnan(reading.scores)]
    scores = np.where(np.isin(reading.times, awaited), np.nan, reading.scores)[known]
    if np.isnan(scores).all():
        return None
    return Matured(reading.times[known], reading.ends[known], reading.y[known], scores)


def _champion(store: ArtifactStore, versions: Sequence[_Version]) -> tuple[Champion | None, str | None]:
    """The active version with its proved bytes, or why it cannot be compared with."""
    active = next((version for version in versions if version.is_active), None)
    if active is None:
        return None, None
    try:
        store.load(active.path, sha256=active.sha256, size=active.size)
        blob = store.read_verified(active.path, sha256=active.sha256, size=active.size)
    except UnusableArtifactError as error:
        return None, f"{active.version_id} is active and could not be compared with: {error.message}"
    return Champion(active.version_id, blob, active.known_until), None


def _forecast_now(
    database: Database, store: ArtifactStore, version: _Version, reading: _Reading, missing: NDArray[np.bool_]
) -> None:
    """Fill in what the version would have forecast: it knows nothing that was not known at the decision."""
    try:
        model = store.load(version.path, sha256=version.sha256, size=version.size)
    except UnusableArtifactError as error:
        logger.warning("%s forecasts no decision of the past: %s", version.version_id, error.message)
        return
    places = {int(reading.ids[place]): int(place) for place in np.flatnonzero(missing)}
    ids = list(places)
    for start in range(0, len(ids), ROWS_AT_ONCE):
        found, scores = _scores(database, model, ids[start : start + ROWS_AT_ONCE])
        reading.scores[[places[one] for one in found]] = scores


def _scores(database: Database, model: Model, ids: Sequence[int]) -> tuple[list[int], FloatArray]:
    """The model's answers for those of the rows that have all of its features as finite numbers."""
    found, X = database.read(read_features, ids, model.feature_names)
    finite = np.isfinite(X).all(axis=1)
    return [one for one, usable in zip(found, finite, strict=True) if usable], model.scores(X[finite])


def _read(session: Session, strategy: str) -> _Reading:
    versions = _versions(session, strategy)
    known_until = {version.version_id: version.known_until for version in versions}
    row = AITrainingSample
    columns = (row.id, moment(row.timestamp), known_at(), row.forward_return, row.prediction_score, row.model_version)
    query = select(*columns).where(*_decided(strategy)).order_by(row.timestamp, row.id)

    def knew_until(version_ids: Sequence[str | None]) -> NDArray[np.int64]:
        return integers([known_until.get(one or "", NEVER) for one in version_ids])

    ids, times, ends, y, own, knew = read_columns(
        session, query, integers, milliseconds, milliseconds, numbers, numbers, knew_until
    )
    reading = _Reading(versions, ids, times, ends, y, np.where(knew <= times, own, np.nan))
    _add_shadows(session, reading)
    return reading


def _decided(strategy: str) -> tuple[ColumnElement[bool], ...]:
    """Decisions that somebody made, whose return over the horizon is known and believed, or still awaited.

    Imported trades have none: the window of a trade depends on the side that was taken, which alone makes
    directions look predictable. Rows of a warm start and demo rows were decided by nobody.
    """
    row = AITrainingSample
    return (
        row.strategy == strategy,
        row.origin == "decision",
        or_(row.forward_return.is_not(None), row.forward_return_source.is_(None)),
        forecast_is_believed(),
    )


def _versions(session: Session, strategy: str) -> tuple[_Version, ...]:
    row = AIModelVersion
    columns = (row.version_id, row.model_path, row.artifact_sha256, row.artifact_bytes, row.is_active)
    query = select(*columns, row.lineage, row.trained_at).where(row.strategy == strategy).order_by(row.id)
    return tuple(
        _Version(version_id, path, sha256, size, is_active, to_ms(learned_until(lineage, trained_at)))
        for version_id, path, sha256, size, is_active, lineage, trained_at in session.execute(query)
    )


def learned_until(lineage: dict[str, Any], trained_at: datetime) -> datetime:
    """When the newest outcome it learned from was known: before its training, where that was not recorded yet."""
    recorded = lineage.get("outcomes_known_until")
    return datetime.fromisoformat(recorded) if recorded else trained_at


def _add_shadows(session: Session, reading: _Reading) -> None:
    """For a row that has no forecast yet, that of its newest shadow which knew nothing that came after the decision.

    Version by version from the newest on, some hundred forecasts at a time: there are several for each decision.
    """
    by_id = np.argsort(reading.ids)
    ids = reading.ids[by_id]
    for version in reversed(reading.versions):
        missing = np.isnan(reading.scores) & (reading.times >= version.known_until)
        if not missing.any():
            continue
        query = select(Forecast.sample_id, Forecast.score).where(
            Forecast.version_id == version.version_id, Forecast.role == "shadow"
        )
        samples, scores = read_columns(session, query, integers, numbers)
        place = np.minimum(np.searchsorted(ids, samples), len(ids) - 1)
        rows = by_id[place]
        wanted = (ids[place] == samples) & missing[rows]
        reading.scores[rows[wanted]] = scores[wanted]
