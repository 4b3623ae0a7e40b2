"""Model versions and retraining runs as they are answered."""

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from backend.api.schemas.described import DescribedAs, RunState, Time, Verdict
from backend.api.schemas.fields import Answer
from backend.api.schemas.live import LiveMetrics, ShadowMetrics
from backend.api.schemas.reports import ActivationEntry, Lineage, Report

ShadowOrigin = Literal["automatic", "asked"]
ReportOut = Annotated[dict[str, Any], DescribedAs(Report)]


class ModelOut(Answer):
    """One trained version: how it was judged, and how it fares live. Accuracies are shares from 0 to 1."""

    version_id: str = Field(description="Its name, unique over all strategies.")
    model_type: Literal["xgboost_continuous"] = Field(description="What kind of model it is.")
    strategy: str = Field(description="The partition it was trained for.")
    trained_at: Time = Field(description="When, UTC.")
    training_samples: int = Field(description="Rows of the older 80 %.")
    validation_samples: int = Field(description="Rows of the newest 20 %.")
    train_accuracy: float | None = Field(description="Right directions among the former.")
    validation_accuracy: float | None = Field(description="Right directions among the latter; alone it says little.")
    train_mae: float | None = Field(description="Mean absolute error on the former, a fraction.")
    validation_mae: float | None = Field(description="Mean absolute error on the latter, a fraction.")
    verdict: Verdict = Field(description="What may be believed of it.")
    recommended: bool = Field(description="Whether everything known speaks for activating it.")
    is_active: bool = Field(description="Whether it decides now.")
    is_shadow: bool = Field(description="Whether it scores every decision beside the active version, and acts on none.")
    shadow_origin: ShadowOrigin | None = Field(
        description="Why: by itself, or because somebody asked; null where it is no shadow."
    )
    activated_at: Time | None = Field(description="When it last began to, UTC.")
    replaced_at: Time | None = Field(description="When it last ceased to, UTC.")
    total_predictions: int = Field(description="Decisions it made.")
    correct_predictions: int = Field(description="Those whose direction was right.")
    live_accuracy: float | None = Field(description="Null until an outcome is known.")
    total_pnl: float | None = Field(description="What its closed trades earned, in quote currency.")
    notes: str | None = Field(description="Its report's sentence.")


class ModelList(Answer):
    """A page of versions, newest first."""

    status: Literal["ok"] = Field(description="Always `ok`.")
    count: int = Field(description="How many are in this answer.")
    models: list[ModelOut] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="The `cursor` of the next page; null on the last one.")


class VersionChange(Answer):
    """One change of the version that decides."""

    at: Time = Field(description="When, UTC.")
    action: Literal["activate", "rollback", "deactivate"] = Field(description="What was done.")
    actor: str = Field(description="Who did it.")
    reason: str | None = Field(description="Why.")
    version_id: str | None = Field(description="The version that decided from then on; null: none.")
    previous_version: str | None = Field(description="The one that decided before; null: none.")


class ModelDetail(ModelOut):
    """Everything known about one version."""

    status: Literal["ok"] = Field(description="Always `ok`.")
    model_path: str = Field(description="Its file, as the service names it.")
    what_now: str = Field(
        description="What a person should do about it now, in one sentence: the first line that applies of the manual's"
        " list 'Activate, wait, or roll back'."
    )
    report: ReportOut = Field(description="How it was judged.")
    lineage: Annotated[dict[str, Any], DescribedAs(Lineage)] = Field(description="Where it comes from.")
    live: Annotated[dict[str, Any], DescribedAs(LiveMetrics)] = Field(description="How it fares.")
    shadow: Annotated[dict[str, Any], DescribedAs(ShadowMetrics)] = Field(
        description="How what it forecast beside another version fares; in no figure of `live`."
    )
    activations: list[Annotated[dict[str, Any], DescribedAs(ActivationEntry)]] = Field(
        description="Who made it decide when and why, newest first."
    )
    history: list[VersionChange] = Field(
        description="Every activation, rollback and deactivation that it was part of, newest first."
    )


class ActivationOut(Answer):
    """What serves now and what served before."""

    status: Literal["success"] = Field(description="Always `success`.")
    activated_version: str | None = Field(description="The version that decides now; null: none.")
    previous_version: str | None = Field(description="The one that decided before; null: none.")
    model_type: str | None = Field(description="What kind of model decides now.")
    train_accuracy: float | None = Field(description="Its accuracy on the rows it was fitted on, from 0 to 1.")
    validation_accuracy: float | None = Field(description="Its accuracy on newer rows, from 0 to 1.")
    message: str = Field(description="What was done, in words.")
    changed: bool = Field(
        description="Whether anything did; false: it was active already, or none was. Nothing is reset then."
    )
    warning: str | None = Field(
        description="What is not known about it; null: it is recommended, and over the one it replaces."
    )


