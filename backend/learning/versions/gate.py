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


def check(version: AIModelVersion, *, mode: str, force: bool) -> None:
    """409 ``not_recommended`` where the verdict, or in strict mode anything less than a recommendation, forbids."""
    refused = version.verdict in NEVER_BY_ITSELF or (mode == "strict" and not version.recommended)
    if refused and not force:
        raise ConflictError(
            f"{version.version_id} is not recommended: {_meaning(version)} Retrain,"
            " or activate it all the same with ?force=true&reason=...",
            reason="not_recommended",
            verdict=version.verdict,
            recommendation_reasons=version.report.get("recommendation_reasons"),
        )


def warning(version: AIModelVersion) -> str | None:
    """What is not known about a version that nobody recommends."""
    if version.recommended:
        return None
    sentence = version.report.get("sentence") or ""
    return f"Not recommended (verdict {version.verdict}). {_meaning(version)} {sentence}".strip()


def _meaning(version: AIModelVersion) -> str:
    """The verdict in plain words; with what is still lacking where one night speaks for it."""
    said = MEANING[version.verdict]
    lacking = [reason.removesuffix(".") for reason in version.report.get("recommendation_reasons") or ()]
    if version.verdict not in FOR_IT or not lacking:
        return said
    return f"{said.removesuffix('.')}, but {', and '.join(lacking)}."
