"""Which model answers: memory follows the active row at every call, and never serves an unverified file."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from ai_engine.artifact import Model
from backend.learning.versions.find import SCORES_BESIDE
from backend.learning.versions.gate import NEVER_BY_ITSELF
from backend.learning.versions.service import current_names
from backend.learning.versions.store import ArtifactStore, UnusableArtifactError
from backend.models import AIModelVersion

logger = logging.getLogger(__name__)

Key = TypeVar("Key")
Value = TypeVar("Value")

# An active version with its shadows for some thirty strategies. Where there are more than fit, each decision reads all
# files of its strategy again, 20 ms a model, for what was used longest ago is what is needed next. In memory a model
# takes about as much as its file.
MAX_MODELS = 256
MAX_DAMAGED = 256

Published: TypeAlias = Row[int, str, str, str, int]
FileState: TypeAlias = tuple[int, int, int] | None
COLUMNS = (
    AIModelVersion.id,
    AIModelVersion.version_id,
    AIModelVersion.model_path,
    AIModelVersion.artifact_sha256,
    AIModelVersion.artifact_bytes,
)


@dataclass(frozen=True, slots=True)
class ServingModel:
    """The model that answers; ``degraded`` where it stands in for an active one whose file is damaged."""

    version_id: str
    model: Model
    degraded: bool
    active_version_id: str


@dataclass(frozen=True, slots=True)
class ShadowModel:
    """A model that scores beside the one that answers."""

    version_id: str
    model: Model


@dataclass(frozen=True, slots=True)
class ServingState:
    """What is active by the row and what answers: the same, another one, or none."""

    active_version_id: str | None
    serving_version_id: str | None

    @property
    def degraded(self) -> bool:
        """Whether the active version cannot serve."""
        return self.active_version_id != self.serving_version_id


class Serving:
    """The verified models of this process; safe to share between threads."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._models: OrderedDict[tuple[str, str], Model] = OrderedDict()
        self._damaged: OrderedDict[tuple[str, str], FileState] = OrderedDict()
        self._lacking: set[str] = set()

    def model_for(self, session: Session, strategy: str) -> ServingModel | None:
        """The strategy's active model, or the newest verified earlier one where its file is damaged.

        None where no version is active, or none can be verified.
        """
        active = _active(session, strategy)
        if active is None:
            return None
        model = self._verified(active)
        if model is not None:
            return ServingModel(active.version_id, model, False, active.version_id)
        for earlier in _earlier(session, strategy, active.id):
            model = self._verified(earlier)
            if model is not None:
                return ServingModel(earlier.version_id, model, True, active.version_id)
        return None

    def shadows_for(self, session: Session, strategy: str) -> tuple[ShadowModel, ...]:
        """The strategy's shadows, oldest first, also where no version is active.

        Those whose file is damaged, or which need features that decisions no longer have, are left out.
        """
        rows = session.execute(_shadows(strategy)).all()
        known = current_names(session, strategy) if rows else frozenset()
        verified = ((one, self._verified(one)) for one in rows)
        return tuple(
            ShadowModel(one.version_id, model)
            for one, model in verified
            if model is not None and self._can_score(one.version_id, model, known)
        )

    def state_of(self, session: Session, strategy: str) -> ServingState:
        """What is active and what answers."""
        active = _active(session, strategy)
        serving = self.model_for(session, strategy)
        return ServingState(active.version_id if active else None, serving.version_id if serving else None)

    def load(self, version: AIModelVersion) -> Model:
        """Any version, active or not; 409 ``artifact_missing`` or ``artifact_corrupt``."""
        return self._open(version.version_id, version.model_path, version.artifact_sha256, version.artifact_bytes)

    def fault_on_disk(self, version: AIModelVersion) -> str | None:
        """What is wrong with the version's file as it lies there now, whatever memory holds; None where it is whole."""
        try:
            self._store.read_verified(version.model_path, sha256=version.artifact_sha256, size=version.artifact_bytes)
        except UnusableArtifactError as error:
            return error.message
        return None

    def _verified(self, published: Published) -> Model | None:
        """The model, or None where its file is damaged; a damaged file is looked at again once it changed."""
        key, path = (published.version_id, published.artifact_sha256), published.model_path
        with self._lock:
            if key not in self._models and key in self._damaged and self._damaged[key] == self._state(path):
                return None
        state = self._state(path)
        try:
            return self._open(published.version_id, path, published.artifact_sha256, published.artifact_bytes)
        except UnusableArtifactError as error:
            logger.warning("%s cannot serve: %s", published.version_id, error.message)
            with self._lock:
                _remember(self._damaged, key, state, MAX_DAMAGED)
            return None

    def _open(self, version_id: str, path: str, sha256: str, size: int) -> Model:
        key = (version_id, sha256)
        with self._lock:
            if key in self._models:
                self._models.move_to_end(key)
                return self._models[key]
        model = self._store.load(path, sha256=sha256, size=size)
        with self._lock:
            self._damaged.pop(key, None)
            _remember(self._models, key, model, MAX_MODELS)
        return model

    def _can_score(self, version_id: str, model: Model, known: frozenset[str]) -> bool:
        """Whether decisions have all that the shadow needs; that they lack something is logged once."""
        lacking = sorted(set(model.feature_names) - known)
        with self._lock:
            told = version_id in self._lacking
            (self._lacking.add if lacking else self._lacking.discard)(version_id)
        if lacking and not told:
            logger.warning("%s cannot score as a shadow: decisions lack %s", version_id, ", ".join(lacking[:10]))
        return not lacking

    def _state(self, path: str) -> FileState:
        return self._store.file_state(path)


def _remember(cache: OrderedDict[Key, Value], key: Key, value: Value, limit: int) -> None:
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > limit:
        cache.popitem(last=False)


def _shadows(strategy: str) -> Select[int, str, str, str, int]:
    query = select(*COLUMNS).where(AIModelVersion.strategy == strategy, SCORES_BESIDE)
    return query.order_by(AIModelVersion.id)


def _active(session: Session, strategy: str) -> Published | None:
    query = select(*COLUMNS).where(AIModelVersion.strategy == strategy, AIModelVersion.is_active)
    return session.execute(query).one_or_none()


def _earlier(session: Session, strategy: str, active_id: int) -> Iterator[Published]:
    """Versions trained before the active one, newest first; of those that no person ever activated not the refused."""
    query = (
        select(*COLUMNS)
        .where(AIModelVersion.strategy == strategy, AIModelVersion.id < active_id)
        .where(AIModelVersion.activated_at.is_not(None) | AIModelVersion.verdict.not_in(NEVER_BY_ITSELF))
        .order_by(AIModelVersion.id.desc())
    )
    yield from session.execute(query)
