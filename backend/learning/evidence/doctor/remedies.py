"""What to do, in words that can be typed: commands with this strategy's name, settings with a value."""

from backend.clock import iso
from backend.learning.evidence.doctor.facts import Facts

DEFAULT_MIN_CONFIDENCE = 0.51
DEFAULT_EXPLORATION_RATE = 0.02
RESTART = "then restart the service (qt stop, then qt start)"


def qt(facts: Facts, command: str) -> str:
    """The command for this strategy; the one in the settings needs no name."""
    return f"qt {command}" if facts.strategy == facts.settings.strategy else f"qt {command} --strategy {facts.strategy}"


def learn(facts: Facts) -> str:
    """Train on the outcomes there are, or say what has to come first."""
    needed, known = facts.settings.ai_retrain_min_samples, facts.decisions.outcomes_known
    if known >= needed:
        return f"Train a version on the {known} outcomes that are known, and read its report: {qt(facts, 'retrain')}."
    due = facts.decisions.oldest_horizon_at
    first = f"; the first is due at {iso(due)}" if due is not None and not known else ""
    return (
        f"Leave it running until {needed} outcomes are known ({known} are now{first}), then train a version:"
        f" {qt(facts, 'retrain')}."
    )


def trade_more(facts: Facts) -> str:
    """What turns HOLDs for want of confidence into trades, least first; the outcomes of the HOLDs teach meanwhile."""
    settings = facts.settings
    if settings.min_confidence > DEFAULT_MIN_CONFIDENCE:
        return f"Set QT_MIN_CONFIDENCE={DEFAULT_MIN_CONFIDENCE}, {RESTART}."
    if trades_here(facts) and not explores(facts):
        return (
            f"Set QT_EXPLORATION_RATE={DEFAULT_EXPLORATION_RATE}, which trades one HOLD in fifty on paper, {RESTART}."
        )
    return learn(facts)


def way_back(facts: Facts, previous: str | None) -> str:
    """What takes a version that fails out of service."""
    if previous is None:
        return f"Let no version decide until a better one is trained: {qt(facts, 'deactivate')}."
    return f"Go back to {previous}: {qt(facts, 'rollback')}; or let no version decide: {qt(facts, 'deactivate')}."


def learn_anew(facts: Facts) -> str:
    """What comes after it is out of service."""
    return (
        f"Then train on newer outcomes and read the report before you activate: {qt(facts, 'retrain')}. Where that is"
        " no better either, the features know too little: give it others."
    )


def make_again(facts: Facts, version_id: str) -> str:
    """A version's file back in its place, byte for byte, from the rows that it was made of."""
    file = facts.settings.model_dir / f"xgb_model_{version_id}.pkl"
    return f"Make its file again from its rows: qt rebuild {version_id} --out {file}."


def trades_here(facts: Facts) -> bool:
    """Whether the built-in trader decides for the strategy, and may trade."""
    settings = facts.settings
    return settings.market != "off" and facts.strategy == settings.strategy and settings.enable_execution


def explores(facts: Facts) -> bool:
    """Whether some HOLDs are traded all the same, so that trades go on while no version dares to act."""
    return trades_here(facts) and facts.settings.exploration_rate > 0
