"""All of one version, with what speaks against it, and with what a person should do about it now."""

from typing import Any

from sqlalchemy.orm import Session

from backend.learning.evidence.drift import drift_of
from backend.learning.evidence.live_truth import show_model
from backend.learning.evidence.since_activation import read_live_rows
from backend.learning.evidence.skill import judge_skill
from backend.learning.versions.advice import what_now
from backend.learning.versions.find import active_id, find_version
from backend.learning.versions.serving import Serving
from backend.models import AIModelVersion
from backend.operations.alarms import open_alarms
from backend.operations.codes import Code

AGAINST_IT = frozenset({Code.SKILL_LOST, Code.LIVE_ACCURACY_LOW, Code.ARTIFACT_CORRUPT})


def version_page(
    session: Session, version_id: str, strategy: str | None = None, *, cost: float, serving: Serving
) -> dict[str, Any]:
    """What ``show_model`` says, with what to do now, ``live.skill`` and, while the version decides, ``live.drift``."""
    told = show_model(session, version_id, strategy, cost=cost)
    version = find_version(session, version_id, strategy)
    rows = read_live_rows(session, version)
    skill = judge_skill(version, rows, cost)
    drift = drift_of(session, version, rows, serving) if version.is_active else None
    against = _against(session, version, lost=skill.lost) if version.is_active else []
    return {
        **told,
        "what_now": _take_back(against, version.strategy)
        if against
        else what_now(version, active_id(session, version.strategy)),
        "live": {**told["live"], "skill": skill.as_dict(), "drift": drift},
    }


def _against(session: Session, version: AIModelVersion, *, lost: bool) -> list[str]:
    """The codes of what speaks against the version that decides: open alarms, and a lost skill before its alarm."""
    codes = {alarm.code for alarm in open_alarms(session, strategy=version.strategy)} & {str(one) for one in AGAINST_IT}
    return sorted(codes | ({str(Code.SKILL_LOST)} if lost else set()))


def _take_back(against: list[str], strategy: str) -> str:
    where = f"--strategy {strategy}"
    return (
        f"Take it back ({', '.join(against)}): qt rollback {where}, or qt deactivate {where} where the version"
        " before was no better. Then retrain, and read the report before you activate."
    )
