"""Checks of what surrounds the loop: the exchange's symbols, the database's door, the way to those who are told."""

import re

from backend.learning.evidence.doctor.facts import Facts
from backend.learning.evidence.doctor.finding import Finding
from backend.learning.evidence.doctor.remedies import RESTART, qt
from backend.operations.codes import Code, Severity

TARGETS = ("QT_WEBHOOK_URL", "QT_NOTIFY_URLS")


def symbols_unknown(facts: Facts) -> Finding | None:
    """The exchange lacks some of the trader's symbols."""
    told = facts.alarms.get(Code.SYMBOLS_UNKNOWN)
    if not told:
        return None
    asked = facts.settings.symbols
    missing = [symbol for symbol in asked if symbol in re.split(r"[\s,;.()]+", told[0].partition("(QT_SYMBOLS)")[0])]
    left = [symbol for symbol in asked if symbol not in missing]
    remedy = f"Set QT_SYMBOLS={','.join(left)}" if left else "Set QT_SYMBOLS to what it has, such as QT_SYMBOLS=BTCUSDT"
    return Finding(
        Code.SYMBOLS_UNKNOWN,
        Severity.WARNING if left else Severity.ERROR,
        told[0],
        {"asked_for": list(asked), "unknown": missing, "traded": left},
        f"{remedy}, {RESTART}.",
    )


def self_audit_failed(facts: Facts) -> Finding | None:
    """The newest self-audit found skill where there is none."""
    told = facts.alarms.get(Code.SELF_AUDIT_FAILED)
    if not told:
        return None
    return Finding(
        Code.SELF_AUDIT_FAILED,
        Severity.ERROR,
        told[0],
        {"audit": told[0]},
        f"Activate nothing that was trained since; read every figure and audit again: {qt(facts, 'self-audit')}.",
    )


def writes_fail(facts: Facts) -> Finding | None:
    """Nothing can be stored: a row written for the purpose did not get through."""
    why = facts.unwritable
    if why is None:
        return None
    full = "full" in why or "No space" in why
    remedy = (
        "Free space where the database lies: df -h shows how much there is."
        if full
        else f"Do what this sentence says, {RESTART}."
    )
    return Finding(
        Code.WRITES_FAIL,
        Severity.ERROR,
        f"No decision, fill or outcome can be stored now. {why}",
        {"error": why},
        remedy,
    )


def delivery_failing(facts: Facts) -> Finding | None:
    """Somebody who should be told is not reached."""
    told = facts.alarms.get(Code.DELIVERY_FAILING)
    if not told:
        return None
    said = " ".join(told)
    failing = [name for name in TARGETS if name in said] or [TARGETS[0]]
    return Finding(
        Code.DELIVERY_FAILING,
        Severity.WARNING,
        said,
        {"failing": list(told), "settings": failing},
        f"Correct {' and '.join(failing)}, {RESTART}, and try it: qt alarms --test.",
    )


def samples_quarantined(facts: Facts) -> Finding | None:
    """Rows that cannot be believed wait for somebody to look."""
    held = facts.quarantined
    if not held:
        return None
    count, reasons = sum(held.values()), ", ".join(f"{number} {reason}" for reason, number in held.items())
    rows = "1 sample waits" if count == 1 else f"{count} samples wait"
    return Finding(
        Code.SAMPLES_QUARANTINED,
        Severity.INFO,
        f"{rows} outside training until somebody looks: {reasons}.",
        {"held": held},
        f"Look at them: {qt(facts, 'quarantine')}. Then qt quarantine release NUMBER --reason … or drop.",
    )
