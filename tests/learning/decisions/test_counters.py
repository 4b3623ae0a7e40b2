"""Whatever is told, in whatever order and however often: the counters equal the rows, and the rows equal an oracle."""

import math
import shutil
import tempfile
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from ai_engine.candles import Candles
from ai_engine.types import Forecast
from backend.clock import to_ms
from backend.database import Database
from backend.errors import ConflictError, NotFoundError
from backend.learning.decisions.outcomes import Execution, Outcome, record_execution, record_outcome
from backend.learning.decisions.record import NewDecision, record
from backend.learning.decisions.settle import (
    PriceSpan,
    Settling,
    settle_candles,
    settle_due,
    settle_prices,
    settle_rows,
)
from backend.learning.decisions.strategies import ensure_schema, ensure_strategy
from backend.market import candles as candle_store
from backend.models import AIModelVersion, AITrainingSample, Base, Candle, Fill, Strategy, TradeLog
from backend.settings import load_settings
from tests.recomputed import recompute

T0 = datetime.fromisoformat("2026-03-01T10:00:00+00:00")
NOW = datetime.fromisoformat("2026-03-02T12:00:00+00:00")
CANDLE = timedelta(minutes=5)
HORIZON_CANDLES = 2
NAMES = ("alpha", "beta")
VERSIONS = {"v20260301_000000": None, "v20260301_000001": T0 + 2 * CANDLE}
SLOTS = 5
MANY = 6
IDS = st.sampled_from([0, 0, 0, 1, 1, 2, 3])
PRICES = st.sampled_from([40.0, 90.0, 99.9, 100.0, 100.1, 110.0, 250.0])
QUANTITIES = st.sampled_from([0.25, 0.5, 1.0])
FILL_IDS = st.sampled_from([None, "a", "b"])
SETTINGS = load_settings(environ={"QT_ADMIN_TOKEN": "an-admin-token-for-tests-only", "QT_MARKET": "off"}, env_file=None)


TABLES = tempfile.TemporaryDirectory()


def _open(path: Path) -> Database:
    """A database that need not survive a crash, its tables copied: hundreds of them are made here."""
    empty = Path(TABLES.name) / "empty.db"
    if not empty.exists():
        made = Database(f"sqlite:///{empty}")
        Base.metadata.create_all(made.engine)
        made.close()
    shutil.copy(empty, path)
    database = Database(f"sqlite:///{path}")
    event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    return database


