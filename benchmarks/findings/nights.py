"""The nights, one after the other: train on what is known, carry along what earlier nights forecast, then wait and see.

Every version is asked about the rows decided from its night until the next, whose outcomes nobody knew when it was
trained. The same forecasts are what later nights bet on: ``past`` holds those that have matured, and nothing else.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ai_engine import artifact, baselines, pipeline
from ai_engine.artifact import Model
from ai_engine.dataset import Rows, build
from ai_engine.past import Champion, Matured, Past
from ai_engine.pipeline import Trained, TrainingContext
from ai_engine.policy import PolicySettings, choose
from ai_engine.types import FloatArray, Forecasts, TimeArray
from backend.clock import from_ms, iso
from backend.learning.versions.retrain import SEED
from benchmarks.findings.naive import random_split
from benchmarks.findings.sets import DAY_MS, HORIZON_CANDLES, DataSet

VALIDATION_RULE = 0.60
BELIEVED = ("evidence", "strong_evidence")
EVERY_NTH_NAIVE = 4
TRADERS = ("recommended", "rule_of_60", "newest", "service")
"""Who trades what, and which columns of ``Followed.directions`` are whose."""


@dataclass(frozen=True, slots=True)
class Night:
    """One training: its moment, the report, and what was measured beside it.

    ``delayed`` is the report, after a verdict of evidence, of the same training on orders filled a candle later.
    """

    at: int
    report: dict[str, Any]
    naive: dict[str, float] | None
    delayed: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Followed:
    """Rows decided between a night and the next, in time order; arrays of shape (n,).

    ``late`` is the return of an order filled a candle later than ``y`` supposes.
    ``directions`` has a row for each of ``TRADERS``: +1, -1, or 0 where that trader stays out.
    """

    times: TimeArray
    ends: TimeArray
    symbols: np.ndarray[tuple[int], np.dtype[np.str_]]
    y: FloatArray
    late: FloatArray
    scores: FloatArray
    ridge: FloatArray
    directions: FloatArray


@dataclass(slots=True)
class _Bench:
    """What a service remembers from night to night."""

    active: Champion | None = None
    models: dict[str, Model] = field(default_factory=dict)
    matured: list[Matured] = field(default_factory=list)


def imitate(
    rows: Rows, data: DataSet, *, cost: float, most: int | None = None, tell: Callable[[float], None] = lambda _: None
) -> Iterator[tuple[Night, Followed]]:
    """Yield each night with what came after it; at most ``most`` nights, evenly spread over the same history."""
    bench = _Bench()
    nights = _moments(data, most)
    for number, (night, until) in enumerate(nights):
        known = (rows.ends <= night) & (rows.times > night - data.window_days * DAY_MS)
        seen, after = part(rows, known), part(rows, (rows.times >= night) & (rows.times < until))
        context = _context(data, cost, looks=number + 1)
        trained = pipeline.train(seen, context, past=Past(_known(bench.matured, night), bench.active))
        if not isinstance(trained, Trained) or not len(after):
            continue
        naive = random_split(seen, cost=cost) if number % EVERY_NTH_NAIVE == 0 else None
        _activate(bench, trained, known_until=int(seen.ends.max()), name=iso(from_ms(night)))
        followed = _follow(bench, seen, after, cost)
        yield Night(night, trained.report, naive, _delayed(seen, context, trained)), followed
        tell((number + 1) / len(nights))


def _moments(data: DataSet, most: int | None) -> list[tuple[int, int]]:
    first, last = data.span
    nights = np.arange(first + data.window_days * DAY_MS, last, data.every_days * DAY_MS).tolist()
    if most is not None:
        nights = nights[:: -(-len(nights) // most)]
    return list(zip(nights, [*nights[1:], last], strict=True))


def _context(data: DataSet, cost: float, *, looks: int) -> TrainingContext:
    return TrainingContext(data.name, data.terms.timeframe_ms, HORIZON_CANDLES, cost, SEED, looks)


def part(rows: Rows, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Rows:
    """The chosen rows, sorted by time and symbol."""
    index = np.flatnonzero(chosen)
    index = index[np.lexsort((np.asarray(rows.symbols)[index], rows.times[index]))]
    arrays = ("times", "ends", "X", "forward_returns", "market_returns")
    words = ("decision_ids", "symbols", "label_sources")
    columns: dict[str, Any] = {name: getattr(rows, name)[index] for name in arrays}
    columns |= {name: tuple(np.asarray(getattr(rows, name))[index].tolist()) for name in words}
    return replace(rows, **columns)


def _delayed(seen: Rows, context: TrainingContext, trained: Trained) -> dict[str, Any] | None:
    """What is left of evidence where the price that the features ended with is no longer the price that is paid."""
    if trained.report["verdict"] not in BELIEVED:
        return None
    again = pipeline.train(replace(seen, forward_returns=seen.market_returns), context)
    return again.report if isinstance(again, Trained) else None


def _known(matured: list[Matured], night: int) -> Matured | None:
    """Earlier forecasts whose outcomes were known at this night."""
    if not matured:
        return None
    names = ("times", "ends", "y", "scores")
    times, ends, y, scores = (np.concatenate([getattr(one, name) for one in matured]) for name in names)
    known = ends <= night
    return Matured(times[known], ends[known], y[known], scores[known])


def _activate(bench: _Bench, trained: Trained, *, known_until: int, name: str) -> None:
    """Each trader's way to choose a version; the service's own champion is only ever a recommended one."""
    model = artifact.load(trained.artifact)
    bench.models["newest"] = bench.models["service"] = model
    if trained.report["recommended"]:
        bench.models["recommended"] = model
        bench.active = Champion(name, trained.artifact, known_until)
    if (trained.report["validation_accuracy"] or 0.0) > VALIDATION_RULE:
        bench.models["rule_of_60"] = model


def _follow(bench: _Bench, seen: Rows, after: Rows, cost: float) -> Followed:
    scores = bench.models["newest"].scores(after.X)
    directions = np.zeros((len(TRADERS), len(after)))
    for place, trader in enumerate(TRADERS):
        model = bench.models.get(trader)
        if model is not None and trader != "service":
            directions[place] = np.sign(model.scores(after.X))
    directions[TRADERS.index("service")] = _by_default(bench.models["service"].forecast(after.X), cost)
    decides = bench.models.get("recommended")  # while none is active, the newest version stands in, as in the service
    told = scores if decides is None else decides.scores(after.X)
    bench.matured.append(Matured(after.times, after.ends, after.forward_returns, told))
    learned = build(seen)
    ridge = baselines.fit_ridge(learned.X, learned.y, learned.weights).predict(after.X)
    return Followed(
        times=after.times,
        ends=after.ends,
        symbols=np.asarray(after.symbols, dtype=np.str_),
        y=after.forward_returns,
        late=after.market_returns,
        scores=scores,
        ridge=ridge,
        directions=directions,
    )


def _by_default(forecasts: Forecasts, cost: float) -> FloatArray:
    """What the service would do on an exchange if the newest version were active: its defaults, no exploration."""
    policy = PolicySettings(0.51, require_edge=True, cost=cost, sides="long,short", exploration_rate=0.0)
    sides = {"BUY": 1.0, "SELL": -1.0, "HOLD": 0.0}
    rows = (forecasts.row(place) for place in range(len(forecasts)))
    return np.array([sides[choose(one, policy, uniform=None).action] for one in rows])
