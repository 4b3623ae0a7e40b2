"""Whether anything can be stored at all: a row is written and taken back in one transaction, which is committed."""

from datetime import UTC, datetime

from sqlalchemy import delete
from sqlalchemy.orm import Session

from backend.database import Database, is_unavailable, unusable
from backend.models import Lease

PROBE = "doctor:can-anything-be-stored"


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
    session.add(Lease(name=PROBE, holder=PROBE, fence=0, expires_at=datetime(1970, 1, 1, tzinfo=UTC)))
    session.flush()
    session.execute(delete(Lease).where(Lease.name == PROBE))
