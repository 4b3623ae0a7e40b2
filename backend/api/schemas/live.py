"""How a version fares: what became of its forecasts, and what was earned by following them."""

from pydantic import Field

from backend.api.schemas.fields import Answer
from backend.api.schemas.live_evidence import Drift, Skill
from backend.api.schemas.reports import CiMethod


class Fared(Answer):
    """The accuracy of matured forecasts, and what belongs beside it. Shares are from 0 to 1.

    Only decisions later than everything the version learned from: a past that is posted again is `known_before`.
    """

    accuracy: float | None = Field(description="Right directions among the judged; null while none is.")
    accuracy_ci95: list[float] | None = Field(
        description="[low, high] of it at 95 %; null with fewer than three stretches of time."
    )
    ci_method: CiMethod | None = Field(description="How that interval was made; null without one.")
    baseline_accuracy: float | None = Field(
        description="What always naming the direction that was commoner in these very rows scores."
    )
    baseline_name: str | None = Field(description="That rule: `always_up` or `always_down`.")
    edge: float | None = Field(description="accuracy − baseline_accuracy.")
    effective_samples: int = Field(
        description="Independent outcomes that the judged rows are worth: windows overlap, symbols move together."
    )
    min_detectable_accuracy: float | None = Field(description="What so few could tell from a coin.")
    break_even_accuracy: float | None = Field(
        description="What would pay the costs on these moves; null where nothing would, or nothing has matured."
    )
    costs_exceed_moves: bool | None = Field(description="Whether no accuracy would pay them; null: nothing matured.")
    e_value: float | None = Field(
        description="What betting on these forecasts, against the direction that was commoner before each, has made of"
        " 1; 20 is strong, whenever one looks. Null before the first."
    )


class ForecastCounts(Answer):
    """total = matured + known_before + pending + unobservable + quarantined; matured = neutral + judged."""

    total: int = Field(description="Decisions it made.")
    matured: int = Field(
        description="Return over the horizon known, whatever became of the trade; decided later than all that the"
        " version learned from was known."
    )
    known_before: int = Field(
        description="Return known, of decisions dated before the newest outcome that the version learned from was: it"
        " may know them by heart, so they are in no accuracy. Their money is counted."
    )
    pending: int = Field(description="Not known yet.")
    unobservable: int = Field(description="No price came at the horizon.")
    quarantined: int = Field(description="Implausible: in no accuracy; their money is counted.")
    neutral: int = Field(description="Matured, and moved less than the costs.")
    judged: int = Field(description="Matured, and moved more.")
    correct: int = Field(description="Judged, and the direction was right.")


class LiveTradeCounts(Answer):
    """closed = won + lost + even."""

    open: int = Field(description="Entered and not left yet.")
    closed: int = Field(description="Left.")
    won: int = Field(description="Earned something after fees.")
    lost: int = Field(description="Lost something.")
    even: int = Field(description="Neither.")


class LegSlippage(Answer):
    """What one leg's fills gave up."""

    known_trades: int = Field(description="Closed trades of which the price before slippage is known for every fill.")
    slippage: float | None = Field(description="Over those, in quote currency; null where there is none.")


class SlippageByLeg(Answer):
    """A bot's entry is known from the price it posted with the decision; its exit is not."""

    entry: LegSlippage = Field(description="Fills against the decision's reference price.")
    exit: LegSlippage = Field(description="Fills against the price that ended the trade.")


class ProfitAndLoss(Answer):
    """What the closed trades earned, in quote currency: net = gross − fees − slippage, to the last digit or two."""

    gross: float = Field(
        description="Before fees and known slippage: net + fees + slippage. Where slippage is null, what the fills' own"
        " prices earned."
    )
    fees: float = Field(description="Of both legs; a trade that told none counts 0 here: `fees_known_trades`.")
    slippage: float | None = Field(
        description="What the fills gave up against the price before slippage, over `slippage_known_trades`; of the"
        " others nothing is known and nothing is added. Negative: they did better. Null: known of none."
    )
    net: float = Field(description="What is left: `total_pnl`.")
    fees_known_trades: int = Field(description="Closed trades whose fees are known.")
    slippage_known_trades: int = Field(description="Closed trades of which it is known on both legs.")
    slippage_by_leg: SlippageByLeg = Field(description="Each leg for itself, over the trades that know it.")


class LivePart(Answer):
    """Some of the decisions."""

    decisions: int = Field(description="How many.")
    matured: int = Field(description="Return over the horizon known, and not known before.")
    judged: int = Field(description="Those that moved more than the costs.")
    correct: int = Field(description="Those whose direction was right.")
    accuracy: float | None = Field(description="correct / judged; null while none is judged.")
    trades: int = Field(description="Closed trades.")
    net_pnl: float = Field(description="What they earned after fees, in quote currency.")


class BySide(Answer):
    """The decisions by the side on which somebody entered."""

    BUY: LivePart = Field(description="Bought.")
    SELL: LivePart = Field(description="Sold short.")
    none: LivePart = Field(description="Nobody traded.")


class ByAction(Answer):
    """The decisions by `predicted_action`; one that was explored stands under the action tried."""

    BUY: LivePart = Field(description="Answered BUY.")
    SELL: LivePart = Field(description="Answered SELL.")
    HOLD: LivePart = Field(description="Answered HOLD.")


class LiveMetrics(Fared):
    """How the version fares with the decisions it made, counted from the rows at the costs set now."""

    total_predictions: int = Field(description="Decisions it made.")
    matured_predictions: int = Field(
        description="Those whose return over the horizon is known: `forecasts.matured`, without those known before."
    )
    pending_predictions: int = Field(description="All others; `forecasts` says what is known of them.")
    neutral_predictions: int = Field(description="Matured ones that moved less than the costs.")
    correct_predictions: int = Field(description="Those whose direction was right.")
    live_accuracy: float | None = Field(description="The same as `accuracy`.")
    total_trades: int = Field(description="Closed trades among them.")
    total_pnl: float = Field(description="What those earned, in quote currency: `pnl.net`.")
    forecasts: ForecastCounts = Field(description="What became of each decision.")
    trades: LiveTradeCounts = Field(description="What became of each trade.")
    pnl: ProfitAndLoss = Field(description="What the closed trades earned.")
    by_symbol: dict[str, LivePart] = Field(description="The same decisions by symbol; the parts add up.")
    by_side: BySide = Field(description="The same decisions by side; the parts add up.")
    by_action: ByAction = Field(description="The same decisions by action; the parts add up.")
    skill: Skill = Field(description="Whether the skill that it showed at its training is lost.")
    drift: Drift | None = Field(description="Whether its errors or features changed; null while it does not decide.")
    explored: LivePart = Field(
        description="Those among them that were a HOLD and traded all the same, to explore: not the version's choice."
    )


class ShadowMetrics(Fared):
    """How the version fares with what it forecast beside another one; no money was ever on it."""

    forecasts: int = Field(description="Decisions of others that it forecast.")
    matured: int = Field(
        description="Return over the horizon known; decided later than all that the version learned from was known."
    )
    known_before: int = Field(
        description="Return known, of decisions dated before the newest outcome that the version learned from was: it"
        " may know them by heart, so they are in no accuracy."
    )
    pending: int = Field(description="Not known yet.")
    unobservable: int = Field(description="No price came at the horizon.")
    quarantined: int = Field(description="Implausible: in no accuracy.")
    neutral: int = Field(description="Matured, and moved less than the costs.")
    judged: int = Field(description="Matured, and moved more.")
    correct: int = Field(description="Judged, and the direction was right.")
