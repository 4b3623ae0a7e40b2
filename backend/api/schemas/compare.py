"""Two versions side by side as they are answered."""

from typing import Annotated, Any, Literal

from pydantic import Field

from backend.api.schemas.described import DescribedAs, TargetKind, Time, Verdict
from backend.api.schemas.fields import Answer


class LiveCounters(Answer):
    """What became of the decisions that this version made."""

    total_predictions: int = Field(description="Decisions it made.")
    matured_predictions: int = Field(description="Those whose return over the horizon is known.")
    neutral_predictions: int = Field(description="Matured ones that moved less than the costs.")
    pending_predictions: int = Field(description="Those whose return is not known yet.")
    correct_predictions: int = Field(description="Those whose direction was right.")
    live_accuracy: float | None = Field(description="From 0 to 1; null until an outcome is known.")


class Executed(Answer):
    """The money it made, by trades at its own times: never part of the comparison."""

    total_trades: int = Field(description="Closed trades.")
    total_pnl: float | None = Field(description="What they earned, in quote currency.")


class ReportExcerpt(Answer):
    """The figures of a version's report that one compares first; accuracies from 0 to 1, returns as fractions."""

    validation_accuracy: float | None = Field(description="Right directions among the newest 20 %.")
    validation_accuracy_ci95: list[float] | None = Field(description="[low, high] of it at 95 %.")
    baseline_accuracy: float | None = Field(
        description="What always naming the commoner direction scores, over five periods."
    )
    baseline_name: str | None = Field(description="That rule.")
    break_even_accuracy: float | None = Field(description="What would pay the costs; null where nothing would.")
    costs_exceed_moves: bool | None = Field(description="Whether no accuracy would pay the costs.")
    net_return_after_costs: float | None = Field(description="Mean return of a trade after costs.")
    min_detectable_accuracy: float | None = Field(description="What so few rows could tell from a coin.")
    effective_samples: float | None = Field(
        description="Independent outcomes that the rows of the five periods are worth."
    )
    target_kind: TargetKind | None = Field(description="Which return was learned.")
    training_samples: int | None = Field(description="Rows of the older 80 %.")
    validation_samples: int | None = Field(description="Rows of the newest 20 %.")
    verdict: Verdict | None = Field(description="What may be believed of it.")
    recommended: bool | None = Field(description="Whether everything known speaks for it.")
    sentence: str | None = Field(description="All of it in one plain sentence.")


class ComparedVersion(Answer):
    """One of the two: the key figures of its report, and how it fares live."""

    version_id: str = Field(description="Its name.")
    trained_at: Time = Field(description="When, UTC.")
    is_active: bool = Field(description="Whether it decides now.")
    is_shadow: bool = Field(description="Whether it scores beside the active version.")
    activated_at: Time | None = Field(description="When it last began to decide, UTC.")
    replaced_at: Time | None = Field(description="When it last ceased to, UTC.")
    report: Annotated[dict[str, Any], DescribedAs(ReportExcerpt)] = Field(description="How it was judged.")
    live: LiveCounters = Field(description="How it fares.")
    executed: Executed = Field(description="The money it made.")


class PairedVersion(Answer):
    """One of the two on the decisions that both forecast."""

    accuracy: float | None = Field(description="Share of the right direction; moves within costs left out.")
    correct: int = Field(description="How many directions were right.")
    judged: int = Field(description="Of how many.")
    mean_net_return: float | None = Field(description="Mean over rounds, a fraction, after costs.")


class Paired(Answer):
    """Both on the same decisions, each priced by `forward_return` and the same costs."""

    rows: int = Field(
        description="Decisions that both forecast, that neither could have learned from, of known return."
    )
    rounds: int = Field(description="Distinct decision times; what a judgement counts.")
    known_before: int = Field(
        description="Shared decisions left out, because they are older than the newest outcome that one of the two was"
        " trained on: it could have known how they ended."
    )
    neutral_rows: int = Field(description="Those that moved less than the costs.")
    agreement: float | None = Field(description="Share of rows on which both forecast the same direction.")
    same_action: float | None = Field(description="Share of rows on which both answered the same.")
    a: PairedVersion = Field(description="The first on them.")
    b: PairedVersion = Field(description="The second on them.")
    mean_difference: float | None = Field(description="`b` less `a`, mean over rounds, a fraction.")


class ConfidenceSequenceOut(Answer):
    """Where the mean difference a round lies, said so that it holds at every look at once."""

    low: float | None = Field(description="A fraction; null before enough stretches have closed.")
    high: float | None = Field(description="A fraction; above `low`.")
    level: float = Field(description="The chance that all intervals ever shown hold, from 0 to 1.")
    mean_difference: float | None = Field(description="`b` less `a`, mean over closed stretches, a fraction.")
    stretches: int = Field(description="Stretches of time that have closed; what lies in one counts once.")
    fewest_stretches: int = Field(
        description="How many are needed before bounds are given, ten of them with a difference other than 0."
    )
    stretch_seconds: float = Field(description="How long one is: twice the horizon.")


class CompareOut(Answer):
    """`verdict` is how `b` did against `a`; `sentence` says on what it rests."""

    status: Literal["ok"] = Field(description="Always `ok`.")
    strategy: str = Field(description="The partition of both.")
    a: ComparedVersion = Field(description="The first.")
    b: ComparedVersion = Field(description="The second.")
    paired: Paired = Field(description="Both on the decisions they share.")
    verdict: Literal["better", "not_distinguishable", "worse"] = Field(description="How `b` did against `a`.")
    sentence: str = Field(description="The same in words.")
    confidence_sequence: ConfidenceSequenceOut | None = Field(
        description="What the verdict rests on; null where the two share no decision."
    )
    outcomes_still_needed: int | None = Field(
        description="Further shared outcomes like these until a winner could be named: 0 where one is, null where that"
        " cannot be told. A rough figure while there are few."
    )
