"""What stands between a version and its activation, and what the person is told who activates it anyway."""

from ai_engine.types import Verdict
from backend.errors import ConflictError
from backend.models import AIModelVersion

NEVER_BY_ITSELF = frozenset({Verdict.SUSPECTED_LEAKAGE.value, Verdict.DEGENERATE.value})
FOR_IT = frozenset({Verdict.EVIDENCE.value, Verdict.STRONG_EVIDENCE.value})
MEANING = {
    Verdict.DEGENERATE.value: "It only ever predicts one number.",
    Verdict.INSUFFICIENT_DATA.value: "There is too little data to know whether it predicts anything.",
    Verdict.SUSPECTED_LEAKAGE.value: "It is suspected of having seen the outcomes it was judged on.",
    Verdict.NO_EVIDENCE.value: "Nothing shows that it is better than a coin.",
    Verdict.EVIDENCE.value: "One night's evidence speaks for it.",
    Verdict.STRONG_EVIDENCE.value: "One night's evidence speaks for it.",
}


def never_met(version: AIModelVersion, active: str | None) -> str | None:
    """The active version, where this one was not compared with it: what was recommended before counts no longer."""
    champion = (version.report.get("comparison") or {}).get("champion")
    return None if active in (None, version.version_id, champion) else active


def check(version: AIModelVersion, *, mode: str, force: bool, unmet: str | None = None) -> None:
    """409 ``not_recommended`` where the verdict, or in strict mode anything less than a recommendation, forbids.

    ``unmet`` is the active version that it was never compared with: no recommendation holds over that one.
    """
    recommended = version.recommended and unmet is None
    refused = version.verdict in NEVER_BY_ITSELF or (mode == "strict" and not recommended)
    if refused and not force:
        reasons = version.report.get("recommendation_reasons")
        lacking = f"it was never compared with {unmet}, which decides now"
        said = lacking + "." if version.recommended and unmet else _meaning(version)
        raise ConflictError(
            f"{version.version_id} is not recommended: {said} Retrain,"
            " or activate it all the same with ?force=true&reason=...",
            reason="not_recommended",
            verdict=version.verdict,
            recommendation_reasons=[*(reasons or ()), lacking] if unmet else reasons,
        )


def warning(version: AIModelVersion, unmet: str | None = None) -> str | None:
    """What is not known about a version that nobody recommends, or not over the one that it replaces, ``unmet``."""
    lacking = f"never compared with {unmet}, which it replaces."
    if version.recommended:
        return f"Not recommended: it was {lacking}" if unmet else None
    sentence = version.report.get("sentence") or ""
    said = f"Not recommended (verdict {version.verdict}). {_meaning(version)} {sentence}".strip()
    return f"{said} It was {lacking}" if unmet else said


def _meaning(version: AIModelVersion) -> str:
    """The verdict in plain words; with what is still lacking where one night speaks for it."""
    said = MEANING[version.verdict]
    lacking = [reason.removesuffix(".") for reason in version.report.get("recommendation_reasons") or ()]
    if version.verdict not in FOR_IT or not lacking:
        return said
    return f"{said.removesuffix('.')}, but {', and '.join(lacking)}."
