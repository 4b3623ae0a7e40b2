"""How a version fares, by the calls that bots and the broker make, against figures reckoned by hand."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from ai_engine.past import evidence_of_nights
from backend.database import Database
from backend.learning.decisions.plausibility import TRADE_RULES
from backend.learning.evidence.live_truth import show_model
from backend.learning.versions.past import read_past
from backend.learning.versions.store import ArtifactStore
from backend.models import AIModelVersion, AITrainingSample, Forecast
from tests.learning.decisions.conftest import T0, VERSION, Bench

OTHER = "v20260301_000001"
CANDLE = timedelta(minutes=5)
HORIZON = 12 * CANDLE
ABOUT_DIRECTIONS = ("forecasts", "accuracy", "accuracy_ci95", "baseline_accuracy", "edge", "e_value", "by_action")


@pytest.fixture
def bench(database: Database, settings: Any, now: Any) -> Bench:
    """A strategy with one version that learned nothing later than the first decision."""
    bench = Bench(database, settings, now)
    bench.add_version()
    learned(bench, "2026-03-01T09:00:00Z")
    return bench


def learned(bench: Bench, until: str) -> None:
    """The newest outcome that the versions learned from was known then."""
    change = update(AIModelVersion).values(lineage={"outcomes_known_until": until})
    bench.database.write(lambda session: session.execute(change) and None)


def shown(bench: Bench, version_id: str = VERSION) -> dict[str, Any]:
    return bench.database.read(show_model, version_id, cost=bench.settings.cost)


def live(bench: Bench, version_id: str = VERSION) -> dict[str, Any]:
    told: dict[str, Any] = shown(bench, version_id)["live"]
    return told


def changed(bench: Bench, decision_id: str, **values: Any) -> None:
    change = update(AITrainingSample).where(AITrainingSample.decision_id == decision_id).values(**values)
    bench.database.write(lambda session: session.execute(change) and None)


def known(bench: Bench, decision_id: str, score: float, move: float, number: int = 0, **fields: Any) -> None:
    """A decision of the version, and the price of a later one that tells what came of it."""
    at = T0 + number * CANDLE
    bench.forecast(decision_id, score, at, **fields)
    symbol = fields.get("symbol", "BTCUSDC")
    bench.decide(f"{decision_id}-priced", at + HORIZON, symbol=symbol, price=100.0 * (1 + move))


def test_of_a_version_that_decided_nothing_nothing_is_said(bench: Bench) -> None:
    told = shown(bench)

    for part in (told["live"], told["shadow"]):
        for name in (
            "accuracy",
            "accuracy_ci95",
            "ci_method",
            "baseline_accuracy",
            "edge",
            "e_value",
            "costs_exceed_moves",
        ):
            assert part[name] is None
    assert told["live"]["pnl"]["slippage"] is None
    assert told["live"]["trades"] == {"open": 0, "closed": 0, "won": 0, "lost": 0, "even": 0}
    assert told["live"]["by_symbol"] == {}
    assert told["shadow"]["forecasts"] == 0


def test_every_forecast_is_matured_pending_unobservable_or_in_quarantine(bench: Bench) -> None:
    known(bench, "right", 0.01, 0.02, 0)
    known(bench, "wrong", 0.01, -0.02, 1)
    known(bench, "small", 0.01, 0.001, 2)
    known(bench, "odd", 0.01, 0.03, 3)
    changed(bench, "odd", quarantine_reason="return_out_of_bounds")
    bench.forecast("open", 0.01, T0 + 60 * CANDLE)
    bench.forecast("lost", 0.01, T0 + 61 * CANDLE)
    changed(bench, "lost", forward_return_source="unobservable", state="unobservable")

    told = live(bench)

    assert told["forecasts"] == {
        "total": 6, "matured": 3, "known_before": 0, "pending": 1, "unobservable": 1, "quarantined": 1, "neutral": 1,
        "judged": 2, "correct": 1,
    }  # fmt: skip
    assert (told["accuracy"], told["live_accuracy"]) == (0.5, 0.5)
    assert (told["total_predictions"], told["matured_predictions"], told["pending_predictions"]) == (6, 3, 3)


def test_the_baseline_is_that_of_the_very_rows_that_are_judged(bench: Bench) -> None:
    for number, (score, move) in enumerate([(0.01, 0.02), (-0.01, 0.02), (0.01, 0.02), (0.01, -0.02), (0.01, 0.001)]):
        known(bench, f"d{number}", score, move, 40 * number)

    told = live(bench)

    assert (told["accuracy"], told["baseline_accuracy"], told["baseline_name"]) == (0.5, 0.75, "always_up")
    assert told["edge"] == -0.25
    assert told["ci_method"] == "wilson"
    assert told["accuracy_ci95"] == pytest.approx([0.150, 0.850], abs=1e-3)
    assert told["effective_samples"] == 4
    assert told["break_even_accuracy"] == pytest.approx(0.5 + 0.5 * bench.settings.cost / (0.081 / 5))


def test_windows_that_overlap_have_no_interval_of_independent_ones(bench: Bench) -> None:
    for number in range(18):
        known(bench, f"d{number}", 0.01, 0.02 if number % 3 else -0.02, 4 * number)

    told = live(bench)

    assert told["ci_method"] == "block_bootstrap"
    assert told["effective_samples"] < 10


def test_quick_stops_change_what_was_earned_and_nothing_about_the_directions(bench: Bench) -> None:
    for number in range(20):
        known(bench, f"d{number}", 0.01, 0.02 if number % 2 else -0.02, 14 * number)
    untraded = live(bench)
    for number in range(0, 20, 3):
        entered = T0 + 14 * number * CANDLE
        bench.execute(f"d{number}", entry_time=entered)
        bench.leave(f"d{number}", exit_price=99.0, exit_time=entered + CANDLE, exit_reason="stop")

    stopped = live(bench)

    for name in ABOUT_DIRECTIONS:
        if name != "by_action":
            assert stopped[name] == untraded[name], name
    assert stopped["by_action"]["BUY"]["correct"] == untraded["by_action"]["BUY"]["correct"] == 10
    assert untraded["trades"]["closed"] == 0
    assert (stopped["trades"]["lost"], stopped["pnl"]["net"]) == (7, pytest.approx(-7.0))


def test_a_stop_that_comes_before_the_horizon_judges_nothing(bench: Bench) -> None:
    bench.forecast("d1", 0.01)
    bench.execute("d1")
    bench.leave("d1", exit_price=90.0, exit_time=T0 + CANDLE)

    told = live(bench)

    assert (told["forecasts"]["matured"], told["accuracy"], told["trades"]["lost"]) == (0, None, 1)


def test_partial_fills_count_by_their_quantity(bench: Bench) -> None:
    bench.forecast("d1", 0.01)
    bench.execute("d1", entry_price=100.2, quantity=1.0, fees=0.1, fill_id="a", reference_price=100.0)
    bench.execute("d1", entry_price=100.5, quantity=3.0, fees=0.3, fill_id="b", reference_price=100.1)
    bench.leave("d1", exit_price=104.0, quantity=3.0, fees=0.9, fill_id="x", reference_price=104.1)
    bench.leave("d1", exit_price=103.0, quantity=1.0, fees=0.2, fill_id="y", reference_price=103.4)

    pnl = live(bench)["pnl"]

    slipped_in, slipped_out = 0.2 * 1 + 0.4 * 3, 0.1 * 3 + 0.4 * 1
    gross = (104.1 * 3 + 103.4) - (100.0 + 100.1 * 3)
    assert pnl["slippage_by_leg"]["entry"] == {"known_trades": 1, "slippage": pytest.approx(slipped_in)}
    assert pnl["slippage_by_leg"]["exit"] == {"known_trades": 1, "slippage": pytest.approx(slipped_out)}
    assert (pnl["fees"], pnl["slippage"]) == (pytest.approx(1.1), pytest.approx(slipped_in + slipped_out))
    assert pnl["gross"] == pytest.approx(gross)
    assert pnl["net"] == pytest.approx(gross - slipped_in - slipped_out - 1.1)


def test_a_trade_that_ends_before_all_has_left_slipped_by_what_left(bench: Bench) -> None:
    bench.forecast("d1", 0.01)
    bench.execute("d1", entry_price=100.2, quantity=4.0, fees=0.0, reference_price=100.0)
    bench.leave("d1", exit_price=101.0, quantity=1.0, fees=0.0, reference_price=101.1, final=True)

    pnl = live(bench)["pnl"]

    assert pnl["slippage"] == pytest.approx(0.2 + 0.1)
    assert pnl["gross"] == pytest.approx(101.1 - 100.0)


def test_a_short_gives_up_in_the_other_direction(bench: Bench) -> None:
    bench.forecast("d1", -0.01)
    bench.execute("d1", side="SELL", entry_price=99.8, quantity=2.0, fees=0.0, reference_price=100.0)
    bench.leave("d1", exit_price=95.1, fees=0.0, reference_price=95.0)

    pnl = live(bench)["pnl"]

    assert pnl["slippage"] == pytest.approx(2 * (0.2 + 0.1))
    assert pnl["gross"] == pytest.approx(2 * (100.0 - 95.0))
    assert live(bench)["by_side"]["SELL"]["net_pnl"] == pnl["net"]


def test_a_bots_entry_slipped_from_the_price_it_decided_at_and_of_its_exit_nothing_is_known(bench: Bench) -> None:
    bench.forecast("d1", 0.01)
    bench.execute("d1", entry_price=100.5, quantity=2.0)
    bench.leave("d1", exit_price=103.0, fees=0.4)

    pnl = live(bench)["pnl"]

    assert pnl["slippage_by_leg"]["entry"] == {"known_trades": 1, "slippage": pytest.approx(1.0)}
    assert pnl["slippage_by_leg"]["exit"] == {"known_trades": 0, "slippage": None}
    assert (pnl["slippage"], pnl["slippage_known_trades"]) == (None, 0)
    assert pnl["gross"] == pytest.approx(5.0) == pnl["net"] + pnl["fees"]


def test_a_trade_that_is_open_has_given_up_nothing_yet(bench: Bench) -> None:
    bench.forecast("d1", 0.01)
    bench.execute("d1", entry_price=100.5, quantity=2.0, fees=0.2)

    told = live(bench)

    assert (told["trades"]["open"], told["pnl"]["net"], told["pnl"]["fees"]) == (1, 0.0, 0.0)
    assert told["pnl"]["slippage_by_leg"]["entry"] == {"known_trades": 0, "slippage": None}


def test_one_fill_whose_price_before_slippage_is_unknown_makes_the_trade_unknown(bench: Bench) -> None:
    bench.forecast("d1", 0.01)
    bench.execute("d1", quantity=2.0, fees=0.0, reference_price=100.0)
    bench.leave("d1", exit_price=103.0, quantity=1.0, fees=0.0, fill_id="x", reference_price=103.1)
    bench.leave("d1", exit_price=103.0, quantity=1.0, fees=0.0, fill_id="y")

    pnl = live(bench)["pnl"]

    assert pnl["slippage_by_leg"]["exit"] == {"known_trades": 0, "slippage": None}
    assert pnl["slippage_known_trades"] == 0


def test_unknown_fees_are_counted_and_unknown_slippage_adds_nothing(bench: Bench) -> None:
    for number, told in enumerate([{"reference_price": 100.0}, {}]):
        bench.forecast(f"d{number}", 0.01, T0 + number * CANDLE)
        bench.execute(f"d{number}", entry_price=100.2, **told)
        exit_price = {"reference_price": 101.1, "fees": 0.5} if told else {}
        bench.leave(f"d{number}", exit_price=101.0, **exit_price)

    told_live = live(bench)

    pnl = told_live["pnl"]
    assert (pnl["fees_known_trades"], pnl["slippage_known_trades"], told_live["trades"]["closed"]) == (1, 1, 2)
    assert pnl["slippage"] == pytest.approx(0.3)
    assert pnl["gross"] == pnl["net"] + pnl["fees"] + pnl["slippage"]
    assert pnl["net"] == told_live["total_pnl"] == pytest.approx(2 * 0.8 - 0.5)


def test_what_a_fill_would_have_cost_is_no_part_of_its_content(bench: Bench) -> None:
    bench.forecast("d1", 0.01)
    bench.execute("d1", fill_id="a", reference_price=99.0)
    bench.execute("d1", fill_id="a")
    bench.leave("d1", fill_id="x", reference_price=111.0)
    bench.leave("d1", fill_id="x")

    assert live(bench)["pnl"]["slippage"] == pytest.approx(1.0 + 1.0)


def test_a_quarantined_rows_money_stays_and_its_direction_does_not(bench: Bench) -> None:
    known(bench, "d1", 0.01, 0.02)
    bench.execute("d1")
    bench.leave("d1", exit_price=110.0)
    changed(bench, "d1", quarantine_reason="return_out_of_bounds")

    told = live(bench)

    assert (told["forecasts"]["quarantined"], told["forecasts"]["judged"], told["accuracy"]) == (1, 0, None)
    assert (told["trades"]["closed"], told["pnl"]["net"]) == (1, 10.0)
    assert (told["by_symbol"]["BTCUSDC"]["judged"], told["by_symbol"]["BTCUSDC"]["net_pnl"]) == (0, 10.0)


@pytest.mark.parametrize("rule", TRADE_RULES)
def test_a_row_held_for_its_trade_alone_judges_its_forecast(bench: Bench, rule: str) -> None:
    known(bench, "d1", 0.01, 0.02)
    changed(bench, "d1", quarantine_reason=rule)

    told = live(bench)

    assert (told["forecasts"]["quarantined"], told["forecasts"]["judged"], told["accuracy"]) == (0, 1, 1.0)


def test_an_execution_told_late_turns_the_hypothesis_into_a_trade_and_leaves_the_direction(bench: Bench) -> None:
    known(bench, "d1", 0.01, 0.02)
    before = live(bench)
    bench.execute("d1")

    entered = live(bench)
    bench.leave("d1", exit_price=95.0)
    after = live(bench)

    assert before["trades"] == {"open": 0, "closed": 0, "won": 0, "lost": 0, "even": 0}
    assert entered["trades"]["open"] == 1
    assert after["trades"] == {"open": 0, "closed": 1, "won": 0, "lost": 1, "even": 0}
    assert before["accuracy"] == entered["accuracy"] == after["accuracy"] == 1.0


def test_a_hold_that_was_explored_stands_apart(bench: Bench) -> None:
    bench.forecast("chosen", 0.01, T0)
    bench.forecast("tried", 0.001, T0 + CANDLE, action="SELL", reason="explored", explored=True, propensity=0.01)
    bench.execute("chosen")
    bench.leave("chosen", exit_price=103.0)
    bench.execute("tried", side="SELL")
    bench.leave("tried", exit_price=101.0)

    told = live(bench)

    assert (told["explored"]["decisions"], told["explored"]["trades"], told["explored"]["net_pnl"]) == (1, 1, -1.0)
    assert (told["trades"]["closed"], told["pnl"]["net"]) == (2, 2.0)
    assert (told["by_action"]["SELL"]["net_pnl"], told["by_side"]["SELL"]["net_pnl"]) == (-1.0, -1.0)
    assert told["by_action"]["HOLD"]["decisions"] == 0


def test_a_sell_that_opens_nothing_is_judged_by_its_direction_alone(bench: Bench) -> None:
    changed_sides = "UPDATE strategies SET sides = 'long'"
    bench.database.write(lambda session: session.connection().exec_driver_sql(changed_sides) and None)
    known(bench, "d1", -0.01, -0.02)

    told = live(bench)

    assert told["by_action"]["SELL"] == {
        "decisions": 1, "matured": 1, "judged": 1, "correct": 1, "accuracy": 1.0, "trades": 0, "net_pnl": 0.0,
    }  # fmt: skip
    assert told["by_side"]["none"]["correct"] == 1
    assert told["trades"]["closed"] == 0


def test_what_was_open_when_another_version_took_over_is_credited_to_the_one_that_decided(bench: Bench) -> None:
    bench.add_version(OTHER)
    bench.forecast("d1", 0.01)
    bench.execute("d1")
    taken = update(AIModelVersion).values(is_active=AIModelVersion.version_id == OTHER)
    bench.database.write(lambda session: session.execute(taken) and None)
    bench.leave("d1", exit_price=110.0)
    bench.decide("later", T0 + HORIZON, price=102.0)

    assert (live(bench)["pnl"]["net"], live(bench)["forecasts"]["correct"]) == (10.0, 1)
    assert (live(bench, OTHER)["pnl"]["net"], live(bench, OTHER)["forecasts"]["total"]) == (0.0, 0)


def test_a_shadow_is_judged_on_its_own_and_in_no_figure_of_what_was_decided(bench: Bench) -> None:
    bench.add_version(OTHER)
    learned(bench, "2026-03-01T09:00:00Z")
    known(bench, "d1", 0.01, 0.02)
    before = live(bench, OTHER)
    sample_id = bench.sample("d1").id
    beside = Forecast(
        sample_id=sample_id, version_id=OTHER, score=-0.01, expected_return=None, confidence=None, action="SELL",
        role="shadow",
    )  # fmt: skip
    bench.database.write(lambda session: session.add(beside))

    shadow = shown(bench, OTHER)["shadow"]

    assert live(bench, OTHER) == before
    assert (shadow["forecasts"], shadow["matured"], shadow["judged"], shadow["correct"]) == (1, 1, 1, 0)
    assert (shadow["accuracy"], shadow["baseline_accuracy"], shadow["edge"]) == (0.0, 1.0, -1.0)
    assert shown(bench)["shadow"]["forecasts"] == 0


def told_of(bench: Bench, decision_id: str, number: int, move: float | None, score: float | None, symbol: str) -> None:
    """A decision of the version, or where it has no score of the bot, and what came of it."""
    at = T0 + number * CANDLE
    if score is None:
        bench.decide(decision_id, at, symbol=symbol, price=None)
    else:
        bench.forecast(decision_id, score, at, symbol=symbol, price=None)
    if move is not None:
        changed(bench, decision_id, forward_return=move, forward_price_at=at + HORIZON, forward_return_source="candle")


def test_its_evidence_is_that_of_the_nights_where_it_alone_forecast(bench: Bench) -> None:
    random = np.random.default_rng(5)
    for number in range(30):
        for symbol in ("BTCUSDC", "ETHUSDC"):
            move = float(0.02 * random.normal()) - (0.05 if number < 8 else 0.0)
            score = move if random.random() < 0.7 else -move
            told_of(bench, f"{symbol}{number}", number, move, score if number >= 8 else None, symbol)
    before = live(bench)["e_value"]
    told_of(bench, "open", 12, None, 0.01, "SOLUSDC")

    seen = live(bench)["e_value"]

    past = read_past(bench.database, ArtifactStore(bench.settings.model_dir), bench.strategy).past
    nights = evidence_of_nights(past, cost=bench.settings.cost)
    assert nights is not None
    assert seen == pytest.approx(nights.e_value)
    assert seen != before, "a round of which an outcome is awaited is not bet on"


def test_a_version_is_judged_and_bets_only_on_what_it_could_not_have_known(bench: Bench) -> None:
    for number in range(12):
        known(bench, f"d{number}", 0.01 if number % 2 else -0.01, 0.02 if number % 2 else -0.02, 30 * number)
    bench.execute("d1", entry_time=T0 + 30 * CANDLE)
    bench.leave("d1", exit_price=103.0, exit_time=T0 + 32 * CANDLE)
    honest = live(bench)
    learned(bench, "2026-03-06T00:00:00Z")

    told = live(bench)

    assert (honest["accuracy"], honest["forecasts"]["known_before"]) == (1.0, 0)
    assert honest["e_value"] > 20
    for name in ("accuracy", "live_accuracy", "accuracy_ci95", "baseline_accuracy", "edge", "e_value"):
        assert told[name] is None, name
    assert (told["forecasts"]["known_before"], told["forecasts"]["matured"], told["effective_samples"]) == (12, 0, 0)
    assert (told["matured_predictions"], told["correct_predictions"], told["neutral_predictions"]) == (0, 0, 0)
    for part in (told["by_symbol"]["BTCUSDC"], told["by_side"]["none"], told["by_action"]["BUY"]):
        assert (part["matured"], part["judged"], part["correct"], part["accuracy"]) == (0, 0, 0, None)
    assert (told["trades"], told["pnl"]) == (honest["trades"], honest["pnl"])
    assert told["by_side"]["BUY"]["net_pnl"] == honest["total_pnl"] == 3.0


def test_a_decision_at_the_very_moment_of_the_newest_outcome_is_judged_and_one_before_is_not(bench: Bench) -> None:
    for number in range(3):
        known(bench, f"d{number}", 0.01, 0.02 if number else -0.02, 30 * number)

    learned(bench, (T0 + 30 * CANDLE).isoformat())

    told = live(bench)
    assert (told["forecasts"]["known_before"], told["forecasts"]["judged"], told["accuracy"]) == (1, 2, 1.0)


def test_of_decisions_before_what_it_learned_only_those_with_a_known_return_are_known_before(bench: Bench) -> None:
    known(bench, "known", 0.01, 0.02, 0)
    known(bench, "odd", 0.01, 0.03, 3)
    changed(bench, "odd", quarantine_reason="return_out_of_bounds")
    bench.forecast("open", 0.01, T0 + 60 * CANDLE)
    learned(bench, "2026-03-06T00:00:00Z")

    counts = live(bench)["forecasts"]

    assert {name: counts[name] for name in ("total", "matured", "known_before", "pending", "quarantined")} == {
        "total": 3, "matured": 0, "known_before": 1, "pending": 1, "quarantined": 1,
    }  # fmt: skip


def test_after_a_restart_every_figure_is_the_same(bench: Bench) -> None:
    for number in range(12):
        known(bench, f"d{number}", 0.01, 0.003 * (number - 6), 3 * number, symbol=f"S{number % 3}USDC")
        if number % 2:
            bench.execute(f"d{number}", entry_price=100.0 + 0.1 * number, entry_time=T0 + 3 * number * CANDLE)
            bench.leave(f"d{number}", exit_price=101.0 + 0.7 * number, exit_time=None, fees=0.1)
    before = shown(bench)

    again = Database(bench.settings.database_url)
    after = again.read(show_model, VERSION, cost=bench.settings.cost)
    again.close()

    assert after == before


def test_the_counters_of_the_list_say_the_same(bench: Bench) -> None:
    for number in range(6):
        known(bench, f"d{number}", 0.01, 0.02 if number % 2 else -0.001, 20 * number)
    bench.execute("d1", entry_time=T0 + 20 * CANDLE)
    bench.leave("d1", exit_price=103.0, exit_time=T0 + 22 * CANDLE)

    counters, told = bench.counters(), live(bench)

    assert {name: told[name] for name in counters} == pytest.approx(counters)
