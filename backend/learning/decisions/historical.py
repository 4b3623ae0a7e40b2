"""Samples from candles of the past: what the trader would have seen, and what the market did after it.

Each row is computed as a live one is: the same features, the cold-start rule's action, the next candle's open as
reference and the price at the horizon. Nobody made these decisions, so no version is credited with them; they train,
tagged ``historical``, and weigh less as executed rows arrive.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import numpy as np
from sqlalchemy import ColumnElement, Table, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from ai_engine import labels
from ai_engine.features.catalogue import FEATURE_NAMES
from ai_engine.features.compute import compute_history
from ai_engine.policy import PolicySettings, cold_start
from ai_engine.types import FeatureMatrix, LabelSource
from backend.clock import from_ms, iso, to_ms
from backend.database import Database
from backend.errors import ConflictError
from backend.learning.decisions.historical_plan import Places, Plan, Terms
from backend.learning.decisions.labelling import Costs, hypothetical
from backend.learning.decisions.plausibility import RETURN_OUT_OF_BOUNDS, out_of_bounds
from backend.learning.decisions.strategies import (
    CLOSED_MARKETS,
    DEFAULT,
    EXTERNAL,
    check_name,
    check_schema,
    ensure_schema,
    ensure_strategy,
    find_strategy,
    new_strategy,
)
from backend.models import AITrainingSample, FeatureSchema
from backend.operations import audit
from backend.settings import Settings

HISTORICAL = LabelSource.HISTORICAL.value
_TABLE = cast("Table", AITrainingSample.__table__)


@dataclass(frozen=True, slots=True)
class Recording:
    """By whom and when rows are written, and the settings in force: fees and slippage are those of the labels."""

    settings: Settings
    now: datetime
    actor: str


def terms_of(session: Session, name: str, *, source: str | None, settings: Settings) -> Terms:
    """The strategy's terms, after every check that needs no candle; nothing is written.

    ``source`` is the market that the candles come from, None for files, which are candles of a real market.

    Raises
    ------
    ConflictError
        ``market_mismatch``: real candles and those of a simulated market never share a strategy.
    InvalidInputError
        If the strategy has a feature schema other than the catalogue's.
    """
    known = find_strategy(session, check_name(name))
    strategy = known or new_strategy(name, market=_market_of(name, source, settings), settings=settings)
    _check_market(name, strategy.market, source)
    if strategy.feature_schema_id is not None:
        names = session.get_one(FeatureSchema, strategy.feature_schema_id).names
        check_schema(name, names, FEATURE_NAMES)
    return Terms(name, strategy.market, known is not None, strategy.timeframe, strategy.horizon_candles, strategy.sides)


def _market_of(name: str, source: str | None, settings: Settings) -> str:
    """The market that a new strategy would begin with."""
    if name == settings.strategy and settings.market != "off":
        return settings.market
    return EXTERNAL if source is None or name == DEFAULT else source


def _check_market(name: str, market: str, source: str | None) -> None:
    if market in CLOSED_MARKETS and source != market:
        what = "candle files hold a real market's" if source is None else f"these are candles of {source}"
        raise ConflictError(
            f"Strategy {name!r} learns from market {market!r}, and {what}; simulated or replayed samples never share a"
            " strategy with others. Name another one: qt warm-start --strategy default.",
            reason="market_mismatch",
            strategy=name,
            market=market,
        )
    if source in CLOSED_MARKETS and market != source:
        raise ConflictError(
            f"Strategy {name!r} learns from market {market!r}, and these are candles of the {source} market. Name that"
            f" market's own strategy: qt warm-start --strategy {source}.",
            reason="market_mismatch",
            strategy=name,
            market=market,
        )


def without_known(session: Session, plan: Plan, terms: Terms) -> Plan:
    """The plan without rows that are stored already, and without moments that the strategy has itself decided."""
    if not len(plan):
        return plan
    stored: dict[str, dict[str, set[int]]] = {"stored_before": {}, "decided_live": {}}
    row = AITrainingSample
    query = select(row.symbol, row.timestamp, row.origin).where(
        row.strategy == terms.strategy,
        row.timestamp.between(*plan.span),
        row.origin.in_((HISTORICAL, "decision")),
    )
    for symbol, timestamp, origin in session.execute(query):
        reason = "stored_before" if origin == HISTORICAL else "decided_live"
        stored[reason].setdefault(symbol, set()).add(to_ms(timestamp))
    places, left_out = dict(plan.places), dict(plan.left_out)
    for reason, moments in stored.items():
        left_out[reason] = 0
        for symbol, one in places.items():
            known = np.isin(one.times, np.array(sorted(moments.get(symbol, ())), dtype=np.int64))
            left_out[reason] += int(known.sum())
            places[symbol] = one.part(~known)
    return Plan(places, left_out)


def add(
    database: Database, terms: Terms, plan: Plan, recording: Recording, progress: Callable[[float], None]
) -> tuple[int, bool]:
    """Compute and store the planned rows, a batch a transaction; how many are new, and whether the strategy is."""
    if not len(plan):
        return 0, False
    schema_id, created = database.write(_begin, terms, plan, recording)
    common = {"feature_schema_id": schema_id, "outcome_recorded_at": recording.now, "created_at": recording.now}
    added = done = 0
    for batch in plan.batches():
        rows = [row | common for row in rows_of(batch, terms, recording.settings)]
        added += database.write(_store, rows)
        done += len(rows)
        progress(done / len(plan))
    return added, created


def _begin(session: Session, terms: Terms, plan: Plan, recording: Recording) -> tuple[int, bool]:
    """Begin the strategy where it is new, with the trader's schema, whose id is given back; audited."""
    now, actor = recording.now, recording.actor
    strategy, created = ensure_strategy(
        session, terms.strategy, market=terms.market, settings=recording.settings, now=now, actor=actor
    )
    schema = ensure_schema(session, strategy, FEATURE_NAMES, now=now)
    detail = {"rows": len(plan), "symbols": sorted(plan.places), "left_out": plan.left_out}
    named = {"strategy": terms.strategy, "subject": terms.strategy}
    audit.append(session, at=now, actor=actor, action="historical_added", detail=detail, **named)
    return schema.id, created


