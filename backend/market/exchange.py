"""An exchange as a market: its closed candles by its own clock, through ccxt, in rounds."""

import logging
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from ai_engine.candles import Candles, timeframe_ms
from backend.clock import Clock, from_ms, to_ms, utc_now
from backend.errors import NotFoundError
from backend.market import exchange_names as names
from backend.market.exchange_answers import as_bars, as_candles
from backend.market.exchange_client import USUAL_MANNERS, ExchangeClient, Manners
from backend.market.exchange_history import History
from backend.market.exchange_pages import Pages, Series, closed_until
from backend.market.exchange_poll import Poller
from backend.market.exchange_restraint import RefusedError
from backend.market.exchange_rounds import Known, RoundBook
from backend.market.feed import CandleRound

log = logging.getLogger(__name__)

FRESH_CANDLES = 3
FRESH_SECONDS = 15


class ExchangeMarket:
    """A feed of one exchange's public candles; every call that asks it may raise FeedUnavailableError.

    Nothing is asked before ``prepare``, which the others call where it was not.
    """

    def __init__(
        self,
        exchange_id: str,
        symbols: Sequence[str],
        timeframe: str,
        *,
        url: str | None = None,
        now: Clock = utc_now,
        manners: Manners = USUAL_MANNERS,
    ) -> None:
        self.source = exchange_id
        self.timeframe = timeframe
        self.symbols = tuple(sorted(set(symbols)))
        self.unknown_symbols: tuple[str, ...] = ()
        self._now = now
        self._length = timeframe_ms(timeframe)
        self._client = ExchangeClient(exchange_id, url=url, now=now, manners=manners)
        self._fetched = names.fetched_timeframe(exchange_id, timeframe, self._client.timeframes)
        self._pages: dict[str, Pages] | None = None
        self._history = History(self._client)
        self._start: datetime | None = None
        self._known: Known = {}
        self._poller: Poller | None = None
        self._lock = threading.RLock()

    @property
    def clock_offset_seconds(self) -> float | None:
        """The exchange's clock minus ours; None as long as it told nothing."""
        offset = self._client.clock.offset
        return None if offset is None else round(offset.middle / 1_000, 3)

    def now(self) -> datetime:
        """The exchange's time, as well as it is known."""
        return from_ms(self._client.clock.about(to_ms(self._now())))

    def prepare(self) -> None:
        """Connect, find the symbols among the exchange's markets, read its clock; later on, keep reading it.

        Without that a clock that was read wrongly once, and says that no candle is due, would stay wrong.

        Raises
        ------
        FeedUnavailableError
            If it cannot be reached now.
        InvalidInputError
            If it can give no candles at all.
        """
        connected = self._pages is not None
        self._prepared()
        if not connected:
            return
        try:
            with self._lock:
                self._client.check_clock()
        except RefusedError as error:
            # Where nothing is due nothing is missed; else the next question tells what is wrong.
            log.debug("The exchange's clock was not read: %s", error.message)

    @property
    def start(self) -> datetime:
        """Close time of the newest candle that had closed when it was first asked for."""
        self._prepared()
        if self._start is None:
            self._start = from_ms(closed_until(self._client.clock.surely(to_ms(self._now())), self._length))
        return self._start

    def history(self, symbol: str, before: datetime, count: int) -> Candles:
        """The last ``count`` candles with ``close_time <= before`` that have closed by the exchange's clock."""
        pages = self._prepared()
        if symbol not in pages:
            raise NotFoundError(
                f"{self.source} has no {symbol}; asked for and had are {', '.join(pages)}.", reason="unknown_symbol"
            )
        with self._lock:
            closed = closed_until(self._client.clock.surely(to_ms(self._now())), self._length)
            candles = self._history.before(pages[symbol], min(to_ms(before), closed), count)
            self._known.setdefault(symbol, {}).update(as_bars(candles))
        return candles

    def rounds(self, after: datetime | None, until: datetime | None = None) -> Iterator[CandleRound]:
        """Every round from ``after`` on that has closed by the exchange's clock; ends there.

        A failure is raised where no round could be given; else the next call raises it, should it last.
        """
        pages = self._prepared()
        last = to_ms(self.start) - 1 if after is None else to_ms(after)
        if not pages:
            return
        self._history.forget()
        poller = self._poller_after(last, pages)
        limit = None if until is None else to_ms(until)
        more, gave, error = True, False, None
        while more:
            try:
                more = poller.poll(limit)
            except RefusedError as refused:
                more, error = False, refused
            for one in self._ready(poller, limit):
                gave = True
                yield one
        error = error or poller.trouble(limit)
        if error is not None and not gave:
            raise error

    def late(self) -> dict[str, Candles]:
        """Candles at or before the last yielded round that came only now, each handed out once."""
        found = self._poller.book.late() if self._poller is not None else {}
        return {symbol: as_candles(bars, self._length) for symbol, bars in sorted(found.items())}

    def close(self) -> None:
        """End the request under way, from whatever thread, and close the connection for good."""
        self._client.close()

    def _prepared(self) -> dict[str, Pages]:
        with self._lock:
            if self._pages is not None:
                return self._pages
            try:
                markets = self._client.markets()
                found = names.found(markets, self.symbols)
                if found:
                    self._client.ask_candles_for_dates(next(iter(found.values())), self._fetched)
                self._client.check_clock()
            except RefusedError as error:
                raise self._client.restraint.failed(error) from error
            self._client.restraint.recovered()
            self.unknown_symbols = tuple(symbol for symbol in self.symbols if symbol not in found)
            self.symbols = tuple(found)
            lengths = timeframe_ms(self._fetched), self._length
            series = [Series(symbol, name, self._fetched, *lengths) for symbol, name in found.items()]
            self._pages = {one.symbol: Pages(self._client, one) for one in series}
            return self._pages

    def _poller_after(self, last: int, pages: dict[str, Pages]) -> Poller:
        """The poller that goes on after a time; begun anew where its reader did not keep what it was given."""
        if self._poller is None or self._poller.book.last != last:
            if self._poller is not None:
                self._known.clear()
            book = RoundBook(pages, self._length, last, self._known)
            self._poller = Poller(self._client, list(pages.values()), book, self._now)
        return self._poller

    def _ready(self, poller: Poller, until: int | None) -> Iterator[CandleRound]:
        stale = max(FRESH_CANDLES * timedelta(milliseconds=self._length), timedelta(seconds=FRESH_SECONDS))
        while taken := poller.book.take(to_ms(self.now()), poller.asked, until):
            close, candles = from_ms(taken[0]), taken[1]
            latest = from_ms(self._client.clock.at_most(to_ms(self._now())))
            yield CandleRound(close, candles, fresh=latest - close <= stale)
