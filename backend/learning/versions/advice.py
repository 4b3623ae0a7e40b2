"""What a person should do about a version now: one sentence, the first line of the manual's list that applies."""

from typing import Any

from ai_engine.types import Verdict
from backend.learning.versions import gate
from backend.models import AIModelVersion

WAIT = "Wait: let outcomes come in and retrain. Nothing can be known of it yet, good or bad."
MENDED_BY = {
    Verdict.SUSPECTED_LEAKAGE.value: "Find the feature that knows the outcome, leave it out, and retrain.",
    Verdict.DEGENERATE.value: "It learned nothing: retrain with more outcomes, or with features that vary.",
}


def what_now(version: AIModelVersion, active: str | None) -> str:
    """Return the one sentence; ``active`` is the version that decides now, None where none does.

    The order is that of docs/traders.md, "Activate, wait, or roll back": what would lose money comes before what is
    not known, and a recommendation last.
    """
    if version.is_active:
        return "It decides. Leave it so while qt doctor finds nothing against it."
    no = _no(version)
    if no is not None:
        return no
    if version.verdict == Verdict.NO_EVIDENCE.value:
        stays = f"leave {active} as it is" if active else "let none decide"
        return f"Do not activate it: {stays}. To be ahead of last night's by a little is luck."
    unmet = gate.never_met(version, active)
    if version.recommended and unmet is not None:
        return f"Retrain first: it was never compared with {unmet}, which decides now."
    if version.recommended:
        return f'Activate it, and say why: qt activate {version.version_id} --reason "...".'
    lacking = "; ".join(version.report.get("recommendation_reasons") or ["no reason is recorded"])
    return f"Wait, one night is not enough: {lacking}."


def _no(version: AIModelVersion) -> str | None:
    """Why it should not decide, whatever else speaks for it."""
    if version.verdict in gate.NEVER_BY_ITSELF:
        return f"Do not activate it. {MENDED_BY[version.verdict]}"
    loses = _loses(version)
    if loses is not None:
        return f"Do not activate it: {loses}"
    return WAIT if version.verdict == Verdict.INSUFFICIENT_DATA.value else _no_better(version)


def _loses(version: AIModelVersion) -> str | None:
    """Why it would lose money even if it were right as often as it read."""
    report: dict[str, Any] = version.report
    if report.get("costs_exceed_moves"):
        return (
            "moves of this size do not pay the costs, however often it is right. A longer horizon, a larger timeframe"
            " or lower fees would change that."
        )
    right, pays = version.validation_accuracy, report.get("break_even_accuracy")
    if right is None or pays is None or right >= pays:
        return None
    return f"{right:.1%} right loses money where only {pays:.1%} pays the costs."


def _no_better(version: AIModelVersion) -> str | None:
    """What does as well without having learned anything, by direction and by size."""
    report: dict[str, Any] = version.report
    right, baseline = (report.get("walk_forward") or {}).get("accuracy"), report.get("baseline_accuracy")
    if right is not None and baseline is not None and right <= baseline:
        name = (report.get("baseline_name") or "the commoner direction").replace("_", " ")
        return f"Do not activate it: '{name}' is right in {baseline:.1%} of the same moves, it in {right:.1%}."
    error, zero = version.validation_mae, report.get("mae_zero_forecast")
    if error is None or zero is None or error < zero:
        return None
    return f"Rather not: its sizes err by {error:.3%}, to forecast that nothing moves errs by {zero:.3%}."
