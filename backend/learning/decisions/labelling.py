"""What a row earned, written into the row: after a trade, or hypothetically where nobody traded."""

import math
from datetime import datetime, timedelta
from typing import Protocol

from ai_engine import labels
from ai_engine.types import Action, LabelSource
from backend.errors import InvalidInputError
from backend.models import AITrainingSample, TradeLog

LONG_ONLY = "long"
PNL_TOLERANCE = 1e-3
NOTIONAL_TOLERANCE = 1e-6
CLOCKS_DIFFER = timedelta(seconds=60)
EARLY_ENTRY = (
    "entry_time lies more than 60 s before the decision's timestamp: check the sender's clock and decision_id."
)
OTHER_SIDE = (
    "The decision said {action}, and it was executed with {side}: money counts by the side that traded, accuracy by the"
    " forecast. Check side and decision_id."
)
EARLY_EXIT = "exit_time lies before the decision's timestamp: check the sender's clock and decision_id."


class Costs(Protocol):
    """What a leg of a trade costs; ``Settings`` is one."""

    @property
    def fee_rate(self) -> float:
        """Fee per leg as a fraction of its notional."""

    @property
    def slippage_bps(self) -> float:
        """Price given up per leg, in basis points."""


def label_executed(sample: AITrainingSample, *, now: datetime) -> None:
    """Close the row with what its trade earned; its fills are in it already."""
    entry, leave, side = sample.entry_price, sample.exit_price, labels.SIDES[Action(str(sample.execution_side))]
    if entry is None or leave is None:
        raise ValueError("an executed row is labelled only when both of its prices are known")
    fees, quantity, fraction, pnl = sample.fees or 0.0, sample.quantity, 0.0, None
    market_return = computed(labels.market_return(entry, leave), "market_return")
    if quantity is not None:
        notional = quantity * entry
        fraction = computed(fees / notional if notional else math.inf, "fees")
        pnl = labels.realized_pnl(side, quantity=quantity, entry_price=entry, exit_price=leave, fees=fees)
        computed(pnl, "realized_pnl")
    label = computed(labels.target_label(side, market_return, fraction), "target_label")
    sample.market_return = market_return
    _label(sample, label, LabelSource.EXECUTED, now)
    if quantity is not None:
        sample.realized_pnl = pnl
        _warn_of_pnl(sample, quantity * entry)


def label_counterfactual(
    sample: AITrainingSample, market_return: float, *, sides: str, costs: Costs, now: datetime
) -> None:
    """Close the row with what it would have earned; a SELL of a long-only strategy opens nothing and earns 0."""
    sample.market_return = computed(market_return, "market_return")
    label = hypothetical(sample.predicted_action, market_return, sides=sides, costs=costs)
    _label(sample, label, LabelSource.COUNTERFACTUAL, now)


def hypothetical(action: str, market_return: float, *, sides: str, costs: Costs) -> float:
    """The net return that the action would have had."""
    if sides == LONG_ONLY and action == Action.SELL:
        return 0.0
    return labels.counterfactual_label(action, market_return, fee_rate=costs.fee_rate, slippage_bps=costs.slippage_bps)


def computed(value: float, name: str) -> float:
    """The figure itself; one beyond all numbers is refused by its name, so that no row ever holds it."""
    if not math.isfinite(value):
        raise InvalidInputError(
            f"{name} cannot be computed: it would be {value}. Check the sizes of price, quantity and fees.",
            field=name,
            reason="not_computable",
        )
    return value


def clear_outcome(sample: AITrainingSample) -> None:
    """Take the outcome back; the forward return is the horizon's and stays."""
    sample.market_return = sample.target_label = sample.target_class = sample.label_source = None
    sample.exit_price = sample.exit_time = sample.exit_reason = sample.reported_pnl = None
    sample.outcome_known = False
    sample.outcome_recorded_at = None


def warn(sample: AITrainingSample, warning: str) -> None:
    """Say it beside whatever the row warns of already, once."""
    if sample.warning is None:
        sample.warning = warning
    elif warning not in sample.warning:
        sample.warning = f"{sample.warning} {warning}"


def warn_of_early_times(
    sample: AITrainingSample, *, entry_time: datetime | None = None, exit_time: datetime | None = None
) -> None:
    """Say where a trade was made before its decision: bots' clocks differ, and some report late."""
    if entry_time is not None and entry_time < sample.timestamp - CLOCKS_DIFFER:
        warn(sample, EARLY_ENTRY)
    if exit_time is not None and exit_time < sample.timestamp:
        warn(sample, EARLY_EXIT)


def warn_of_other_side(sample: AITrainingSample) -> None:
    """Say where a trade is not what its decision said: an order turned round, or another decision's id."""
    if sample.execution_side != sample.predicted_action:
        warn(sample, OTHER_SIDE.format(action=sample.predicted_action, side=sample.execution_side))


def trade_log(sample: AITrainingSample) -> TradeLog:
    """The log row of a closed trade."""
    return TradeLog(
        sample_id=sample.id,
        decision_id=sample.decision_id,
        strategy=sample.strategy,
        symbol=sample.symbol,
        side=sample.execution_side,
        quantity=sample.quantity,
        entry_price=sample.entry_price,
        entry_time=sample.entry_time,
        exit_price=sample.exit_price,
        exit_time=sample.exit_time,
        exit_reason=sample.exit_reason,
        fees=sample.fees,
        realized_pnl=sample.realized_pnl,
        model_version=sample.model_version,
    )


def _label(sample: AITrainingSample, label: float, source: LabelSource, now: datetime) -> None:
    sample.target_label = label
    sample.target_class = labels.target_class(label).value
    sample.label_source = source.value
    sample.outcome_known = True
    sample.outcome_recorded_at = now
    sample.state = "closed"


def _warn_of_pnl(sample: AITrainingSample, notional: float) -> None:
    reported, computed = sample.reported_pnl, sample.realized_pnl
    if reported is None or computed is None:
        return
    if abs(reported - computed) > PNL_TOLERANCE * abs(computed) + NOTIONAL_TOLERANCE * notional:
        warn(
            sample,
            f"The reported realized_pnl {reported!r} differs from the computed {computed!r}; the computed one is kept.",
        )
