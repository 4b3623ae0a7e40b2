"""``POST /ai/decisions`` below its HTTP: one, many, repeated, refused."""

from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from ai_engine.candles import Candles
from ai_engine.features.catalogue import FEATURE_NAMES
from ai_engine.features.compute import compute
from ai_engine.types import Forecasts
from backend.clock import from_ms, to_ms
from backend.database import Database
from backend.errors import ConflictError, InvalidInputError, QuantumTraderError
from backend.learning.decisions.observed import DecisionBody
from backend.learning.decisions.posted import DecisionService, post_decision, post_decisions
from backend.learning.decisions.prices import posted_market
from backend.market import candles as candle_store
from backend.models import AIModelVersion, AITrainingSample, AuditEntry, Candle, Forecast, Strategy
from backend.settings import Settings, load_settings

CANDLE_MS = 300_000
ROWS = (AITrainingSample, Candle, Strategy, AuditEntry, Forecast)


@dataclass
class FixedModel:
    """Forecasts the first feature itself."""

    feature_names: tuple[str, ...]

    def forecast(self, X: np.ndarray) -> Forecasts:
        scores = X[:, 0].astype(np.float64)
        return Forecasts(scores, scores / 2, np.full(len(X), 0.7))


@dataclass
class FixedServing:
    """One version for one strategy, or none."""

    model: Any = None
    shadows: tuple[Any, ...] = ()

    def model_for(self, *_: object) -> Any:
        return self.model

    def shadows_for(self, *_: object) -> Any:
        return self.shadows


@dataclass
class Bot:
    """A bot's side of the calls."""

    service: DecisionService
    strategy: str = "bot"

    def post(self, **told: Any) -> Any:
        return post_decision(self.service, self.strategy, body(**told), "trader")

    def refused(self, error: type[Any], **told: Any) -> Any:
        with pytest.raises(error) as caught:
            self.post(**told)
        return caught.value

    def rows(self) -> tuple[int, ...]:
        def count(session: Session) -> tuple[int, ...]:
            return tuple(session.scalar(select(func.count()).select_from(table)) or 0 for table in ROWS)

        return self.service.database.read(count)


def body(**told: Any) -> DecisionBody:
    given = {"symbol": "BTCUSDC", "price": 100.0, "features": {"alpha": 0.01, "beta": 2.0}}
    return DecisionBody(**given | told)


def walk(last_close: Any, count: int = 500) -> list[list[float]]:
    """Candles of a random walk, the last of which closes then."""
    rng = np.random.default_rng(7)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0, 0.002, count)))
    opened = to_ms(last_close) - CANDLE_MS * np.arange(count, 0, -1)
    return [
        [float(opened[i]), close[i - 1] if i else 100.0, close[i] * 1.01, close[i] * 0.98, close[i], 5.0]
        for i in range(count)
    ]


@pytest.fixture
def bot(database: Database, settings: Settings, now: Any) -> Bot:
    return Bot(DecisionService(database, settings, FixedServing(), lambda: now))


@pytest.fixture
def served(bench: Any, bot: Bot) -> Bot:
    """A bot of a strategy whose version forecasts the feature alpha."""
    bench.add_version()
    model = SimpleNamespace(version_id="v20260301_000000", model=FixedModel(("alpha", "beta")))
    return Bot(DecisionService(bot.service.database, bot.service.settings, FixedServing(model), bot.service.clock))


def test_without_a_model_a_bots_own_features_are_held_and_stored(bot: Bot, now: Any) -> None:
    posted = bot.post()

    assert posted.status_code == 201
    assert posted.answer["predicted_action"] == "HOLD"
    assert posted.answer["reason"] == "no_active_model"
    assert posted.answer["timestamp"] == "2026-03-02T12:00:00Z"
    assert [posted.answer[key] for key in ("model_version", "prediction_score", "prediction_confidence")] == [None] * 3
    assert posted.answer["strategy_created"] is True
    assert bot.post().answer["strategy_created"] is False