def rows_of(batch: Mapping[str, Places], terms: Terms, costs: Costs) -> list[dict[str, Any]]:
    """The batch as rows of the table, but for their schema and the times of recording."""
    rows = []
    for symbol, places in batch.items():
        for number, seen in enumerate(compute_history(places.candles, places.ends)):
            row = _row(symbol, places, number, terms) | _decided(seen, terms)
            forward = labels.forward_return(float(places.references[number]), float(places.prices[number]))
            label = hypothetical(row["predicted_action"], forward, sides=terms.sides, costs=costs)
            rows.append(row | _earned(forward, label))
    return rows


def _row(symbol: str, places: Places, number: int, terms: Terms) -> dict[str, Any]:
    closed = from_ms(places.times[number])
    return {
        "decision_id": f"{HISTORICAL}-{symbol}-{terms.timeframe}-{iso(closed)}",
        "strategy": terms.strategy,
        "symbol": symbol,
        "timestamp": closed,
        "origin": HISTORICAL,
        "state": "closed",
        "price": float(places.references[number]),
        "horizon_at": from_ms(int(places.times[number]) + terms.horizon_ms),
        "forward_price_at": from_ms(places.priced_at[number]),
        "forward_return_source": HISTORICAL,
        "explored": False,
        "executed": False,
        "fees_known": False,
    }


def _decided(features: FeatureMatrix, terms: Terms) -> dict[str, Any]:
    """What the rule says to the features; it asks for no threshold, and explores nothing here."""
    policy = PolicySettings(min_confidence=0.0, require_edge=False, cost=0.0, sides=terms.sides, exploration_rate=0.0)
    choice = cold_start(features, FEATURE_NAMES, policy, uniform=None)
    return {
        "features_blob": np.ascontiguousarray(features, dtype="<f4").tobytes(),
        "predicted_action": choice.action,
        "reason": choice.reason,
        "propensity": choice.propensity,
    }


def _earned(forward: float, label: float) -> dict[str, Any]:
    return {
        "forward_return": forward,
        "market_return": forward,
        "target_label": label,
        "target_class": labels.target_class(label).value,
        "label_source": HISTORICAL,
        "outcome_known": True,
        "quarantine_reason": RETURN_OUT_OF_BOUNDS if out_of_bounds("forward_return", forward) else None,
    }


def _store(session: Session, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert those that do not exist yet; how many they were."""
    connection = session.connection()
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(_TABLE).on_conflict_do_nothing().returning(_TABLE.c.id)
    return len(connection.execute(statement, list(rows)).all()) if rows else 0


def remove(session: Session, strategy: str, *, now: datetime, actor: str) -> int:
    """Take every historical row of the strategy away again; versions trained on them stay."""
    removed = count(session, strategy)
    if removed:
        session.execute(delete(AITrainingSample).where(*_historical(strategy)))
        named = {"strategy": strategy, "subject": strategy}
        audit.append(session, at=now, actor=actor, action="historical_removed", detail={"rows": removed}, **named)
    return removed


def count(session: Session, strategy: str) -> int:
    """How many historical rows the strategy holds."""
    return session.scalar(select(func.count()).select_from(AITrainingSample).where(*_historical(strategy))) or 0


def newest_outcome(session: Session, strategy: str) -> datetime | None:
    """The decision time from which the training window is counted back."""
    row = AITrainingSample
    known = (row.strategy == strategy, row.outcome_known.is_(True), row.origin != LabelSource.SYNTHETIC.value)
    return session.scalar(select(func.max(row.timestamp)).where(*known))


def _historical(strategy: str) -> tuple[ColumnElement[bool], ...]:
    return AITrainingSample.strategy == strategy, AITrainingSample.origin == HISTORICAL
