"""Whether anything can be stored at all: a row is written and taken back in one transaction, which is committed."""

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from backend.database import Database, is_unavailable, unusable
from backend.models import Alarm
from backend.operations.codes import Code, Severity

PROBE = "can anything be stored?"
PROBE_LENGTH = 65_536
"""More than the room that a full disk leaves inside the pages that the database has already."""


def unwritable(database: Database) -> str | None:
    """Why nothing can be stored, in one sentence with a remedy; None where it can."""
    try:
        database.write(_write_and_take_back)
    except Exception as error:
        if not is_unavailable(error):
            raise
        return unusable(database.url, str(getattr(error, "orig", None) or error)).message
    return None


def _write_and_take_back(session: Session) -> None:
    row = Alarm(code=str(Code.WRITES_FAIL), subject=PROBE, severity=str(Severity.INFO), detail="?" * PROBE_LENGTH)
    row.raised_at = datetime(1970, 1, 1, tzinfo=UTC)
    session.add(row)
    session.flush()
    session.delete(row)
