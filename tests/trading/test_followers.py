"""A bot that leaves its prices to the trader's market: each round settles it, in market time."""

from collections.abc import Callable
from datetime import datetime

import pytest

from backend.learning.decisions.observed import DecisionBody
from backend.learning.decisions.posted import DecisionService, post_decision
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.market.simulated import SimulatedMarket
from backend.trading.context import TraderContext
from backend.trading.round import Trader
from tests.trading.desk import FIVE_MINUTES, Desk

SYMBOL = "BTCUSDC"
HORIZON = 12


@pytest.fixture
def desk(open_desk: Callable[..., Desk]) -> Desk:
    return open_desk(market="simulated", strategy="simulated")


def start(desk: Desk) -> Trader:
    """A trader on the simulated market that has taken its first round."""
    feed = SimulatedMarket((SYMBOL,), "5m", seed=3, now=desk.clock)
    trader = Trader(TraderContext(desk.database, desk.settings, serving_of(desk), feed, "simulated", desk.clock))
    trader.step(next(iter(feed.rounds(trader.after))))
    return trader


@pytest.fixture
def trader(desk: Desk) -> Trader:
    return start(desk)


def serving_of(desk: Desk) -> Serving:
    return Serving(ArtifactStore(desk.settings.model_dir))


def post(desk: Desk, action: str, at: datetime) -> None:
    """A decision without a price, in a strategy of the bot's own."""
    service = DecisionService(desk.database, desk.settings, serving_of(desk), desk.clock)
    told = {"symbol": SYMBOL, "timestamp": at, "features": {"alpha": 1.0}, "predicted_action": action}
    post_decision(service, "bot", DecisionBody(decision_id=action, **told), "trader")


def test_a_decision_without_price_is_settled_from_the_markets_candles(desk: Desk, trader: Trader) -> None:
    decided = trader.after
    for action in ("BUY", "SELL", "HOLD"):
        post(desk, action, decided)
    rows = "select predicted_action, price, state, forward_return, label_source, target_label from ai_training_samples"
    own = f"{rows} where strategy = 'bot' order by 1"

    rounds = [one for one, _ in zip(trader.feed.rounds(decided), range(HORIZON), strict=False)]
    trader.step(rounds[0])
    reference = rounds[0].candles[SYMBOL][0]
    assert {(price, state) for _, price, state, *_ in desk.rows(own)} == {(reference, "pending")}
    trader.steps(rounds[1:-1])
    assert {state for _, _, state, *_ in desk.rows(own)} == {"pending"}
    result = trader.step(rounds[-1])

    assert rounds[-1].close_time == decided + HORIZON * FIVE_MINUTES
    moved = rounds[-1].candles[SYMBOL][3] / reference - 1
    nets = {"BUY": moved - 0.0024, "SELL": -moved - 0.0024, "HOLD": 0.0}
    assert [(action, state, source) for action, _, state, _, source, _ in desk.rows(own)] == [
        (action, "closed", "counterfactual") for action in sorted(nets)
    ]
    assert all(forward == pytest.approx(moved) for *_, forward, _, _ in desk.rows(own))
    assert [label for *_, label in desk.rows(own)] == pytest.approx([nets[action] for action in sorted(nets)])
    assert result.settled == 3 + len(rounds[-1].candles)


def test_bots_change_nothing_for_the_trader(desk: Desk, trader: Trader, open_desk: Callable[..., Desk]) -> None:
    alone = open_desk(market="simulated", strategy="simulated")
    undisturbed = start(alone)
    post(desk, "BUY", trader.after)

    for one, _ in zip(trader.feed.rounds(trader.after), range(2 * HORIZON), strict=False):
        undisturbed.step(one)
        trader.step(one)

    query = (
        "select decision_id, price, state, forward_return, target_label from ai_training_samples"
        " where strategy = 'simulated' order by 1"
    )
    assert desk.rows(query) == alone.rows(query)
    assert len(desk.rows(query)) == 2 * HORIZON + 1
