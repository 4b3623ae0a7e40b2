"""Two versions side by side as they are answered."""

from typing import Annotated, Any, Literal

from pydantic import Field

from backend.api.schemas.fields import Answer


class LiveCounters(Answer):
    """What became of the decisions that this version made."""

    total_predictions: int
    matured_predictions: int
    neutral_predictions: int
    pending_predictions: int
    correct_predictions: int
    live_accuracy: Annotated[float | None, Field(description="Null until an outcome is known.")]


class Executed(Answer):
    """The money it made, by trades at its own times: never part of the comparison."""

    total_trades: int
    total_pnl: float | None


class ComparedVersion(Answer):
    """One of the two: the key figures of its report, and how it fares live."""

    version_id: str
    trained_at: str
    is_active: bool
    is_shadow: bool
    report: dict[str, Any]
    live: LiveCounters
    executed: Executed


class PairedVersion(Answer):
    """One of the two on the decisions that both forecast."""

    accuracy: Annotated[float | None, Field(description="Share of the right direction; moves within costs left out.")]
    correct: int
    judged: int
    mean_net_return: Annotated[float | None, Field(description="Mean over rounds, a fraction, after costs.")]


class Paired(Answer):
    """Both on the same decisions, each priced by `forward_return` and the same costs."""

    rows: int
    rounds: Annotated[int, Field(description="Distinct decision times; what a judgement counts.")]
    neutral_rows: int
    agreement: Annotated[float | None, Field(description="Share of rows on which both forecast the same direction.")]
    same_action: float | None
    a: PairedVersion
    b: PairedVersion
    mean_difference: Annotated[float | None, Field(description="`b` less `a`, mean over rounds, a fraction.")]


class CompareOut(Answer):
    """`verdict` is how `b` did against `a`; `sentence` says on what it rests."""

    status: Literal["ok"]
    strategy: str
    a: ComparedVersion
    b: ComparedVersion
    paired: Paired
    verdict: Literal["better", "not_distinguishable", "worse"]
    sentence: str
    confidence_sequence: Annotated[
        dict[str, Any] | None, Field(description="An interval valid at every look; null where none was computed.")
    ]
    outcomes_still_needed: Annotated[int | None, Field(description="Null where it is not known.")]
