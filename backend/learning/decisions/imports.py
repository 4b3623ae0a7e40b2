"""Other bots' closed trades into a strategy: good rows in, each bad one refused alone with index and reason."""

from collections import ChainMap, Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from ai_engine import labels
from backend.errors import InvalidInputError, QuantumTraderError
from backend.learning.decisions.import_rows import ImportRow, Terms, parse
from backend.learning.decisions.known_prices import judge_prices
from backend.learning.decisions.labelling import (
    label_counterfactual,
    label_executed,
    trade_log,
    warn,
    warn_of_early_times,
)
from backend.learning.decisions.prices import markets_of
from backend.learning.decisions.strategies import (
    EXTERNAL,
    check_market,
    check_name,
    ensure_schema,
    ensure_strategy,
    find_strategy,
    names_difference,
    new_strategy,
)
from backend.models import AITrainingSample, FeatureSchema, Strategy
from backend.settings import Settings

MAX_ROWS = 5_000
ID_CHUNK = 1_000
BEGUN = ("name", "market", "timeframe", "horizon_candles", "sides")


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What became of the rows: each is accepted, a duplicate of a stored one, or rejected.

    ``warnings`` counts what is said of accepted rows; ``strategy_begun`` is what a strategy that they begin is held to;
    ``quarantined`` counts, by reason, accepted rows that are kept out of training.
    """

    accepted: int
    duplicates: int
    rejected: list[dict[str, Any]]
    strategy_created: bool
    warnings: dict[str, int] = field(default_factory=dict)
    strategy_begun: dict[str, Any] | None = None
    quarantined: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Earlier:
    """What the batches before this one of the same trial would have stored: the names, and each id's content."""

    names: tuple[str, ...] | None = None
    contents: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Judged:
    """Rows sorted by what becomes of them; ``strategy`` None is not there yet."""

    strategy: Strategy | None
    terms: Terms
    fresh: list[ImportRow]
    duplicates: int
    rejected: dict[int, str]

    def result(self, begun: Strategy | None) -> ImportResult:
        """What is told of them; ``begun`` is the strategy where they begin it."""
        refused = [{"index": index, "reason": self.rejected[index]} for index in sorted(self.rejected)]
        warnings = Counter(row.warning for row in self.fresh if row.warning is not None)
        held_to = {name: getattr(begun, name) for name in BEGUN} if begun else None
        return ImportResult(len(self.fresh), self.duplicates, refused, begun is not None, dict(warnings), held_to)


def import_samples(
    session: Session, strategy_name: str, rows: Sequence[object], *, settings: Settings, now: datetime, actor: str
) -> ImportResult:
    """Store the closed samples among ``rows`` (decoded JSON); nothing at all is written where none is accepted."""
    judged = _judge(session, strategy_name, rows, Terms(settings.sides, settings, now), Earlier())
    begun = None
    if judged.fresh:
        strategy, created = ensure_strategy(
            session, strategy_name, market=EXTERNAL, settings=settings, now=now, actor=actor
        )
        begun = strategy if created else None
        samples = _store(session, strategy, judged.fresh, judged.terms)
        judge_prices(session, strategy, markets_of(strategy, settings), samples)
        held = Counter(sample.quarantine_reason for sample in samples if sample.quarantine_reason is not None)
        return replace(judged.result(begun), quarantined=dict(held))
    return judged.result(begun)


def try_samples(
    session: Session, strategy_name: str, rows: Sequence[object], *, settings: Settings, now: datetime, earlier: Earlier
) -> ImportResult:
    """What ``import_samples`` would answer; nothing is written, and ``earlier`` remembers it for the next batch."""
    judged = _judge(session, strategy_name, rows, Terms(settings.sides, settings, now), earlier)
    for row in judged.fresh:
        earlier.names = earlier.names or row.names
        earlier.contents[row.decision_id] = row.content
    first = judged.strategy is None and len(earlier.contents) == len(judged.fresh) > 0
    return judged.result(new_strategy(strategy_name, market=EXTERNAL, settings=settings) if first else None)


def _judge(session: Session, strategy_name: str, rows: Sequence[object], new: Terms, earlier: Earlier) -> _Judged:
    """Check every row by itself, then against what is stored; ``new`` are the terms of a strategy that is begun."""
    if len(rows) > MAX_ROWS:
        raise InvalidInputError(f"samples may hold {MAX_ROWS} rows at a time, not {len(rows)}.", field="samples")
    strategy = find_strategy(session, check_name(strategy_name))
    if strategy is not None:
        check_market(strategy, EXTERNAL)
    terms = replace(new, sides=strategy.sides) if strategy else new
    parsed, rejected = _parse_all(rows, terms)
    _refuse_other_names(parsed, rejected, earlier.names or _expected_names(session, strategy, parsed))
    fresh, duplicates = _without_known(parsed, rejected, _stored(session, strategy_name, parsed), earlier.contents)
    return _Judged(strategy, terms, fresh, duplicates, rejected)


def _parse_all(rows: Sequence[object], terms: Terms) -> tuple[dict[int, ImportRow], dict[int, str]]:
    parsed: dict[int, ImportRow] = {}
    rejected: dict[int, str] = {}
    for index, raw in enumerate(rows):
        try:
            parsed[index] = parse(raw, terms)
        except QuantumTraderError as error:
            rejected[index] = error.message
    return parsed, rejected


def _expected_names(
    session: Session, strategy: Strategy | None, parsed: dict[int, ImportRow]
) -> tuple[str, ...] | None:
    """The strategy's names; where it has none yet, those that most rows have, of equals the first."""
    if strategy is not None and strategy.feature_schema_id is not None:
        return tuple(session.get_one(FeatureSchema, strategy.feature_schema_id).names)
    counts = Counter(row.names for row in parsed.values())
    return counts.most_common(1)[0][0] if counts else None


