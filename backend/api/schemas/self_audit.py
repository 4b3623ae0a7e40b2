"""The self-audit as it is answered."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from backend.api.schemas.described import RunState, Time
from backend.api.schemas.fields import Answer


class PlantedOut(Answer):
    """How often a signal of a known accuracy is found."""

    accuracy: float = Field(description="How often the planted signal is right, from 0 to 1.")
    worlds: int = Field(description="Worlds it was planted into.")
    detected: int = Field(description="Those whose verdict was `evidence` or `strong_evidence`.")
    detection_rate: float | None = Field(
        description="Their share; null without a world, or where none could be judged."
    )
    ci95: list[float] | None = Field(description="[low, high] of it at 95 % (Wilson); null where that is.")


class PlaceboAccuracy(Answer):
    """The mean walk-forward accuracy where there is nothing to find: the sharper eye, for it sees a small leak too."""

    mean: float | None = Field(description="Over the placebos; null where none was judged.")
    ci95: list[float] | None = Field(description="[low, high] of the mean at 95 %; null with too few worlds.")
    baseline: float | None = Field(description="What chance gives: 0.5, for a coin decided every direction.")
    standard_errors: float | None = Field(description="How far above it the mean lies; above 3 the audit fails.")


class SelfAuditResult(Answer):
    """What the installed pipeline says of this installation's own data with the signal taken out, and with one put in.

    Rates are fractions.
    """

    placebos: int = Field(description="Worlds without a signal.")
    false_approvals: int = Field(description="Placebos with the verdict `evidence` or `strong_evidence`.")
    false_approval_rate: float | None = Field(
        description="Their share; at most 0.05 is promised. Null where no world could be judged."
    )
    false_approval_ci95: list[float] | None = Field(
        description="[low, high] of it at 95 % (Wilson); null where that is."
    )
    planted: list[PlantedOut] = Field(description="How often a known signal is found, by its accuracy.")
    placebo_accuracy: PlaceboAccuracy | None = Field(
        description="The mean accuracy of the placebos; null where no world could be judged, unless it alone gives a"
        " leak away."
    )
    verdicts: dict[str, int] = Field(description="Placebos by verdict.")
    judged: int = Field(description="Worlds with enough data for any verdict; 0: nothing could be judged.")
    holds: bool | None = Field(
        description="False where the false approvals lie above 5 % beyond chance, or the placebos' accuracy above the"
        " baseline; null: nothing could be judged."
    )
    faults: list[Literal["false_approvals", "placebo_accuracy"]] = Field(description="Which of the two; empty: none.")
    sentence: str = Field(description="All of it in one plain sentence.")
    rows: int = Field(description="Rows each world is made of.")
    rows_available: int = Field(description="Usable rows of the training window, of which these are the newest.")
    window_rows: int = Field(description="Decisions of one symbol that an outcome's window spans: their overlap.")
    kind: Literal["candles", "rotated"] = Field(
        description="`candles`: each candle's move kept or mirrored, features and outcomes computed again; `rotated`:"
        " posted features turned in time against outcomes whose signs are drawn anew."
    )
    seed: int = Field(description="The same rows and seed give the same result.")
    recipe_version: str = Field(description="The recipe that was audited.")
    libraries: dict[str, str] = Field(description="Versions of Python and the libraries.")
    known_outcomes: int = Field(description="Outcomes the strategy knew of.")
    started_at: Time = Field(description="When it began, UTC.")
    finished_at: Time = Field(description="When it ended, UTC.")
    run_id: str = Field(description="The run that made it.")


class SelfAuditSuccess(SelfAuditResult):
    """An audit that came to its end."""

    status: Literal["success"] = Field(description="The audit came to its end; whether it `holds` stands beside it.")
    strategy: str = Field(description="The partition.")


class SelfAuditSkipped(Answer):
    """Nothing was audited; ``reason`` says why."""

    status: Literal["skipped"] = Field(description="Nothing was audited.")
    reason: Literal["insufficient_samples", "no_new_samples"] = Field(description="Why.")
    strategy: str = Field(description="The partition.")
    run_id: str = Field(description="The run that found so.")
    samples_count: int = Field(description="Known outcomes in the window.")
    required: int | None = Field(None, description="How many are wanted.")
    outcomes_pending: int | None = Field(None, description="Decisions in the window without a known outcome.")
    outcomes_unobservable: int | None = Field(
        None,
        description="Those that will never have one: no price came near the horizon. `GET /ai/doctor` names symbols.",
    )


class SelfAuditError(Answer):
    """The audit did not come to an end."""

    status: Literal["error"] = Field(description="There is no result.")
    reason: Literal["too_few_valid_samples", "degenerate_data", "audit_failed", "lost"] = Field(
        description="Why; `lost`: the service stopped during the audit."
    )
    strategy: str = Field(description="The partition.")
    run_id: str = Field(description="The run that failed.")
    valid_samples: int | None = Field(None, description="Rows that can be used; 10 are needed.")
    rejected: dict[str, int] | None = Field(None, description="Rows that cannot, by reason.")
    detail: str | None = Field(None, description="What happened.")


SelfAuditAnswer = TypeAliasType(
    "SelfAuditAnswer",
    Annotated[
        SelfAuditSuccess | SelfAuditSkipped | SelfAuditError,
        Field(discriminator="status", description="What came of a self-audit; `status` says which."),
    ],
)


class SelfAuditStarted(Answer):
    """The audit goes on; `GET /ai/self-audit` says how far it is."""

    status: Literal["started"] = Field(description="Always `started`.")
    run_id: str = Field(description="Its run.")


class SelfAuditLine(Answer):
    """One audit of the past, in short."""

    run_id: str = Field(description="Its run.")
    state: RunState = Field(description="What became of it.")
    reason: str | None = Field(description="Why there is no result; null: there is one, or it still runs.")
    actor: str = Field(description="Whose token, or `scheduler`.")
    slot: Time | None = Field(description="When it was due, UTC; null: somebody asked for it.")
    started_at: Time | None = Field(description="When it began, UTC.")
    finished_at: Time | None = Field(description="When it ended, UTC.")
    placebos: int | None = Field(description="Worlds without a signal.")
    false_approval_rate: float | None = Field(description="The share of them called evidence; null as `holds`.")
    false_approval_ci95: list[float] | None = Field(description="[low, high] of it at 95 %.")
    holds: bool | None = Field(description="Whether it held; null: no result, or nothing could be judged.")


class SelfAuditOut(Answer):
    """How the self-audit of a strategy stands."""

    status: Literal["ok"] = Field(description="Always `ok`.")
    strategy: str = Field(description="The partition.")
    state: Literal["never", "running", "done", "skipped", "error"] = Field(
        description="Of the newest run; `never`: none was asked for or due yet."
    )
    reason: str | None = Field(description="Why the newest run has no result; null: it has one, or still runs.")
    run_id: str | None = Field(description="The newest run.")
    stage: str | None = Field(description="What it is doing.")
    progress: float | None = Field(description="How far it is, from 0 to 1.")
    result: SelfAuditResult | None = Field(description="The newest result; null before the first.")
    history: list[SelfAuditLine] = Field(description="The newest ten runs, newest first.")
