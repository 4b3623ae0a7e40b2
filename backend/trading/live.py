"""The trader as a thread: it takes turns until it is stopped."""

import threading

from backend.operations.codes import Code
from backend.trading.turns import TraderTurns, Workplace


class TraderLoop:
    """Trades until it is stopped: takes the role, catches up at the market's speed, then follows real time."""

    def __init__(self, place: Workplace) -> None:
        self._stopped = threading.Event()
        self._turns = TraderTurns(place, self._stopped)
        self._thread = threading.Thread(target=self._run, name="trader", daemon=True)

    def start(self) -> None:
        """Begin in a thread of its own."""
        self._thread.start()

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Finish the round in hand, give the role back, end; a question that the market has not answered is dropped."""
        self._stopped.set()
        if self._turns.feed is not None:
            self._turns.feed.close()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    @property
    def trouble(self) -> Code | None:
        """What keeps the trader from storing anything, and so from saying it in the database."""
        return self._turns.trouble

    def introduction(self, timeout_seconds: float) -> str:
        """What somebody who starts the service should know of its market, as soon as anything is known of it."""
        return self._turns.introduction.hear(timeout_seconds)

    def turn(self) -> float | None:
        """One turn without the thread; the seconds until the next, None where nothing more can come."""
        return self._turns.turn()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._stopped.wait(self._turns.turn())
        self._turns.leave()
