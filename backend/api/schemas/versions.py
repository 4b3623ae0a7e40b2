"""Model versions and retraining runs as they are answered."""

from typing import Any, Literal

from pydantic import Field

from backend.api.schemas.fields import Answer


class ModelOut(Answer):
    """One trained version: how it was judged, and how it fares live."""

    version_id: str
    model_type: Literal["xgboost_continuous"]
    strategy: str
    trained_at: str
    training_samples: int
    validation_samples: int
    train_accuracy: float | None
    validation_accuracy: float | None
    train_mae: float | None
    validation_mae: float | None
    verdict: str
    recommended: bool
    is_active: bool
    activated_at: str | None
    replaced_at: str | None
    total_predictions: int
    correct_predictions: int
    live_accuracy: float | None = Field(description="Null until an outcome is known.")
    total_pnl: float | None
    notes: str | None


class ModelList(Answer):
    """A page of versions, newest first."""

    status: Literal["ok"]
    count: int
    models: list[ModelOut]
    next_cursor: str | None


class ModelDetail(ModelOut):
    """Everything known about one version."""

    report: dict[str, Any]


class ActivationOut(Answer):
    """What serves now and what served before."""

    status: Literal["success"]
    activated_version: str | None
    previous_version: str | None
    model_type: str | None
    train_accuracy: float | None
    validation_accuracy: float | None
    message: str
    warning: str | None


class RetrainSuccess(Answer):
    """A new, inactive version."""

    status: Literal["success"]
    version_id: str
    training_samples: int
    validation_samples: int
    train_accuracy: float | None
    validation_accuracy: float | None
    train_mae: float | None
    validation_mae: float | None
    model_path: str
    message: str
    report: dict[str, Any]


class RetrainSkipped(Answer):
    """Nothing was trained; ``reason`` says why, and the numbers beside it what is missing."""

    status: Literal["skipped"]
    reason: Literal["insufficient_samples", "no_new_samples"]


class RetrainError(Answer):
    """Training could not produce a version."""

    status: Literal["error"]
    reason: Literal["too_few_valid_samples", "degenerate_data", "training_failed"]


class RetrainStarted(Answer):
    """The run goes on; ask for it by its id."""

    run_id: str


class RunOut(Answer):
    """One retraining, scheduled (it has a slot) or asked for."""

    run_id: str
    strategy: str
    slot: str | None
    state: Literal["running", "success", "skipped", "error", "missed"]
    started_at: str | None
    finished_at: str | None
    stage: str | None
    progress: float
    result: dict[str, Any] | None


class RunList(Answer):
    """A page of runs, newest first."""

    status: Literal["ok"]
    count: int
    runs: list[RunOut]
    next_cursor: str | None
