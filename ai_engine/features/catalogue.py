"""Every feature of the built-in schema: names, units, sources, and the hash that names a schema."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from ai_engine.features import calendar, momentum, trend, volatility, volume
from ai_engine.features.feature import Feature
from ai_engine.features.windows import WINDOW

__all__ = ["CATALOGUE", "FEATURE_NAMES", "SCHEMA_HASH", "WINDOW", "Feature", "schema_hash"]


def schema_hash(names: Iterable[str]) -> str:
    """Return the SHA-256 of the sorted names, whatever order they come in.

    Examples
    --------
    >>> schema_hash(["rsi_14", "hour_sin"]) == schema_hash(["hour_sin", "rsi_14"])
    True
    """
    return hashlib.sha256(json.dumps(sorted(names)).encode()).hexdigest()


CATALOGUE: tuple[Feature, ...] = tuple(
    sorted(
        (*trend.FEATURES, *momentum.FEATURES, *volatility.FEATURES, *volume.FEATURES, *calendar.FEATURES),
        key=lambda feature: feature.name,
    )
)
FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in CATALOGUE)
SCHEMA_HASH: str = schema_hash(FEATURE_NAMES)
