"""From a forecast, or from the cold-start rule, to BUY, SELL or HOLD with the propensity of the answer.

Direction is read from the raw score. Thresholds can only turn a direction into HOLD; exploration can only turn a
HOLD into a trade, and says with which probability it did.
"""

from dataclasses import dataclass

from ai_engine.types import Action, FeatureMatrix, Forecast

ZERO_SCORE = "zero_score"
BELOW_MIN_CONFIDENCE = "below_min_confidence"
BELOW_BREAK_EVEN = "below_break_even"
EXPLORED = "explored"
COLD_START_RULE = "cold_start_rule"
COLD_START_NO_TREND = "cold_start_no_trend"
NO_RULE_FOR_THESE_FEATURES = "no_rule_for_these_features"
AI_TRADING_DISABLED = "ai_trading_disabled"
NO_ACTIVE_MODEL = "no_active_model"
NO_VERIFIED_MODEL = "no_verified_model"
SCHEMA_MISMATCH = "schema_mismatch"

COIN = 0.5

RULE_FEATURES = ("ema_spread_10_50", "realized_vol_50", "vol_ratio_10_50")
MIN_TREND = 2.0
MAX_UNREST = 0.3


@dataclass(frozen=True)
class PolicySettings:
    """What turns a forecast into an action: ``cost`` is the round trip, ``sides`` "long" or "long,short"."""

    min_confidence: float
    require_edge: bool
    cost: float
    sides: str
    exploration_rate: float


@dataclass(frozen=True)
class Choice:
    """An action, why it is not a plain forecast's direction, and the probability with which it was chosen."""

    action: str
    reason: str | None
    explored: bool
    propensity: float


def choose(forecast: Forecast, policy: PolicySettings, *, uniform: float | None) -> Choice:
    """Return the action for one forecast.

    Parameters
    ----------
    forecast
        The model's answer; its raw score's sign is the direction.
    policy
        The thresholds in force.
    uniform
        A draw from [0, 1) by the caller: it decides whether a HOLD is explored, and on which side. None: never.

    Examples
    --------
    >>> policy = PolicySettings(0.51, require_edge=False, cost=0.0024, sides="long,short", exploration_rate=0.0)
    >>> choose(Forecast(0.004, 0.001, 0.53), policy, uniform=None).action
    'BUY'
    >>> choose(Forecast(0.004, 0.001, 0.505), policy, uniform=None).reason
    'below_min_confidence'
    """
    reason = _reason_to_hold(forecast, policy)
    if reason is not None:
        return _hold(reason, policy, uniform)
    action = Action.BUY if forecast.score > 0 else Action.SELL
    return Choice(action=action.value, reason=None, explored=False, propensity=1.0)


def _reason_to_hold(forecast: Forecast, policy: PolicySettings) -> str | None:
    if forecast.score == 0:
        return ZERO_SCORE
    if policy.min_confidence > COIN and (forecast.confidence is None or forecast.confidence < policy.min_confidence):
        return BELOW_MIN_CONFIDENCE
    if policy.require_edge and (forecast.expected_return is None or abs(forecast.expected_return) <= policy.cost):
        return BELOW_BREAK_EVEN
    return None


def _hold(reason: str, policy: PolicySettings, uniform: float | None) -> Choice:
    """HOLD, or with probability ``exploration_rate`` one of the sides that can be entered."""
    rate = policy.exploration_rate
    if uniform is None or rate <= 0:
        return Choice(action=Action.HOLD.value, reason=reason, explored=False, propensity=1.0)
    if uniform >= rate:
        return Choice(action=Action.HOLD.value, reason=reason, explored=False, propensity=1.0 - rate)
    sides = (Action.BUY,) if policy.sides == "long" else (Action.BUY, Action.SELL)
    side = sides[min(int(uniform / rate * len(sides)), len(sides) - 1)]
    return Choice(action=side.value, reason=EXPLORED, explored=True, propensity=rate / len(sides))


def cold_start(
    features: FeatureMatrix, names: tuple[str, ...], policy: PolicySettings, *, uniform: float | None
) -> Choice:
    """Return the action of the rule that decides while no model is active: follow a clear trend in calm markets.

    The trend is the spread of two exponential means in units of one candle's volatility; it is followed from
    ``MIN_TREND`` on, unless the last ten candles are much wilder than the last fifty. On markets of many kinds that
    holds in about half of all candles and follows both directions in the rest; it claims no skill.

    Parameters
    ----------
    features, names
        One row of shape (f,), and the name of each value; only the rule's own three names are needed.
    uniform
        As in :func:`choose`.
    """
    if not set(RULE_FEATURES) <= set(names):
        return _hold(NO_RULE_FOR_THESE_FEATURES, policy, uniform)
    spread, volatility, unrest = (float(features[names.index(name)]) for name in RULE_FEATURES)
    if volatility <= 0 or unrest > MAX_UNREST or abs(spread) < MIN_TREND * volatility:
        return _hold(COLD_START_NO_TREND, policy, uniform)
    action = Action.BUY if spread > 0 else Action.SELL
    return Choice(action=action.value, reason=COLD_START_RULE, explored=False, propensity=1.0)
