"""A trader goes on where the database says it was, and refuses a strategy that is not its own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from backend.errors import ConflictError
from backend.learning.decisions.strategies import admit_schema, ensure_strategy, find_strategy
from backend.market.files import FileMarket
from tests.trading.desk import FIVE_MINUTES, NOW, START, Desk, random_bars, write_file

OpenDesk = Callable[..., Desk]


@pytest.fixture
def desk(files: Path, open_desk: OpenDesk) -> Desk:
    return open_desk()


def test_a_new_trader_begins_its_strategy_with_the_history_before_its_first_round(desk: Desk) -> None:
    trader = desk.trader()

    strategy = desk.rows("select name, market, timeframe, horizon_candles, sides from strategies")
    assert strategy == [("replay", "replay", "5m", 12, "long,short")]
    assert desk.rows("select action, actor from audit") == [("strategy_created", "trader")]
    assert trader.after == desk.feed.start - FIVE_MINUTES == START + 500 * FIVE_MINUTES
    assert desk.rows("select symbol, count(*) from candles group by 1") == [("AAAUSDT", 500), ("BBBUSDT", 440)]
    assert desk.rows("select distinct market from candles") == [("replay:replay",)]


def test_beginning_twice_changes_nothing_but_the_state(desk: Desk) -> None:
    desk.trader()
    before = desk.everything()

    again = desk.trader()

    assert again.after == START + 500 * FIVE_MINUTES
    assert desk.everything() == before
    assert len(desk.rows("select * from audit")) == 1


def test_a_resumed_trader_goes_on_after_its_last_round(desk: Desk) -> None:
    trader = desk.trader()
    rounds = list(trader.feed.rounds(trader.after))
    trader.steps(rounds[:10])

    assert desk.trader().after == rounds[9].close_time
    assert desk.feed_row().state == "running"


def test_later_files_of_the_same_symbols_go_on_where_the_earlier_ended(desk: Desk) -> None:
    desk.run()
    before = desk.rows("select count(*), max(timestamp) from ai_training_samples")[0]
    write_file(desk.folder, "AAAUSDT", random_bars(640, 1))
    desk.run()

    after = desk.rows("select count(*), max(timestamp) from ai_training_samples")[0]
    assert after[0] == before[0] + 20
    assert after[1] > before[1]


@pytest.mark.slow
def test_candles_of_two_strategies_do_not_mix(desk: Desk) -> None:
    desk.run()
    write_file(desk.folder, "AAAUSDT", random_bars(620, 77))
    desk.run(strategy="other")

    closes = dict(
        desk.rows(
            "select market, sum(close) from candles where symbol = 'AAAUSDT' and open_time < '2025-05-02' group by 1"
        )
    )
    assert closes["replay:replay"] != closes["replay:other"]


def test_a_strategy_of_another_market_is_refused_with_the_remedy(desk: Desk) -> None:
    begin = {"market": "simulated", "settings": desk.settings, "now": NOW, "actor": "test"}
    desk.database.write(ensure_strategy, "replay", **begin)

    with pytest.raises(ConflictError) as refused:
        desk.trader()

    assert refused.value.reason == "market_mismatch"
    assert desk.rows("select count(*) from candles") == [(0,)]


def test_a_strategy_keeps_the_timeframe_it_began_with(desk: Desk) -> None:
    desk.trader()

    with pytest.raises(ConflictError, match="QT_TIMEFRAME=5m") as refused:
        desk.trader(feed=FileMarket(desk.folder, "10m"))

    assert refused.value.reason == "timeframe_mismatch"


def test_a_strategy_keeps_its_horizon_and_sides_whatever_the_settings_say_later(desk: Desk) -> None:
    desk.trader()

    resumed = desk.trader(settings=replace(desk.settings, horizon_candles=3, sides="long"))

    assert (resumed._terms.horizon_candles, resumed._terms.sides) == (12, "long,short")


def test_a_catalogue_that_has_changed_is_admitted_and_audited(desk: Desk) -> None:
    desk.trader()

    def shrink(session: object) -> None:
        strategy = find_strategy(session, "replay")  # type: ignore[arg-type]
        assert strategy is not None
        admit_schema(session, strategy, ("only_one",), NOW, "test")  # type: ignore[arg-type]

    desk.database.write(shrink)
    desk.run()

    assert desk.rows("select count(*) from ai_training_samples")[0][0] > 0
    assert [row[0] for row in desk.rows("select actor from audit where action = 'schema_admitted'")] == [
        "test",
        "trader",
    ]
