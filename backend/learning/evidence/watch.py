"""The watch: raises and closes the alarms for what nobody sees in a transaction of their own.

Every half minute: files are looked at, then one read compares what the doctor finds with the open alarms, and only
where they differ a short write finds it again and stores the difference. Several processes raise and close it once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from types import SimpleNamespace
from typing import Any, TypeAlias, cast

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.clock import Clock
from backend.crontab import Schedule
from backend.database import Database
from backend.learning.evidence.doctor import running_checks
from backend.learning.evidence.doctor.facts import Facts
from backend.learning.evidence.doctor.readings import read_damaged, read_live
from backend.learning.evidence.status import active_model, market_state, refused
from backend.learning.versions.serving import Serving
from backend.models import AIModelVersion, AITrainingSample, Alarm, Delivery, Event, Feed, JobRun, Strategy
from backend.operations import delivery_queue, runs
from backend.operations.alarms import close_alarm, open_alarms, raise_alarm, same_words
from backend.operations.codes import CATALOGUE_OF_CODES, Code, Severity
from backend.settings import Settings

NEWEST_DELIVERIES = 500
LOW_ACCURACY = running_checks.LOW_ACCURACY

CHECKS = {
    Code.RETRAINING_OVERDUE: running_checks.retraining_overdue,
    Code.RETRAINING_FAILED: running_checks.retraining_failed,
    Code.LIVE_ACCURACY_LOW: running_checks.live_accuracy_low,
    Code.TRADER_STOPPED: running_checks.trader_stopped,
    Code.MARKET_FEED_STALE: running_checks.market_feed_stale,
    Code.CLOCK_SKEW: running_checks.clock_skew,
    Code.ARTIFACT_CORRUPT: running_checks.artifact_corrupt,
}
MARKET_CODES = frozenset({Code.MARKET_FEED_STALE, Code.CLOCK_SKEW})
# Closed by the retraining that succeeds; here only raised, for a run that was lost with its process.
NOT_CLOSED_HERE = frozenset({Code.RETRAINING_FAILED})
# Raised elsewhere too, in words of their own: an open one is left as it is.
OTHERS_WORDS = frozenset({Code.RETRAINING_FAILED, Code.MARKET_FEED_STALE, Code.CLOCK_SKEW, Code.TRADER_STOPPED})
# What may waver about its limit stays alarmed for a while, so that nobody is told of every turn.
WAVERS = frozenset({Code.CLOCK_SKEW, Code.LIVE_ACCURACY_LOW})
STAYS_OPEN = timedelta(minutes=10)
ANOTHER_SAYS_SO = timedelta(minutes=5)
FORGOTTEN_AFTER = timedelta(days=1)
TROUBLED_AFTER_ATTEMPTS = 3
# Longer than from one night's events to the next one's, so that a target in use is never forgotten between them.
UNUSED_AFTER = timedelta(hours=36)

Key: TypeAlias = tuple[Code, str]


@dataclass(frozen=True, slots=True)
class WatchService:
    """What the watch looks with."""

    database: Database
    settings: Settings
    serving: Serving
    schedule: Schedule | None
    clock: Clock


@dataclass(frozen=True, slots=True)
class Files:
    """What was found on disk of one strategy's versions."""

    active: Mapping[str, Any]
    damaged: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Found:
    """One condition that holds."""

    strategy: str | None
    severity: Severity
    detail: str
    evidence: dict[str, Any]
    remedy: str


def watch(service: WatchService) -> int:
    """Look once; how many alarms were raised, refreshed or closed."""
    files = service.database.read(look_at_files, service.serving)
    if not service.database.read(_differs, service, files):
        return 0
    return service.database.write(_store, service, files)


def look_at_files(session: Session, serving: Serving) -> dict[str, Files]:
    """Every strategy with a version: what is active, what serves, and which of the files that matter are damaged."""
    strategies = session.scalars(select(AIModelVersion.strategy).distinct()).all()
    return {
        name: Files(active_model(session, name, serving), read_damaged(session, name, serving)) for name in strategies
    }


