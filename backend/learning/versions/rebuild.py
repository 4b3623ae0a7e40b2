"""Make a version again from the rows that its lineage names: the same bytes, or a sentence that says why not."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from ai_engine import pipeline
from ai_engine.dataset import data_hash
from ai_engine.pipeline import Refused, Trained, TrainingContext
from ai_engine.recipes import RECIPE_VERSION
from backend.database import Database
from backend.errors import ConflictError, UnavailableError
from backend.learning.decisions.rows import RowsThen, read_rows_again
from backend.learning.versions.find import look_up
from backend.learning.versions.lineage import BLOCK, block_digests, unpacked
from backend.learning.versions.trainer import Trainer
from backend.models import AIModelVersion
from backend.operations.jobs import Progress, WorkFailedError

CHANGED = {
    "gone": "are gone",
    "quarantined": "are quarantined",
    "relabelled": "have another outcome",
    "altered_at_least": "or more were altered",
}


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A version's file, made again; byte for byte the published one."""

    version_id: str
    strategy: str
    artifact: bytes
    sha256: str
    rows: int
    libraries: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """What is told of it."""
        return {
            "status": "success",
            "version_id": self.version_id,
            "strategy": self.strategy,
            "identical": True,
            "sha256": self.sha256,
            "artifact_bytes": len(self.artifact),
            "rows": self.rows,
            "libraries": self.libraries,
        }


def rebuild(database: Database, trainer: Trainer, version_id: str, progress: Progress | None = None) -> Rebuilt:
    """Train again from the same rows; ConflictError says what differs: the rows, the recipe, the libraries."""
    version = database.read(look_up, version_id)
    used = version.lineage.get("rows")
    if not used:
        raise ConflictError(
            f"{version_id} was trained before the rows of a version were recorded, so it cannot be made again."
            " Retrain: every version from now on can.",
            reason="lineage_incomplete",
        )
    _check_recipe(version)
    rows = database.read(_rows_then, version, used)
    context = _context(version)
    _check_rows(version, rows, context)
    try:
        trained = trainer(rows.rows, context, progress)
    except WorkFailedError as error:
        raise UnavailableError(f"{version_id} could not be trained again: {error}", reason="training_failed") from error
    return _compared(version, trained, len(rows.ids))


def _rows_then(session: Session, version: AIModelVersion, used: dict[str, Any]) -> RowsThen:
    return read_rows_again(
        session,
        unpacked(used["ids"]),
        version.feature_schema.names,
        without_forward=frozenset(unpacked(used["without_forward_return"])),
        until=datetime.fromisoformat(until) if (until := used["outcomes_recorded_until"]) else None,
    )


def _context(version: AIModelVersion) -> TrainingContext:
    lineage = version.lineage
    return TrainingContext(
        strategy=version.strategy,
        timeframe_ms=lineage["timeframe_ms"],
        horizon_candles=lineage["horizon_candles"],
        cost=lineage["cost"],
        seed=lineage["seed"],
        looks=version.report["looks"],
        include_synthetic=lineage["include_synthetic"],
    )


def _check_recipe(version: AIModelVersion) -> None:
    recorded = version.lineage["recipe"]["version"]
    if recorded != RECIPE_VERSION:
        raise ConflictError(
            f"{version.version_id} was fitted by recipe {recorded}; this program has {RECIPE_VERSION}. Rebuild it with"
            " the release that made it.",
            reason="recipe_changed",
            recorded=recorded,
            installed=RECIPE_VERSION,
        )


def _check_rows(version: AIModelVersion, then: RowsThen, context: TrainingContext) -> None:
    """409 ``rows_changed`` where what would train now is not what trained then."""
    dataset = pipeline.prepare(then.rows, context)
    if not isinstance(dataset, Refused) and data_hash(dataset) == version.data_hash:
        return
    changes = _changes(version, then)
    told = [f"{count} {CHANGED[what]}" for what, count in changes.items() if count]
    raise ConflictError(
        f"{version.version_id} cannot be made again, because its rows are not what they were: of"
        f" {version.lineage['rows']['count']} rows {', '.join(told) or 'some differ'}. Its file is the only copy.",
        reason="rows_changed",
        **changes,
    )


def _changes(version: AIModelVersion, then: RowsThen) -> dict[str, int]:
    """How many rows are gone, quarantined or relabelled; of others that differ, at least how many."""
    used = version.lineage["rows"]
    expected, held = unpacked(used["ids"]), set(then.ids)
    now = block_digests(then.rows, then.ids, expected)
    blocks = (expected[start : start + BLOCK] for start in range(0, len(expected), BLOCK))
    otherwise = sum(
        recorded != current and held.issuperset(block)
        for recorded, current, block in zip(used["digests"], now, blocks, strict=True)
    )
    return {
        "gone": then.gone,
        "quarantined": then.quarantined,
        "relabelled": then.relabelled,
        "altered_at_least": otherwise,
    }


def _compared(version: AIModelVersion, trained: Trained | Refused, rows: int) -> Rebuilt:
    if isinstance(trained, Refused):
        raise ConflictError(f"{version.version_id} cannot be trained again: {trained.reason}.", reason="rows_changed")
    if trained.sha256 == version.artifact_sha256:
        return Rebuilt(version.version_id, version.strategy, trained.artifact, trained.sha256, rows, trained.libraries)
    recorded = version.lineage["libraries"]
    differ = {
        name: [recorded.get(name), found] for name, found in trained.libraries.items() if recorded.get(name) != found
    }
    cause = "; ".join(f"{name} was {before}, is {now}" for name, (before, now) in differ.items())
    cause = cause or "the libraries are the same, so the program or the processor differs"
    raise ConflictError(
        f"{version.version_id} came out with other bytes from the same rows (SHA-256 {trained.sha256[:12]} instead of"
        f" {version.artifact_sha256[:12]}): {cause}.",
        reason="not_identical",
        libraries=differ,
        sha256=trained.sha256,
        expected_sha256=version.artifact_sha256,
    )
