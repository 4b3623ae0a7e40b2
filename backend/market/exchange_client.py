"""One exchange through ccxt: one request at a time, and its clock kept."""

import asyncio
import threading
from dataclasses import dataclass
from typing import Any

from backend.clock import Clock, from_ms, to_ms
from backend.errors import InvalidInputError, QuantumTraderError
from backend.market import exchange_answers as answers
from backend.market import exchange_names as names
from backend.market.exchange_clock import ExchangeClock
from backend.market.exchange_loop import LoopClosedError, LoopThread
from backend.market.exchange_restraint import FAILED, RefusedError, Restraint
from backend.market.exchange_session import guard
from backend.market.exchange_time import Ask, Timekeeper

LONGEST_CALL_SECONDS = 60.0
MOST_CANDLES = 1000
CANDLES_WHERE_UNTOLD = 500
GONE_SECONDS = 600.0
CLOSED_SECONDS = 60.0
PLAIN_EXIT_MS = 10


@dataclass(frozen=True, slots=True)
class Manners:
    """How long an answer is waited for, and whether requests keep the distance that the exchange's rules ask for."""

    timeout_seconds: float = 10.0
    spaced: bool = True


USUAL_MANNERS = Manners()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came, with the exchange's time: surely reached when it was asked, surely not passed when it answered."""

    content: Any
    reached: int
    latest: int


class ExchangeClient:
    """A connection to an exchange; every request may raise RefusedError."""

    def __init__(self, exchange_id: str, *, url: str | None, now: Clock, manners: Manners = USUAL_MANNERS) -> None:
        self.restraint = Restraint(now)
        self._now = now
        self._id = exchange_id
        self._manners = manners
        self._ccxt = connection(exchange_id, url, manners)
        tells_time = bool(self._ccxt.has.get("fetchTime"))
        self._time = Timekeeper(lambda ask: self._ask(ask).content, now, tells_time=tells_time)
        self._loop: LoopThread | None = None
        self._closed = False
        self._asking, self._opening = threading.Lock(), threading.Lock()

    @property
    def clock(self) -> ExchangeClock:
        """What is known of its clock."""
        return self._time.clock

    @property
    def timeframes(self) -> tuple[str, ...]:
        """The lengths of a candle that it has."""
        return tuple(self._ccxt.timeframes or ())

    def markets(self) -> list[dict[str, Any]]:
        """Its markets."""
        # Without the argument ccxt would remember an answer in which it found none.
        content = self._ask(lambda ccxt: ccxt.load_markets(True)).content
        if not isinstance(content, dict) or not content:
            raise _refusal(self._id, "told of no market at all")
        return list(content.values())

    def check_clock(self, *, at_once: bool = False) -> bool:
        """Ask for its time where it was not asked lately, or at once; False where it tells none.

        Where it tells none, the dates of its answers must do.
        """
        return self._time.check(at_once=at_once)

    def ask_candles_for_dates(self, name: str, timeframe: str) -> None:
        """Read the dates of answers to this question where it tells no time."""
        self._time.candle = lambda ccxt: ccxt.fetch_ohlcv(name, timeframe, None, 1)

    def page_limit(self, name: str) -> int:
        """The most candles that one answer holds."""
        told = self._ccxt.feature_value(name, "fetchOHLCV", "limit")
        return min(int(told), MOST_CANDLES) if told else CANDLES_WHERE_UNTOLD

    def candles(self, name: str, timeframe: str, since: int, limit: int) -> Answer:
        """Rows of candles that open at or after a time."""
        answer = self._ask(lambda ccxt: ccxt.fetch_ohlcv(name, timeframe, since, limit))
        # Of something else than candles ccxt makes an empty list, as of an answer that truly holds none.
        if not answers.can_hold_candles(self._ccxt.last_json_response):
            raise _refusal(self._id, "answered something else than candles")
        return answer

    def close(self) -> None:
        """Give up the request under way and close the connection; nothing is asked any more."""
        with self._opening:
            self._closed = True
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.close(self._ccxt.close())

    def _ask(self, ask: Ask) -> Answer:
        with self._asking:
            self.restraint.check()
            self._ccxt.last_response_headers = self._ccxt.last_json_response = None
            sent = to_ms(self._now())
            try:
                content = self._run(ask)
            except LoopClosedError as error:
                wait = CLOSED_SECONDS
                raise RefusedError(f"The connection to {self._id} is closed", retry_after_seconds=wait) from error
            except Exception as error:  # ccxt stumbles in many ways over an answer that it did not expect
                self._time.hear(self._ccxt.last_response_headers or {}, sent)
                raise self._explained(error) from error
            headers = self._ccxt.last_response_headers or {}
            self._time.hear(headers, sent)
            return Answer(content, self._time.reached(headers, sent), self.clock.at_most(to_ms(self._now())))

    def _run(self, ask: Ask) -> Any:
        with self._opening:
            if self._closed:
                raise LoopClosedError
            self._loop = self._loop or LoopThread("exchange")
            loop = self._loop
        return loop.run(_within(ask, self._ccxt))

    def _explained(self, error: Exception) -> QuantumTraderError:
        kinds = {kind.__name__ for kind in type(error).__mro__}
        # Without a key ccxt asks nothing at all; a 401 may come from any proxy on the way, and pass.
        unasked = not self._ccxt.last_response_headers
        if "NotSupported" in kinds or ("AuthenticationError" in kinds and unasked):
            return InvalidInputError(
                f"QT_MARKET={self._id} gives no candles without a key or at all: {answers.in_words(self._id, error)}."
                " Choose another exchange.",
                field="QT_MARKET",
                reason="market_unsuitable",
            )
        if kinds & {"RequestTimeout", "TimeoutError"}:
            what = f"did not answer within {self._manners.timeout_seconds:.0f} s"
        elif isinstance(error.__cause__, OSError):
            what = f"cannot be reached: {answers.in_words(self._id, error)}"
        else:
            what = f"answered: {answers.in_words(self._id, error)}"
        their_now = from_ms(self.clock.about(to_ms(self._now())))
        asked = answers.retry_after_seconds(self._ccxt.last_response_headers or {}, their_now)
        if asked is not None or kinds & {"RateLimitExceeded", "DDoSProtection"}:
            return self.restraint.limited(f"{self._id} {what}", asked)
        return _refusal(self._id, what, GONE_SECONDS if "BadSymbol" in kinds else FAILED.first_seconds)