def test_the_answer_has_every_key_of_the_contract(bot: Bot) -> None:
    promised = (
        "sample_id, decision_id, symbol, timestamp, predicted_action, prediction_score, prediction_confidence,"
        " expected_return, model_version, reason, explored, propensity"
    )

    assert set(promised.split(", ")) <= set(bot.post().answer)


def test_the_active_version_answers_and_its_forecast_is_kept(served: Bot, bench: Any) -> None:
    answer = served.post(decision_id="d1").answer

    assert (answer["predicted_action"], answer["model_version"]) == ("BUY", "v20260301_000000")
    assert answer["prediction_score"] == pytest.approx(0.01)
    assert answer["expected_return"] == pytest.approx(0.005)
    assert answer["prediction_confidence"] == 0.7
    assert (answer["explored"], answer["propensity"], answer["reason"]) == (False, 1.0, None)
    assert bench.counters()["total_predictions"] == 1
    assert served.rows()[ROWS.index(Forecast)] == 1
    assert bench.sample("d1").features == [0.01, 2.0]


def test_the_direction_is_the_sign_of_the_score(served: Bot) -> None:
    assert served.post(features={"alpha": -0.5, "beta": 0.0}).answer["predicted_action"] == "SELL"
    assert served.post(features={"alpha": 0.0, "beta": 0.0}).answer["reason"] == "zero_score"


def test_a_bots_own_decision_is_recorded_as_its_own(served: Bot, bench: Any) -> None:
    answer = served.post(decision_id="d1", predicted_action="SELL", prediction_confidence=0.9).answer

    assert (answer["predicted_action"], answer["prediction_confidence"]) == ("SELL", 0.9)
    assert (answer["model_version"], answer["prediction_score"], answer["propensity"]) == (None, None, None)
    assert bench.counters()["total_predictions"] == 0


def test_a_confidence_posted_without_a_decision_is_not_stored_as_the_services(
    bot: Bot, served: Bot, bench: Any
) -> None:
    bot.strategy = "cold"
    assert bot.post(prediction_confidence=0.9).answer["prediction_confidence"] is None

    assert served.post(decision_id="d1", prediction_confidence=0.9).answer["prediction_confidence"] == 0.7
    assert bench.sample("d1").prediction_confidence == 0.7


def test_trading_switched_off_holds_everything(served: Bot, settings: Settings) -> None:
    off = load_settings(
        environ={
            "QT_ADMIN_TOKEN": "an-admin-token-for-tests-only",
            "QT_MARKET": "off",
            "QT_ENABLE_AI_TRADING": "0",
            "QT_DATABASE_URL": settings.database_url,
        },
        env_file=None,
    )
    served.service = DecisionService(served.service.database, off, served.service.serving, served.service.clock)

    answer = served.post().answer

    assert (answer["predicted_action"], answer["reason"]) == ("HOLD", "ai_trading_disabled")


def test_the_same_body_again_gets_the_first_answer(bot: Bot) -> None:
    first = bot.post(decision_id="d1", timestamp=bot.service.clock() - timedelta(hours=2))
    bot.post(decision_id="d2", timestamp=bot.service.clock() - timedelta(hours=1), price=101.0)
    before = bot.rows()

    again = bot.post(decision_id="d1", timestamp=bot.service.clock() - timedelta(hours=2))

    assert (again.status_code, again.answer) == (200, first.answer)
    assert bot.rows() == before


def test_the_first_answers_price_is_the_posted_one_also_once_the_rows_is_known(bot: Bot, bench: Any, now: Any) -> None:
    rows = walk(now, 505)
    told = {"decision_id": "d1", "features": None, "price": None, "timestamp": now - timedelta(minutes=25)}
    first = bot.post(**told, candles=rows).answer
    assert bench.sample("d1").price == rows[500][1], "known from the candles that came with it"

    again = bot.post(**told, candles=rows)

    assert first["price"] is None
    assert (again.status_code, again.answer) == (200, first)
    assert bot.post(decision_id="d2", features=None, price=7.0, candles=rows).answer["price"] == 7.0