class Calls(RuleBasedStateMachine):
    """Bots' calls and candles in any order, some repeated, some refused."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.database = _open(Path(self.folder.name) / "test.db")
        self.decided: dict[str, datetime] = {}

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()

    @initialize(long_only=st.booleans())
    def begin(self, long_only: bool) -> None:
        self.sides = "long" if long_only else "long,short"

        def use_case(session: Session) -> None:
            strategy, _ = ensure_strategy(session, "bot", market="external", settings=SETTINGS, now=NOW, actor="test")
            strategy.sides, strategy.horizon_candles = self.sides, HORIZON_CANDLES
            schema = ensure_schema(session, strategy, NAMES, now=NOW)
            for version_id, learned_until in VERSIONS.items():
                session.add(
                    AIModelVersion(
                        version_id=version_id,
                        strategy="bot",
                        trained_at=NOW,
                        learned_until=learned_until,
                        training_samples=80,
                        validation_samples=20,
                        verdict="insufficient_data",
                        model_path="-",
                        artifact_sha256="-",
                        artifact_bytes=1,
                        feature_schema_id=schema.id,
                        data_hash=version_id,
                        report={},
                        lineage={},
                    )
                )

        self.database.write(use_case)

    def settling(self, session: Session) -> Settling:
        return Settling(session.get_one(Strategy, "bot"), SETTINGS, ("feed",), NOW)

    @precondition(lambda self: len(self.decided) < MANY)
    @rule(
        slot=st.integers(0, SLOTS),
        action=st.sampled_from(["BUY", "SELL", "HOLD"]),
        score=st.sampled_from([0.01, -0.01, 0.0]),
        price=st.sampled_from([None, 40.0, 100.0, 100.0, 110.0]),
        version=st.sampled_from([None, *VERSIONS]),
    )
    def decide(self, slot: int, action: str, score: float, price: float | None, version: str | None) -> None:
        decision_id, at = f"d{len(self.decided)}", T0 + slot * CANDLE
        self.decided[decision_id] = at
        new = NewDecision(
            decision_id=decision_id,
            symbol="BTCUSDC",
            timestamp=at,
            price=price,
            feature_names=NAMES,
            features=np.array([1.0, 2.0], dtype=np.float32),
            action=action,
            forecast=Forecast(score, score, 0.6) if version else None,
            model_version=version,
            reason=None,
            explored=False,
            propensity=1.0,
            body_hash="posted",
        )

        def use_case(session: Session) -> None:
            strategy = session.get_one(Strategy, "bot")
            samples = record(session, strategy, [new], now=NOW)
            settle_rows(session, self.settling(session), samples)
            if price is not None:
                settle_prices(session, self.settling(session), [PriceSpan("BTCUSDC", at, at)])

        self.database.write(use_case)

    @rule(
        number=IDS,
        side=st.sampled_from(["BUY", "SELL"]),
        price=PRICES,
        quantity=QUANTITIES,
        fill_id=FILL_IDS,
        fees=st.sampled_from([None, 0.0, 0.1]),
    )
    def execute(
        self, number: int, side: str, price: float, quantity: float, fill_id: str | None, fees: float | None
    ) -> None:
        told = Execution(side, price, quantity, entry_time=None, fees=fees, fill_id=fill_id)
        self.tell(record_execution, f"d{number}", told, now=NOW)

    @rule(
        number=IDS,
        price=PRICES,
        quantity=st.none() | QUANTITIES,
        fill_id=FILL_IDS,
        fees=st.sampled_from([None, 0.2]),
        final=st.sampled_from([None, None, True]),
        side=st.sampled_from([None, None, "BUY", "SELL"]),
        cost=st.sampled_from([SETTINGS.cost, 0.2]),
    )
    def leave(self, number: int, side: str | None, cost: float, **told: Any) -> None:
        entry = {"side": side, "entry_price": 100.0} if side else {}
        outcome = Outcome(exit_price=told.pop("price"), **told, **entry)
        self.tell(record_outcome, f"d{number}", outcome, now=NOW, cost=cost)

    def tell(self, call: Any, decision_id: str, told: Any, **terms: Any) -> None:
        """Tell it twice: a refusal must change nothing, a repeat neither."""
        try:
            self.database.write(call, "bot", decision_id, told, **terms)
        except NotFoundError:
            assert decision_id not in self.decided
        except ConflictError:
            pass
        else:
            before = self.database.read(_picture)
            self.database.write(call, "bot", decision_id, told, **terms)
            assert self.database.read(_picture) == before

    @rule(slot=st.integers(0, 2 * SLOTS), price=PRICES)
    def candle(self, slot: int, price: float) -> None:
        opened = T0 + slot * CANDLE
        one = np.array([price])
        bar = Candles(np.array([to_ms(opened)]), one, one, one, one, one, timeframe_ms=300_000)

        def use_case(session: Session) -> None:
            candle_store.append(session, "feed", "BTCUSDC", "5m", bar)
            closed = opened + CANDLE
            settle_candles(session, self.settling(session), [PriceSpan("BTCUSDC", closed, closed)])

        self.database.write(use_case)

    @precondition(lambda self: self.decided)
    @rule(slot=st.integers(0, 3 * SLOTS))
    def sweep(self, slot: int) -> None:
        def use_case(session: Session) -> None:
            strategy, moment = session.get_one(Strategy, "bot"), T0 + slot * CANDLE
            settle_due(session, strategy, market_time=moment, costs=SETTINGS, markets=("feed",))

        self.database.write(use_case)

    @invariant()
    def the_books_are_right(self) -> None:
        if hasattr(self, "sides"):
            self.database.read(_check_counters)
            self.database.read(_check_rows, self.sides)


def _check_counters(session: Session) -> None:
    """Costs may have changed since a row was counted: each says by which it was."""
    for version in session.scalars(select(AIModelVersion)):
        recomputed = recompute(session, version.version_id, SETTINGS.cost)
        stored = {key: getattr(version, key) for key in recomputed}
        assert stored == pytest.approx(recomputed, abs=1e-9)


def _picture(session: Session) -> list[tuple[Any, ...]]:
    tables = (AITrainingSample, Fill, TradeLog, AIModelVersion)
    return [tuple(row) for table in tables for row in session.execute(select(*table.__table__.columns))]


def _check_rows(session: Session, sides: str) -> None:
    fills: dict[int, list[Fill]] = defaultdict(list)
    for fill in session.scalars(select(Fill)):
        fills[fill.sample_id].append(fill)
    logged = set(session.scalars(select(TradeLog.sample_id)))
    samples = session.scalars(select(AITrainingSample)).all()
    closes = [(candle.open_time + CANDLE, 0, candle.close) for candle in session.scalars(select(Candle))]
    quotes = sorted(closes + [(one.timestamp, 1, one.price) for one in samples if one.price is not None])
    for sample in samples:
        _check_forward(sample, quotes)
        _check_row(sample, fills[sample.id], sample.id in logged, sides)


def _check_forward(sample: AITrainingSample, quotes: list[tuple[datetime, int, float]]) -> None:
    """The earliest price within one timeframe of the horizon, whenever it arrived."""
    span = [quote for quote in quotes if sample.horizon_at <= quote[0] <= sample.horizon_at + CANDLE]
    if sample.price is None or not span:
        assert sample.forward_return is None
        return
    at, _, price = span[0]
    assert sample.forward_return == pytest.approx(price / sample.price - 1)
    assert sample.forward_price_at == at


def _check_row(sample: AITrainingSample, fills: list[Fill], logged: bool, sides: str) -> None:
    """The contract's formulas, from the fills and the row's own columns."""
    entries = [fill for fill in fills if fill.leg == "entry"]
    exits = [fill for fill in fills if fill.leg == "exit"]
    assert sample.executed == bool(entries)
    assert sample.outcome_known == (sample.state == "closed") == (sample.target_label is not None)
    assert logged is (sample.executed and sample.outcome_known)
    if not sample.executed:
        assert sample.realized_pnl is None
        assert sample.outcome_known == (sample.forward_return is not None)
        if sample.outcome_known:
            idle = sample.predicted_action == "HOLD" or (sides == "long" and sample.predicted_action == "SELL")
            side = 1 if sample.predicted_action == "BUY" else -1
            net = 0.0 if idle else side * sample.forward_return - SETTINGS.cost
            assert (sample.market_return, sample.label_source) == (sample.forward_return, "counterfactual")
            assert sample.target_label == pytest.approx(net)
        return
    assert not (sides == "long" and sample.execution_side == "SELL")
    quantity = sum(fill.quantity for fill in entries)
    value = sum(fill.price * fill.quantity for fill in entries)
    left = sum(fill.quantity for fill in exits)
    assert sample.entry_price == pytest.approx(value / quantity)
    assert left <= quantity + 1e-9
    if not sample.outcome_known:
        assert sample.state == "open"
        assert left < quantity
        return
    side = 1 if sample.execution_side == "BUY" else -1
    exit_price = sum(fill.price * fill.quantity for fill in exits) / left
    entry_fees = math.fsum(fill.fees or 0.0 for fill in entries)
    untold = [fill for fill in exits if fill.fees is None]
    fees = math.fsum(fill.fees or 0.0 for fill in exits)
    fees += entry_fees / quantity * sum(fill.quantity for fill in untold)
    nothing_left_out = untold in ([], exits) and (not untold or all(fill.fees is not None for fill in entries))
    assert (sample.fees, sample.fees_known) == (pytest.approx(fees), nothing_left_out)
    assert sample.exit_price == pytest.approx(exit_price)
    assert sample.market_return == pytest.approx(exit_price / sample.entry_price - 1)
    net = side * sample.market_return - fees / (left * sample.entry_price)
    assert sample.target_label == pytest.approx(net)
    assert sample.realized_pnl == pytest.approx(side * left * (exit_price - sample.entry_price) - fees)
    assert sample.target_class == (
        "WIN" if sample.target_label > 0 else "LOSS" if sample.target_label < 0 else "NEUTRAL"
    )
    assert sample.label_source == "executed"


def _histories(number: int) -> settings:
    return settings(
        max_examples=number,
        stateful_step_count=25,
        report_multiple_bugs=False,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


class TestCalls(Calls.TestCase):
    """A few histories."""

    settings = _histories(12)


@pytest.mark.slow
class TestManyCalls(Calls.TestCase):
    """Many."""

    settings = _histories(25)
