"""Where a version comes from: enough to ask any question about it, and to make it again byte for byte."""

import base64
import hashlib
import json
import platform
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from ai_engine.dataset import Rows
from ai_engine.pipeline import Trained, TrainingContext
from ai_engine.types import TargetKind
from backend.clock import from_ms, iso
from backend.learning.decisions.rows import TrainingRead

BLOCK = 256
DIGEST_BYTES = 8


def lineage_of(read: TrainingRead, context: TrainingContext, trained: Trained, known_outcomes: int) -> dict[str, Any]:
    """What stands in the version's row beside its report; ``rows`` is what ``rebuild`` reads."""
    return {
        "window": {
            "since": iso(read.since) if read.since else None,
            "until": iso(read.until) if read.until else None,
            "samples_count": read.samples_count,
            "outcomes_pending": read.outcomes_pending,
        },
        "rows_by_label_source": dict(sorted(Counter(read.rows.label_sources).items())),
        "rows": rows_used(read.rows, read.ids, read.recorded_until),
        "known_outcomes": known_outcomes,
        "outcomes_known_until": iso(_known_until(read.rows, trained.report["target_kind"])),
        "data_hash": trained.data_hash,
        "recipe": trained.recipe,
        "libraries": trained.libraries,
        "machine": platform.machine(),
        "seed": context.seed,
        "horizon_candles": context.horizon_candles,
        "timeframe_ms": context.timeframe_ms,
        "cost": context.cost,
        "include_synthetic": context.include_synthetic,
    }


def _known_until(rows: Rows, target_kind: str) -> datetime:
    """When the newest outcome among the rows of the kind that trained was known."""
    of_horizon = ~np.isnan(rows.forward_returns)
    chosen = of_horizon if target_kind == TargetKind.HORIZON.value else ~of_horizon
    return from_ms(int(rows.ends[chosen].max()))


def rows_used(rows: Rows, ids: Sequence[int], recorded_until: datetime | None) -> dict[str, Any]:
    """Which rows trained, and a digest for every 256 of them that tells where one has changed since."""
    missing = np.isnan(rows.forward_returns)
    return {
        "count": len(ids),
        "first_id": min(ids, default=None),
        "last_id": max(ids, default=None),
        "ids": packed(ids),
        "without_forward_return": packed(one for one, unknown in zip(ids, missing, strict=True) if unknown),
        "outcomes_recorded_until": iso(recorded_until) if recorded_until else None,
        "digests": block_digests(rows, ids, sorted(ids)),
    }


def packed(ids: Iterable[int]) -> str:
    """A set of ids as text: gaps and lengths of its runs, compressed.

    >>> unpacked(packed([7, 3, 4, 5]))
    [3, 4, 5, 7]
    """
    steps: list[list[int]] = []
    last = 0
    for one in sorted(ids):
        if steps and one == last + 1:
            steps[-1][1] += 1
        else:
            steps.append([one - last, 1])
        last = one
    text = json.dumps(steps, separators=(",", ":")).encode()
    return base64.b64encode(zlib.compress(text, 9)).decode()


def unpacked(text: str) -> list[int]:
    """The ids that ``packed`` made the text of, in order."""
    ids: list[int] = []
    for gap, length in json.loads(zlib.decompress(base64.b64decode(text))):
        first = (ids[-1] if ids else 0) + gap
        ids.extend(range(first, first + length))
    return ids


def block_digests(rows: Rows, ids: Sequence[int], expected: Sequence[int]) -> list[str]:
    """A digest of what trains for each 256 of the ``expected`` ids in order; a row that is not there changes it."""
    place = {one: index for index, one in enumerate(ids)}
    features = np.ascontiguousarray(rows.X, dtype="<f4")
    digests = []
    for start in range(0, len(expected), BLOCK):
        digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
        for one in expected[start : start + BLOCK]:
            if one in place:
                digest.update(_content(rows, place[one]))
                digest.update(features[place[one]].tobytes())
        digests.append(digest.hexdigest())
    return digests


def _content(rows: Rows, index: int) -> bytes:
    """All of a row that trains, but its features."""
    told = (
        rows.decision_ids[index],
        rows.symbols[index],
        rows.label_sources[index],
        int(rows.times[index]),
        int(rows.ends[index]),
        float(rows.forward_returns[index]).hex(),
        float(rows.market_returns[index]).hex(),
    )
    return repr(told).encode()
