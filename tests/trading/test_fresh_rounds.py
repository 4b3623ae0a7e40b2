"""What comes too late enters nothing, and still ends what was begun; late candles are seen and not decided."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backend.market.feed import FeedUnavailableError
from tests.trading.live_desk import MINUTE, OPENING, FakeExchange, LiveDesk, open_desk_like

AWAY = FeedUnavailableError("binance does not answer (ConnectionError).", retry_after_seconds=2.0)
SYMBOLS = 2

# --- Entries and exits ---


def test_a_waiting_order_is_cancelled_when_its_candle_comes_too_late(live: LiveDesk) -> None:
    live.activate()
    live.serving.model.score = 1.0
    live.loop.turn()
    ordered = live.desk.rows("select state from positions")
    live.exchange.error = AWAY
    live.minutes(6)
    live.exchange.error = None
    live.wait(60)
    live.serving.model.score = 0.0
    live.loop.turn()

    assert ordered == [("ordered",)] * SYMBOLS
    assert live.desk.rows("select state from positions") == [("cancelled",)] * SYMBOLS
    assert live.count("fills") == 0
    assert live.count("ai_training_samples where executed") == 0


def test_rounds_of_long_ago_are_decided_and_order_nothing(live: LiveDesk) -> None:
    live.activate()
    live.loop.turn()
    live.exchange.error = AWAY
    live.minutes(10)
    live.exchange.error = None
    live.wait(60)
    live.serving.model.score = 1.0
    live.loop.turn()

    bought = live.desk.rows("select distinct timestamp from ai_training_samples where predicted_action = 'BUY'")
    ordered = live.desk.rows("select distinct ordered_at from positions order by 1")
    assert len(bought) == 11
    fresh = [live.exchange.time - timedelta(seconds=2) - n * MINUTE for n in (2, 1, 0)]
    assert {at for (at,) in ordered} <= {at.strftime("%Y-%m-%d %H:%M:%S.%f") for at in fresh}
    assert ordered


def test_positions_are_left_in_the_rounds_that_were_missed_at_the_times_and_prices_of_the_undisturbed_run(
    live: LiveDesk, open_desk: Any
) -> None:
    undisturbed = LiveDesk(open_desk_like(live, open_desk), FakeExchange())
    for one in (live, undisturbed):
        one.activate()
        one.serving.model.score = 1.0
        one.loop.turn()
        one.minutes(1, score=1.0)
    live.exchange.error = AWAY
    live.minutes(20)
    undisturbed.minutes(20)
    live.exchange.error = None
    live.minutes(1)
    undisturbed.minutes(1)

    exits = "select symbol, entry_time, exit_time, exit_price, exit_reason from trade_logs order by 1, 2"
    assert len(live.desk.rows(exits)) == SYMBOLS
    assert live.desk.rows(exits) == undisturbed.desk.rows(exits)
    assert live.desk.everything() == undisturbed.desk.everything()


def test_a_signal_of_long_ago_still_ends_a_position(live: LiveDesk) -> None:
    live.activate()
    live.loop.turn()
    live.exchange.bars = {name: [(100.0, 100.01, 99.99, 100.0, 1.0)] * 2_000 for name in live.exchange.symbols}
    live.minutes(1, score=1.0)
    live.minutes(1, score=0.0)
    assert live.count("positions where state = 'open'") == SYMBOLS
    live.exchange.error = AWAY
    live.minutes(6)
    live.exchange.error = None
    live.minutes(1, score=-1.0)

    assert live.desk.rows("select distinct exit_reason from trade_logs") == [("signal",)]
    assert live.count("positions where state in ('open', 'ordered')") == 0


def test_a_position_whose_horizon_passes_without_candles_leaves_at_the_first_candle_after(live: LiveDesk) -> None:
    live.activate()
    live.loop.turn()
    flat = [(100.0, 100.01, 99.99, 100.0, 1.0)] * 2_000
    live.exchange.bars = {"AAAUSDT": flat, "BBBUSDT": flat}
    live.minutes(1, score=1.0)
    entered = live.exchange.start
    live.exchange.hidden = {("AAAUSDT", entered + n * MINUTE) for n in range(3, 30)}
    live.minutes(20)
    waiting = live.desk.rows("select symbol from positions where state = 'open'")
    said = live.feed()
    live.minutes(12)

    left = dict(live.desk.rows("select symbol, exit_time || ' ' || exit_reason from trade_logs"))
    horizon = entered + 12 * MINUTE
    assert waiting == [("AAAUSDT",)]
    assert said[0] == "running"
    assert "AAAUSDT" in (said[1] or "")
    assert live.feed() == ("running", None)
    assert left == {
        "AAAUSDT": f"{entered + 29 * MINUTE:%Y-%m-%d %H:%M:%S.%f} horizon",
        "BBBUSDT": f"{horizon:%Y-%m-%d %H:%M:%S.%f} horizon",
    }


def test_on_a_spot_exchange_a_sell_without_a_position_is_recorded_and_opens_nothing(live: LiveDesk) -> None:
    live.activate()
    live.serving.model.score = -1.0
    live.loop.turn()
    live.minutes(16, score=-1.0)

    assert live.count("positions") == 0
    assert live.desk.rows(
        "select distinct predicted_action, target_label from ai_training_samples where outcome_known"
    ) == [("SELL", 0.0)]


def test_the_exchanges_defaults_are_long_only_and_an_edge_that_pays(live: LiveDesk) -> None:
    live = LiveDesk(replace(live.desk, settings=replace(live.desk.settings, require_edge=True)), live.exchange)
    live.activate()
    live.serving.model.score = 0.001
    live.loop.turn()

    assert live.desk.rows("select distinct predicted_action, reason from ai_training_samples") == [
        ("HOLD", "below_break_even")
    ]
    assert live.desk.rows("select sides from strategies") == [("long",)]


# --- Late candles ---


def test_a_late_candle_is_stored_and_never_decided(live: LiveDesk) -> None:
    live.loop.turn()
    late = ("AAAUSDT", OPENING + 2 * MINUTE)
    live.exchange.hidden = {late}
    live.minutes(3)
    live.exchange.hidden = set()
    live.minutes(1)

    assert live.count("candles where symbol = 'AAAUSDT'") == live.count("candles where symbol = 'BBBUSDT'") == 505
    assert live.count("ai_training_samples where symbol = 'AAAUSDT'") == 4
    assert live.count("ai_training_samples where symbol = 'BBBUSDT'") == 5


def test_what_follows_a_late_candle_sees_it(live: LiveDesk, open_desk: Any) -> None:
    undisturbed = LiveDesk(open_desk_like(live, open_desk), FakeExchange())
    live.exchange.hidden = {("AAAUSDT", OPENING + 2 * MINUTE)}
    for one in (live, undisturbed):
        one.loop.turn()
        one.minutes(3)
    live.exchange.hidden = set()
    for one in (live, undisturbed):
        one.minutes(6)

    seen = (
        "select symbol, timestamp, features_blob from ai_training_samples where timestamp > '2026-03-02 08:43:30'"
        " order by 1, 2"
    )
    assert len(live.desk.rows(seen)) == SYMBOLS * 6
    assert live.desk.rows(seen) == undisturbed.desk.rows(seen)


def test_a_late_candle_prices_what_was_given_up(live: LiveDesk) -> None:
    live.loop.turn()
    horizon = OPENING + 12 * MINUTE
    live.exchange.hidden = {("AAAUSDT", horizon + n * MINUTE) for n in (0, 1)}
    live.minutes(15)
    first = "ai_training_samples where symbol = 'AAAUSDT' and timestamp = '2026-03-02 08:40:00.000000'"
    given_up = live.desk.rows(f"select state, forward_return from {first}")
    live.exchange.hidden = set()
    live.minutes(1)

    assert given_up == [("unobservable", None)]
    state, source, forward = live.desk.rows(f"select state, label_source, forward_return from {first}")[0]
    opened, closed = live.exchange.bar("AAAUSDT", OPENING + MINUTE)[0], live.exchange.bar("AAAUSDT", horizon)[3]
    assert (state, source) == ("closed", "counterfactual")
    assert forward == pytest.approx(closed / opened - 1)


def test_candles_that_came_while_nobody_listened_are_fetched_at_the_next_start(live: LiveDesk) -> None:
    live.loop.turn()
    live.exchange.hidden = {("AAAUSDT", OPENING + 2 * MINUTE)}
    live.minutes(3)
    live.exchange = replace(live.exchange, hidden=set(), _missing=set())
    live.begin().turn()

    assert live.count("candles where symbol = 'AAAUSDT'") == live.count("candles where symbol = 'BBBUSDT'")
    assert live.count("ai_training_samples where symbol = 'AAAUSDT'") == 3


# --- Restarts ---


@pytest.mark.parametrize("restart_after", [1, 4, 9])
def test_a_restart_in_the_middle_changes_nothing(live: LiveDesk, open_desk: Any, restart_after: int) -> None:
    undisturbed = LiveDesk(open_desk_like(live, open_desk), FakeExchange())
    scores = [1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 1.0, 1.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    for one in (live, undisturbed):
        one.activate()
        one.loop.turn()
        for minute, score in enumerate(scores):
            if one is live and minute == restart_after:
                one.begin()
            one.minutes(1, score)

    assert live.desk.everything() == undisturbed.desk.everything()
    assert live.count("trade_logs") > 0


def test_a_role_that_lapsed_while_the_exchange_was_asked_is_taken_again(live: LiveDesk) -> None:
    live.loop.turn()
    live.exchange.hidden = set()
    slow = live.exchange.rounds

    def rounds(after: Any, until: Any = None) -> Any:
        live.exchange.time += timedelta(seconds=40)
        yield from slow(after, until)

    live.exchange.rounds = rounds  # type: ignore[method-assign]
    live.minutes(3)

    assert live.count("ai_training_samples") >= SYMBOLS * 4
    assert live.feed() == ("running", None)


def test_while_another_process_trades_this_one_only_waits(live: LiveDesk) -> None:
    live.loop.turn()
    other = live.begin(holder="elsewhere:1:x")
    live.wait(2)

    assert other.turn() == 5.0
    assert other.introduction(0) == "Another process trades for strategy default."
    live.wait(30)
    other.turn()
    assert live.desk.rows("select holder from leases where name = 'trader:default'") == [("elsewhere:1:x",)]


def test_a_position_is_left_inside_candles_that_came_late_as_it_would_have_been_in_time(
    live: LiveDesk, open_desk: Any
) -> None:
    """AAAUSDT answers nothing for twenty minutes while BBBUSDT does: stop, target and horizon are not put off."""
    undisturbed = LiveDesk(open_desk_like(live, open_desk), FakeExchange())
    for one in (live, undisturbed):
        one.activate()
        one.serving.model.score = 1.0
        one.loop.turn()
        one.minutes(2)
        one.serving.model.score = 0.0
    live.exchange.hidden = {("AAAUSDT", OPENING + n * MINUTE) for n in range(3, 23)}
    for one in (live, undisturbed):
        one.minutes(20)
    live.exchange.hidden = set()
    for one in (live, undisturbed):
        one.minutes(2)

    left = "select symbol, entry_time, exit_time, exit_reason, realized_pnl from trade_logs order by 1, 2"
    assert {symbol for symbol, *_ in live.desk.rows(left)} == {"AAAUSDT", "BBBUSDT"}
    assert live.desk.rows(left) == undisturbed.desk.rows(left)


def test_a_late_candle_enters_nothing(live: LiveDesk) -> None:
    live.activate()
    live.serving.model.score = 1.0
    live.exchange.hidden = {("AAAUSDT", OPENING + MINUTE)}
    live.loop.turn()
    live.minutes(1)
    live.serving.model.score = 0.0
    live.exchange.hidden = set()
    live.minutes(3)

    entered = dict(live.desk.rows("select symbol, entry_time from positions where entry_time is not null"))
    assert entered["BBBUSDT"] < entered["AAAUSDT"]


def test_a_symbol_whose_candles_stay_away_is_named_until_they_come(live: LiveDesk) -> None:
    live.loop.turn()
    live.exchange.hidden = {("AAAUSDT", OPENING + n * MINUTE) for n in range(1, 8)}
    said = []
    for _ in range(9):
        live.minutes(1)
        said.append(live.desk.rows("select detail from feeds")[0][0])

    assert said[:4] == [None] * 4
    assert said[4:7] == ["No candle of AAAUSDT comes any more; nothing is decided on it until one does."] * 3
    assert said[7:] == [None] * 2