def _refuse_other_names(
    parsed: dict[int, ImportRow], rejected: dict[int, str], expected: tuple[str, ...] | None
) -> None:
    for index, row in list(parsed.items()):
        if expected is not None and row.names != expected:
            rejected[index] = f"features: {names_difference(row.names, expected)}"
            del parsed[index]


def _stored(session: Session, strategy: str, parsed: dict[int, ImportRow]) -> dict[str, AITrainingSample]:
    """The decisions that exist already under the rows' ids."""
    ids = sorted({row.decision_id for row in parsed.values()})
    sample, found = AITrainingSample, {}
    for start in range(0, len(ids), ID_CHUNK):
        query = select(sample).where(sample.strategy == strategy, sample.decision_id.in_(ids[start : start + ID_CHUNK]))
        found.update({one.decision_id: one for one in session.scalars(query)})
    return found


def _without_known(
    parsed: dict[int, ImportRow],
    rejected: dict[int, str],
    stored: dict[str, AITrainingSample],
    contents: dict[str, str],
) -> tuple[list[ImportRow], int]:
    """The rows to store; a row told before is a duplicate, other content under a known id is refused."""
    fresh: dict[str, ImportRow] = {}
    told: ChainMap[str, str] = ChainMap({}, contents)
    duplicates = 0
    for index, row in parsed.items():
        earlier, sample = told.get(row.decision_id), stored.get(row.decision_id)
        if earlier is None and sample is None:
            fresh[row.decision_id] = row
            told[row.decision_id] = row.content
        elif earlier == row.content or (sample and _same(sample, row)):
            duplicates += 1
        else:
            rejected[index] = f"decision_id {row.decision_id!r} is stored with other content; use another id."
    return list(fresh.values()), duplicates


def _same(sample: AITrainingSample, row: ImportRow) -> bool:
    """Whether the stored decision is the one the row tells: the very row, or what this service answers of it."""
    if sample.body_hash == row.content:
        return True
    figures, times = row.figures, row.times
    told = {
        "symbol": row.symbol,
        "timestamp": times.timestamp,
        "predicted_action": row.action,
        "prediction_score": figures.prediction_score,
        "prediction_confidence": figures.prediction_confidence,
        "execution_side": row.side,
        "entry_price": figures.entry_price,
        "entry_time": times.entry_time,
        "quantity": figures.quantity,
        "exit_price": figures.exit_price,
        "exit_time": times.exit_time,
        "exit_reason": row.exit_reason,
        "features_blob": _blob(row),
    }
    return (
        all(getattr(sample, name) == value for name, value in told.items())
        and _fees_told(sample) == figures.fees
        and figures.realized_pnl in (None, sample.realized_pnl, sample.reported_pnl)
        and tuple(sample.feature_schema.names) == row.names
    )


def _fees_told(sample: AITrainingSample) -> float | None:
    """The fees that an answer about the row tells: 0 beside ``fees_known`` false stands for none."""
    return sample.fees if sample.fees_known or sample.fees else None


def _blob(row: ImportRow) -> bytes:
    return np.ascontiguousarray(row.features, dtype="<f4").tobytes()


def _store(session: Session, strategy: Strategy, rows: Sequence[ImportRow], terms: Terms) -> list[AITrainingSample]:
    schema = ensure_schema(session, strategy, rows[0].names, now=terms.now)
    samples = [_sample(strategy, schema, row, terms) for row in rows]
    session.add_all(samples)
    session.flush()
    session.add_all(trade_log(sample) for sample in samples if sample.executed)
    session.flush()
    return samples


def _sample(strategy: Strategy, schema: FeatureSchema, row: ImportRow, terms: Terms) -> AITrainingSample:
    """The row as a closed sample. It has no horizon of its own: what it teaches was known when it was left."""
    figures, times, executed = row.figures, row.times, row.side is not None
    sample = AITrainingSample(
        decision_id=row.decision_id,
        strategy=strategy.name,
        symbol=row.symbol,
        timestamp=times.timestamp,
        origin="import",
        predicted_action=row.action,
        prediction_score=figures.prediction_score,
        prediction_confidence=figures.prediction_confidence,
        explored=False,
        feature_schema=schema,
        feature_schema_id=schema.id,
        features_blob=_blob(row),
        body_hash=row.content,
        horizon_at=times.exit_time,
        executed=executed,
        execution_side=row.side,
        entry_price=figures.entry_price,
        quantity=figures.quantity if executed else None,
        entry_time=times.entry_time,
        fees=(figures.fees or 0.0) if executed else None,
        fees_known=executed and figures.fees is not None,
        exit_price=figures.exit_price,
        exit_time=times.exit_time,
        exit_reason=row.exit_reason,
        reported_pnl=figures.realized_pnl,
        created_at=terms.now,
    )
    warn_of_early_times(sample, entry_time=times.entry_time)
    _label(sample, terms)
    if row.warning is not None:
        warn(sample, row.warning)
    return sample


def _label(sample: AITrainingSample, terms: Terms) -> None:
    """What the trade earned, or would have earned; such a row is never settled from candles or later prices."""
    if sample.executed:
        label_executed(sample, now=terms.now)
    elif sample.entry_price is not None and sample.exit_price is not None:
        market_return = labels.market_return(sample.entry_price, sample.exit_price)
        label_counterfactual(sample, market_return, sides=terms.sides, costs=terms.costs, now=terms.now)
