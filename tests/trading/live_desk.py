"""An exchange out of memory with a clock that tests set, and desks that trade on it turn by turn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from ai_engine.candles import Candles
from backend.clock import to_ms
from backend.learning.versions.serving import ServingModel
from backend.market.feed import Bar, CandleRound, FeedUnavailableError
from backend.models import AIModelVersion
from backend.trading.live import TraderLoop
from backend.trading.turns import Patience, Workplace
from backend.trading.windows import as_candles
from tests.trading.desk import Bars, Desk, ScriptedModel, ScriptedServing, activate, add_version, random_bars

MINUTE = timedelta(minutes=1)
FIRST = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
HISTORY = 520
OPENING = FIRST + HISTORY * MINUTE
"""When tests begin: the newest closed candle closes here."""


@dataclass
class FakeExchange:
    """A feed in real time whose clock, gaps and failures a test sets; candles count from ``FIRST``."""

    symbols: tuple[str, ...] = ("AAAUSDT", "BBBUSDT")
    source: str = "binance"
    timeframe: str = "1m"
    unknown_symbols: tuple[str, ...] = ()
    clock_offset_seconds: float | None = 0.25
    time: datetime = OPENING + timedelta(seconds=2)
    error: FeedUnavailableError | None = None
    fails_after_rounds: int | None = None
    hidden: set[tuple[str, datetime]] = field(default_factory=set)
    bars: dict[str, Bars] = field(default_factory=dict)
    asked: int = 0
    closed: int = 0
    _told: datetime | None = None
    _missing: set[tuple[str, datetime]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Every symbol's own path."""
        for seed, symbol in enumerate(self.symbols):
            self.bars.setdefault(symbol, random_bars(2_000, seed + 1))

    @property
    def start(self) -> datetime:
        """The newest closed candle."""
        return FIRST + (self.time - FIRST) // MINUTE * MINUTE

    def prepare(self) -> None:
        """Fails where the exchange is away."""
        if self.error is not None:
            raise self.error

    def bar(self, symbol: str, close_time: datetime) -> Bar:
        """The candle that closes then."""
        return self.bars[symbol][(close_time - FIRST) // MINUTE - 1]

    def history(self, symbol: str, before: datetime, count: int) -> Candles:
        """What has closed and is not hidden."""
        self.prepare()
        ends = [before - back * MINUTE for back in reversed(range(count))]
        ends = [end for end in ends if FIRST < end <= self.time and (symbol, end) not in self.hidden]
        return self._candles(symbol, ends)

    def rounds(self, after: datetime | None, until: datetime | None = None) -> Iterator[CandleRound]:
        """Everything that has closed, a failure after so many rounds where one is ordered."""
        self.asked += 1
        self.prepare()
        end = (after or self.start - MINUTE) + MINUTE
        told = 0
        while end <= min(self.time, until or self.time):
            if self.fails_after_rounds is not None and told == self.fails_after_rounds:
                self.fails_after_rounds = None
                raise FeedUnavailableError("binance cut the answer.", retry_after_seconds=1.0)
            candles = {symbol: self.bar(symbol, end) for symbol in self.symbols if (symbol, end) not in self.hidden}
            if candles:
                told, self._told = told + 1, end
                self._missing |= {(symbol, end) for symbol in self.symbols if symbol not in candles}
                yield CandleRound(end, candles, fresh=self.time - end <= 3 * MINUTE)
            end += MINUTE

    def late(self) -> dict[str, Candles]:
        """What was hidden when its round was told, and is not any more."""
        found = sorted(self._missing - self.hidden)
        self._missing -= set(found)
        names = {symbol for symbol, _ in found}
        return {name: self._candles(name, [end for symbol, end in found if symbol == name]) for name in sorted(names)}

    def now(self) -> datetime:
        """Its own clock."""
        return self.time

    def close(self) -> None:
        """Counted."""
        self.closed += 1

    def _candles(self, symbol: str, ends: Sequence[datetime]) -> Candles:
        opened = [to_ms(end - MINUTE) for end in ends]
        if not ends:
            return Candles([], [], [], [], [], [], 60_000)
        return as_candles([self.bar(symbol, end) for end in ends], opened, 60_000)


class SteeredModel(ScriptedModel):
    """Says what it is told: a score for every observation."""

    def __init__(self) -> None:
        self.score = 0.0

    def forecast(self, X: Any) -> Any:
        """The same score everywhere."""
        scripted = super().forecast(X)
        scores = scripted.scores * 0 + self.score
        return replace(scripted, scores=scores, expected_returns=scores)


class SteeredServing(ScriptedServing):
    """Serves one steered model."""

    def __init__(self) -> None:
        super().__init__()
        self.model = SteeredModel()

    def model_for(self, session: Session, strategy: str) -> ServingModel | None:
        """The steered model under the active row's name."""
        active = session.query(AIModelVersion.version_id).filter_by(strategy=strategy, is_active=True).scalar()
        return None if active is None else ServingModel(active, self.model, False, active)  # type: ignore[arg-type]


@dataclass
class LiveDesk:
    """A desk, the exchange it trades on, and the loop that a test drives turn by turn."""

    desk: Desk
    exchange: FakeExchange
    serving: SteeredServing = field(default_factory=SteeredServing)
    clock_behind: timedelta = timedelta(0)
    seconds: float = 0.0
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """A first loop."""
        self.loop = self.begin()

    def clock(self) -> datetime:
        """This machine's time."""
        return self.exchange.time - self.clock_behind

    def begin(self, **changes: Any) -> TraderLoop:
        """A loop as a new process would make it."""
        self.loop = TraderLoop(
            Workplace(
                self.desk.database,
                self.desk.settings,
                self.serving,
                self.clock,
                patience=Patience(timer=lambda: self.seconds),
                market=self._market,
                **changes,
            )
        )
        return self.loop

    def _market(self, settings: Any, clock: Any, also: Sequence[str]) -> FakeExchange:  # noqa: ARG002
        self.also = tuple(also)
        return self.exchange

    def minutes(self, count: float, score: float = 0.0) -> None:
        """So many minutes pass, a turn a minute, while the model says ``score``."""
        self.serving.model.score = score
        for _ in range(round(count)):
            self.wait(60)
            self.loop.turn()

    def wait(self, seconds: float) -> None:
        """Time passes everywhere."""
        self.exchange.time += timedelta(seconds=seconds)
        self.seconds += seconds

    def activate(self, version_id: str = "v20260301_000000") -> None:
        """Let the steered model decide."""
        self.desk.database.write(add_version, self.desk.settings, version_id, "default", "binance")
        self.desk.database.write(activate, version_id)

    def limit_pages(self, pages: int) -> None:
        """Let the database's file grow to so many pages at the most, as a full disk does."""
        engine = self.desk.database.engine

        def limited(connection: Any, _record: object) -> None:
            connection.execute(f"PRAGMA max_page_count={pages}")

        engine.dispose()
        event.listen(engine, "connect", limited)

    def feed(self) -> tuple[str, str | None]:
        """State and detail of the feed's row."""
        rows = self.desk.rows("select state, detail from feeds where strategy = 'default'")
        return rows[0][0], rows[0][1]

    def alarms(self, code: str = "market_feed_stale") -> list[tuple[str, bool]]:
        """Subject and whether it is still open, of every alarm with the code."""
        return [
            (subject, closed is None)
            for subject, closed in self.desk.rows(
                "select subject, closed_at from alarms where code = :code order by id", code=code
            )
        ]

    def count(self, what: str) -> int:
        """How many rows a ``from`` clause finds."""
        return int(self.desk.rows(f"select count(*) from {what}")[0][0])


def open_desk_like(live: LiveDesk, open_desk: Any) -> Any:
    """Another desk with the same settings and an empty database."""
    kept = ("market", "strategy", "symbols", "timeframe", "market_speed", "exploration_rate", "require_edge", "sides")
    return open_desk(**{name: getattr(live.desk.settings, name) for name in kept})
