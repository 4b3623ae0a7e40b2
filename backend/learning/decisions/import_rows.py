"""One raw row of an import, as decoded from JSON: checked field by field, and judged as a whole."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from ai_engine import labels
from ai_engine.types import Action, FeatureMatrix, LabelSource
from backend.errors import InvalidInputError
from backend.learning.decisions.checks import (
    MAX_RETURN,
    check_amount,
    check_decision_id,
    check_money,
    content_hash,
    normal_symbol,
)
from backend.learning.decisions.import_fields import (
    SHOWN,
    kind_of,
    read_features,
    read_flag,
    read_number,
    read_text,
    read_time,
    read_word,
)
from backend.learning.decisions.labelling import LONG_ONLY, OTHER_SIDE, Costs, hypothetical

NEEDED = ("symbol", "timestamp", "predicted_action", "entry_price", "exit_price", "exit_time", "features")
OPTIONAL = (
    "decision_id",
    "entry_time",
    "executed",
    "execution_side",
    "quantity",
    "fees",
    "exit_reason",
    "realized_pnl",
    "target_label",
    "prediction_score",
    "prediction_confidence",
)
READ_ONLY = (
    # Keys of this service's own answers that an import cannot set: a row that was exported imports again.
    *("id", "sample_id", "strategy", "state", "origin", "price", "model_version", "expected_return"),
    *("expected_return_interval", "reason", "explored", "propensity", "fees_known", "reported_pnl", "warning"),
    *("market_return", "forward_return", "forward_return_source", "horizon_at", "target_class", "label_source"),
    *("outcome_known", "quarantine_reason", "quarantine_decision"),
)
SIDES, ACTIONS = ("BUY", "SELL"), ("BUY", "SELL", "HOLD")
LABEL_SLACK, LABEL_SLACK_SHARE = 0.005, 0.01
MAX_REASON_LENGTH = 64
IGNORED_SELL = "The strategy is long only: a SELL opens nothing in it, so the row is stored as not executed."


@dataclass(frozen=True, slots=True)
class Terms:
    """What a row is judged by: the strategy's sides, the costs of a leg, and the time here."""

    sides: str
    costs: Costs
    now: datetime


@dataclass(frozen=True, slots=True)
class Figures:
    """The row's numbers, None where it does not tell them."""

    entry_price: float
    exit_price: float
    quantity: float | None = None
    fees: float | None = None
    realized_pnl: float | None = None
    target_label: float | None = None
    prediction_score: float | None = None
    prediction_confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Times:
    """When it was decided, entered and left."""

    timestamp: datetime
    entry_time: datetime
    exit_time: datetime


@dataclass(frozen=True, slots=True)
class ImportRow:
    """A row that passed every check; ``side`` None was not traded. ``content`` is the hash of all it tells."""

    decision_id: str
    content: str
    symbol: str
    times: Times
    action: str
    side: str | None
    figures: Figures
    exit_reason: str | None
    warning: str | None
    names: tuple[str, ...]
    features: FeatureMatrix


def parse(raw: object, terms: Terms) -> ImportRow:
    """Check one row; whatever is wrong is refused with a sentence that names the field."""
    try:
        return _parse(raw, terms)
    except ArithmeticError as error:
        raise InvalidInputError(f"The row's figures cannot be computed with: {error}. Check their sizes.") from error


def _parse(raw: object, terms: Terms) -> ImportRow:
    fields = _known_fields(raw)
    symbol = normal_symbol(read_text(fields["symbol"], "symbol"))
    times = _times(fields, terms.now)
    action = read_word(fields["predicted_action"], "predicted_action", ACTIONS)
    side, warning = _side(fields, action, terms)
    figures = _figures(fields)
    _check_returns(figures, action, side, terms)
    exit_reason = None
    if "exit_reason" in fields:
        exit_reason = read_text(fields["exit_reason"], "exit_reason", longest=MAX_REASON_LENGTH)
        _check_not_invented(exit_reason)
    names, features = read_features(fields["features"])
    told = [symbol, asdict(times), action, side, asdict(figures), exit_reason, names, features.tolist()]
    content = content_hash(told)
    decision_id = f"import-{content[:40]}"
    if "decision_id" in fields:
        decision_id = check_decision_id(read_text(fields["decision_id"], "decision_id"))
    return ImportRow(decision_id, content, symbol, times, action, side, figures, exit_reason, warning, names, features)


def _check_not_invented(exit_reason: str) -> None:
    """Refuse a demo row of `qt bootstrap` that was exported: as an import it would train like a real one."""
    if exit_reason == LabelSource.SYNTHETIC:
        raise InvalidInputError(
            "exit_reason synthetic marks an invented row of `qt bootstrap`, which must never train. Leave the row out.",
            field="exit_reason",
        )


