"""The watch over active versions: is their skill lost, have their errors or their features changed; and what follows.

Once a minute the counters of the active versions are compared with those of the last look, and only where outcomes have
come are rows read. What is found becomes an alarm; with ``QT_AUTO_ROLLBACK=1`` the alarm that skill is lost also rolls
back. Whatever was done is read from the rows again at each look, so a process that ends in between, or several at once,
leave nothing half done and do nothing twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import ConflictError
from backend.learning.evidence.drift import ErrorDrift, FeatureDrift, features_of, judge_errors
from backend.learning.evidence.since_activation import read_live_rows
from backend.learning.evidence.skill import Skill, judge_skill
from backend.learning.versions.activation import VersionService, rollback, version_before
from backend.learning.versions.serving import Serving
from backend.models import AIModelVersion, Alarm
from backend.operations.alarms import close_alarm, open_alarms, raise_alarm, same_words
from backend.operations.codes import Code, Severity

ACTOR = "auto-rollback"
WATCHED = frozenset({Code.SKILL_LOST, Code.ERRORS_DRIFTED, Code.FEATURES_DRIFTED})
DRIFT_EVERY = timedelta(minutes=15)
NOTHING_BEFORE = "no other version was active before: nothing was changed."
REMEDY_FOR_ERRORS = "Read whether its skill suffers, under live: qt model VERSION. Where it does, retrain: qt retrain."
REMEDY_FOR_FEATURES = (
    "Compare what these features are with what they were: qt samples --csv --features. Where they are right, the market"
    " changed: retrain, qt retrain."
)

Key: TypeAlias = tuple[Code, str]


@dataclass(frozen=True, slots=True)
class Seen:
    """How many outcomes of which activation were known at the last look."""

    version_id: str
    activated_at: datetime | None
    matured: int


@dataclass(frozen=True, slots=True)
class LiveEvidence:
    """What the looks are made with, and what this process has seen so far, by strategy."""

    versions: VersionService
    serving: Serving
    seen: dict[str, Seen] = field(default_factory=dict)
    drift_at: dict[str, datetime] = field(default_factory=dict)

    @property
    def rolls_back(self) -> bool:
        """Whether the alarm that skill is lost may change the active version."""
        return self.versions.settings.auto_rollback


@dataclass(frozen=True, slots=True)
class Told:
    """One condition of a version, as an alarm says it."""

    code: Code
    version: AIModelVersion
    severity: Severity
    detail: str
    evidence: dict[str, Any]
    remedy: str


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a version found, and whether it looked for drift too."""

    version_id: str
    told: tuple[Told, ...]
    drifts: bool


def look(service: LiveEvidence) -> int:
    """Look once at every active version; how many alarms were opened, changed or closed and versions rolled back."""
    database, now = service.versions.database, service.versions.clock()
    active = database.read(_active)
    looks = [
        database.read(_look_at, service, strategy, now)
        for strategy, seen in active.items()
        if seen != service.seen.get(strategy)
    ]
    found = [one for one in looks if one is not None]
    changed = database.write(_store, found, now) if database.read(_pending, found) else 0
    service.seen.clear()
    service.seen.update(active)
    return changed + (_go_back(service) if service.rolls_back else 0)


def _active(session: Session) -> dict[str, Seen]:
    row = AIModelVersion
    columns = (row.strategy, row.version_id, row.activated_at, row.matured_predictions)
    found = session.execute(select(*columns).where(row.is_active).order_by(row.strategy))
    return {strategy: Seen(version_id, at, matured) for strategy, version_id, at, matured in found}


def _look_at(session: Session, service: LiveEvidence, strategy: str, now: datetime) -> Look | None:
    """Judge the skill at every look, drift, which takes longer, every quarter of an hour."""
    query = select(AIModelVersion).where(AIModelVersion.strategy == strategy, AIModelVersion.is_active)
    version = session.scalars(query).one_or_none()
    if version is None:
        return None
    rows = read_live_rows(session, version)
    told = [_skill_lost(session, service, version, judge_skill(version, rows, service.versions.settings.cost))]
    drift_at = service.drift_at.get(version.version_id)
    drifts = drift_at is None or now - drift_at >= DRIFT_EVERY
    if drifts:
        told += [
            _errors_drifted(version, judge_errors(rows)),
            _features_drifted(version, features_of(session, version, service.serving)),
        ]
        service.drift_at[version.version_id] = now
    return Look(version.version_id, tuple(one for one in told if one is not None), drifts)


def _skill_lost(session: Session, service: LiveEvidence, version: AIModelVersion, skill: Skill) -> Told | None:
    if not skill.lost:
        return None
    before = version_before(session, version.strategy)
    lost = "does worse than a coin" if skill.only_a_coin else "has lost the skill it showed"
    where = f"--strategy {version.strategy}"
    way_back = (
        f"Go back to {before}: qt rollback {where}" if before else f"Let no version decide: qt deactivate {where}"
    )
    return Told(
        Code.SKILL_LOST,
        version,
        Severity.WARNING,
        f"{version.version_id} {lost}. {skill.sentence()}{_follows(service, before)}",
        skill.as_dict(),
        f"{way_back}. Then retrain on newer outcomes, and read the report before you activate: qt retrain {where}.",
    )


