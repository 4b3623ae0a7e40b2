"""Turn by turn on an exchange: silences are said by the rule, and nobody is asked in a hurry."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from backend.learning.evidence.status import market_state, trader_trouble
from backend.market.feed import CandleRound, FeedUnavailableError
from backend.operations.codes import Code
from backend.trading.role import LEASE_TTL, TraderRole
from tests.trading.live_desk import HISTORY, MINUTE, OPENING, FakeExchange, LiveDesk, open_desk_like

AWAY = FeedUnavailableError("binance does not answer (ConnectionError).", retry_after_seconds=2.0)
SYMBOLS = 2

# --- Time goes on ---


def test_a_fresh_start_decides_on_the_newest_closed_candle_with_the_history_before_it(live: LiveDesk) -> None:
    live.loop.turn()

    assert live.desk.rows("select distinct timestamp from ai_training_samples") == [("2026-03-02 08:40:00.000000",)]
    assert live.count("candles") == SYMBOLS * 501
    assert live.desk.rows("select distinct market from candles") == [("binance",)]
    assert live.feed() == ("running", None)
    assert live.desk.rows("select clock_offset_seconds from feeds") == [(0.25,)]
    assert live.loop.introduction(0) == "AAAUSDT, BBBUSDT on binance, on paper."


def test_every_minute_is_decided_once(live: LiveDesk) -> None:
    live.loop.turn()
    live.minutes(10)
    for _ in range(5):
        live.loop.turn()

    assert live.count("ai_training_samples") == SYMBOLS * 11
    assert live.count("candles") == SYMBOLS * 511


def test_between_closes_the_exchange_is_not_asked(live: LiveDesk) -> None:
    live.loop.turn()
    before = live.exchange.asked
    waits = []
    for _ in range(11):
        waits.append(live.loop.turn())
        live.wait(5)

    assert live.exchange.asked == before
    assert all(0 < (wait or 0) <= 5.0 for wait in waits)


def test_the_next_candle_is_asked_for_a_moment_after_it_closed(live: LiveDesk) -> None:
    live.loop.turn()
    live.wait(56)
    first = live.loop.turn()
    assert first == pytest.approx(3.25)
    live.wait(first or 0)
    live.loop.turn()

    assert live.exchange.time == OPENING + MINUTE + timedelta(seconds=1.25)
    assert live.count("ai_training_samples") == SYMBOLS * 2


def test_a_candle_that_does_not_come_is_asked_for_ever_more_seldom(live: LiveDesk) -> None:
    live.loop.turn()
    live.exchange.hidden = {(symbol, OPENING + MINUTE) for symbol in live.exchange.symbols}
    live.wait(59)
    waits = []
    for _ in range(8):
        waits.append(live.loop.turn() or 0.0)
        live.wait(waits[-1])

    assert waits[:5] == pytest.approx([0.25, 1.25, 1.25, 2.5, 5.0])
    assert max(waits) <= 5.0


# --- Silence ---


def test_a_failure_that_passes_does_not_make_the_feed_stale(live: LiveDesk) -> None:
    live.loop.turn()
    live.exchange.error = AWAY
    live.wait(60)
    live.loop.turn()
    during = live.feed()
    live.exchange.error = None
    live.wait(5)
    live.loop.turn()

    assert during == ("running", AWAY.message)
    assert live.feed() == ("running", None)
    assert live.alarms() == []
    assert live.count("ai_training_samples") == SYMBOLS * 2


def test_what_was_complained_of_is_forgotten_once_the_exchange_answers_though_no_candle_is_due(live: LiveDesk) -> None:
    live.loop.turn()
    live.exchange.error = AWAY
    live.wait(60)
    live.loop.turn()
    live.exchange.error = None
    live.exchange.hidden = {(symbol, OPENING + MINUTE) for symbol in live.exchange.symbols}
    live.wait(5)
    live.loop.turn()

    assert live.feed() == ("running", None)


def test_a_feed_is_stale_when_the_next_candle_is_three_candles_overdue_and_its_alarm_opens_with_it(
    live: LiveDesk,
) -> None:
    live.loop.turn()
    live.exchange.error = AWAY
    states = []
    for _ in range(26):
        live.wait(10)
        live.loop.turn()
        states.append((live.exchange.time - OPENING, live.feed()[0], live.alarms()))

    limit = 4 * MINUTE
    assert {(after > limit, state, len(alarms)) for after, state, alarms in states} == {
        (False, "running", 0),
        (True, "stale", 1),
    }
    assert live.alarms() == [("default", True)]
    detail, severity, strategy = live.desk.rows("select detail, severity, strategy from alarms")[0]
    assert AWAY.message in detail
    assert "2026-03-02T08:40:00Z" in detail
    assert (severity, strategy) == ("error", "default")
    assert live.desk.database.read(trader_trouble, live.desk.settings) is Code.MARKET_FEED_STALE


def test_a_market_that_answers_and_has_no_newer_candle_is_stale_too(live: LiveDesk) -> None:
    live.loop.turn()
    live.exchange.hidden = {(symbol, OPENING + n * MINUTE) for symbol in live.exchange.symbols for n in range(1, 10)}
    live.minutes(5)

    state, detail = live.feed()
    assert state == "stale"
    assert detail == "binance answers, but has no newer candle."
    assert live.alarms() == [("default", True)]


def test_the_first_fresh_round_ends_the_silence_in_its_own_transaction(live: LiveDesk) -> None:
    live.loop.turn()
    live.exchange.error = AWAY
    live.minutes(10)
    live.exchange.error = None
    live.wait(60)

    live.loop.turn()

    assert live.feed() == ("running", None)
    assert live.alarms() == [("default", False)]
    assert live.desk.rows("select state, count(*) from events group by 1 order by 1") == [("closed", 1), ("raised", 1)]
    assert live.count("ai_training_samples") == SYMBOLS * 12


def test_a_write_that_fails_leaves_neither_round_nor_end_of_the_alarm(live: LiveDesk) -> None:
    live.loop.turn()
    live.exchange.error = AWAY
    live.minutes(10)
    live.exchange.error = None
    live.wait(60)
    with live.desk.database.engine.begin() as connection:
        connection.execute(
            text("create trigger full before insert on ai_training_samples begin select raise(abort, 'no'); end")
        )
    live.loop.turn()
    failed = (live.alarms(), live.count("ai_training_samples"), live.feed()[0])
    with live.desk.database.engine.begin() as connection:
        connection.execute(text("drop trigger full"))
    live.loop.turn()

    assert failed == ([("default", True)], SYMBOLS, "stale")
    assert live.alarms() == [("default", False)]
    assert live.count("ai_training_samples") == SYMBOLS * 12


def test_a_feed_that_was_stale_stays_so_over_a_restart_until_a_fresh_round(live: LiveDesk) -> None:
    live.loop.turn()
    live.exchange.error = AWAY
    live.minutes(6)
    live.begin().turn()
    away = live.feed()[0]
    live.exchange.error = None
    live.exchange.hidden = {(symbol, OPENING + n * MINUTE) for symbol in live.exchange.symbols for n in range(3, 30)}
    live.wait(60)
    live.begin().turn()
    caught_up = live.feed()[0]
    live.exchange.hidden.clear()
    live.wait(60)
    live.loop.turn()

    assert (away, caught_up, live.feed()[0]) == ("stale", "stale", "running")
    assert live.alarms() == [("default", False)]


def test_after_an_absence_the_missed_rounds_are_caught_up_without_an_alarm(live: LiveDesk) -> None:
    live.loop.turn()
    live.wait(3600)
    live.begin().turn()

    assert live.count("ai_training_samples") == SYMBOLS * 61
    assert live.feed() == ("running", None)
    assert live.alarms() == []


def test_an_exchange_that_was_never_reached_is_said_at_once_and_stale_by_the_rule(live: LiveDesk) -> None:
    live.exchange.error = AWAY
    live.loop.turn()
    first = live.feed()
    live.minutes(4)
    fourth = live.feed()[0]
    live.minutes(1)

    assert first == ("warming", AWAY.message)
    assert (fourth, live.feed()[0]) == ("warming", "stale")
    assert live.loop.introduction(0) == f"{AWAY.message} The trader goes on trying."
    live.exchange.error = None
    live.minutes(1)
    assert live.feed() == ("running", None)
    assert live.alarms() == [("default", False)]


def test_a_ban_is_waited_out_and_the_role_kept_meanwhile(live: LiveDesk) -> None:
    live.loop.turn()
    live.wait(60)
    live.exchange.error = FeedUnavailableError("binance banned this address.", retry_after_seconds=120.0)
    live.loop.turn()
    asked = live.exchange.asked
    live.exchange.error = None
    waits = []
    while live.exchange.asked == asked:
        waits.append(live.loop.turn() or 0.0)
        live.wait(waits[-1])

    assert sum(waits[:-1]) == pytest.approx(120.0)
    assert max(waits) <= 5.0
    expires = live.desk.rows("select expires_at from leases where name = 'trader:default'")[0][0]
    assert expires > (live.exchange.time - timedelta(seconds=1)).isoformat(" ")


def test_a_failure_in_the_middle_of_a_catch_up_keeps_what_came_before_it(live: LiveDesk) -> None:
    live.loop.turn()
    live.wait(600)
    live.exchange.fails_after_rounds = 4
    live.loop.turn()
    first = live.count("ai_training_samples")
    live.wait(5)
    live.loop.turn()

    assert (first, live.count("ai_training_samples")) == (SYMBOLS * 5, SYMBOLS * 11)


def test_what_the_readers_of_the_status_see_is_the_rows_state(live: LiveDesk) -> None:
    live.loop.turn()
    live.exchange.error = AWAY
    live.minutes(6)

    seen = live.desk.database.read(market_state, "default", live.clock())

    assert (seen["state"], seen["detail"]) == ("stale", AWAY.message)


# --- The machine ---


def test_a_machine_whose_clock_is_ten_minutes_behind_the_exchange_trades_all_the_same(
    live: LiveDesk, open_desk: Any
) -> None:
    undisturbed = LiveDesk(open_desk_like(live, open_desk), FakeExchange())
    behind = LiveDesk(live.desk, live.exchange, clock_behind=timedelta(minutes=10))
    for one in (behind, undisturbed):
        one.activate()
        one.loop.turn()
        one.minutes(20, score=1.0)

    assert behind.desk.everything() == undisturbed.desk.everything()
    assert behind.count("fills") > 0


def test_a_disk_that_is_full_is_trouble_until_rounds_can_be_stored_again(live: LiveDesk) -> None:
    live.loop.turn()
    before = live.loop.trouble
    live.limit_pages(1)
    live.wait(3000)
    waits = [live.loop.turn() for _ in range(3)]
    during, stored = live.loop.trouble, live.count("ai_training_samples")
    live.limit_pages(1_000_000)
    live.loop.turn()

    assert (before, during, live.loop.trouble) == (None, Code.WRITES_FAIL, None)
    assert waits == [1.0, 2.0, 4.0]
    assert stored == SYMBOLS
    assert live.count("ai_training_samples") == SYMBOLS * 51


def test_a_failure_of_our_own_is_no_trouble_of_the_disk(live: LiveDesk) -> None:
    live.loop.turn()
    live.serving.model_for = lambda *_: 1 / 0  # type: ignore[assignment, method-assign]
    live.wait(60)
    live.loop.turn()

    assert live.loop.trouble is None
    assert live.feed() == ("running", "ZeroDivisionError: division by zero")


def test_a_stopped_loop_closes_its_connection_and_leaves_a_thread_that_ended(live: LiveDesk) -> None:
    live.loop.start()
    live.loop.introduction(20)
    live.loop.stop()

    assert live.exchange.closed >= 1
    assert live.feed() == ("off", "The service was stopped.")
    assert HISTORY > 500


class SlowExchange(FakeExchange):
    """Answers after longer than a lease lasts; ``meanwhile`` is what happens until then."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def rounds(self, after: datetime | None, until: datetime | None = None) -> Iterator[CandleRound]:
        """What had closed when it was asked, told later."""
        told = list(super().rounds(after, until))
        self.time += LEASE_TTL + timedelta(seconds=1)
        self.meanwhile()
        yield from told


def test_an_answer_that_took_longer_than_the_lease_lasts_is_traded_on_all_the_same(live: LiveDesk) -> None:
    live.exchange = SlowExchange()

    live.begin().turn()

    assert live.desk.rows("select distinct timestamp from ai_training_samples") == [("2026-03-02 08:40:00.000000",)]
    assert live.feed() == ("running", None)


def test_where_another_process_took_the_role_meanwhile_it_alone_trades(live: LiveDesk) -> None:
    exchange = live.exchange = SlowExchange()
    other = TraderRole(live.desk.database, "default", live.clock, "another")
    exchange.meanwhile = other.take

    wait = live.begin().turn()

    assert wait == pytest.approx(5.0)
    assert live.count("ai_training_samples") == 0
    assert live.desk.database.write(other.keep) is None
