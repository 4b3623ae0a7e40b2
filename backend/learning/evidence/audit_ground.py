"""What a self-audit is made of: the rows that tonight's training would read, and the candles they were seen in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from ai_engine.candles import Candles, timeframe_ms
from ai_engine.features.catalogue import FEATURE_NAMES, WINDOW
from ai_engine.pipeline import TrainingContext
from backend.clock import from_ms
from backend.learning.decisions.prices import markets_of, posted_market
from backend.learning.decisions.rows import TrainingRead, read_training_rows
from backend.learning.versions.retrain import count_outcomes
from backend.market import candles as store
from backend.models import Strategy
from backend.settings import Settings


@dataclass(frozen=True)
class Reading:
    """What one read transaction brought; ``candles`` is empty where the features are a bot's own."""

    rows: TrainingRead
    candles: Mapping[str, Candles]
    context: TrainingContext
    known_outcomes: int


def read_ground(session: Session, strategy: Strategy, settings: Settings, *, seed: int) -> Reading:
    """The rows of the training window, the candles of their symbols, and the context of a training now."""
    rows = read_training_rows(session, strategy, window_days=settings.ai_retrain_window_days)
    return Reading(
        rows=rows,
        candles=_candles(session, strategy, settings, rows),
        context=TrainingContext(
            strategy=strategy.name,
            timeframe_ms=timeframe_ms(strategy.timeframe),
            horizon_candles=strategy.horizon_candles,
            cost=settings.cost,
            seed=seed,
            looks=strategy.looks or 0,
        ),
        known_outcomes=count_outcomes(session, strategy.name)[0],
    )


def _candles(session: Session, strategy: Strategy, settings: Settings, read: TrainingRead) -> dict[str, Candles]:
    """Each symbol's candles over the window, of the market that holds the most of them."""
    if read.rows.feature_names != FEATURE_NAMES or len(read.rows) == 0:
        return {}
    length = timeframe_ms(strategy.timeframe)
    until = from_ms(int(read.rows.ends.max())) + timedelta(milliseconds=2 * length)
    count = int(read.rows.ends.max() - read.rows.times.min()) // length + WINDOW + 4
    markets = dict.fromkeys((*markets_of(strategy, settings), posted_market(strategy.name)))
    found = {}
    for symbol in sorted(set(read.rows.symbols)):
        series = [store.window(session, market, symbol, strategy.timeframe, until, count) for market in markets]
        best = max(series, key=len)
        if len(best) > WINDOW:
            found[symbol] = best
    return found
