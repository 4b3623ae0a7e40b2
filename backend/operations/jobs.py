"""A run of a job from its beginning to its end: recorded, kept alive, carried out, and never left open."""

import logging
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.clock import Clock
from backend.database import Database
from backend.operations import runs
from backend.operations.heartbeat import Heartbeat

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 2.0

Answer: TypeAlias = dict[str, Any]
Progress: TypeAlias = Callable[[str, float], None]
"""Told a stage's name and the share of the work done so far, 0 to 1."""
Work: TypeAlias = Callable[[Progress], Answer]
"""Answers with a ``status``: ``success``, ``skipped`` or ``error``, the latter two with a ``reason``."""


class WorkFailedError(Exception):
    """The work did not come to its end; the message says why, in a sentence."""


class WorkStoppedError(Exception):
    """The service is shutting down; the work did not fail, it was cut off."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A run in progress."""

    run_id: str
    strategy: str


@dataclass(frozen=True)
class Job:
    """What all runs of one job have in common.

    ``what`` names the work in sentences, ``failed`` is the reason of a run whose work came to no end. ``close`` stores
    what came of a run, and what follows from that, in one transaction; where ``success_is_closed``, the work has done
    so itself in the one that stored what it made.
    """

    database: Database
    clock: Clock
    name: str
    what: str
    failed: str
    close: Callable[[Session, Begun, Answer, datetime], None]
    success_is_closed: bool = False

    def begin(self, strategy: str, actor: str, slot: datetime | None) -> Begun:
        """Record a running run; 409 while the job runs for the strategy, or where the slot was run before."""
        new = runs.NewRun(self.name, strategy, actor, slot)
        try:
            return Begun(self.database.write(runs.start, new, self.clock()), strategy)
        except IntegrityError as error:  # another process was faster
            running = self.database.read(runs.running_run_id, self.name, strategy)
            if running is None and slot is not None:
                raise runs.SlotTakenError(strategy, slot) from error
            raise runs.RunInProgressError(self.name, strategy, running) from error

    def carry_out(self, begun: Begun, work: Work, watcher: Progress | None = None) -> Answer:
        """Do the work and close the run with what came of it; whatever goes wrong, the run does not stay open."""
        try:
            with Heartbeat(self.database, begun.run_id, self.clock) as heartbeat:
                answer = work(_told_to(heartbeat.tell, watcher))
        except runs.RunLostError:
            raise
        except WorkStoppedError:
            answer = {"status": "error", "reason": "lost", "detail": f"The service stopped during the {self.what}."}
        except (WorkFailedError, OSError) as error:
            logger.warning("The %s %s of %s failed: %s", self.what, begun.run_id, begun.strategy, error)
            answer = {"status": "error", "reason": self.failed, "detail": str(error)}
        except BaseException as error:
            self._close(begun, {"status": "error", "reason": self.failed, "detail": repr(error)[:500]})
            raise
        if answer["status"] != "success" or not self.success_is_closed:
            self._close(begun, answer)
        return {**answer, "strategy": begun.strategy, "run_id": begun.run_id}

    def start(self, begun: Begun, work: Work, watcher: Progress | None = None) -> None:
        """Let a thread carry the run out, under its caller's request id."""
        name, call = f"{self.name}-{begun.strategy}", copy_context().run
        threading.Thread(target=call, args=(self._in_background, begun, work, watcher), name=name, daemon=True).start()

    def _in_background(self, begun: Begun, work: Work, watcher: Progress | None) -> None:
        try:
            answer = self.carry_out(begun, work, watcher)
        except runs.RunLostError as lost:
            logger.info("%s", lost.message)
        except Exception:
            logger.exception("The %s %s failed.", self.what, begun.run_id)
        else:
            outcome = answer.get("reason") or answer.get("sentence") or answer.get("version_id")
            logger.info("The %s of %s ended with %s: %s", self.what, begun.strategy, answer["status"], outcome)

    def _close(self, begun: Begun, answer: Answer) -> None:
        self.database.write(self.close, begun, answer, self.clock())


def end_own(database: Database, clock: Clock, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Leave no run of this process open: those whose children were cut off end themselves, or are closed here."""
    deadline = time.monotonic() + patience_seconds
    while database.read(runs.own_running) and time.monotonic() < deadline:
        time.sleep(0.05)
    database.write(runs.close_own, clock())


def _told_to(heartbeat: Progress, watcher: Progress | None) -> Progress:
    def tell(stage: str, share: float) -> None:
        heartbeat(stage, share)
        if watcher is not None:
            watcher(stage, share)

    return tell
