"""What speaks against a version that decides: its skill is lost, its errors or its features have drifted."""

from pydantic import Field

from backend.api.schemas.described import Time
from backend.api.schemas.fields import Answer


class Skill(Answer):
    """Whether the skill that the version showed is lost, by its live forecasts since its latest activation.

    Only decisions later than everything it learned from count.
    One bet a decision round that the hit rate is below `bound`; what has become of 1 alarms (`skill_lost`) where it
    reaches `enough`, once and for good. While the skill lasts that happens to one version in twenty at most.
    """

    lost: bool | None = Field(description="Whether the evidence was ever enough; null: it never showed skill.")
    walk_forward_accuracy: float | None = Field(description="What it showed at its training.")
    bound: float | None = Field(
        description="What it must keep: the lower end of the walk-forward's 95 % interval, at least 0.5; null without"
        " an interval, or where the accuracy was no better than a coin's."
    )
    outcomes: int = Field(description="Live forecasts since the activation that moved more than the costs.")
    hits: int = Field(description="Those whose direction was right.")
    accuracy: float | None = Field(description="hits / outcomes.")
    rounds: int = Field(
        description="Bets: one for all decisions of one candle of the strategy, or of a hundredth of its horizon where"
        " that is longer, whatever their symbols."
    )
    phases: int = Field(description="Sequences of rounds without overlap that the bets are dealt to; averaged.")
    e_value: float | None = Field(description="What has become of 1 by now.")
    largest_e_value: float | None = Field(description="The most it ever was.")
    enough: float = Field(description="What alarms.")
    alarmed_at: Time | None = Field(description="When the outcome was known that made it enough, in market time.")
    expected_delay: int | None = Field(
        description="Outcomes without overlap, about, until a turn to 1 − walk_forward_accuracy is seen."
    )
    expected_delay_to_a_coin: int | None = Field(
        description="The same for a fall to 0.5; null where it would not be seen."
    )
    sentence: str = Field(description="All of it in plain words.")


class ErrorDrift(Answer):
    """|forward_return − expected_return| in units of the volatility known at the decision: did its mean change?"""

    stretches: int = Field(description="Stretches of time, two horizons long, with a known error.")
    stretches_needed: int = Field(description="How many it takes to say anything.")
    drifted: bool | None = Field(description="Whether a change was found since the activation; null: too few.")
    since: Time | None = Field(description="About when the newest change was.")
    before: float | None = Field(description="Mean before it.")
    after: float | None = Field(description="Mean after it, when it was found.")
    sentence: str = Field(description="In plain words.")


class FeatureShift(Answer):
    """One feature's newest decisions against its own past."""

    name: str = Field(description="Which.")
    gain: float = Field(description="Share of what the model's trees gained by it, from 0 to 1.")
    psi: float | None = Field(description="Population stability index of the newest decisions; null: too few.")
    largest_before: float | None = Field(description="The largest of 199 earlier stretches of the same length.")
    moved: bool | None = Field(description="Whether psi exceeds it.")


class FeatureDrift(Answer):
    """The features the version leans on most, in the strategy's newest decisions. For information."""

    rows: int = Field(description="Decisions that hold them all.")
    rows_needed: int = Field(description="How many it takes to say anything.")
    window: int = Field(description="How many decisions a stretch has.")
    drifted: bool | None = Field(description="Whether any moved; null: too few decisions.")
    moved: list[str] = Field(description="Those that moved, the most important first.")
    features: list[FeatureShift] = Field(description="At most ten, the most important first.")
    sentence: str = Field(description="In plain words.")


class Drift(Answer):
    """Whether what surrounds the version has changed. For information: it decides nothing."""

    errors: ErrorDrift = Field(description="Its errors.")
    features: FeatureDrift = Field(description="Its leading features.")
