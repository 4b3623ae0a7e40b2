"""Hours of candles with every fault thrown in at random: what is read in the end is what the exchange's books hold."""

from datetime import timedelta

import pytest

from backend.clock import from_ms, to_ms
from backend.market.exchange import ExchangeMarket
from backend.market.feed import FeedUnavailableError
from tests.market.exchange_server import FAULTS, banned, too_many_requests
from tests.market.exchange_stage import SYMBOLS, Stage

MINUTE = timedelta(minutes=1)


class Reader:
    """Reads as a trader does: keeps every candle, notes when it came, waits as long as it is told."""

    def __init__(self, stage: Stage, market: ExchangeMarket) -> None:
        self.stage = stage
        self.market = market
        self.last = stage.clock.moment.replace(second=0, microsecond=0) - 5 * MINUTE
        self.books: dict[tuple[str, int], tuple[float, ...]] = {}
        self.taken: list[tuple[str, int]] = []
        self.wait = 0.0

    def turn(self) -> None:
        """One look at the market, unless it asked to be left alone."""
        if self.wait > 0:
            self.wait -= 1
            return
        try:
            for one in self.market.rounds(self.last):
                assert one.close_time <= self.stage.exchange.now()
                assert one.close_time > self.last
                self.last = one.close_time
                for symbol, bar in one.candles.items():
                    self.keep(symbol, to_ms(one.close_time - MINUTE), bar)
                    self.taken.append((symbol, to_ms(one.close_time)))
        except FeedUnavailableError as error:
            self.wait = error.retry_after_seconds
        for symbol, candles in self.market.late().items():
            columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
            for opened, *bar in zip(candles.open_time.tolist(), *(column.tolist() for column in columns), strict=True):
                self.keep(symbol, opened, tuple(bar))

    def keep(self, symbol: str, opened: int, bar: tuple[float, ...]) -> None:
        """As the store does: of repeats the first stays, and here none may differ."""
        assert self.books.setdefault((symbol, opened), bar) == bar


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_books_are_the_exchange_s_after_two_hours_of_every_fault_with_gaps_jumps_and_restarts(seed: int) -> None:
    with Stage() as stage:
        exchange = stage.exchange
        market = stage.market(timeout_seconds=0.5)
        market.prepare()
        reader = Reader(stage, market)
        first = reader.last
        names = [name for name in FAULTS if name not in ("429", "418", "hang")]
        exchange.faults_at_random = [FAULTS[name]() for name in names] + [too_many_requests(7), banned(20)]
        exchange.fault_rate = 0.25
        exchange.reseed(seed)
        withheld = [from_ms(to_ms(first) + minute * 60_000) for minute in range(10, 110, 9)]
        for number, moment in enumerate(withheld):
            exchange.withhold(SYMBOLS[number % 2], moment)

        for second in range(2 * 3_600):
            stage.clock.pass_by(1)
            if second % 900 == 450:
                exchange.skew += timedelta(seconds=(-1) ** (second // 900) * (second % 40))
            if second % 1_800 == 1_000:
                reader.market = stage.market(timeout_seconds=0.5)
            if second % 600 == 599 and withheld[second // 600 :]:
                exchange.fill(SYMBOLS[(second // 600) % 2], withheld[second // 600])
            reader.turn()
        exchange.fault_rate = 0.0
        for number, moment in enumerate(withheld):
            exchange.fill(SYMBOLS[number % 2], moment)
        for _ in range(240):
            stage.clock.pass_by(1)
            reader.turn()

        assert len(reader.taken) == len(set(reader.taken))
        assert reader.last > exchange.now() - 2 * MINUTE
        for symbol in SYMBOLS:
            truth = exchange.closed(symbol, "1m", 200)
            expected = {opened for opened in truth.open_time.tolist() if to_ms(first) <= opened < to_ms(reader.last)}
            assert {opened for name, opened in reader.books if name == symbol and opened in expected} == expected
            rows = zip(
                truth.open_time.tolist(), truth.open, truth.high, truth.low, truth.close, truth.volume, strict=True
            )
            for opened, *bar in rows:
                assert reader.books.get((symbol, opened), tuple(bar)) == tuple(bar)
        assert len(exchange.asked("klines")) < 1_500
        assert len(reader.taken) > 180
