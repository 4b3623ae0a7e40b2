"""One symbol's candles from an exchange, page after page: checked, closed, gathered to the length asked for."""

import logging
from collections import Counter
from dataclasses import dataclass

from backend.market import exchange_answers as answers
from backend.market.exchange_answers import BadAnswerError
from backend.market.exchange_client import ExchangeClient
from backend.market.exchange_restraint import FAILED, RefusedError
from backend.market.feed import Bar

log = logging.getLogger(__name__)

OVERLAP = 60
WRONG_FOR_GOOD = 3
LONGEST_SETTLING_MS = 1_000


@dataclass(frozen=True, slots=True)
class Series:
    """What to ask an exchange for: its own name of a symbol, its timeframe, and ours in milliseconds."""

    symbol: str
    name: str
    fetched: str
    fetched_ms: int
    length_ms: int


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: the candles that had closed by open time, how many rows came, and the newest row's open time."""

    closed: dict[int, Bar]
    rows: int
    newest: int
    reached: int


def closed_until(reached: int, length_ms: int) -> int:
    """The newest border of candles that lies before the exchange's time; last trades get a moment to be counted."""
    settling = min(LONGEST_SETTLING_MS, length_ms // 10)
    return (reached - settling) // length_ms * length_ms


class Pages:
    """Asks for one symbol's candles; a row that is wrong every time becomes a gap."""

    def __init__(self, client: ExchangeClient, series: Series) -> None:
        self.series = series
        self._client = client
        self._limit = client.page_limit(series.name) * series.fetched_ms // series.length_ms
        self._wrong: Counter[frozenset[int]] = Counter()
        self._left_out: set[int] = set()

    def walk(self, cursor: int, overlap: int = OVERLAP) -> "Walk":
        """A walk over this symbol's pages from an open time on."""
        return Walk(cursor, self.series.length_ms, max(self._limit, 2), min(overlap, self._limit // 4))

    def page(self, since: int, limit: int) -> Page:
        """Ask for the candles that open at or after ``since``."""
        series = self.series
        factor = series.length_ms // series.fetched_ms
        answer = self._client.candles(series.name, series.fetched, since, limit * factor)
        found = self._checked(answer.content, answer.latest)
        end = closed_until(answer.reached, series.length_ms)
        over = {opened: bar for opened, bar in found.items() if opened < end}
        closed = answers.gathered(over, series.fetched_ms, series.length_ms)
        return Page(closed, len(answer.content), max(found, default=-1), answer.reached)

    def _checked(self, rows: object, latest: int) -> dict[int, Bar]:
        length_ms = self.series.fetched_ms
        try:
            found = answers.bars(rows, length_ms, latest, self._left_out)
        except BadAnswerError as bad:
            self._wrong[bad.rows] += 1
            if not bad.rows or self._wrong[bad.rows] < WRONG_FOR_GOOD:
                fault = f"{self.series.symbol}: the exchange's answer cannot be true: {bad}"
                raise RefusedError(fault, retry_after_seconds=FAILED.first_seconds) from bad
            log.warning("%s: %s, every time; the candle is left out", self.series.symbol, bad)
            self._left_out |= bad.rows
            return self._checked(rows, latest)
        self._wrong.clear()
        return found


@dataclass(slots=True)
class Walk:
    """How far a symbol has been asked for: page after page up to an end, over gaps, each page reaching back a bit."""

    cursor: int
    length: int
    limit: int
    overlap: int
    asked_again: bool = False

    def request(self, end: int) -> tuple[int, int]:
        """Where the next page begins, and how many candles it may hold."""
        back = 0 if self.asked_again else self.overlap
        since = max(self.cursor - back * self.length, 0)
        return since, max(2, min((end - since) // self.length + 2, self.limit))

    def take(self, page: Page, end: int) -> bool:
        """Move on by one answer; True when nothing is left to ask before ``end``."""
        since, limit = self.request(end)
        again, self.asked_again = self.asked_again, False
        reached = max((opened + self.length for opened in page.closed), default=self.cursor)
        moved = reached > self.cursor
        self.cursor = max(self.cursor, reached)
        if self.cursor >= end or page.newest >= end:
            return True
        if moved:
            return False
        if not again and (page.rows == 0 or page.rows >= limit):
            # Nothing at all where something was known, or a page full of what was known: not yet believed.
            self.asked_again = True
            return False
        if since + limit * self.length >= end:
            return True
        self.cursor = since + limit * self.length
        return False