def test_a_symbol_with_and_without_a_slash_is_the_same_body(bot: Bot) -> None:
    first = bot.post(decision_id="d1", symbol="BTC/USDT")

    again = bot.post(decision_id="d1", symbol="BTCUSDT")

    assert (again.status_code, again.answer) == (200, first.answer)


@pytest.mark.parametrize(
    "other",
    [{"price": 100.1}, {"features": {"alpha": 0.02, "beta": 2.0}}, {"predicted_action": "BUY"}, {"symbol": "E"}],
)
def test_another_body_under_the_same_id_is_a_conflict(bot: Bot, other: dict[str, Any]) -> None:
    bot.post(decision_id="d1")
    before = bot.rows()

    assert bot.refused(ConflictError, decision_id="d1", **other).reason == "decision_conflict"
    assert bot.rows() == before


def test_the_same_id_lives_in_two_strategies(bot: Bot) -> None:
    bot.post(decision_id="d1")
    bot.strategy = "second"

    assert bot.post(decision_id="d1", price=7.0).status_code == 201


def test_a_later_price_settles_the_earlier_decision(bot: Bot, bench: Any, now: Any) -> None:
    bot.post(decision_id="d1", timestamp=now - timedelta(hours=2), predicted_action="BUY")

    bot.post(decision_id="d2", timestamp=now - timedelta(hours=1), price=103.0)

    assert bench.sample("d1").forward_return == pytest.approx(0.03)
    assert bench.sample("d1").label_source == "counterfactual"


def test_a_symbol_loses_its_slash(bot: Bot) -> None:
    assert bot.post(symbol="BTC/USDT").answer["symbol"] == "BTCUSDT"


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"symbol": "BTC USDT"}, "symbol"),
        ({"decision_id": "-d1"}, "decision_id"),
        ({"price": 0.0}, "price"),
        ({"price": float("nan")}, "price"),
        ({"price": 1e-200}, "price"),
        ({"price": 1e200}, "price"),
        ({"features": {}}, "features"),
        ({"features": {"alpha": float("inf")}}, "features"),
        ({"features": {"alpha": 1e39}}, "features"),
        ({"features": {" ": 1.0}}, "features"),
        ({"features": None}, "features"),
        ({"candles": [[0.0] * 6]}, "features"),
        ({"predicted_action": "buy"}, "predicted_action"),
        ({"prediction_confidence": 1.5}, "prediction_confidence"),
    ],
)
def test_what_is_wrong_is_named_and_changes_nothing(bot: Bot, told: dict[str, Any], field: str) -> None:
    assert bot.refused(InvalidInputError, **told).extra["field"] == field
    assert bot.rows() == (0,) * len(ROWS)


def test_a_time_from_the_future_is_refused(bot: Bot, now: Any) -> None:
    assert bot.refused(InvalidInputError, timestamp=now + timedelta(seconds=61)).extra["field"] == "timestamp"
    assert bot.post(timestamp=now + timedelta(seconds=60)).status_code == 201


def test_other_feature_names_are_refused_by_name(bot: Bot) -> None:
    bot.post()

    error = bot.refused(InvalidInputError, features={"alpha": 1.0, "gamma": 1.0})

    assert (error.extra["missing"], error.extra["extra"]) == (["beta"], ["gamma"])
    assert "beta" in error.message
    assert "gamma" in error.message


def test_decisions_that_the_model_cannot_read_are_held_and_stored(served: Bot) -> None:
    served.strategy = "other"
    assert served.post(decision_id="d0", features={"alpha": 1.0}, predicted_action="BUY").status_code == 201

    held = served.post(decision_id="d1", features={"alpha": 1.0})
    again = served.post(decision_id="d1", features={"alpha": 1.0})

    assert (held.status_code, again.status_code) == (201, 200)
    assert (held.answer["predicted_action"], held.answer["reason"]) == ("HOLD", "schema_mismatch")
    assert [held.answer[key] for key in ("model_version", "prediction_score", "prediction_confidence")] == [None] * 3
    assert {key: held.answer[key] for key in again.answer} == again.answer


