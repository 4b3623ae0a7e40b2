"""The one catalogue of what can be wrong: doctor, alarms, metrics and manual share its codes; and of what is news."""

from dataclasses import dataclass
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
    OUTCOMES_UNOBSERVABLE = "outcomes_unobservable"
    ZERO_LABEL_VARIANCE = "zero_label_variance"
    CONSTANT_FEATURES = "constant_features"
    RETRAINING_OVERDUE = "retraining_overdue"
    RETRAINING_FAILED = "retraining_failed"
    SAME_DATA = "same_data"
    SELF_AUDIT_FAILED = "self_audit_failed"
    SAMPLES_QUARANTINED = "samples_quarantined"
    LIVE_ACCURACY_LOW = "live_accuracy_low"
    SKILL_LOST = "skill_lost"
    ERRORS_DRIFTED = "errors_drifted"
    FEATURES_DRIFTED = "features_drifted"
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
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a code means, what helps in general, how much it matters as a rule, and whether it raises an alarm."""

    meaning: str
    remedy: str
    severity: Severity
    alarms: bool = False


CATALOGUE_OF_CODES: dict[Code, Entry] = {
    Code.NO_DECISIONS: Entry(
        "Nothing has been decided yet, so nothing can be learned.",
        "Post decisions with POST /ai/decisions, or let the built-in trader run: QT_MARKET=simulated.",
        Severity.WARNING,
    ),
    Code.ONLY_HOLD: Entry(
        "Every recent decision was HOLD.",
        "Read which reason the HOLDs give, wait for their counterfactual outcomes, then retrain.",
        Severity.WARNING,
    ),
    Code.THRESHOLD_UNREACHABLE: Entry(
        "No recent forecast reached the confidence that a trade needs.",
        "Wait for outcomes and retrain; on paper, QT_EXPLORATION_RATE trades some HOLDs meanwhile.",
        Severity.WARNING,
    ),
    Code.COSTS_EXCEED_MOVES: Entry(
        "The typical move over the horizon does not pay the costs of a round trip.",
        "Take a longer horizon or timeframe for a new strategy, or trade where fees are lower.",
        Severity.WARNING,
    ),
    Code.NO_CLOSED_OUTCOMES: Entry(
        "Decisions exist, but the outcome of none of them is known.",
        "Wait until the horizon of the oldest has passed; a bot posts outcomes, candles or later prices.",
        Severity.WARNING,
    ),
    Code.OUTCOMES_UNOBSERVABLE: Entry(
        "Of some symbol most decisions never get an outcome: no price is known at their horizon.",
        "Take a horizon that ends while the market trades; a bot sends a price one horizon after each decision.",
        Severity.WARNING,
    ),
    Code.ZERO_LABEL_VARIANCE: Entry(
        "Every known outcome is the same number, so there is nothing to tell apart.",
        "Check what the bot posts as prices: an exit price that repeats the entry price teaches nothing.",
        Severity.ERROR,
    ),
    Code.CONSTANT_FEATURES: Entry(
        "Some features never change, so they tell a model nothing.",
        "Mend how the bot computes them, or admit a schema without them.",
        Severity.INFO,
    ),
    Code.RETRAINING_OVERDUE: Entry(
        "A scheduled retraining did not run.",
        "Leave the service running over the schedule's time, or run POST /ai/retrain now.",
        Severity.WARNING,
        alarms=True,
    ),
    Code.RETRAINING_FAILED: Entry(
        "The last retraining ended with an error.",
        "Read the run at GET /ai/retraining-runs/{run_id}, mend what it names, then run POST /ai/retrain.",
        Severity.ERROR,
        alarms=True,
    ),
    Code.SAME_DATA: Entry(
        "The last retraining found the data of an earlier version unchanged.",
        "Wait for new outcomes; GET /ai/status shows under retraining how many are missing.",
        Severity.INFO,
    ),
    Code.SELF_AUDIT_FAILED: Entry(
        "On this installation's own data the pipeline finds skill where there is none, so no verdict can be trusted.",
        "Activate nothing new; read GET /ai/self-audit, update or reinstall the program, then run qt self-audit.",
        Severity.ERROR,
        alarms=True,
    ),
    Code.SAMPLES_QUARANTINED: Entry(
        "Samples that cannot be believed are kept out of training until somebody looks at them.",
        "Look at them with qt quarantine; release those that are right, drop the others.",
        Severity.INFO,
    ),
    Code.LIVE_ACCURACY_LOW: Entry(
        "The active version's live accuracy lies below 55 %, beyond what chance explains.",
        "Go back with POST /ai/rollback, or retrain on newer outcomes and read the report before activating.",
        Severity.WARNING,
        alarms=True,
    ),
    Code.SKILL_LOST: Entry(
        "The active version's live forecasts are worse than the least its walk-forward showed, or a coin.",
        "Go back with POST /ai/rollback, or retrain on newer outcomes and read the report before activating.",
        Severity.WARNING,
        alarms=True,
    ),
    Code.ERRORS_DRIFTED: Entry(
        "The active version's errors, in units of volatility, have changed.",
        "Read under live, in GET /ai/models/{version_id}, whether its skill suffers; where it does, POST /ai/retrain.",
        Severity.WARNING,
        alarms=True,
    ),
    Code.FEATURES_DRIFTED: Entry(
        "Features that the active version leans on differ from their own past.",
        "Compare them with earlier ones (GET /ai/training-samples?features=true); if they are right, POST /ai/retrain.",
        Severity.INFO,
        alarms=True,
    ),
    Code.TRADER_STOPPED: Entry(
        "The built-in trader does not run, because something it was given cannot be used.",
        "Correct what its sentence names, then restart the service.",
        Severity.ERROR,
        alarms=True,
    ),
    Code.MARKET_FEED_STALE: Entry(
        "The market feed has gone silent.",
        "Check that the service that trades is running and that its market can be reached.",
        Severity.ERROR,
        alarms=True,
    ),
    Code.CLOCK_SKEW: Entry(
        "This machine's clock and the market's differ.",
        "Set the machine's clock, with NTP for example; a wrong one also refuses right timestamps.",
        Severity.ERROR,
        alarms=True,
    ),
    Code.SYMBOLS_UNKNOWN: Entry(
        "The exchange does not have every symbol that the trader was given.",
        "Correct QT_SYMBOLS, then restart the service; it trades the others meanwhile.",
        Severity.WARNING,
        alarms=True,
    ),
    Code.ARTIFACT_CORRUPT: Entry(
        "The file of the active version, or of the one before it, is missing or damaged.",
        "Restore the file from a backup, or activate another version: POST /ai/activate-model/{version_id}.",
        Severity.ERROR,
        alarms=True,
    ),
    # No alarm: what cannot be stored cannot store an alarm either. Readiness, the log and the doctor say it.
    Code.WRITES_FAIL: Entry(
        "What the trader decides cannot be stored.",
        "Free space on the disk, or mend the database that QT_DATABASE_URL names.",
        Severity.ERROR,
    ),
    Code.DELIVERY_FAILING: Entry(
        "Events could not be delivered to everybody who should be told.",
        "Correct QT_NOTIFY_URLS or QT_WEBHOOK_URL, restart the service, then try it: qt alarms --test.",
        Severity.WARNING,
        alarms=True,
    ),
}

MEANINGS: dict[Code, str] = {code: entry.meaning for code, entry in CATALOGUE_OF_CODES.items()}


def remedy_of(code: str) -> str | None:
    """What helps against a condition in general; None for a name that is not in the catalogue."""
    return CATALOGUE_OF_CODES[Code(code)].remedy if code in CATALOGUE_OF_CODES else None


CATALOGUE_OF_NEWS: dict[News, str] = {
    News.TRAINING_FINISHED: "A retraining made a version; the sentence is its report's.",
    News.VERSION_RECOMMENDED: "A new version's evidence holds: it is recommended. A person decides whether it serves.",
    News.VERSION_ACTIVATED: "A version decides from now on.",
    News.VERSION_ROLLED_BACK: "The version that was active before decides again.",
    News.VERSION_DEACTIVATED: "No version decides any more; the cold-start rule does.",
    News.TEST: "Somebody asked whether messages arrive.",
}