def _refusal(exchange_id: str, what: str, seconds: float = FAILED.first_seconds) -> RefusedError:
    return RefusedError(f"{exchange_id} {what}", retry_after_seconds=seconds)


async def _within(ask: Ask, ccxt: Any) -> Any:
    guard(ccxt)
    async with asyncio.timeout(LONGEST_CALL_SECONDS):
        return await ask(ccxt)


def connection(exchange_id: str, url: str | None, manners: Manners) -> Any:
    """The exchange as ccxt knows it, not yet connected: public calls only, its addresses overridden by ``url``."""
    import ccxt.async_support as ccxt  # type: ignore[import-untyped]

    if exchange_id not in ccxt.exchanges:
        raise names.unknown_exchange(exchange_id, ccxt.exchanges)
    exchange = getattr(ccxt, exchange_id)(
        {
            "enableRateLimit": manners.spaced,
            "timeout": int(manners.timeout_seconds * 1_000),
            "enableLastJsonResponse": True,
        }
    )
    if exchange.has.get("fetchOHLCV") is not True:
        raise InvalidInputError(
            f"QT_MARKET={exchange_id} offers no candles. Choose another exchange.",
            field="QT_MARKET",
            reason="market_unsuitable",
        )
    exchange.has["fetchCurrencies"] = False
    if exchange.has.get("spot"):
        names.spot_only(exchange.options)
    if url is not None:
        exchange.urls["api"] = names.redirected(exchange.urls["api"], url)
        if url.startswith("http://"):
            # ccxt waits at its end for encrypted connections to be taken down.
            exchange.timeout_on_exit = PLAIN_EXIT_MS
    return exchange