def _known_fields(raw: object) -> dict[str, Any]:
    """The fields that count. An optional one that is null is missing, as in this service's own answers."""
    if not isinstance(raw, Mapping):
        raise InvalidInputError(f"The row must be an object, not {kind_of(raw)}.")
    for name in raw:
        if name not in NEEDED and name not in OPTIONAL and name not in READ_ONLY:
            raise InvalidInputError(f"Unknown key {name[:SHOWN]!r}. Known are the keys of GET /ai/training-samples.")
    for name in NEEDED:
        if raw.get(name) is None:
            raise InvalidInputError(f"{name} is {'null' if name in raw else 'missing'}; it is needed.", field=name)
    # This service's own answers say 0 for fees that nobody told, and that they are not known.
    untold = {"fees"} if raw.get("fees_known") is False and raw.get("fees") == 0 else set()
    left_out = {*READ_ONLY, *untold}
    return {name: value for name, value in raw.items() if name not in left_out and value is not None}


def _times(fields: dict[str, Any], now: datetime) -> Times:
    timestamp = read_time(fields["timestamp"], "timestamp", now)
    entry_time = read_time(fields["entry_time"], "entry_time", now) if "entry_time" in fields else timestamp
    exit_time = read_time(fields["exit_time"], "exit_time", now)
    if exit_time <= entry_time:
        raise InvalidInputError(
            "exit_time must lie after entry_time (timestamp where it is missing).", field="exit_time"
        )
    if exit_time <= timestamp:
        raise InvalidInputError("exit_time must lie after timestamp.", field="exit_time")
    return Times(timestamp, entry_time, exit_time)


def _figures(fields: dict[str, Any]) -> Figures:
    figures = Figures(**{name: read_number(fields[name], name) for name in Figures.__slots__ if name in fields})
    for name in ("entry_price", "exit_price", "quantity"):
        if name in fields:
            check_amount(getattr(figures, name), field=name)
    for name in ("fees", "realized_pnl"):
        if name in fields:
            check_money(getattr(figures, name), field=name)
    confidence = figures.prediction_confidence
    if confidence is not None and not 0 <= confidence <= 1:
        raise InvalidInputError(
            f"prediction_confidence must lie between 0 and 1, not {confidence}.", field="prediction_confidence"
        )
    return figures


def _side(fields: dict[str, Any], action: str, terms: Terms) -> tuple[str | None, str | None]:
    """The side traded, None where nobody traded, and a warning where that is not what the row says by itself."""
    executed = read_flag(fields["executed"], "executed") if "executed" in fields else action != Action.HOLD
    told = read_word(fields["execution_side"], "execution_side", SIDES) if "execution_side" in fields else None
    if not executed:
        if told is not None:
            raise InvalidInputError("execution_side is given, but executed is not true.", field="execution_side")
        return None, None
    side = told or action
    if side == Action.HOLD:
        raise InvalidInputError("A HOLD that was executed needs execution_side BUY or SELL.", field="execution_side")
    if side == Action.SELL and terms.sides == LONG_ONLY:
        if "executed" in fields or told is not None:
            raise InvalidInputError("The strategy is long only: a SELL opens nothing in it.", field="executed")
        return None, IGNORED_SELL
    if side != action:
        return side, OTHER_SIDE.format(action=action, side=side)
    return side, None


def _check_returns(figures: Figures, action: str, side: str | None, terms: Terms) -> None:
    """Refuse a return beyond all bounds, and a label that is neither the gross nor the net return."""
    market_return = labels.market_return(figures.entry_price, figures.exit_price)
    gross, net = _gross_and_net(figures, action, side, terms)
    for value in (market_return, net):
        if abs(value) > MAX_RETURN:
            raise InvalidInputError(
                f"A return of {value:.4g} is not believed: at most 1 up or down. Check entry_price, exit_price, fees.",
                field="exit_price",
            )
    label = figures.target_label
    if label is not None and all(abs(label - own) > LABEL_SLACK + LABEL_SLACK_SHARE * abs(own) for own in (gross, net)):
        raise InvalidInputError(
            f"target_label {label:.6g} contradicts the row's own prices: gross {gross:.6g}, net {net:.6g}. Returns are"
            " fractions: 0.0111 is 1.11 %.",
            field="target_label",
        )


def _gross_and_net(figures: Figures, action: str, side: str | None, terms: Terms) -> tuple[float, float]:
    """The row's return before and after fees; hypothetical where nobody traded."""
    market_return = labels.market_return(figures.entry_price, figures.exit_price)
    if side is None:
        idle = terms.sides == LONG_ONLY and action == Action.SELL
        gross = 0.0 if idle else labels.SIDES[Action(action)] * market_return
        return gross, hypothetical(action, market_return, sides=terms.sides, costs=terms.costs)
    sign, fees = labels.SIDES[Action(side)], figures.fees or 0.0
    fraction = 0.0 if figures.quantity is None else fees / (figures.quantity * figures.entry_price)
    return sign * market_return, labels.target_label(sign, market_return, fraction)