def test_an_active_version_that_cannot_be_verified_is_the_reason_for_a_hold(bot: Bot, bench: Any, now: Any) -> None:
    bench.add_version()
    bot.service.database.write(lambda session: session.execute(update(AIModelVersion).values(is_active=True)))

    own = bot.post(decision_id="d1").answer
    bot.service.database.write(lambda session: session.execute(update(Strategy).values(feature_schema_id=None)))
    by_candles = bot.post(decision_id="d2", features=None, candles=walk(now)).answer

    assert (own["predicted_action"], own["reason"]) == ("HOLD", "no_verified_model")
    assert by_candles["reason"] in {"cold_start_rule", "cold_start_no_trend"}


@pytest.mark.parametrize("price", [1e300, 1e-300])
def test_candles_with_prices_beyond_all_sizes_are_refused(bot: Bot, now: Any, price: float) -> None:
    rows = walk(now)
    rows[7][1:5] = [price] * 4

    assert "candles" in bot.refused(InvalidInputError, features=None, candles=rows).message
    assert bot.rows() == (0,) * len(ROWS)


def test_more_features_than_a_strategy_may_have_are_refused(bot: Bot) -> None:
    most = {f"f{index}": 1.0 for index in range(2000)}

    assert "2000" in bot.refused(InvalidInputError, features={**most, "more": 1.0}).message
    assert bot.post(features=most).status_code == 201


def test_without_price_or_candles_an_unknown_symbol_needs_a_price(bot: Bot) -> None:
    assert bot.refused(InvalidInputError, price=None).reason == "price_required"


def test_a_simulated_strategy_takes_no_posted_decision(bot: Bot, bench: Any) -> None:
    bench.market = "simulated"
    bench.database.write(bench.begin)

    assert bot.refused(ConflictError).reason == "market_mismatch"


def test_a_symbol_that_the_feed_knows_needs_no_price(database: Database, settings: Settings, now: Any) -> None:
    simulated = load_settings(
        environ={"QT_ADMIN_TOKEN": "an-admin-token-for-tests-only", "QT_MARKET": "simulated"}, env_file=None
    )
    fed = Bot(DecisionService(database, simulated, FixedServing(), lambda: now))
    bars = np.array(walk(now, 2))
    one = Candles(*bars.T, timeframe_ms=CANDLE_MS)
    database.write(lambda session: candle_store.append(session, "simulated", "BTCUSDC", "5m", one))

    assert fed.refused(InvalidInputError, price=None, symbol="NOSUCH").reason == "price_required"
    assert fed.post(price=None).status_code == 201
    market = database.read(lambda session: session.get_one(Strategy, "bot").market)
    assert market == "simulated", "its prices are simulated, so it shares its strategy with no real sample"
    assert fed.refused(ConflictError, price=100.0).reason == "market_mismatch"


def test_candles_become_the_catalogues_features_and_the_cold_start_rule_decides(bot: Bot, now: Any) -> None:
    rows = walk(now)

    answer = bot.post(decision_id="d1", features=None, candles=rows).answer

    sample = bot.service.database.read(lambda session: session.scalars(select(AITrainingSample.features_blob)).one())
    expected = compute(Candles(*np.array(rows).T, timeframe_ms=CANDLE_MS))
    np.testing.assert_array_equal(np.frombuffer(sample, dtype="<f4"), expected)
    assert answer["reason"] in {"cold_start_rule", "cold_start_no_trend"}
    assert (answer["model_version"], answer["expected_return"]) == (None, None)
    assert bot.rows()[ROWS.index(Candle)] == 500


def test_posted_candles_settle_decisions_and_give_missing_reference_prices(bot: Bot, bench: Any, now: Any) -> None:
    rows = walk(now, 520)
    first = bot.post(decision_id="d1", features=None, price=None, candles=rows[:505]).answer
    assert first["timestamp"] == "2026-03-02T10:45:00Z", "decided when its last candle closed"
    assert bench.sample("d1").price is None

    bot.post(decision_id="d2", features=None, price=None, candles=rows[20:])

    sample = bench.sample("d1")
    assert sample.price == rows[505][1]
    assert sample.forward_return == pytest.approx(rows[516][4] / rows[505][1] - 1)
    assert sample.forward_return_source == "posted"
    assert (
        bot.service.database.read(
            lambda session: candle_store.last_close_time(session, posted_market("bot"), "5m", ("BTCUSDC",))
        )
        == now
    )


