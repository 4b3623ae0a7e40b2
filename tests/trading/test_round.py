"""One round: every candle decided once, everything of it stored or nothing, the same live, resumed and in chunks."""

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from ai_engine.features.compute import compute
from backend.clock import from_ms, iso, to_ms
from backend.errors import ConflictError
from backend.models import AIModelVersion
from backend.trading.round import Trader
from tests.trading.desk import FIVE_MINUTES, NOW, START, Desk, ScriptedServing, activate, add_version, with_model

OpenDesk = Callable[..., Desk]


@pytest.fixture
def desk(files: Path, open_desk: OpenDesk) -> Desk:
    return open_desk()


def moment(stored: object) -> datetime:
    """A time as SQLite holds it."""
    return datetime.fromisoformat(f"{str(stored)[:19]}+00:00")


def test_every_candle_with_enough_history_is_decided_once_hold_too(cold_desk: Desk) -> None:
    rows = cold_desk.rows("select decision_id, symbol, timestamp, predicted_action from ai_training_samples")
    expected = {
        f"{symbol}-5m-{iso(from_ms(time))}"
        for symbol in ("AAAUSDT", "BBBUSDT")
        for time in cold_desk.feed.history(symbol, NOW, 1_000).close_time[499:]
        if from_ms(time) >= cold_desk.feed.start
    }
    assert {row[0] for row in rows} == expected
    assert len(rows) == len(expected) > 150
    assert {row[3] for row in rows} == {"BUY", "SELL", "HOLD"}


def test_the_stored_features_are_those_of_the_candles_that_had_closed(cold_desk: Desk) -> None:
    for symbol, timestamp, blob in cold_desk.rows(
        "select symbol, timestamp, features_blob from ai_training_samples where id % 23 = 0"
    ):
        history = cold_desk.feed.history(symbol, moment(timestamp), 500)
        np.testing.assert_allclose(np.frombuffer(blob, "<f4"), compute(history), rtol=1e-6, atol=1e-6)


def test_reference_prices_and_forward_returns_are_those_of_the_candles(cold_desk: Desk) -> None:
    checked = 0
    for symbol, timestamp, price, forward in cold_desk.rows(
        "select symbol, timestamp, price, forward_return from ai_training_samples"
    ):
        candles = cold_desk.feed.history(symbol, NOW, 1_000)
        decided = to_ms(moment(timestamp))
        opens = candles.open[(candles.open_time >= decided) & (candles.open_time <= decided + 300_000)]
        horizon = decided + 12 * 300_000
        closes = candles.close[(candles.close_time >= horizon) & (candles.close_time <= horizon + 300_000)]
        assert price == (opens[0] if len(opens) else None)
        if len(opens) and len(closes):
            assert forward == pytest.approx(closes[0] / opens[0] - 1)
            checked += 1
        else:
            assert forward is None
    assert checked > 100


def test_a_decision_nobody_traded_gets_its_counterfactual_and_a_traded_one_its_trade(model_desk: Desk) -> None:
    known = model_desk.rows(
        "select label_source, executed, count(*) from ai_training_samples where outcome_known group by 1, 2"
    )
    trades = model_desk.rows("select count(*) from trade_logs")[0][0]
    assert sorted((source, bool(executed)) for source, executed, _ in known) == [
        ("counterfactual", False),
        ("executed", True),
    ]
    assert {source: count for source, _, count in known}["executed"] == trades > 5
    overdue = model_desk.rows(
        "select count(*) from ai_training_samples where not outcome_known and state not in ('open', 'unobservable')"
        " and horizon_at < :last",
        last=str(model_desk.feed_row().market_time)[:19],
    )
    assert overdue == [(0,)]


@pytest.mark.slow
@pytest.mark.parametrize("model", [False, True], ids=["cold start", "a model"])
def test_chunks_single_rounds_and_restarts_leave_exactly_the_same(
    files: Path, open_desk: OpenDesk, cold_desk: Desk, model_desk: Desk, model: bool
) -> None:
    chunked, single, restarted = (model_desk if model else cold_desk), open_desk(), open_desk()
    changes = [{"serving": with_model(desk)} if model else {} for desk in (single, restarted)]

    single.run(size=1, **changes[0])
    while rounds := list(restarted.feed.rounds((trader := restarted.trader(**changes[1])).after))[:13]:
        trader.steps(rounds)

    assert single.rows("select count(*) from trade_logs")[0][0] > 3
    assert single.everything() == chunked.everything()
    assert single.everything() == restarted.everything()


