"""Lists newest first, page by page, in the contract's keys."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from backend.errors import InvalidInputError, NotFoundError
from backend.learning.decisions.queries import SampleFilter, get_decision, list_decisions, list_samples

PROMISED = [
    "id",
    "decision_id",
    "strategy",
    "symbol",
    "timestamp",
    "predicted_action",
    "prediction_score",
    "prediction_confidence",
    "model_version",
    "executed",
    "execution_side",
    "entry_price",
    "quantity",
    "fees",
    "fees_known",
    "entry_time",
    "exit_price",
    "exit_time",
    "exit_reason",
    "realized_pnl",
    "market_return",
    "forward_return",
    "target_label",
    "target_class",
    "label_source",
    "outcome_known",
]


def ids(bench: Any, **chosen: Any) -> list[str]:
    found, _ = bench.database.read(list_samples, SampleFilter(bench.strategy, **chosen))
    return [sample["decision_id"] for sample in found]


def test_a_sample_has_every_key_of_the_contract_and_is_strict_json(bench: Any, minutes: Any) -> None:
    bench.decide()
    bench.decide("d2", minutes(60))

    found, _ = bench.database.read(list_samples, SampleFilter("bot", features=True))

    for sample in found:
        assert set(PROMISED) <= set(sample)
        assert json.loads(json.dumps(sample, allow_nan=False)) == sample
    assert found[0]["timestamp"] == "2026-03-01T11:00:00Z"
    assert (found[0]["features"], found[0]["feature_names"]) == ([1.0, 2.0], ["alpha", "beta"])
    assert [found[0][key] for key in ("entry_time", "target_label", "forward_return")] == [None] * 3


def test_filters_choose(bench: Any, minutes: Any) -> None:
    bench.add_version()
    bench.decide("buy", minutes(0))
    bench.decide("sell", minutes(60), action="SELL", price=90.0)
    bench.forecast("eth", 0.01, minutes(30), symbol="ETHUSDC")
    bench.decide("traded", minutes(90), symbol="SOLUSDC")
    bench.execute("traded", entry_time=minutes(90))

    assert ids(bench) == ["traded", "sell", "eth", "buy"]
    assert ids(bench, symbol="ETHUSDC") == ["eth"]
    assert ids(bench, action="SELL") == ["sell"]
    assert ids(bench, target_class="LOSS") == ["buy"]
    assert ids(bench, label_source="counterfactual") == ["buy"]
    assert ids(bench, model_version="v20260301_000000") == ["eth"]
    assert ids(bench, outcome_known=True) == ["buy"]
    assert ids(bench, outcome_known=False) == ["traded", "sell", "eth"]
    assert ids(bench, executed=True) == ids(bench, state="open") == ["traded"]
    assert ids(bench, since=minutes(30), until=minutes(60)) == ["sell", "eth"]


@given(slots=st.lists(st.integers(0, 5), min_size=1, max_size=12), limit=st.integers(1, 5))
@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_show_every_sample_once_newest_first(bench: Any, minutes: Any, slots: list[int], limit: int) -> None:
    bench.strategy = f"bot-{bench.now.timestamp():.0f}"
    bench.now += timedelta(seconds=1)
    for number, slot in enumerate(slots):
        bench.decide(f"d{number}", minutes(slot))

    shown, cursor = [], None
    while True:
        page, cursor = bench.database.read(list_samples, SampleFilter(bench.strategy, limit=limit, cursor=cursor))
        shown += page
        assert len(page) <= limit
        if cursor is None:
            break

    keys = [(sample["timestamp"], sample["id"]) for sample in shown]
    assert keys == sorted(keys, reverse=True)
    assert sorted(sample["decision_id"] for sample in shown) == sorted(f"d{i}" for i in range(len(slots)))


@pytest.mark.parametrize("cursor", ["", "x", "1", "-1-1", "1-", "9" * 40 + "-1", "1-1 ", "1-1\n"])
def test_a_made_up_cursor_is_refused(bench: Any, cursor: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        ids(bench, cursor=cursor)
    assert caught.value.extra["field"] == "cursor"


def test_the_furthest_cursor_is_an_empty_page(bench: Any) -> None:
    bench.decide()

    assert ids(bench, cursor=f"{'9' * 16}-{'9' * 18}") == ["d1"]
    assert ids(bench, cursor="0-0") == []


def test_a_restarted_bot_sees_what_it_still_holds(bench: Any) -> None:
    bench.decide()
    bench.execute(quantity=1.0)
    bench.leave(quantity=0.25, fill_id="x")

    (held,), _ = bench.database.read(list_decisions, SampleFilter("bot", state="open"))

    assert (held["decision_id"], held["quantity"], held["exited_quantity"]) == ("d1", 1.0, 0.25)
    assert bench.database.read(get_decision, "bot", "d1") == held


def test_what_is_not_open_holds_nothing(bench: Any) -> None:
    bench.decide()
    assert bench.database.read(get_decision, "bot", "d1")["exited_quantity"] is None

    bench.execute()
    bench.leave()

    assert bench.database.read(get_decision, "bot", "d1")["exited_quantity"] is None


def test_unknown_states_and_decisions_are_refused(bench: Any) -> None:
    bench.decide()

    with pytest.raises(InvalidInputError):
        ids(bench, state="opened")
    with pytest.raises(NotFoundError):
        bench.database.read(get_decision, "bot", "d2")
