"""What stands beside every accuracy: a version's report, and where the version comes from."""

from typing import Any

from pydantic import Field

from backend.api.schemas.described import TargetKind, Time, Verdict
from backend.api.schemas.fields import Answer


class WalkForward(Answer):
    """The judgement over several periods, which the verdict rests on; null where not computed."""

    samples: int | None = Field(description="Rows judged out of sample.")
    accuracy: float | None = Field(description="Share with the right direction, from 0 to 1.")
    ci95: list[float] | None = Field(description="[low, high] of it at 95 %.")
    baseline_accuracy: float | None = Field(description="What always naming the commoner direction scores.")
    edge: float | None = Field(description="accuracy − baseline_accuracy.")
    p_value: float | None = Field(description="How often chance alone does as well.")
    net_return: float | None = Field(description="Mean return of a trade after costs, a fraction.")


class Report(Answer):
    """How a version was judged. Accuracies are shares from 0 to 1, errors and returns fractions; null: not computed."""

    train_accuracy: float | None = Field(description="Right directions among the rows it was fitted on.")
    train_mae: float | None = Field(description="Mean absolute error on them.")
    validation_accuracy: float | None = Field(
        description="Right directions among the newest 20 %; rows that moved less than the costs left out."
    )
    validation_mae: float | None = Field(description="Mean absolute error on them.")
    validation_accuracy_ci95: list[float] | None = Field(description="[low, high] of validation_accuracy at 95 %.")
    ci_method: str | None = Field(description="How that interval was computed.")
    training_samples: int = Field(description="Rows of the older 80 %.")
    validation_samples: int = Field(description="Rows of the newest 20 %.")
    purged_rows: int = Field(description="Left out between them: their outcome reaches into the newer part.")
    embargoed_rows: int = Field(description="Left out between them: too close to the border.")
    artifact_samples: int = Field(description="Rows the shipped file is fitted on: all usable ones.")
    walk_forward: WalkForward = Field(description="The judgement over several periods.")
    baseline_accuracy: float | None = Field(description="What the simplest rule scores on the same rows.")
    baseline_name: str | None = Field(description="That rule.")
    edge: float | None = Field(description="Accuracy − baseline.")
    p_value: float | None = Field(description="How often chance alone does as well.")
    effective_samples: float | None = Field(description="Independent outcomes among the rows judged.")
    neutral_samples: int = Field(description="Rows that moved less than the costs.")
    min_detectable_accuracy: float | None = Field(description="What so few rows could tell from a coin.")
    break_even_accuracy: float | None = Field(description="What would pay the costs; null where nothing would.")
    costs_exceed_moves: bool | None = Field(description="Whether no accuracy would pay the costs.")
    net_return_after_costs: float | None = Field(description="Mean return of a trade after costs.")
    mae_zero_forecast: float | None = Field(description="The error of always forecasting 0.")
    rank_ic: float | None = Field(description="Rank correlation of forecast and outcome, from -1 to 1.")
    split_time: Time | None = Field(description="Where the newest 20 % begin, UTC.")
    quarantined: dict[str, int] = Field(description="Rows that did not train, by reason.")
    constant_features: list[str] = Field(description="Features that never change.")
    suspected_leakage: list[str] | None = Field(description="Features that seem to know the outcome.")
    target_kind: TargetKind = Field(description="Which return was learned.")
    looks: int = Field(description="How many retrainings there were, this one included.")
    e_value: float | None = Field(description="Evidence over all nights; 20 is enough.")
    data_hash: str = Field(description="Hash of the rows.")
    feature_schema_hash: str = Field(description="Hash of the feature names.")
    comparison: dict[str, Any] | None = Field(
        description="Against the active version on rows neither saw: `verdict` better, not_distinguishable or worse."
    )
    verdict: Verdict = Field(description="This night's statement.")
    recommended: bool = Field(description="Whether verdict, comparison and evidence over all nights speak for it.")
    recommendation_reasons: list[str] = Field(description="What speaks against it.")
    sentence: str = Field(description="All of it in one plain sentence.")
    usable_samples: int = Field(description="All rows that could be used.")
    other_kind_samples: int = Field(description="Rows left out because they know only the other kind of return.")
    synthetic_samples: int = Field(description="Demo rows among them.")
    rows_by_label_source: dict[str, int] = Field(description="Rows by where their outcome comes from.")
    window_start: Time | None = Field(description="The oldest decision, UTC.")
    window_end: Time | None = Field(description="The newest decision, UTC.")


class TrainingWindow(Answer):
    """Which decisions were read."""

    since: Time | None = Field(description="From this time on, UTC.")
    until: Time | None = Field(description="Up to this time, UTC.")
    samples_count: int = Field(description="Rows with a known outcome in it.")
    outcomes_pending: int = Field(description="Rows without.")


class Lineage(Answer):
    """Where a version comes from: enough to make it again."""

    window: TrainingWindow = Field(description="Which decisions were read.")
    rows_by_label_source: dict[str, int] = Field(description="Rows by where their outcome comes from.")
    data_hash: str = Field(description="Hash of the rows.")
    feature_schema_hash: str = Field(description="Hash of the feature names.")
    feature_names: list[str] = Field(description="The names, sorted.")
    recipe: dict[str, Any] = Field(description="What was fitted, with every parameter.")
    libraries: dict[str, str] = Field(description="Versions of Python and the libraries.")
    seed: int = Field(description="The random numbers' seed.")
    sha256: str = Field(description="SHA-256 of the file.")
    artifact_bytes: int = Field(description="The file's size in bytes.")


class LiveMetrics(Answer):
    """How the version fares with decisions it made."""

    total_predictions: int = Field(description="Decisions it made.")
    matured_predictions: int = Field(description="Those whose return over the horizon is known.")
    pending_predictions: int = Field(description="Those whose return is not known yet.")
    neutral_predictions: int = Field(description="Matured ones that moved less than the costs.")
    correct_predictions: int = Field(description="Those whose direction was right.")
    live_accuracy: float | None = Field(description="Right ones among the matured that moved, from 0 to 1.")
    total_trades: int = Field(description="Closed trades among them.")
    total_pnl: float | None = Field(description="What those earned, in quote currency.")


class ActivationEntry(Answer):
    """One time a version was made to decide."""

    activated_at: Time = Field(description="When, UTC.")
    actor: str = Field(description="Whose token.")
    reason: str | None = Field(description="Why, where that was said.")
    undone_at: Time | None = Field(description="When it was rolled back, UTC.")
