"""The one catalogue of what can be wrong: the doctor's findings and the alarms share its codes."""

from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters; ``info`` alone leaves an installation healthy."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Code(StrEnum):
    """A stable name for one condition."""

    NO_DECISIONS = "no_decisions"
    ONLY_HOLD = "only_hold"
    THRESHOLD_UNREACHABLE = "threshold_unreachable"
    COSTS_EXCEED_MOVES = "costs_exceed_moves"
    NO_CLOSED_OUTCOMES = "no_closed_outcomes"
    ZERO_LABEL_VARIANCE = "zero_label_variance"
    CONSTANT_FEATURES = "constant_features"
    RETRAINING_OVERDUE = "retraining_overdue"
    RETRAINING_FAILED = "retraining_failed"
    SAME_DATA = "same_data"
    LIVE_ACCURACY_LOW = "live_accuracy_low"
    TRADER_STOPPED = "trader_stopped"
    MARKET_FEED_STALE = "market_feed_stale"
    CLOCK_SKEW = "clock_skew"
    SYMBOLS_UNKNOWN = "symbols_unknown"
    ARTIFACT_CORRUPT = "artifact_corrupt"
    WRITES_FAIL = "writes_fail"
    DELIVERY_FAILING = "delivery_failing"


class News(StrEnum):
    """A stable name for something that happened once; an alarm's event carries its ``Code`` instead."""

    TRAINING_FINISHED = "training_finished"
    VERSION_RECOMMENDED = "version_recommended"
    VERSION_ACTIVATED = "version_activated"
    VERSION_ROLLED_BACK = "version_rolled_back"
    VERSION_DEACTIVATED = "version_deactivated"


MEANINGS: dict[Code, str] = {
    Code.NO_DECISIONS: "Nothing has been decided yet, so nothing can be learned.",
    Code.ONLY_HOLD: "Every recent decision was HOLD.",
    Code.THRESHOLD_UNREACHABLE: "No recent forecast reached the confidence that a trade needs.",
    Code.COSTS_EXCEED_MOVES: "The typical move over the horizon does not pay the costs of a round trip.",
    Code.NO_CLOSED_OUTCOMES: "Decisions exist, but the outcome of none of them is known.",
    Code.ZERO_LABEL_VARIANCE: "Every known outcome is the same number, so there is nothing to tell apart.",
    Code.CONSTANT_FEATURES: "Some features never change, so they tell a model nothing.",
    Code.RETRAINING_OVERDUE: "A scheduled retraining did not run.",
    Code.RETRAINING_FAILED: "The last retraining ended with an error.",
    Code.SAME_DATA: "The last retraining found the data of an earlier version unchanged.",
    Code.LIVE_ACCURACY_LOW: "The active version's live accuracy lies below 55 %, beyond what chance explains.",
    Code.TRADER_STOPPED: "The built-in trader does not run, because something it was given cannot be used.",
    Code.MARKET_FEED_STALE: "The market feed has gone silent.",
    Code.CLOCK_SKEW: "This machine's clock and the market's differ.",
    Code.SYMBOLS_UNKNOWN: "The exchange does not have every symbol that the trader was given.",
    Code.WRITES_FAIL: "What the trader decides cannot be stored.",
    Code.DELIVERY_FAILING: "Events could not be delivered to everybody who should be told.",
    Code.ARTIFACT_CORRUPT: "The file of the active version, or of the one before it, is missing or damaged.",
}
