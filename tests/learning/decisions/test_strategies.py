"""Strategies: begun once, found by name, held to their market and names."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ai_engine.features.catalogue import schema_hash
from backend.database import Database
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.learning.decisions.strategies import (
    admit_schema,
    check_name,
    ensure_schema,
    ensure_strategy,
    find_strategy,
    get_strategy,
    horizon_of,
)
from backend.models import AuditEntry, FeatureSchema, Strategy
from backend.settings import Settings, load_settings


@pytest.fixture
def session(database: Database) -> Any:
    with Session(database.engine) as session:
        yield session


def begin(session: Session, settings: Settings, now: Any, name: str = "bot", market: str = "external") -> Any:
    return ensure_strategy(session, name, market=market, settings=settings, now=now, actor="trader")


def test_a_first_write_begins_a_strategy_with_the_settings_in_force_and_is_audited(
    session: Session, settings: Settings, now: Any
) -> None:
    strategy, created = begin(session, settings, now)

    assert created is True
    assert (strategy.timeframe, strategy.horizon_candles, strategy.sides) == ("5m", 12, "long,short")
    assert horizon_of(strategy).total_seconds() == 3_600
    entry = session.scalars(select(AuditEntry)).one()
    assert (entry.action, entry.strategy, entry.actor, entry.at) == ("strategy_created", "bot", "trader", now)


def test_a_second_write_finds_it_as_it_was(session: Session, settings: Settings, now: Any) -> None:
    begin(session, settings, now)
    other = load_settings(
        environ={"QT_ADMIN_TOKEN": "an-admin-token-for-tests-only", "QT_TIMEFRAME": "1h"}, env_file=None
    )

    strategy, created = begin(session, other, now)

    assert (created, strategy.timeframe) == (False, "5m")
    assert len(session.scalars(select(AuditEntry)).all()) == 1


@pytest.mark.parametrize(
    ("stored", "row", "allowed"),
    [
        ("external", "external", True),
        ("external", "binance", True),
        ("binance", "external", True),
        ("simulated", "simulated", True),
        ("simulated", "external", False),
        ("external", "simulated", False),
        ("replay", "binance", False),
        ("simulated", "replay", False),
    ],
)
def test_simulated_and_replayed_samples_never_share_a_strategy(
    session: Session, settings: Settings, now: Any, stored: str, row: str, allowed: bool
) -> None:
    begin(session, settings, now, market=stored)

    if allowed:
        assert begin(session, settings, now, market=row)[1] is False
        return
    with pytest.raises(ConflictError, match=r"\?strategy=") as caught:
        begin(session, settings, now, market=row)
    assert (caught.value.reason, caught.value.extra["market"]) == ("market_mismatch", stored)


def test_reading_an_unknown_strategy_names_the_nearest(session: Session, settings: Settings, now: Any) -> None:
    begin(session, settings, now, "momentum")

    with pytest.raises(NotFoundError) as caught:
        get_strategy(session, "momentun", settings=settings)

    assert (caught.value.reason, caught.value.extra["nearest"]) == ("unknown_strategy", "momentum")


def test_default_and_the_configured_strategy_can_always_be_read(session: Session) -> None:
    simulated = load_settings(
        environ={"QT_ADMIN_TOKEN": "an-admin-token-for-tests-only", "QT_MARKET": "simulated"}, env_file=None
    )

    assert get_strategy(session, "default", settings=simulated).market == "external"
    assert get_strategy(session, "simulated", settings=simulated).market == "simulated"
    assert find_strategy(session, "default") is None
    session.flush()
    assert session.scalars(select(Strategy)).all() == [], "reading begins nothing"


@pytest.mark.parametrize("name", ["a", "0", "a-b_c", "a" * 64])
def test_sound_names_pass(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "-a", "_a", "a b", "a/b", "a" * 65, "å", "a\n"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_name(name)
    assert caught.value.extra["field"] == "strategy"


def test_the_first_names_fix_the_schema_sorted_and_hashed(session: Session, settings: Settings, now: Any) -> None:
    strategy, _ = begin(session, settings, now)

    schema = ensure_schema(session, strategy, ["b", "a"], now=now)

    assert (schema.names, schema.hash) == (["a", "b"], schema_hash(["a", "b"]))
    assert ensure_schema(session, strategy, ("a", "b"), now=now) is schema
    assert strategy.feature_schema_id == schema.id


def test_two_strategies_share_one_schema_row(session: Session, settings: Settings, now: Any) -> None:
    for name in ("one", "two"):
        ensure_schema(session, begin(session, settings, now, name)[0], ["a"], now=now)

    assert len(session.scalars(select(FeatureSchema)).all()) == 1


def test_other_names_are_refused_naming_missing_and_extra(session: Session, settings: Settings, now: Any) -> None:
    strategy, _ = begin(session, settings, now)
    ensure_schema(session, strategy, ["a", "b"], now=now)

    with pytest.raises(InvalidInputError) as caught:
        ensure_schema(session, strategy, ["b", "c"], now=now)

    assert (caught.value.extra["missing"], caught.value.extra["extra"]) == (["a"], ["c"])
    assert "Missing: a. Extra: c." in caught.value.message


def test_a_long_difference_is_shown_in_part(session: Session, settings: Settings, now: Any) -> None:
    strategy, _ = begin(session, settings, now)
    ensure_schema(session, strategy, ["a"], now=now)

    with pytest.raises(InvalidInputError, match="and 5 more"):
        ensure_schema(session, strategy, ["a", *(f"f{i:02}" for i in range(25))], now=now)


@pytest.mark.parametrize("names", [[], ["a", "a"], ["a", ""], ["x" * 129]])
def test_unusable_names_are_refused(session: Session, settings: Settings, now: Any, names: list[str]) -> None:
    strategy, _ = begin(session, settings, now)

    with pytest.raises(InvalidInputError):
        ensure_schema(session, strategy, names, now=now)


def test_admitting_names_is_audited_and_new_rows_must_have_them(session: Session, settings: Settings, now: Any) -> None:
    strategy, _ = begin(session, settings, now)
    ensure_schema(session, strategy, ["a", "b"], now=now)

    admitted = admit_schema(session, strategy, ["b", "c"], now, "admin")

    entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "schema_admitted")).one()
    assert entry.detail == {"features": 2, "added": ["c"], "removed": ["a"]}
    assert ensure_schema(session, strategy, ["c", "b"], now=now) is admitted
    with pytest.raises(InvalidInputError):
        ensure_schema(session, strategy, ["a", "b"], now=now)


def test_admitting_the_names_in_force_changes_and_audits_nothing(
    session: Session, settings: Settings, now: Any
) -> None:
    strategy, _ = begin(session, settings, now)
    schema = ensure_schema(session, strategy, ["a"], now=now)

    assert admit_schema(session, strategy, ["a"], now, "admin") is schema
    assert [entry.action for entry in session.scalars(select(AuditEntry))] == ["strategy_created"]
