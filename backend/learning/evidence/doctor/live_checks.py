"""Checks of the active version's live evidence: what its open alarms say, with the figures as they are now."""

from backend.learning.evidence.doctor.facts import Facts
from backend.learning.evidence.doctor.finding import Finding
from backend.learning.evidence.doctor.remedies import learn_anew, qt, way_back
from backend.operations.codes import Code, Severity


def skill_lost(facts: Facts) -> Finding | None:
    """The active version has lost the skill that it showed."""
    told = facts.alarms.get(Code.SKILL_LOST)
    if not told:
        return None
    previous = facts.live["previous"] if facts.live else None
    return Finding(
        Code.SKILL_LOST,
        Severity.WARNING,
        told[-1],
        facts.skill or {},
        f"{way_back(facts, previous)} {learn_anew(facts)}",
    )


def errors_drifted(facts: Facts) -> Finding | None:
    """The active version's errors changed."""
    told = facts.alarms.get(Code.ERRORS_DRIFTED)
    if not told:
        return None
    version_id = facts.active["version_id"]
    return Finding(
        Code.ERRORS_DRIFTED,
        Severity.WARNING if " grew " in told[-1] else Severity.INFO,
        told[-1],
        {"version_id": version_id},
        f"Read under live whether its skill suffers: qt model {version_id}. Where it does, retrain:"
        f" {qt(facts, 'retrain')}.",
    )


def features_drifted(facts: Facts) -> Finding | None:
    """Features that the active version leans on differ from their own past."""
    told = facts.alarms.get(Code.FEATURES_DRIFTED)
    if not told:
        return None
    return Finding(
        Code.FEATURES_DRIFTED,
        Severity.INFO,
        told[-1],
        {"version_id": facts.active["version_id"]},
        f"Compare them with earlier ones: {qt(facts, 'samples --csv --features')}. Where they are right, the market"
        f" changed: {qt(facts, 'retrain')}.",
    )
