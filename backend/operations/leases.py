"""Leases: a role that one process holds for a while. The fence grows with every new holder."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend import system
from backend.models import Lease


def acquire(session: Session, name: str, holder: str, now: datetime, ttl: timedelta) -> int | None:
    """Take or prolong the lease; its fence, or None while another living process holds it.

    ``holder`` begins with ``system.process_identity()``: a lease whose process is gone is free at once.
    """
    lease = session.get(Lease, name, with_for_update=True)
    if lease is None:
        return _first(session, Lease(name=name, holder=holder, fence=1, expires_at=now + ttl))
    if lease.holder != holder:
        if lease.expires_at > now and not system.is_gone(lease.holder):
            return None
        lease.holder, lease.fence = holder, lease.fence + 1
    lease.expires_at = now + ttl
    return lease.fence


def _first(session: Session, lease: Lease) -> int | None:
    try:
        with session.begin_nested():
            session.add(lease)
    except IntegrityError:
        return None
    return lease.fence


def renew(session: Session, name: str, holder: str, now: datetime, ttl: timedelta) -> bool:
    """Prolong a lease that is still held; False where another took it: stop what it stood for."""
    lease = session.get(Lease, name, with_for_update=True)
    if lease is None or lease.holder != holder or lease.expires_at <= now:
        return False
    lease.expires_at = now + ttl
    return True


def holds(session: Session, name: str, fence: int) -> bool:
    """Whether nobody took the lease since ``fence`` was given out: ask in the transaction that relies on it."""
    lease = session.get(Lease, name)
    return lease is not None and lease.fence == fence


def release(session: Session, name: str, holder: str, now: datetime) -> None:
    """Give the lease back; the row stays, so that the fence keeps growing."""
    lease = session.get(Lease, name, with_for_update=True)
    if lease is not None and lease.holder == holder:
        lease.expires_at = now


def release_lost(session: Session, now: datetime) -> list[str]:
    """End the leases of processes that are gone; their names."""
    held = session.scalars(select(Lease).where(Lease.expires_at > now)).all()
    lost = [lease for lease in held if system.is_gone(lease.holder)]
    for lease in lost:
        lease.expires_at = now
    return [lease.name for lease in lost]