def test_candles_that_had_not_closed_are_not_seen(bot: Bot, now: Any) -> None:
    rows = walk(now + timedelta(minutes=10), 502)

    bot.post(features=None, candles=rows)

    newest = bot.service.database.read(lambda session: session.scalar(select(func.max(Candle.open_time))))
    assert newest + timedelta(minutes=5) == now


def test_a_clock_that_runs_ahead_brings_no_candle_that_has_not_closed(bot: Bot, bench: Any, now: Any) -> None:
    rows = walk(now, 501)
    bot.service = replace(bot.service, clock=lambda: now - timedelta(seconds=30))

    bot.post(decision_id="d1", features=None, candles=rows, timestamp=now)
    error = bot.refused(InvalidInputError, features=None, candles=rows[1:], timestamp=now)

    expected = compute(Candles(*np.array(rows[:500]).T, timeframe_ms=CANDLE_MS))
    assert bench.sample("d1").features == [float(str(value)) for value in expected]
    assert bot.rows()[ROWS.index(Candle)] == 500
    assert "closed at 2026-03-02T11:59:30Z; there are 499" in error.message


def test_candles_after_the_decision_are_stored_but_not_seen(bot: Bot, bench: Any, now: Any) -> None:
    rows = walk(now, 510)
    at = now - timedelta(minutes=50)

    bot.post(decision_id="d1", features=None, candles=rows, timestamp=at)

    expected = compute(Candles(*np.array(rows[:500]).T, timeframe_ms=CANDLE_MS))
    assert bench.sample("d1").features == [float(str(value)) for value in expected]
    assert bot.rows()[ROWS.index(Candle)] == 510


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda rows: rows[:499], "500 to 1000 rows"),
        (lambda rows: [*rows[:-1], rows[-1][:5]], "each row"),
        (lambda rows: [[row[0] * 3, *row[1:]] for row in rows], "timeframe is 5m"),
        (lambda rows: [[*row[:4], -1.0, row[5]] if i == 9 else row for i, row in enumerate(rows)], "500 valid candles"),
    ],
)
def test_unusable_candles_are_refused(bot: Bot, now: Any, spoil: Any, words: str) -> None:
    error = bot.refused(InvalidInputError, features=None, candles=spoil(walk(now)))

    assert error.extra["field"] == "candles"
    assert words in error.message
    assert bot.rows() == (0,) * len(ROWS)


def test_candles_and_own_features_do_not_share_a_strategy(bot: Bot, now: Any) -> None:
    bot.post()

    error = bot.refused(InvalidInputError, features=None, candles=walk(now))

    assert set(error.extra["missing"]) == {"alpha", "beta"}
    assert set(error.extra["extra"]) == set(FEATURE_NAMES)


def test_a_batch_answers_each_item_in_order(served: Bot, now: Any) -> None:
    bodies = [
        body(decision_id="a"),
        body(decision_id="b", price=-1.0),
        body(decision_id="a"),
        body(decision_id="a", price=101.0),
        body(decision_id="c", features={"alpha": 1.0}),
        body(decision_id="d", predicted_action="SELL"),
        body(decision_id="e", features={"alpha": -0.01, "beta": 0.0}),
    ]

    results = post_decisions(served.service, "bot", bodies, "trader")

    told = [
        getattr(result, "reason", None) if isinstance(result, QuantumTraderError) else result.status_code
        for result in results
    ]
    assert told == [201, "invalid_input", 200, "decision_conflict", "feature_names_mismatch", 201, 201]
    assert results[2].answer == results[0].answer
    assert [results[i].answer["predicted_action"] for i in (0, 5, 6)] == ["BUY", "SELL", "SELL"]
    again = post_decisions(served.service, "bot", bodies, "trader")
    assert [result.answer for result in again if not isinstance(result, QuantumTraderError)] == [
        results[i].answer for i in (0, 0, 5, 6)
    ]


