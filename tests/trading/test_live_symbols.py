"""Which symbols and which strategy the trader takes on an exchange."""

from dataclasses import replace
from typing import Any

import pytest

from backend.errors import ConflictError
from backend.learning.decisions.strategies import ensure_schema, ensure_strategy
from backend.learning.evidence.status import trader_trouble
from backend.market.feed import FeedUnavailableError
from backend.operations.codes import Code
from backend.trading.resume import check_strategy
from tests.trading.desk import NOW
from tests.trading.live_desk import LiveDesk

AWAY = FeedUnavailableError("binance does not answer (ConnectionError).", retry_after_seconds=2.0)
SYMBOLS = 2

# --- Symbols ---


def test_symbols_that_the_exchange_lacks_are_named_and_the_others_traded(live: LiveDesk) -> None:
    live.exchange.unknown_symbols = ("NOPEUSDT",)
    live.loop.turn()

    sentence = "binance has no NOPEUSDT (QT_SYMBOLS); AAAUSDT, BBBUSDT are traded."
    assert live.loop.introduction(0) == sentence
    assert live.alarms("symbols_unknown") == [("default", True)]
    assert live.desk.rows("select detail from alarms") == [(sentence,)]
    assert live.count("ai_training_samples") == SYMBOLS

    live.exchange.unknown_symbols = ()
    live.begin().turn()
    assert live.alarms("symbols_unknown") == [("default", False)]


def test_where_the_exchange_has_none_of_the_symbols_the_trader_is_off_with_the_reason(live: LiveDesk) -> None:
    live.exchange.symbols, live.exchange.unknown_symbols = (), ("NOPEUSDT",)

    wait = live.loop.turn()

    assert wait == 60.0
    assert live.feed() == ("off", "binance has no NOPEUSDT (QT_SYMBOLS); nothing is left to trade.")
    assert live.desk.database.read(trader_trouble, live.desk.settings) is Code.TRADER_STOPPED
    assert "does not run" in live.loop.introduction(0)


def test_a_symbol_taken_out_of_the_settings_is_followed_to_its_end_and_not_decided_on(live: LiveDesk) -> None:
    live.activate()
    live.loop.turn()
    flat = [(100.0, 100.01, 99.99, 100.0, 1.0)] * 2_000
    live.exchange.bars = {"AAAUSDT": flat, "BBBUSDT": flat}
    live.minutes(2, score=1.0)
    decided = live.count("ai_training_samples where symbol = 'BBBUSDT'")

    live.desk.settings = replace(live.desk.settings, symbols=("AAAUSDT",))
    live.begin()
    live.minutes(16, score=1.0)

    assert set(live.also) == {"AAAUSDT", "BBBUSDT"}
    assert live.count("ai_training_samples where symbol = 'BBBUSDT'") == decided
    assert live.desk.rows("select exit_reason from trade_logs where symbol = 'BBBUSDT'") == [("horizon",)]
    assert live.count("ai_training_samples where symbol = 'BBBUSDT' and outcome_known") == decided
    live.begin().turn()
    assert set(live.also) == {"AAAUSDT"}


def test_a_position_in_a_symbol_that_is_gone_is_named_with_the_way_to_end_it(live: LiveDesk) -> None:
    live.activate()
    live.loop.turn()
    flat = [(100.0, 100.01, 99.99, 100.0, 1.0)] * 2_000
    live.exchange.bars = {"AAAUSDT": flat, "BBBUSDT": flat}
    live.minutes(2, score=1.0)
    held = live.desk.rows("select s.decision_id from positions p join ai_training_samples s on s.id = p.sample_id"
                          " where p.state = 'open' and p.symbol = 'BBBUSDT'")[0][0]  # fmt: skip
    live.exchange.symbols, live.exchange.unknown_symbols = ("AAAUSDT",), ("BBBUSDT",)

    live.begin().turn()

    detail = live.desk.rows("select detail from alarms where code = 'symbols_unknown'")[0][0]
    assert f"POST /ai/decisions/{held}/outcome" in detail
    assert live.count("positions where state = 'open' and symbol = 'BBBUSDT'") == 1


# --- Strategies ---


def test_a_bots_strategy_with_features_of_its_own_is_refused_with_the_remedy(live: LiveDesk) -> None:
    def begin(session: Any) -> None:
        strategy, _ = ensure_strategy(
            session, "default", market="external", settings=live.desk.settings, now=NOW, actor="bot"
        )
        ensure_schema(session, strategy, ("alpha", "beta"), now=NOW)

    live.desk.database.write(begin)
    with pytest.raises(ConflictError, match=r"belongs to a bot.*QT_STRATEGY") as refused:
        live.desk.database.read(check_strategy, "default", "binance", "1m")
    assert refused.value.reason == "feature_names_mismatch"
    live.loop.turn()
    assert live.feed()[0] == "off"


def test_a_strategy_of_another_exchange_is_refused(live: LiveDesk) -> None:
    live.loop.turn()

    with pytest.raises(ConflictError, match="market 'binance'") as refused:
        live.desk.database.read(check_strategy, "default", "kraken", "1m")
    assert refused.value.reason == "market_mismatch"


def test_a_strategy_that_a_bot_only_named_is_traded_on_the_exchanges_candles(live: LiveDesk) -> None:
    begin = {"market": "external", "settings": live.desk.settings, "now": NOW, "actor": "bot"}
    live.desk.database.write(ensure_strategy, "default", **begin)
    live.loop.turn()
    live.minutes(16)

    assert live.desk.rows("select distinct market from candles") == [("binance",)]
    assert live.count("ai_training_samples where outcome_known") > 0
