"""Strategies: found, begun by a first write, and held to their market and feature schema."""

import difflib
import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ai_engine.candles import timeframe_ms
from ai_engine.features.catalogue import schema_hash
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.learning.decisions.checks import MAX_FEATURES
from backend.models import FeatureSchema, Strategy
from backend.operations import audit
from backend.settings import Settings

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
DEFAULT = "default"
EXTERNAL = "external"
CLOSED_MARKETS = frozenset({"simulated", "replay"})
MAX_NAME_LENGTH = 128
SHOWN_NAMES = 20


def check_name(name: str) -> str:
    """The name itself, where it has the form of a strategy's."""
    if not NAME.fullmatch(name):
        raise InvalidInputError(
            f"strategy must begin with a-z or 0-9, followed by up to 63 of a-z, 0-9, '_' or '-'; not {name[:80]!r}.",
            field="strategy",
        )
    return name


def find_strategy(session: Session, name: str) -> Strategy | None:
    """The strategy, or None where nothing was ever written to it."""
    return session.get(Strategy, name)


def get_strategy(session: Session, name: str, *, settings: Settings) -> Strategy:
    """The strategy; ``default`` and the configured one exist for reading before anything is stored in them."""
    strategy = find_strategy(session, check_name(name))
    if strategy is not None:
        return strategy
    if name == settings.strategy:
        return new_strategy(name, market=EXTERNAL if settings.market == "off" else settings.market, settings=settings)
    if name == DEFAULT:
        return new_strategy(name, market=EXTERNAL, settings=settings)
    raise unknown_strategy(session, name, also=(DEFAULT, settings.strategy))


def unknown_strategy(session: Session, name: str, *, also: Iterable[str]) -> NotFoundError:
    """The error for a strategy that does not exist, with the nearest name that does."""
    known = sorted({*session.scalars(select(Strategy.name)), *also})
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    nearest = near[0] if near else known[0]
    return NotFoundError(
        f"There is no strategy {name!r}. Did you mean {nearest!r}?", reason="unknown_strategy", nearest=nearest
    )


def ensure_strategy(
    session: Session, name: str, *, market: str, settings: Settings, now: datetime, actor: str
) -> tuple[Strategy, bool]:
    """The strategy, begun by this write if need be (audited), and whether it was."""
    strategy = find_strategy(session, check_name(name))
    if strategy is None:
        strategy, created = _create(session, new_strategy(name, market=market, settings=settings), now)
        if created:
            detail = {key: getattr(strategy, key) for key in ("market", "timeframe", "horizon_candles", "sides")}
            audit.append(
                session, at=now, actor=actor, action="strategy_created", strategy=name, subject=name, detail=detail
            )
            return strategy, True
    check_market(strategy, market)
    return strategy, False


def check_market(strategy: Strategy, market: str) -> None:
    """Refuse a row of another market where either of the two is not a real one."""
    if market != strategy.market and CLOSED_MARKETS & {market, strategy.market}:
        raise ConflictError(
            f"Strategy {strategy.name!r} holds samples of market {strategy.market!r}; this one is of {market!r}, and"
            " simulated or replayed samples never share a strategy with others. Name another one with ?strategy=.",
            reason="market_mismatch",
            strategy=strategy.name,
            market=strategy.market,
        )


def ensure_schema(
    session: Session, strategy: Strategy, names: Iterable[str], *, now: datetime | None = None
) -> FeatureSchema:
    """The strategy's feature schema: the first accepted names fix it, other names are refused."""
    wanted = check_feature_names(names)
    if strategy.feature_schema_id is None:
        schema = _find_or_add_schema(session, wanted, now or strategy.created_at)
        strategy.feature_schema_id = schema.id
        session.flush()
        return schema
    schema = session.get_one(FeatureSchema, strategy.feature_schema_id)
    check_schema(strategy.name, schema.names, wanted)
    return schema


