"""Says every two seconds that a run lives and how far it is, until the run ends."""

import logging
import threading
from types import TracebackType

from sqlalchemy.exc import SQLAlchemyError

from backend.clock import Clock
from backend.database import Database, is_unavailable
from backend.operations import runs

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 2.0


class Heartbeat:
    """A context in which a run's row is kept fresh by a thread of its own."""

    def __init__(self, database: Database, run_id: str, clock: Clock) -> None:
        self._database, self._run_id, self._clock = database, run_id, clock
        self._stage, self._fraction = "starting", 0.0
        self._ended, self._lost = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat-{run_id}", daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def tell(self, stage: str, fraction: float) -> None:
        """Note how far the run is; RunLostError where it was closed by somebody else meanwhile."""
        self._stage, self._fraction = stage, fraction
        if self._lost.is_set():
            raise runs.RunLostError(self._run_id)

    def _beat(self) -> None:
        while not self._ended.wait(INTERVAL_SECONDS):
            try:
                own = self._database.write(runs.progress, self._run_id, self._clock(), self._stage, self._fraction)
            except SQLAlchemyError as error:
                if not is_unavailable(error):
                    raise
                logger.warning("Heartbeat of %s missed: the database cannot be reached or is busy.", self._run_id)
                continue
            if not own:
                self._lost.set()
                return