class ShadowOut(Answer):
    """Whether the version scores beside the active one now, and which others do."""

    status: Literal["success"] = Field(description="Always `success`.")
    version_id: str = Field(description="Its name.")
    strategy: str = Field(description="The partition.")
    is_shadow: bool = Field(description="Whether it scores every decision from now on.")
    shadow_origin: ShadowOrigin | None = Field(description="Why; null where it does not.")
    shadows: list[str] = Field(description="All versions of the strategy that do, newest first.")
    message: str = Field(description="What was done, in words.")


class RetrainSuccess(Answer):
    """A new, inactive version. Accuracies are shares from 0 to 1, errors fractions."""

    status: Literal["success"] = Field(description="A version was made.")
    version_id: str = Field(description="Its name.")
    training_samples: int = Field(description="Rows of the older 80 %.")
    validation_samples: int = Field(description="Rows of the newest 20 %.")
    train_accuracy: float | None = Field(description="Right directions among the former.")
    validation_accuracy: float | None = Field(description="Right directions among the latter.")
    train_mae: float | None = Field(description="Mean absolute error on the former.")
    validation_mae: float | None = Field(description="Mean absolute error on the latter.")
    model_path: str = Field(description="Its file, as the service names it.")
    message: str = Field(description="Where to activate it, should you want to; `what_now` says whether.")
    what_now: str = Field(description="What a person should do about it now, in one sentence.")
    report: ReportOut = Field(description="How it was judged.")
    strategy: str = Field(description="The partition it was trained for.")
    run_id: str = Field(description="The run that made it.")


class RetrainSkipped(Answer):
    """Nothing was trained; ``reason`` says why, and the numbers beside it what is missing."""

    status: Literal["skipped"] = Field(description="Nothing was trained.")
    reason: Literal["insufficient_samples", "no_new_samples"] = Field(description="Why.")
    strategy: str = Field(description="The partition.")
    run_id: str = Field(description="The run that found so.")
    samples_count: int | None = Field(None, description="Known outcomes in the window.")
    required: int | None = Field(None, description="How many are wanted.")
    outcomes_pending: int | None = Field(None, description="Decisions in the window without a known outcome.")
    outcomes_unobservable: int | None = Field(
        None,
        description="Those that will never have one: no price came near the horizon. `GET /ai/doctor` names symbols.",
    )
    version_id: str | None = Field(None, description="The version trained on the same data.")


class RetrainError(Answer):
    """Training could not produce a version."""

    status: Literal["error"] = Field(description="No version was made.")
    reason: Literal["too_few_valid_samples", "degenerate_data", "training_failed", "lost"] = Field(
        description="Why; `lost`: the service stopped during the training."
    )
    strategy: str = Field(description="The partition.")
    run_id: str = Field(description="The run that failed.")
    valid_samples: int | None = Field(None, description="Rows that can be used; 10 are needed.")
    rejected: dict[str, int] | None = Field(None, description="Rows that cannot, by reason.")
    outcomes_pending: int | None = Field(None, description="Decisions in the window without a known outcome.")
    outcomes_unobservable: int | None = Field(
        None,
        description="Those that will never have one: no price came near the horizon. `GET /ai/doctor` names symbols.",
    )
    detail: str | None = Field(None, description="What happened.")


RetrainAnswer = TypeAliasType(
    "RetrainAnswer",
    Annotated[
        RetrainSuccess | RetrainSkipped | RetrainError,
        Field(discriminator="status", description="What came of a retraining; `status` says which."),
    ],
)


class RetrainStarted(Answer):
    """The run goes on; ask for it by its id."""

    status: Literal["started"] = Field(description="Always `started`.")
    run_id: str = Field(description="What to ask `GET /ai/retraining-runs/{run_id}` for.")


class RunOut(Answer):
    """One retraining, scheduled (it has a slot) or asked for."""

    run_id: str = Field(description="Its name, unique over all strategies.")
    job: str = Field(description="What kind of work it is.")
    strategy: str = Field(description="The partition.")
    slot: Time | None = Field(description="When it was due, UTC; null: somebody asked for it.")
    state: RunState = Field(description="What became of it.")
    reason: str | None = Field(description="Why it made no version; null: it did, or still runs.")
    actor: str = Field(description="Whose token, or `scheduler`.")
    started_at: Time | None = Field(description="When it began, UTC; null: it never did.")
    finished_at: Time | None = Field(description="When it ended, UTC; null: it has not.")
    stage: str | None = Field(description="What it is doing.")
    progress: float = Field(description="How far it is, from 0 to 1.")
    result: dict[str, Any] | None = Field(
        description="The answer of `POST /ai/retrain` without the report; null while it runs."
    )


class RunList(Answer):
    """A page of runs, newest first."""

    status: Literal["ok"] = Field(description="Always `ok`.")
    count: int = Field(description="How many are in this answer.")
    runs: list[RunOut] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="The `cursor` of the next page; null on the last one.")