def test_the_model_decides_its_forecasts_are_kept_and_its_counters_move(model_desk: Desk) -> None:
    total = model_desk.rows("select count(*), sum(model_version = 'v20260301_000000') from ai_training_samples")[0]
    version = model_desk.rows("select total_predictions, matured_predictions, total_trades from ai_model_versions")[0]
    assert total[0] == total[1] == version[0]
    assert model_desk.rows("select count(*) from forecasts where role = 'active'") == [(total[0],)]
    assert version[1] == model_desk.rows("select count(forward_return) from ai_training_samples")[0][0]
    assert version[2] == model_desk.rows("select count(*) from trade_logs")[0][0] > 5


def test_after_each_decision_round_the_log_counts_the_signals(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    trader = desk.trader()
    first = next(iter(trader.feed.rounds(trader.after)))

    with caplog.at_level(logging.INFO, "backend.trading.round"):
        result = trader.step(first)

    actions = dict(desk.rows("select predicted_action, count(*) from ai_training_samples group by 1"))
    counts = [actions.get(action, 0) for action in ("BUY", "SELL", "HOLD")]
    assert sum(counts) == len(first.candles) - (1 if "BBBUSDT" in first.candles else 0)
    assert "AI signals generated: BUY={} SELL={} HOLD={}".format(*counts) in caplog.messages
    assert result.signals == dict(zip(("BUY", "SELL", "HOLD"), counts, strict=True))


class BreakingClock:
    """Tells the time, except every twelfth time it is asked once it is to break."""

    def __init__(self) -> None:
        self.breaking, self.calls = False, 0

    def __call__(self) -> datetime:
        self.calls += 1
        if self.breaking and self.calls % 12 == 0:
            raise OSError("the clock broke")
        return NOW


@pytest.mark.slow
def test_a_round_that_fails_leaves_nothing_and_can_be_taken_again(desk: Desk, cold_desk: Desk) -> None:
    clock = BreakingClock()
    trader = desk.trader(clock=clock)
    rounds, clock.breaking = list(trader.feed.rounds(trader.after)), True
    at = failures = 0
    while at < len(rounds):
        before = desk.everything()
        try:
            trader.steps(rounds[at : at + 3])
            at += 3
        except OSError:
            failures += 1
            assert desk.everything() == before

    assert failures > 10
    assert desk.everything() == cold_desk.everything()


def test_a_round_is_never_taken_twice(desk: Desk) -> None:
    trader, other = desk.trader(), desk.trader()
    first, second, third = list(trader.feed.rounds(trader.after))[:3]
    trader.steps([first, second])
    before = desk.everything()

    for repeated in ([first], [second], [first, second], [second, third]):
        with pytest.raises(ConflictError) as refused:
            other.steps(repeated)
        assert refused.value.reason == "round_taken"

    assert desk.everything() == before


def test_a_version_activated_while_the_round_was_computed_makes_its_decisions(desk: Desk) -> None:
    serving = with_model(desk)
    desk.database.write(add_version, desk.settings, "v20260302_000000")
    activated: list[str] = []

    def activate_meanwhile(session: Session) -> None:
        if not activated:
            activate(session, "v20260302_000000")
            activated.append("v20260302_000000")

    trader = desk.trader(serving=serving, guard=activate_meanwhile)
    trader.step(next(iter(trader.feed.rounds(trader.after))))

    assert serving.calls == 2
    assert desk.rows("select distinct model_version from ai_training_samples") == [("v20260302_000000",)]


def test_shadows_score_every_decision_also_while_none_is_active_and_never_explore(
    files: Path, open_desk: OpenDesk
) -> None:
    desk = open_desk(exploration_rate=1.0, min_confidence=0.9)
    desk.database.write(add_version, desk.settings, "v20260301_000000")
    desk.database.write(lambda session: session.execute(update(AIModelVersion).values(is_shadow=True)))

    desk.run(serving=ScriptedServing())

    decided = desk.rows("select count(*) from ai_training_samples")[0][0]
    assert desk.rows("select role, action, count(*) from forecasts group by 1, 2") == [("shadow", "HOLD", decided)]
    assert desk.rows("select count(*) from ai_training_samples where explored and predicted_action != 'HOLD'")[0][0] > 0
    assert desk.rows("select total_predictions from ai_model_versions") == [(0,)]


def test_shadows_follow_an_activation_made_while_the_round_was_computed(desk: Desk) -> None:
    old, new = "v20260301_000000", "v20260302_000000"
    serving = with_model(desk, old)
    desk.database.write(add_version, desk.settings, new)
    swapped: list[str] = []

    def swap_meanwhile(session: Session) -> None:
        if not swapped:
            activate(session, new)
            session.execute(update(AIModelVersion).values(is_shadow=AIModelVersion.version_id == old))
            swapped.append(new)

    desk.database.write(lambda s: s.execute(update(AIModelVersion).values(is_shadow=AIModelVersion.version_id == new)))
    trader = desk.trader(serving=serving, guard=swap_meanwhile)
    trader.step(next(iter(trader.feed.rounds(trader.after))))

    assert desk.rows("select distinct role, version_id from forecasts order by 1") == [("active", new), ("shadow", old)]


def test_a_guard_that_refuses_stops_the_round(desk: Desk) -> None:
    def refuse(_: Session) -> None:
        raise ConflictError("not ours", reason="lease_lost")

    trader = desk.trader(guard=refuse)

    with pytest.raises(ConflictError, match="not ours"):
        trader.step(next(iter(trader.feed.rounds(trader.after))))
    assert desk.rows("select count(*) from ai_training_samples") == [(0,)]


def test_with_trading_disabled_every_answer_is_hold_and_says_so(files: Path, open_desk: OpenDesk) -> None:
    desk = open_desk(enable_ai_trading=False)
    desk.run()

    assert desk.rows("select distinct predicted_action, reason, explored from ai_training_samples") == [
        ("HOLD", "ai_trading_disabled", 0)
    ]
    assert desk.rows("select count(*) from positions") == [(0,)]


def test_with_execution_disabled_signals_are_stored_and_nothing_is_ordered(files: Path, open_desk: OpenDesk) -> None:
    desk = open_desk(enable_execution=False)
    desk.run()

    actions = {row[0] for row in desk.rows("select distinct predicted_action from ai_training_samples")}
    assert actions == {"BUY", "SELL", "HOLD"}
    assert desk.rows("select count(*) from positions") == [(0,)]
    assert desk.rows("select distinct explored, propensity from ai_training_samples") == [(0, 1.0)]
    assert desk.rows("select distinct label_source from ai_training_samples where outcome_known") == [
        ("counterfactual",)
    ]


@pytest.mark.slow
def test_some_holds_are_traded_to_explore_the_same_ones_in_every_run(files: Path, open_desk: OpenDesk) -> None:
    desk, again, other = (
        open_desk(exploration_rate=0.5),
        open_desk(exploration_rate=0.5),
        open_desk(exploration_rate=0.5),
    )
    desk.run()
    again.run(size=5)
    other.run(seed=1)

    query = "select decision_id, predicted_action, propensity from ai_training_samples where explored order by 1"
    explored = desk.rows(query)
    assert len(explored) > 20
    assert {row[1] for row in explored} == {"BUY", "SELL"}
    assert explored == again.rows(query)
    assert [row[0] for row in explored] != [row[0] for row in other.rows(query)]


def test_a_long_only_trader_sells_nothing_short(files: Path, open_desk: OpenDesk) -> None:
    desk = open_desk(sides="long")
    desk.run(serving=with_model(desk))

    assert desk.rows("select distinct side from positions") == [("BUY",)]
    assert desk.rows("select count(*) from ai_training_samples where predicted_action = 'SELL' and executed") == [(0,)]
    assert desk.rows("select distinct target_label from ai_training_samples where predicted_action = 'SELL' and"
                     " outcome_known") == [(0.0,)]  # fmt: skip
    assert desk.rows("select count(*) from trade_logs where exit_reason = 'signal'")[0][0] > 0


def test_there_is_never_more_than_one_live_position_a_symbol_and_no_two_overlap(model_desk: Desk) -> None:
    overlapping = model_desk.rows(
        "select count(*) from trade_logs a join trade_logs b on a.symbol = b.symbol and a.id < b.id"
        " and a.entry_time < b.exit_time and b.entry_time < a.exit_time"
    )
    assert overlapping == [(0,)]
    assert model_desk.rows("select count(*) from trade_logs")[0][0] > 10


def test_no_fill_happens_at_a_price_the_features_already_saw(model_desk: Desk) -> None:
    early = model_desk.rows("select count(*) from ai_training_samples where executed and entry_time < timestamp")
    assert early == [(0,)]
    for symbol, side, entry_time, price in model_desk.rows(
        "select symbol, side, entry_time, entry_price from trade_logs"
    ):
        candles = model_desk.feed.history(symbol, NOW, 1_000)
        opened = candles.open[candles.open_time == to_ms(moment(entry_time))][0]
        assert price == pytest.approx(opened * (1.0002 if side == "BUY" else 0.9998))


def test_the_trader_says_that_it_warms_up_until_it_can_decide(open_desk: OpenDesk, files: Path) -> None:
    desk = open_desk()
    (files / "AAAUSDT-5m.csv").unlink()
    lines = (files / "BBBUSDT-5m.csv").read_text().splitlines()
    (files / "BBBUSDT-5m.csv").write_text("\n".join(lines[:400]) + "\n")
    trader = desk.trader()
    assert desk.feed_row().state == "warming"

    trader.steps(list(trader.feed.rounds(trader.after)))

    assert desk.feed_row().state == "warming"
    assert desk.rows("select count(*) from candles") == [(400,)]
    assert isinstance(trader, Trader)
    assert desk.feed_row().market_time == START + 460 * FIVE_MINUTES
