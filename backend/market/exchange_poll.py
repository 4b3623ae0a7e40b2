"""Asking an exchange for what has closed: symbol after symbol, each with its own progress and its own failures."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from backend.clock import Clock, to_ms
from backend.market.exchange_client import ExchangeClient
from backend.market.exchange_pages import Pages, Walk, closed_until
from backend.market.exchange_restraint import FAILED, Backoff, Pause, RefusedError
from backend.market.exchange_rounds import FEWEST_FAILURES, LONGEST_PATIENCE_MS, Asked, RoundBook

log = logging.getLogger(__name__)

ENOUGH_FAILURES = 2
"""So many symbols that fail, and none that is answered, stand for the whole exchange."""
SHORTEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 1.0, 15.0
SHORTEST_BACKOFF_SECONDS = 5.0
LONGEST_WAIT_FOR_OTHERS_SECONDS = 2.0
"""Where a round lacks only some symbols, these are asked for more often."""


@dataclass(slots=True)
class Line:
    """One symbol's progress."""

    pages: Pages
    walk: Walk
    asked: Asked = field(default_factory=Asked)
    failures: int = 0
    asked_late: int = 0
    retry: Pause | None = None
    error: RefusedError | None = None

    @property
    def symbol(self) -> str:
        """The symbol as we write it."""
        return self.pages.series.symbol

    def may_ask(self, now: int) -> bool:
        """Whether its last failure lies back far enough."""
        return self.retry is None or self.retry.left(now) <= 0

    def failed(self, error: RefusedError, now: int, their_now: int) -> None:
        """Note a failure that is this symbol's own as far as one can tell."""
        since = self.asked.failing_since
        if since is None:
            log.warning("%s is not answered: %s", self.symbol, error.message)
        self.failures += 1
        # One that may not be asked for long will not be answered by then, however often it was tried.
        tried = FEWEST_FAILURES if error.retry_after_seconds * 1_000 > LONGEST_PATIENCE_MS else self.failures
        self.asked = Asked(self.asked.answered_at, their_now if since is None else since, their_now, tried)
        # Soon enough for the next round.
        longest = max(self.pages.series.length_ms / 2_000, SHORTEST_BACKOFF_SECONDS)
        self.retry = Pause(now, max(min(FAILED.after(self.failures), longest), error.retry_after_seconds))
        self.error = error

    def forgiven(self) -> None:
        """What failed was the exchange as a whole: it does not count against this symbol."""
        self.asked, self.retry, self.error, self.failures = Asked(self.asked.answered_at), None, None, 0

    def answered(self) -> None:
        """Note that it is answered."""
        if self.error is not None:
            log.info("%s is answered again", self.symbol)
        self.forgiven()
        self.asked_late = 0


class Poller:
    """Fills a book of rounds; what fails for one symbol does not hold up the others."""

    def __init__(self, client: ExchangeClient, pages: Sequence[Pages], book: RoundBook, now: Clock) -> None:
        self.book = book
        self._client = client
        self._now = now
        self._length = length = pages[0].series.length_ms
        self._lines = [Line(one, one.walk(book.last // length * length)) for one in pages]
        self._idle: Pause | None = None
        self._idle_polls = 0
        self._told: set[tuple[str, int]] = set()

    @property
    def asked(self) -> dict[str, Asked]:
        """How each symbol's requests fare."""
        return {line.symbol: line.asked for line in self._lines}

    def trouble(self, until: int | None) -> RefusedError | None:
        """The failure of a symbol that the next round waits for, with how long it is until that changes."""
        now = to_ms(self._now())
        waiting = self.book.waiting(self._client.clock.about(now), self.asked, until)
        for line in self._lines:
            if waiting is not None and line.error is not None and line.retry is not None:
                left = min(line.retry.left(now), waiting / 1_000)
                return RefusedError(line.error.fault, retry_after_seconds=max(left, SHORTEST_PAUSE_SECONDS))
        return None

    def poll(self, until: int | None) -> bool:
        """Ask each symbol that lacks the newest closed candle for one page; True while more can be asked at once.

        Raises
        ------
        RefusedError
            If the exchange as a whole fails, or allows nothing now.
        """
        now = to_ms(self._now())
        if self._idle is not None and self._idle.left(now) > 0:
            return False
        self._read_clock()
        end = closed_until(self._client.clock.surely(to_ms(self._now())), self._length)
        end = end if until is None else min(end, until // self._length * self._length)
        due = [line for line in self._lines if self._lacks(line, end) and line.may_ask(now)]
        if not due:
            return False
        # Those that fail are asked in a poll of their own, so that no round waits for their silence.
        well = [line for line in due if line.error is None]
        cursors = [line.walk.cursor for line in due]
        more = self._ask(sorted(well or due, key=lambda line: line.asked_late), end) or 0 < len(well) < len(due)
        self._wait(more or cursors != [line.walk.cursor for line in due])
        return more

    def _lacks(self, line: Line, end: int) -> bool:
        return end > self.book.last and line.walk.cursor < end

    def _read_clock(self) -> None:
        try:
            self._client.check_clock()
        except RefusedError as error:
            if error.everywhere or self._client.clock.offset is None:
                raise self._client.restraint.failed(error) from error
            log.debug("The exchange's time is read from its answers: %s", error.message)

    def _ask(self, due: Sequence[Line], end: int) -> bool:
        """One page for each; whether there is more."""
        more, answered = False, 0
        refused: list[tuple[Line, RefusedError]] = []
        for position, line in enumerate(due):
            if not answered and len(refused) == ENOUGH_FAILURES:
                break
            try:
                more = not self._page(line, end) or more
                answered += 1
            except RefusedError as error:
                if error.everywhere:
                    refused += [(other, error) for other in due[position:]]
                    break
                refused.append((line, error))
        if answered:
            self._client.restraint.recovered()
        self._note(refused, alive=answered > 0 or any(not self._lacks(line, end) for line in self._lines))
        return more

    def _page(self, line: Line, end: int) -> bool:
        page = line.pages.page(*line.walk.request(end))
        line.answered()
        for opened in self.book.add(line.symbol, page.closed):
            if (line.symbol, opened) not in self._told:
                self._told.add((line.symbol, opened))
                log.warning("%s: the candle of %d came again with other values; the first stays", line.symbol, opened)
        done = line.walk.take(page, end)
        if done:
            line.asked = Asked(page.reached)
        return done

    def _note(self, refused: Sequence[tuple[Line, RefusedError]], *, alive: bool) -> None:
        """Hold failures against their symbols where the exchange is alive, else against the exchange."""
        if not refused:
            return
        now = to_ms(self._now())
        for line, _ in refused:
            line.asked_late += 1
        if alive:
            for line, error in refused:
                line.failed(error, now, self._client.clock.about(now))
        else:
            for line in self._lines:
                line.forgiven()
        error = next((error for _, error in refused if error.everywhere), refused[0][1])
        if error.everywhere or not alive:
            raise self._client.restraint.failed(error)

    def _wait(self, moved: bool) -> None:
        """Ask less and less often where the exchange answers, but not with anything new."""
        self._idle_polls = 0 if moved else self._idle_polls + 1
        waits = self.book.waiting(0, {}) is not None
        longest = LONGEST_WAIT_FOR_OTHERS_SECONDS if waits else LONGEST_PAUSE_SECONDS
        longest = max(min(self._length / 4_000, longest), SHORTEST_PAUSE_SECONDS)
        backoff = Backoff(min(FIRST_PAUSE_SECONDS, longest), longest)
        self._idle = None if moved else Pause(to_ms(self._now()), backoff.after(self._idle_polls))
