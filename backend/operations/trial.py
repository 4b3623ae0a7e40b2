"""The test message: whether what is told arrives."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from backend.operations import audit
from backend.operations.codes import News
from backend.operations.delivery_types import Target
from backend.operations.events import tell

SENTENCE = "This is a test: alarms and news of Quantum Trader arrive here."
NOBODY = "Nobody is told: set QT_NOTIFY_URLS or QT_WEBHOOK_URL, and restart the service."
ON_ITS_WAY = "It is on its way. GET /ai/events shows within seconds what became of it."


def try_out(session: Session, targets: Sequence[Target], actor: str, at: datetime) -> dict[str, Any]:
    """Store a test event, which goes to every target there is."""
    shown = [{"channel": str(one.channel), "target": one.digest[:8], "setting": one.label} for one in targets]
    audit.append(session, at=at, actor=actor, action="alarms_test", detail={"targets": shown})
    told = {"actor": actor, "targets": shown}
    event = tell(session, News.TEST, strategy=None, subject=None, sentence=SENTENCE, detail=told, at=at)
    message = ON_ITS_WAY if targets else NOBODY
    return {"status": "ok", "event_id": event.event_id, "targets": shown, "message": message}