def test_one_id_with_two_bodies_is_told_apart_also_when_it_is_stored(bot: Bot) -> None:
    bot.post(decision_id="a")

    first, second = post_decisions(bot.service, "bot", [body(decision_id="a"), body(decision_id="a", price=9.0)], "t")

    assert first.status_code == 200
    assert second.reason == "decision_conflict"


def test_a_batch_of_refusals_begins_no_strategy(bot: Bot) -> None:
    results = post_decisions(bot.service, "bot", [body(price=0.0), body(price=None)], "trader")

    assert all(isinstance(result, QuantumTraderError) for result in results)
    assert bot.rows() == (0,) * len(ROWS)


def test_the_first_good_item_of_a_batch_fixes_the_names(bot: Bot) -> None:
    bodies = [body(features={}), body(features={"gamma": 1.0}), body()]

    results = post_decisions(bot.service, "bot", bodies, "trader")

    assert [isinstance(result, QuantumTraderError) for result in results] == [True, False, True]


def test_a_history_in_one_batch_settles_itself(bot: Bot, bench: Any, now: Any) -> None:
    start = now - timedelta(days=1)
    bodies = [
        body(decision_id=f"d{i}", timestamp=start + i * timedelta(minutes=5), price=100.0 + i, predicted_action="BUY")
        for i in range(30)
    ]

    post_decisions(bot.service, "bot", bodies[::-1], "trader")

    for i in range(30):
        known = bench.sample(f"d{i}").forward_return
        assert known == (pytest.approx((112.0 + i) / (100.0 + i) - 1) if i < 18 else None)


def test_a_body_without_an_id_gets_one_and_is_new_each_time(bot: Bot) -> None:
    first, second = bot.post().answer, bot.post().answer

    assert first["decision_id"] != second["decision_id"]


def test_a_time_at_the_end_of_the_calendar_is_refused_in_words(bot: Bot, now: Any) -> None:
    end = from_ms(253_402_300_799_000).replace(tzinfo=now.tzinfo)

    assert bot.refused(InvalidInputError, timestamp=end).extra["field"] == "timestamp"


def shadowed(bench: Any, bot: Bot, model: Any = None) -> Bot:
    """The bot's strategy with one version that only scores."""
    bench.add_version("v20260301_000009")
    beside = SimpleNamespace(version_id="v20260301_000009", model=FixedModel(("beta",)))
    service = bot.service
    return Bot(DecisionService(service.database, service.settings, FixedServing(model, (beside,)), service.clock))


def kept(bot: Bot) -> list[tuple[Any, ...]]:
    query = select(Forecast.role, Forecast.version_id, Forecast.score, Forecast.action)
    return bot.service.database.read(lambda s: [tuple(one) for one in s.execute(query.order_by(Forecast.role))])


def test_a_shadow_scores_what_a_bot_asks_and_the_answer_does_not_show_it(bench: Any, served: Bot) -> None:
    alone = served.post(decision_id="d1").answer
    bot = shadowed(bench, served, served.service.serving.model_for())

    answer = bot.post(decision_id="d2").answer

    assert kept(bot)[1:] == [
        ("active", "v20260301_000000", pytest.approx(0.01), "BUY"),
        ("shadow", "v20260301_000009", 2.0, "BUY"),
    ]
    assert answer.keys() == alone.keys()
    assert answer["model_version"] == "v20260301_000000"


def test_a_shadow_scores_although_no_version_decides(bench: Any, bot: Bot) -> None:
    bot = shadowed(bench, bot)

    answer = bot.post().answer

    assert (answer["reason"], answer["model_version"]) == ("no_active_model", None)
    assert kept(bot) == [("shadow", "v20260301_000009", 2.0, "BUY")]


def test_a_bots_own_decision_is_scored_by_nobody(bench: Any, served: Bot) -> None:
    bot = shadowed(bench, served, served.service.serving.model_for())

    bot.post(predicted_action="BUY")

    assert kept(bot) == []
