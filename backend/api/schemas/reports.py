"""What stands beside every accuracy: a version's report, and where the version comes from."""

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from backend.api.schemas.described import TargetKind, Time, Verdict
from backend.api.schemas.fields import Answer

CiMethod = TypeAliasType(
    "CiMethod",
    Annotated[
        Literal["wilson", "block_bootstrap"],
        Field(
            description="`wilson` for one symbol whose windows do not overlap, else `block_bootstrap` over stretches"
            " of time."
        ),
    ],
)


class Challenger(Answer):
    """How one way to forecast did on the rows of the walk-forward."""

    accuracy: float | None = Field(description="Share with the right direction; null: it names none.")
    mae: float | None = Field(description="Mean absolute error; null: it forecasts no size.")


class Challengers(Answer):
    """XGBoost beside simpler ways to forecast, fitted on the same older rows and judged on the same newer ones."""

    zero: Challenger = Field(description="Always 0.")
    mean: Challenger = Field(description="The mean of the older rows.")
    majority: Challenger = Field(description="The commoner direction of the older rows.")
    ridge: Challenger = Field(description="A ridge regression.")
    xgboost: Challenger = Field(description="What the version's file is made by.")


class WalkForward(Answer):
    """The judgement over five periods, each forecast by a fit on what was known before; the verdict rests on it."""

    samples: int | None = Field(description="Rows forecast out of sample, those that moved less than the costs too.")
    judged: int | None = Field(
        None, description="Those of them that moved more: what `accuracy` is a share of. Null in older reports."
    )
    accuracy: float | None = Field(description="Share with the right direction, from 0 to 1.")
    ci95: list[float] | None = Field(
        description="[low, high] of it at 95 %, the upper end raised to what the parts' own spread allows, because the "
        "file is fitted on more rows than any part was; null with too few stretches of time."
    )
    ci_method: Literal["wilson", "block_bootstrap", "wilson_raised", "block_bootstrap_raised"] | None = Field(
        description="How that interval was made, `…_raised` where its upper end was; null without one."
    )
    baseline_accuracy: float | None = Field(
        description="What always naming the direction that was commoner in these very rows scores."
    )
    edge: float | None = Field(description="accuracy − baseline_accuracy.")
    edge_ci95: list[float] | None = Field(
        description="[low, high] of the edge at 95 %, over stretches of time; `strong_evidence` needs it above 0."
    )
    p_value: float | None = Field(
        description="Share of wrong alignments of forecasts and outcomes that do as well: the worse of direction and"
        " direction × return."
    )
    p_value_against_majority: float | None = Field(
        description="Chance, by resampled stretches of time, that the direction commoner before a period does as well."
    )
    net_return: float | None = Field(description="Mean return of a trade after costs, a fraction.")
    shifts: int = Field(description="How many wrong alignments were tried; 39 are needed.")
    windows: int = Field(description="Outcome windows without overlap among the rows; 10 are needed.")
    newest_accuracy: float | None = Field(description="Share with the right direction in the newest period.")
    challengers: Challengers | None = Field(description="Simpler forecasts on the same rows; null: nothing was judged.")


class Comparison(Answer):
    """This version against the one that was active, on rows that neither was trained on, after the same costs.

    One night's look: of two equal versions one is `better` at some night of 60 in about a fifth of cases. What may be
    read at any time is `GET /ai/compare`; what to act on is `recommended`.
    """

    verdict: Literal["better", "not_distinguishable", "worse"] = Field(
        description="What one night's interval allows to say; by itself no reason to activate."
    )
    champion: str = Field(description="The version that was active.")
    rows: int = Field(description="Rows that are new to both.")
    blocks: int = Field(description="Stretches of time they lie in; 10 are needed.")
    mean_difference: float | None = Field(description="Mean net return of this version minus the champion's.")
    ci95: list[float] | None = Field(description="[low, high] of the difference at 95 %, over stretches of time.")
    challenger_net_return: float | None = Field(description="Mean net return of a row by this version's directions.")
    champion_net_return: float | None = Field(description="The same by the champion's.")
    sentence: str = Field(description="All of it in one plain sentence.")


class SelfAuditNote(Answer):
    """What the newest self-audit before this training measured; rates are fractions."""

    run_id: str = Field(description="The audit's run.")
    finished_at: Time | None = Field(description="When it ended, UTC.")
    placebos: int = Field(description="Worlds without a signal.")
    false_approvals: int = Field(description="Those that were called evidence.")
    false_approval_rate: float | None = Field(description="Their share; null where no world could be judged.")
    false_approval_ci95: list[float] | None = Field(description="[low, high] of it at 95 %; null where that is.")
    planted: list[dict[str, Any]] = Field(description="How often a known signal was found, as in `GET /ai/self-audit`.")
    placebo_accuracy: dict[str, Any] | None = Field(
        description="The mean accuracy of the placebos, beside what chance gives; null where no world could be judged."
    )
    rows: int = Field(description="Rows each world was made of.")
    kind: Literal["candles", "rotated"] = Field(description="How the signal was taken out.")
    holds: bool | None = Field(description="Whether the audit held; null: nothing could be judged.")
    sentence: str = Field(description="What a verdict is worth here, in one plain sentence.")