def conditions(session: Session, service: WatchService, files: Mapping[str, Files]) -> dict[Key, Found]:
    """What holds now, by code and subject."""
    now, alarms = service.clock(), _watched(session)
    found = _failing_targets(session, now)
    for name in sorted({*session.scalars(select(Strategy.name)), *session.scalars(select(Feed.strategy))}):
        facts = _facts(session, service, name, files.get(name), now)
        for code, check in CHECKS.items():
            finding = (
                check(facts) if code not in MARKET_CODES or _minds(session, service, alarms, (code, name)) else None
            )
            if finding is not None:
                found[code, name] = Found(name, finding.severity, finding.explanation, finding.evidence, finding.remedy)
    return found


def _minds(session: Session, service: WatchService, alarms: Mapping[Key, Alarm], key: Key) -> bool:
    """Whether a silent market matters: the one traded here, or one that was alarmed about and not yet given up."""
    _, name = key
    settings, feed = service.settings, session.get(Feed, name)
    if name == settings.strategy and settings.market != "off":
        return True
    return key in alarms and feed is not None and service.clock() - feed.updated_at < FORGOTTEN_AFTER


def _differs(session: Session, service: WatchService, files: Mapping[str, Files]) -> bool:
    """Whether anything is to be raised, refreshed, closed or given up."""
    found, alarms = conditions(session, service, files), _watched(session)
    return bool(
        any(_is_news(key, alarms.get(key), one) for key, one in found.items())
        or _over(session, service, alarms, found)
        or delivery_queue.expired(session, service.clock())
    )


def _store(session: Session, service: WatchService, files: Mapping[str, Files]) -> int:
    """Look again, so that what changed since the read counts, and store the difference."""
    found, alarms, now = conditions(session, service, files), _watched(session), service.clock()
    news = {key: one for key, one in found.items() if _is_news(key, alarms.get(key), one)}
    for (code, subject), one in news.items():
        raise_alarm(
            session,
            code,
            subject,
            strategy=one.strategy,
            severity=one.severity,
            detail=one.detail,
            evidence=one.evidence,
            remedy=one.remedy,
            at=now,
        )
    over = _over(session, service, alarms, found)
    for code, subject in over:
        close_alarm(session, code, subject, at=now)
    delivery_queue.expire(session, now)
    return len(news) + len(over)


def _watched(session: Session) -> dict[Key, Alarm]:
    watched = (*CHECKS, Code.DELIVERY_FAILING)
    return {(Code(alarm.code), alarm.subject): alarm for alarm in open_alarms(session) if alarm.code in watched}


def _over(
    session: Session, service: WatchService, alarms: Mapping[Key, Alarm], found: Mapping[Key, Found]
) -> list[Key]:
    gone = [key for key in alarms if key not in found and key[0] not in NOT_CLOSED_HERE]
    recent = service.clock() - STAYS_OPEN
    settled = [key for key in gone if key[0] not in WAVERS or alarms[key].raised_at < recent]
    return [key for key in settled if not _another_says_so(session, service, key)]


def _another_says_so(session: Session, service: WatchService, key: Key) -> bool:
    """Whether a process with another market still says that its trader does not run."""
    code, name = key
    feed = session.get(Feed, name) if code is Code.TRADER_STOPPED else None
    if feed is None or (name == service.settings.strategy and service.settings.market != "off"):
        return False
    return refused(feed.state, feed.detail) and service.clock() - feed.updated_at < ANOTHER_SAYS_SO


def _is_news(key: Key, alarm: Alarm | None, found: Found) -> bool:
    """Whether no alarm says it yet; that only the figures of an open one have moved on is no reason to write."""
    if alarm is None:
        return True
    changed = alarm.severity != str(found.severity) or not same_words(alarm.detail, found.detail)
    return changed and key[0] not in OTHERS_WORDS


