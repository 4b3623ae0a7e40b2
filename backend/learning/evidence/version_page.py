"""All of one version, with what speaks against it: a lost skill, errors or features that have drifted."""

from typing import Any

from sqlalchemy.orm import Session

from backend.learning.evidence.drift import drift_of
from backend.learning.evidence.live_truth import show_model
from backend.learning.evidence.skill import skill_of
from backend.learning.versions.find import find_version
from backend.learning.versions.serving import Serving


def version_page(
    session: Session, version_id: str, strategy: str | None = None, *, cost: float, serving: Serving
) -> dict[str, Any]:
    """What ``show_model`` says, with ``live.skill`` and, while the version decides, ``live.drift``."""
    told = show_model(session, version_id, strategy, cost=cost)
    version = find_version(session, version_id, strategy)
    skill = skill_of(session, version, cost).as_dict()
    drift = drift_of(session, version, serving) if version.is_active else None
    return {**told, "live": {**told["live"], "skill": skill, "drift": drift}}