def _follows(service: LiveEvidence, before: str | None) -> str:
    """What the service does about it itself."""
    if not service.rolls_back:
        return ""
    if before is None:
        return f" QT_AUTO_ROLLBACK is on, but {NOTHING_BEFORE}"
    return f" QT_AUTO_ROLLBACK is on: the service goes back to {before}."


def _errors_drifted(version: AIModelVersion, errors: ErrorDrift) -> Told | None:
    if errors.found is None:
        return None
    severity = Severity.WARNING if errors.grew else Severity.INFO
    detail = f"{version.version_id}: {errors.sentence()}"
    return Told(Code.ERRORS_DRIFTED, version, severity, detail, errors.as_dict(), REMEDY_FOR_ERRORS)


def _features_drifted(version: AIModelVersion, features: FeatureDrift) -> Told | None:
    if not features.moved:
        return None
    detail = f"{version.version_id}: {features.sentence()}"
    return Told(Code.FEATURES_DRIFTED, version, Severity.INFO, detail, features.as_dict(), REMEDY_FOR_FEATURES)


def _pending(session: Session, looks: Sequence[Look]) -> bool:
    """Whether there is anything to write."""
    alarms, active = _watched(session), _active(session)
    return bool(_news(looks, alarms, active) or _over(looks, alarms, active))


def _store(session: Session, looks: Sequence[Look], now: datetime) -> int:
    """Raise, change and close, as the rows stand now: a version that was replaced meanwhile is alarmed no more."""
    alarms, active = _watched(session), _active(session)
    news, over = _news(looks, alarms, active), _over(looks, alarms, active)
    for one in news:
        raise_alarm(
            session,
            one.code,
            one.version.version_id,
            strategy=one.version.strategy,
            severity=one.severity,
            detail=one.detail,
            evidence=one.evidence,
            remedy=one.remedy,
            at=now,
        )
    for code, version_id in over:
        close_alarm(session, code, version_id, at=now)
    return len(news) + len(over)


def _watched(session: Session) -> dict[Key, Alarm]:
    return {(Code(alarm.code), alarm.subject): alarm for alarm in open_alarms(session) if alarm.code in WATCHED}


def _news(looks: Sequence[Look], alarms: Mapping[Key, Alarm], active: Mapping[str, Seen]) -> list[Told]:
    """What no alarm says yet. That a skill is lost is said once: what was done about it stands beside it."""
    return [one for found in looks for one in found.told if _decides(active, one) and _is_news(alarms, one)]


def _decides(active: Mapping[str, Seen], told: Told) -> bool:
    seen = active.get(told.version.strategy)
    return seen is not None and (seen.version_id, seen.activated_at) == (
        told.version.version_id,
        told.version.activated_at,
    )


def _is_news(alarms: Mapping[Key, Alarm], told: Told) -> bool:
    alarm = alarms.get((told.code, told.version.version_id))
    if alarm is None or told.code is Code.SKILL_LOST:
        return alarm is None
    return alarm.severity != str(told.severity) or not same_words(alarm.detail, told.detail)


def _over(looks: Sequence[Look], alarms: Mapping[Key, Alarm], active: Mapping[str, Seen]) -> list[Key]:
    """Alarms about a version that decides no more, or again since; of drift also those that it shows no more."""
    said = {(one.code, one.version.version_id) for found in looks for one in found.told}
    drift_judged = {found.version_id for found in looks if found.drifts}
    return [
        (code, version_id)
        for (code, version_id), alarm in alarms.items()
        if not _concerns(alarm, active)
        or (code is not Code.SKILL_LOST and version_id in drift_judged and (code, version_id) not in said)
    ]


def _concerns(alarm: Alarm, active: Mapping[str, Seen]) -> bool:
    """Whether the version that was alarmed about has decided ever since."""
    seen = active.get(alarm.strategy or "")
    if seen is None or seen.version_id != alarm.subject:
        return False
    return seen.activated_at is None or seen.activated_at <= alarm.raised_at


def _go_back(service: LiveEvidence) -> int:
    """Roll back every version that an open alarm says has lost its skill; how many were."""
    database = service.versions.database
    done = [version for version in database.read(_alarmed) if _gone_back(service, *version)]
    if done:
        database.write(_store, [], service.versions.clock())
    return len(done)


def _alarmed(session: Session) -> list[tuple[str, str]]:
    active = _active(session)
    alarms = [alarm for alarm in open_alarms(session, code=Code.SKILL_LOST) if _concerns(alarm, active)]
    return [(str(alarm.strategy), alarm.subject) for alarm in alarms]


def _gone_back(service: LiveEvidence, strategy: str, version_id: str) -> bool:
    """Whether it was rolled back here; whoever was first, a person or another process, has done it already."""
    reason = f"{version_id} fell below what its walk-forward holds it to (skill_lost)"
    try:
        rollback(service.versions, strategy, ACTOR, reason, only_from=version_id)
    except ConflictError as error:
        if error.reason != "activation_changed":
            service.versions.database.write(_say_why_not, version_id, error)
        return False
    return True


def _say_why_not(session: Session, version_id: str, error: ConflictError) -> None:
    """Let the alarm say, once, why nothing was changed."""
    for alarm in open_alarms(session, code=Code.SKILL_LOST):
        why = NOTHING_BEFORE if error.reason == "nothing_to_roll_back" else error.message
        if alarm.subject == version_id and why not in alarm.detail:
            alarm.detail = f"{alarm.detail} QT_AUTO_ROLLBACK could not go back: {why}"
