"""Score rows with the active version, or with any other, and store nothing."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from ai_engine.artifact import Model
from ai_engine.policy import PolicySettings, choose
from ai_engine.types import Action, FeatureMatrix, Forecasts
from backend.errors import ConflictError, InvalidInputError, UnavailableError
from backend.learning.decisions.strategies import get_strategy
from backend.learning.versions.activation import VersionService
from backend.learning.versions.find import find_version
from backend.learning.versions.serving import Serving
from backend.models import FeatureSchema, Strategy

MAX_ROWS = 5000
SHOWN_NAMES = 20
MAX_FLOAT32 = float(np.finfo(np.float32).max)


def predict(
    service: VersionService,
    serving: Serving,
    strategy: str,
    rows: Sequence[Mapping[str, float]],
    version_id: str | None = None,
) -> dict[str, Any]:
    """Forecast every row; 409 ``no_active_model``, 503 ``no_verified_model``, 422 naming row and feature."""
    if len(rows) > MAX_ROWS:
        raise InvalidInputError(f"rows may hold at most {MAX_ROWS} rows, found {len(rows)}.", field="rows")
    chosen, model, names, sides = service.database.read(_choose, service, serving, strategy, version_id)
    forecasts = model.forecast(matrix_of(rows, model.feature_names, names | set(model.feature_names)))
    return {
        "model_version": chosen,
        "predictions": forecasts.scores.tolist(),
        "expected_returns": [_known(value) for value in forecasts.expected_returns],
        "confidences": [_known(value) for value in forecasts.confidences],
        "actions": _actions(service, sides, forecasts),
    }


def _choose(
    session: Session, service: VersionService, serving: Serving, name: str, version_id: str | None
) -> tuple[str, Model, frozenset[str], str]:
    """The version that answers, its strategy's feature names, and the sides it may take."""
    if version_id is not None:
        version = find_version(session, version_id)
        strategy = session.get_one(Strategy, version.strategy)
        return version_id, serving.load(version), _names(session, strategy), strategy.sides
    strategy = get_strategy(session, name, settings=service.settings)
    model = serving.model_for(session, name)
    if model is not None:
        return model.version_id, model.model, _names(session, strategy), strategy.sides
    active = serving.state_of(session, name).active_version_id
    if active is not None:
        raise UnavailableError(
            f"{active} is active but neither its file nor an earlier one's can be verified. Restore it, or retrain"
            " and activate another version.",
            reason="no_verified_model",
            active_version_id=active,
        )
    raise ConflictError(
        f"No version of {name} is active. POST /ai/activate-model/VERSION, or give version_id.",
        reason="no_active_model",
    )


def _names(session: Session, strategy: Strategy) -> frozenset[str]:
    schema = session.get(FeatureSchema, strategy.feature_schema_id) if strategy.feature_schema_id else None
    return frozenset(schema.names if schema else ())


def matrix_of(rows: Sequence[Mapping[str, float]], wanted: Sequence[str], allowed: frozenset[str]) -> FeatureMatrix:
    """The wanted columns of every row, shape (n, f); a row with a missing, unknown or non-finite one is refused."""
    for index, row in enumerate(rows):
        _check_names(index, row, wanted, allowed)
        for name, value in row.items():
            if not _is_number(value):
                field = f"rows[{index}].{name}"
                raise InvalidInputError(f"{field} must be a finite number of at most 3.4e38.", field=field)
    values = [[row[name] for name in wanted] for row in rows]
    return np.asarray(values, dtype=np.float32).reshape(len(rows), len(wanted))


def _check_names(index: int, row: Mapping[str, float], wanted: Sequence[str], allowed: frozenset[str]) -> None:
    missing = [name for name in wanted if name not in row]
    extra = sorted(row.keys() - allowed)
    if missing or extra:
        raise InvalidInputError(
            f"rows[{index}] has other features than the version. Missing: {_shown(missing)}; extra: {_shown(extra)}.",
            field=f"rows[{index}]",
            missing=missing,
            extra=extra,
        )


def _is_number(value: object) -> bool:
    """Whether it is one that float32 can hold; NaN compares false."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_FLOAT32


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return (", ".join(names[:SHOWN_NAMES]) or "none") + more


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _actions(service: VersionService, sides: str, forecasts: Forecasts) -> list[str]:
    """What the policy in force would answer, without exploration."""
    settings = service.settings
    if not settings.enable_ai_trading:
        return [Action.HOLD.value] * len(forecasts)
    policy = PolicySettings(
        min_confidence=settings.min_confidence,
        require_edge=settings.require_edge,
        cost=settings.cost,
        sides=sides,
        exploration_rate=0.0,
    )
    return [choose(forecasts.row(i), policy, uniform=None).action for i in range(len(forecasts))]
