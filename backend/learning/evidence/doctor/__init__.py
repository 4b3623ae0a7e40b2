"""The doctor: what is wrong with this installation, why, and what to do, in its own numbers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from backend.learning.evidence.doctor import learning_checks, live_checks, operating_checks, running_checks
from backend.learning.evidence.doctor.facts import Facts, read_facts
from backend.learning.evidence.doctor.finding import Finding
from backend.learning.evidence.doctor.storing import unwritable
from backend.operations.codes import Code, Severity

__all__ = ["CATALOGUE", "diagnose", "read_facts", "unwritable"]

CATALOGUE: dict[Code, Callable[[Facts], Finding | None]] = {
    Code.WRITES_FAIL: operating_checks.writes_fail,
    Code.ARTIFACT_CORRUPT: running_checks.artifact_corrupt,
    Code.TRADER_STOPPED: running_checks.trader_stopped,
    Code.MARKET_FEED_STALE: running_checks.market_feed_stale,
    Code.CLOCK_SKEW: running_checks.clock_skew,
    Code.SYMBOLS_UNKNOWN: operating_checks.symbols_unknown,
    Code.DELIVERY_FAILING: operating_checks.delivery_failing,
    Code.RETRAINING_FAILED: running_checks.retraining_failed,
    Code.RETRAINING_OVERDUE: running_checks.retraining_overdue,
    Code.SKILL_LOST: live_checks.skill_lost,
    Code.ERRORS_DRIFTED: live_checks.errors_drifted,
    Code.FEATURES_DRIFTED: live_checks.features_drifted,
    Code.SELF_AUDIT_FAILED: operating_checks.self_audit_failed,
    Code.LIVE_ACCURACY_LOW: running_checks.live_accuracy_low,
    Code.NO_DECISIONS: learning_checks.no_decisions,
    Code.ONLY_HOLD: learning_checks.only_hold,
    Code.THRESHOLD_UNREACHABLE: learning_checks.threshold_unreachable,
    Code.NO_CLOSED_OUTCOMES: learning_checks.no_closed_outcomes,
    Code.OUTCOMES_UNOBSERVABLE: learning_checks.outcomes_unobservable,
    Code.ZERO_LABEL_VARIANCE: learning_checks.zero_label_variance,
    Code.COSTS_EXCEED_MOVES: learning_checks.costs_exceed_moves,
    Code.CONSTANT_FEATURES: learning_checks.constant_features,
    Code.SAME_DATA: running_checks.same_data,
    Code.SAMPLES_QUARANTINED: operating_checks.samples_quarantined,
}


def diagnose(facts: Facts, *, unwritable_because: str | None = None) -> dict[str, Any]:
    """Every finding, and whether the installation is healthy: it is when no finding is more than information.

    ``unwritable_because`` is what ``unwritable`` answered.
    """
    facts = replace(facts, unwritable=unwritable_because)
    found = [finding for check in CATALOGUE.values() if (finding := check(facts)) is not None]
    healthy = all(finding.severity is Severity.INFO for finding in found)
    return {
        "status": "ok",
        "strategy": facts.strategy,
        "healthy": healthy,
        "findings": [_public(finding) for finding in found],
    }


def _public(finding: Finding) -> dict[str, Any]:
    return {
        "code": str(finding.code),
        "severity": str(finding.severity),
        "explanation": finding.explanation,
        "evidence": finding.evidence,
        "remedy": finding.remedy,
    }
