"""A symbol's past from an exchange, in pages that are kept, so that a retry goes on where the last try failed."""

import logging
from dataclasses import dataclass, field

from ai_engine.candles import Candles
from backend.market.exchange_answers import as_candles
from backend.market.exchange_client import GONE_SECONDS, ExchangeClient
from backend.market.exchange_pages import Pages, Walk
from backend.market.exchange_restraint import RefusedError
from backend.market.feed import Bar

log = logging.getLogger(__name__)

GIVEN_UP_AFTER = 3
MOST_STRETCHES = 20


@dataclass(slots=True)
class Past:
    """One symbol's candles before an end, as far as they have come: stretch before stretch, each oldest first."""

    asked: tuple[int, int]
    walk: Walk
    first: int
    end: int
    stretches: int = 1
    known_before: int = 0
    bars: dict[int, Bar] = field(default_factory=dict)
    failures: int = 0
    done: bool = False


class History:
    """Fetches what lies before a time; of candles that come again, the first stay."""

    def __init__(self, client: ExchangeClient) -> None:
        self._client = client
        self._pasts: dict[str, Past] = {}

    def before(self, pages: Pages, end: int, count: int) -> Candles:
        """The last ``count`` candles that had closed at ``end``; fewer where the exchange has fewer."""
        length, symbol = pages.series.length_ms, pages.series.symbol
        end = end // length * length
        past = self._pasts.get(symbol)
        if past is None or past.asked != (end, count):
            first = max(end - count * length, 0)
            past = self._pasts[symbol] = Past((end, count), pages.walk(first, overlap=1), first, end)
        while not past.done:
            self._extend(pages, past, count)
        return as_candles(past.bars, length).tail(count)

    def forget(self) -> None:
        """Ask anew from now on: what is kept serves retries only."""
        self._pasts.clear()

    def _extend(self, pages: Pages, past: Past, count: int) -> None:
        """One page more."""
        try:
            page = pages.page(*past.walk.request(past.end))
        except RefusedError as error:
            if not self._gives_up(past, error):
                raise self._client.restraint.failed(error) from error
            log.warning("%s has no history: %s", pages.series.symbol, error.message)
            # Without its newest part a past is none.
            past.bars, past.done = past.bars if past.stretches > 1 else {}, True
            return
        self._client.restraint.recovered()
        past.failures = 0
        for opened, bar in page.closed.items():
            if opened < past.asked[0]:
                past.bars.setdefault(opened, bar)
        if past.walk.take(page, past.end):
            self._reach_back(pages, past, count)

    def _gives_up(self, past: Past, error: RefusedError) -> bool:
        """Whether it is this symbol alone that cannot be had: the others shall not wait for it."""
        past.failures += 1
        if error.everywhere:
            return False
        gone = error.retry_after_seconds >= GONE_SECONDS
        return gone or (past.failures >= GIVEN_UP_AFTER and self._client.check_clock(at_once=True))

    def _reach_back(self, pages: Pages, past: Past, count: int) -> None:
        """Where gaps left too few, go on before them, as long as there is anything."""
        lacking = count - len(past.bars)
        enough = lacking <= 0 or past.first <= 0 or len(past.bars) == past.known_before
        if enough or past.stretches == MOST_STRETCHES:
            past.done = True
            return
        past.end, past.first = past.first, max(past.first - lacking * pages.series.length_ms, 0)
        past.walk = pages.walk(past.first, overlap=1)
        past.stretches, past.known_before = past.stretches + 1, len(past.bars)