def check_schema(strategy: str, expected: Iterable[str], given: Iterable[str]) -> None:
    """Refuse feature names other than the strategy's, naming what is missing and what is too much."""
    expected, given = set(expected), set(given)
    difference = names_difference(given, expected)
    if difference is not None:
        raise InvalidInputError(
            f"features: {difference} An admin admits a new set of names with POST /ai/strategies/{strategy}/schema.",
            field="features",
            reason="feature_names_mismatch",
            missing=sorted(expected - given),
            extra=sorted(given - expected),
        )


def admit_schema(
    session: Session, strategy: Strategy, names: Iterable[str], now: datetime, actor: str
) -> FeatureSchema:
    """Make ``names`` the strategy's schema from now on (audited); training uses rows that hold all of them."""
    before = strategy.feature_schema_id
    schema = _find_or_add_schema(session, check_feature_names(names), now)
    if before == schema.id:
        return schema
    strategy.feature_schema_id = schema.id
    old = set(session.get_one(FeatureSchema, before).names) if before is not None else set()
    new = set(schema.names)
    audit.append(
        session,
        at=now,
        actor=actor,
        action="schema_admitted",
        strategy=strategy.name,
        subject=schema.hash,
        detail={"features": len(new), "added": sorted(new - old), "removed": sorted(old - new)},
    )
    session.flush()
    return schema


def names_difference(given: Iterable[str], expected: Iterable[str]) -> str | None:
    """What is missing and what is too much, as a sentence; None where the sets are equal."""
    missing, extra = sorted(set(expected) - set(given)), sorted(set(given) - set(expected))
    if not missing and not extra:
        return None
    return " ".join(f"{kind}: {_shown(names)}." for kind, names in (("Missing", missing), ("Extra", extra)) if names)


def check_feature_names(names: Iterable[str]) -> tuple[str, ...]:
    """The names sorted, each once, none empty, not too many."""
    given = tuple(names)
    check_feature_count(len(given))
    wanted = tuple(sorted(given))
    if not wanted:
        raise InvalidInputError("features must hold at least one name and number.", field="features")
    for name in wanted:
        if not name.strip() or len(name) > MAX_NAME_LENGTH:
            raise InvalidInputError(
                f"features: a name must have 1 to {MAX_NAME_LENGTH} characters, not {name[:140]!r}.", field="features"
            )
    if len(set(wanted)) != len(wanted):
        raise InvalidInputError("features: each name may stand only once.", field="features")
    return wanted


def check_feature_count(count: int) -> None:
    """Refuse more features than a strategy may have."""
    if count > MAX_FEATURES:
        raise InvalidInputError(f"features may hold {MAX_FEATURES} names, not {count}.", field="features")


def timeframe_of(strategy: Strategy) -> timedelta:
    """The length of one candle."""
    return timedelta(milliseconds=timeframe_ms(strategy.timeframe))


def horizon_of(strategy: Strategy) -> timedelta:
    """How long after a decision its forward return is read."""
    return strategy.horizon_candles * timeframe_of(strategy)


def new_strategy(name: str, *, market: str, settings: Settings) -> Strategy:
    """The strategy as a first write would begin it; not stored."""
    return Strategy(
        name=name,
        market=market,
        timeframe=settings.timeframe,
        horizon_candles=settings.horizon_candles,
        sides=settings.sides,
        looks=0,
    )


def _create(session: Session, strategy: Strategy, now: datetime) -> tuple[Strategy, bool]:
    strategy.created_at = now
    try:
        with session.begin_nested():
            session.add(strategy)
    except IntegrityError:  # another process began it between our look and our insert
        return session.get_one(Strategy, strategy.name), False
    return strategy, True


def _find_or_add_schema(session: Session, names: tuple[str, ...], now: datetime) -> FeatureSchema:
    query = select(FeatureSchema).where(FeatureSchema.hash == schema_hash(names))
    schema = session.scalars(query).first()
    if schema is not None:
        return schema
    try:
        with session.begin_nested():
            schema = FeatureSchema(hash=schema_hash(names), names=list(names), created_at=now)
            session.add(schema)
    except IntegrityError:  # the same names, added by another process meanwhile
        return session.scalars(query).one()
    return schema


def _shown(names: list[str]) -> str:
    rest = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f" and {rest} more" if rest > 0 else "")