def _facts(session: Session, service: WatchService, name: str, files: Files | None, now: datetime) -> Facts:
    """What the checks above look at and nothing more: cheap enough for every half minute."""
    strategy, row = session.get(Strategy, name), AITrainingSample
    own = (JobRun.job == runs.RETRAINING, JobRun.strategy == name)
    finished = select(JobRun).where(*own, JobRun.state.not_in(("running", "missed")))
    last_run = session.scalars(finished.order_by(JobRun.id.desc()).limit(1)).one_or_none()
    slots = select(func.max(JobRun.slot)).where(*own, JobRun.state != "missed")
    known = select(row.id).where(row.strategy == name, row.outcome_known.is_(True)).limit(1)
    looked_at = SimpleNamespace(
        strategy=name,
        now=now,
        settings=service.settings,
        created_at=strategy.created_at if strategy else None,
        decisions=SimpleNamespace(outcomes_known=len(session.scalars(known).all())),
        last_run=runs.public(last_run) if last_run else None,
        last_due=running_checks.newest_due(service.schedule, now),
        last_slot=session.scalars(slots).one(),
        active=files.active if files else {"version_id": None, "serving_version_id": None, "degraded": False},
        damaged=files.damaged if files else {},
        live=_live(session, name),
        market=market_state(session, name, now),
    )
    return cast(Facts, looked_at)


def _live(session: Session, name: str) -> dict[str, Any] | None:
    """The active version's matured forecasts; None, which costs nothing, where their accuracy cannot be low."""
    query = select(AIModelVersion).where(AIModelVersion.strategy == name, AIModelVersion.is_active)
    version = session.scalars(query).one_or_none()
    judged = version.matured_predictions - version.neutral_predictions if version else 0
    suspect = version is not None and judged > 0 and version.correct_predictions / judged < LOW_ACCURACY
    return read_live(session, name) if suspect else None


def _failing_targets(session: Session, now: datetime) -> dict[Key, Found]:
    """Targets that the newest events did not reach, with how many, whichever service they are of.

    Its deliveries say that a target is in use: one that is not tried any more, or not since another took its place in
    the settings, is forgotten.
    """
    query = select(Delivery, Event.at).join(Event, Event.event_id == Delivery.event_id)
    newest = session.execute(query.order_by(Delivery.id.desc()).limit(NEWEST_DELIVERIES)).all()
    known = delivery_queue.known_targets(session) if any(_is_troubled(one) for one, _ in newest) else {}
    found = {}
    for digest, place in known.items():
        judged = [
            (one, at) for one, at in newest if one.target == digest and (one.state == "sent" or _is_troubled(one))
        ]
        failed = [one for one, _ in takewhile(lambda told: _is_troubled(told[0]), judged)]
        unused_before = max(now - UNUSED_AFTER, place.replaced_at or now - UNUSED_AFTER)
        if failed and judged[0][1] > unused_before:
            name = f"{failed[0].channel}:{digest[:8]}"
            found[Code.DELIVERY_FAILING, name] = _unreached(name, place.label, failed)
    return found


def _unreached(name: str, label: str, failed: list[Delivery]) -> Found:
    """That a target got none of these, the newest first."""
    about, events = CATALOGUE_OF_CODES[Code.DELIVERY_FAILING], f"newest {len(failed)} events"
    return Found(
        strategy=None,
        severity=about.severity,
        detail=f"The {events if len(failed) > 1 else 'newest event'} did not reach {label}. {failed[0].last_error}",
        evidence={"target": name, "setting": label, "failed": len(failed), "event_id": failed[0].event_id},
        remedy=about.remedy,
    )


def _is_troubled(delivery: Delivery) -> bool:
    tried = delivery.attempts >= TROUBLED_AFTER_ATTEMPTS or (delivery.state == "failed" and delivery.attempts > 0)
    return tried and delivery.state != "sent"