class Report(Answer):
    """How a version was judged. Accuracies are shares from 0 to 1, errors and returns fractions; null: not computed."""

    train_accuracy: float | None = Field(description="Right directions among the rows it was fitted on.")
    train_mae: float | None = Field(description="Mean absolute error on them.")
    validation_accuracy: float | None = Field(
        description="Right directions among the newest 20 %; rows that moved less than the costs left out."
    )
    validation_mae: float | None = Field(description="Mean absolute error on them.")
    validation_accuracy_ci95: list[float] | None = Field(description="[low, high] of validation_accuracy at 95 %.")
    ci_method: CiMethod | None = Field(description="How that interval was made; null without one.")
    training_samples: int = Field(description="Rows of the older 80 %.")
    validation_samples: int = Field(description="Rows of the newest 20 %.")
    purged_rows: int = Field(description="Left out between them: their outcome reaches into the newer part.")
    embargoed_rows: int = Field(description="Left out between them: too close to the border.")
    artifact_samples: int = Field(description="Rows the shipped file is fitted on: all usable ones.")
    walk_forward: WalkForward = Field(description="The judgement over five periods.")
    baseline_accuracy: float | None = Field(description="As in `walk_forward`.")
    baseline_name: str | None = Field(description="The rule that scores it.")
    edge: float | None = Field(description="As in `walk_forward`.")
    p_value: float | None = Field(description="As in `walk_forward`.")
    effective_samples: float | None = Field(
        description="Independent outcomes that the rows of the walk-forward are worth: windows overlap, symbols move"
        " together."
    )
    neutral_samples: int = Field(description="Rows of the newest 20 % that moved less than the costs.")
    min_detectable_accuracy: float | None = Field(
        description="What as many rows as `effective_samples` could tell from a coin."
    )
    break_even_accuracy: float | None = Field(
        description="What would pay the costs, by the moves of all usable rows; null where nothing would."
    )
    costs_exceed_moves: bool | None = Field(description="Whether no accuracy would pay the costs.")
    net_return_after_costs: float | None = Field(
        description="Mean return of a trade after costs, over the newest 20 %."
    )
    mae_zero_forecast: float | None = Field(description="The error of always forecasting 0 on the newest 20 %.")
    rank_ic: float | None = Field(description="Rank correlation of forecast and outcome, from -1 to 1.")
    split_time: Time | None = Field(description="Where the newest 20 % begin, UTC.")
    quarantined: dict[str, int] = Field(description="Rows that did not train, by reason.")
    constant_features: list[str] = Field(description="Features that never change.")
    suspected_leakage: list[str] | None = Field(description="Features that seem to know the outcome.")
    target_kind: TargetKind = Field(description="Which return was learned.")
    looks: int = Field(description="How many versions of the strategy were ever trained, this one included.")
    e_value: float | None = Field(
        description="Evidence over all nights: what betting on every forecast made before its outcome, against the"
        " commoner direction, has made of 1. 20 is enough; null before the first bet."
    )
    data_hash: str = Field(description="Hash of the rows.")
    feature_schema_hash: str = Field(description="Hash of the feature names.")
    comparison: Comparison | None = Field(
        description="Against the version active then; null where none was, or, which `recommendation_reasons` says,"
        " its file could not be read."
    )
    verdict: Verdict = Field(description="This night's statement.")
    recommended: bool = Field(description="Whether verdict, comparison and evidence over all nights speak for it.")
    recommendation_reasons: list[str] = Field(description="What speaks against it.")
    sentence: str = Field(description="All of it in one plain sentence.")
    self_audit: SelfAuditNote | None = Field(
        default=None, description="How often a verdict is wrong here; null: never audited before this training."
    )
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
    outcomes_known_until: Time | None = Field(
        default=None,
        description="When the newest outcome it learned from was known, UTC; null where not recorded yet.",
    )
    seed: int = Field(description="The random numbers' seed.")
    sha256: str = Field(description="SHA-256 of the file.")
    artifact_bytes: int = Field(description="The file's size in bytes.")


class ActivationEntry(Answer):
    """One time a version was made to decide."""

    activated_at: Time = Field(description="When, UTC.")
    actor: str = Field(description="Whose token.")
    reason: str | None = Field(description="Why, where that was said.")
    undone_at: Time | None = Field(description="When it was rolled back, UTC.")
