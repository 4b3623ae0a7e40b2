"""Historical samples: what the trader itself would have left behind, and nothing that looks alive."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ai_engine.candles import Candles
from ai_engine.features.catalogue import FEATURE_NAMES
from backend.clock import from_ms, to_ms
from backend.database import Database
from backend.errors import ConflictError, InvalidInputError
from backend.learning.decisions import historical
from backend.learning.decisions.historical import Recording, terms_of
from backend.learning.decisions.historical_plan import Plan, Terms, plan_of
from backend.learning.decisions.queries import SampleFilter, list_samples
from backend.learning.decisions.record import record
from backend.learning.decisions.rows import read_training_rows
from backend.learning.decisions.settle import settle_due
from backend.learning.decisions.strategies import ensure_schema, ensure_strategy, find_strategy
from backend.learning.evidence.status import status
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.market.files import FileMarket
from backend.models import AITrainingSample, AuditEntry, Forecast, TradeLog
from backend.settings import Settings
from tests.learning.decisions.conftest import new_decision
from tests.trading.conftest import desks_in, write_files
from tests.trading.desk import NOW, START, Desk

LATER = NOW + timedelta(days=1)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Two symbols with gaps, traded to their end by the cold-start rule. To look at only."""
    folder = tmp_path_factory.mktemp("traded")
    write_files(folder / "files")
    with desks_in(folder) as open_desk:
        (desk := open_desk()).run()
        yield desk


@pytest.fixture
def files(desk: Desk) -> dict[str, Candles]:
    """The candles that the desk traded on."""
    market = FileMarket(desk.folder, "5m")
    return {symbol: market.history(symbol, LATER, 10_000) for symbol in market.symbols}


class House:
    """One database, and warm starts of its strategies."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database, self.settings = database, settings

    def terms(self, strategy: str = "default", source: str | None = None) -> Terms:
        return self.database.read(terms_of, strategy, source=source, settings=self.settings)

    def plan(self, candles: dict[str, Candles], terms: Terms, stride: int = 1) -> Plan:
        return self.database.read(historical.without_known, plan_of(candles, terms, stride), terms)

    def warm(self, candles: dict[str, Candles], strategy: str = "default", stride: int = 1) -> tuple[int, bool]:
        terms = self.terms(strategy)
        recording = Recording(self.settings, LATER, "test")
        return historical.add(self.database, terms, self.plan(candles, terms, stride), recording, lambda _: None)

    def rows(self, strategy: str = "default") -> list[AITrainingSample]:
        row = AITrainingSample
        query = select(row).where(row.strategy == strategy).order_by(row.timestamp, row.symbol)
        return self.database.read(lambda session: list(session.scalars(query)))


@pytest.fixture
def house(database: Database, settings: Settings) -> House:
    return House(database, settings)


def test_a_row_is_the_traders_own_decision_to_the_last_bit(house: House, desk: Desk, files: dict[str, Candles]) -> None:
    live = {
        (row.symbol, row.timestamp): row
        for row in desk.database.read(lambda session: list(session.scalars(select(AITrainingSample))))
    }

    added, created = house.warm(files)

    found = {(row.symbol, row.timestamp): row for row in house.rows()}
    settled = {key: row for key, row in live.items() if row.forward_return is not None}
    assert (added, created) == (len(found), True)
    assert len(settled) > 100
    assert settled.keys() <= found.keys()
    compared = set()
    for key, row in settled.items():
        twin = found[key]
        for name in ("features_blob", "price", "forward_return", "forward_price_at", "horizon_at"):
            assert getattr(twin, name) == getattr(row, name), (key, name)
        if not row.explored:
            assert (twin.predicted_action, twin.reason) == (row.predicted_action, row.reason)
            if not row.executed:
                compared.add(row.predicted_action)
                for name in ("market_return", "target_label", "target_class"):
                    assert getattr(twin, name) == getattr(row, name), (key, name)
    assert "HOLD" in compared
    assert {row.predicted_action for row in found.values()} == {"BUY", "SELL", "HOLD"}


def test_a_row_says_what_it_is_and_its_label_carries_the_costs(house: House, files: dict[str, Candles]) -> None:
    house.warm(files)

    for row in house.rows():
        assert row.decision_id == f"historical-{row.symbol}-5m-{row.timestamp:%Y-%m-%dT%H:%M:%SZ}"
        assert (row.origin, row.label_source, row.state, row.outcome_known) == (
            "historical", "historical", "closed", True,
        )  # fmt: skip
        assert (row.executed, row.model_version, row.explored, row.quantity) == (False, None, False, None)
        assert row.feature_schema.names == list(FEATURE_NAMES)
        side = {"BUY": 1, "SELL": -1, "HOLD": 0}[row.predicted_action]
        cost = house.settings.cost if side else 0.0
        assert row.target_label == pytest.approx(side * (row.forward_return or 0.0) - cost, abs=1e-12)


def test_a_second_run_adds_none_and_a_finer_stride_adds_the_rest(house: House, files: dict[str, Candles]) -> None:
    coarse, _ = house.warm(files, stride=4)
    again, created = house.warm(files, stride=4)
    rest, _ = house.warm(files, stride=2)
    whole = plan_of(files, house.terms(), 2)

    assert (again, created) == (0, False)
    assert 0 < coarse < coarse + rest == len(whole) == len(house.rows())


def test_two_at_once_add_every_row_once(house: House, files: dict[str, Candles]) -> None:
    terms, recording = house.terms(), Recording(house.settings, LATER, "test")
    plan = house.plan(files, terms)

    first, _ = historical.add(house.database, terms, plan, recording, lambda _: None)
    second, _ = historical.add(house.database, terms, plan, recording, lambda _: None)

    assert (first, second) == (len(plan), 0)


def test_progress_is_told_to_the_end(house: House, files: dict[str, Candles]) -> None:
    terms, told = house.terms(), list[float]()

    historical.add(house.database, terms, house.plan(files, terms), Recording(house.settings, LATER, "t"), told.append)

    assert told == sorted(told)
    assert told[-1] == 1.0


def test_a_moment_that_the_strategy_decided_itself_is_left_to_its_own_row(
    house: House, files: dict[str, Candles]
) -> None:
    terms = house.terms()
    whole = plan_of(files, terms, 1)
    at = from_ms(whole.places["AAAUSDT"].times[3])

    def decide(session: Session) -> None:
        strategy, _ = ensure_strategy(
            session, "default", market="external", settings=house.settings, now=NOW, actor="test"
        )  # fmt: skip
        own = new_decision("own", at, symbol="AAAUSDT", feature_names=FEATURE_NAMES,
                           features=np.ones(len(FEATURE_NAMES), np.float32))  # fmt: skip
        record(session, strategy, [own], now=NOW)

    house.database.write(decide)
    plan = house.plan(files, terms)

    assert plan.left_out["decided_live"] == 1
    assert len(plan) == len(whole) - 1


def test_it_trains_and_is_counted_apart_and_never_looks_alive(house: House, files: dict[str, Candles]) -> None:
    added, _ = house.warm(files)
    session_of = house.database.read

    read = session_of(lambda session: read_training_rows(session, find_strategy(session, "default"), window_days=30))
    told = session_of(status, "default", house.settings, START, Serving(ArtifactStore(house.settings.model_dir)))

    assert read.samples_count == len(read.rows) == added
    assert set(read.rows.label_sources) == {"historical"}
    assert not np.isnan(read.rows.X).any()
    assert (read.rows.ends > read.rows.times).all()
    assert told["samples"]["by_label_source"] == {
        "executed": 0, "counterfactual": 0, "historical": added, "synthetic": 0,
    }  # fmt: skip
    assert told["signals"] == {"BUY": 0, "SELL": 0, "HOLD": 0}
    assert told["trades"] == {"open": 0, "closed": 0, "total_pnl": 0.0}
    for table in (Forecast, TradeLog):
        assert session_of(lambda session, table=table: session.query(table).count()) == 0


def test_no_later_price_touches_it(house: House, files: dict[str, Candles]) -> None:
    house.warm(files)
    before = [(row.price, row.forward_return, row.target_label) for row in house.rows()]

    settled = house.database.write(
        lambda session: settle_due(
            session, find_strategy(session, "default"), market_time=LATER, costs=house.settings, markets=("external",)
        )
    )  # fmt: skip

    assert settled == 0
    assert [(row.price, row.forward_return, row.target_label) for row in house.rows()] == before


def test_filters_find_it_by_its_source(house: House, files: dict[str, Candles]) -> None:
    house.warm(files)

    found, _ = house.database.read(list_samples, SampleFilter(strategy="default", label_source="historical", limit=3))

    assert [one["label_source"] for one in found] == ["historical"] * 3


def test_it_can_be_taken_away_again_audited(house: House, files: dict[str, Candles]) -> None:
    added, _ = house.warm(files)

    removed = house.database.write(historical.remove, "default", now=LATER, actor="test")
    none = house.database.write(historical.remove, "default", now=LATER, actor="test")

    assert (removed, none, house.rows()) == (added, 0, [])
    entries = house.database.read(lambda session: session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all())
    assert [(one.action, one.detail and one.detail.get("rows")) for one in entries] == [
        ("strategy_created", None), ("historical_added", added), ("historical_removed", added),
    ]  # fmt: skip


def test_nothing_to_add_begins_no_strategy(house: House, files: dict[str, Candles]) -> None:
    short = {symbol: one.tail(100) for symbol, one in files.items()}

    assert house.warm(short) == (0, False)
    assert house.database.read(find_strategy, "default") is None


@pytest.mark.parametrize("market", ["simulated", "replay"])
def test_real_candles_are_refused_where_the_market_is_not_real(house: House, market: str) -> None:
    own = House(house.database, replace(house.settings, market=market, strategy=market))

    with pytest.raises(ConflictError, match="--strategy default") as refused:
        own.terms(market)

    assert refused.value.reason == "market_mismatch"
    assert own.terms("default").market == "external"
    if market == "simulated":
        assert own.terms(market, source="simulated").market == "simulated"


def test_simulated_candles_are_refused_where_the_market_is_real(house: House) -> None:
    with pytest.raises(ConflictError, match="--strategy simulated") as refused:
        House(house.database, replace(house.settings, market="binance")).terms("default", source="simulated")

    assert refused.value.reason == "market_mismatch"


def test_the_exchanges_own_strategy_begins_with_the_exchange_as_its_market(house: House) -> None:
    live = House(house.database, replace(house.settings, market="binance", sides="long"))

    assert (live.terms("default", source="binance").market, live.terms().market) == ("binance", "binance")
    assert live.terms("another").market == "external"


def test_a_bots_own_features_do_not_mix_with_the_catalogues(house: House) -> None:
    def begin(session: Session) -> None:
        strategy, _ = ensure_strategy(
            session, "bot", market="external", settings=house.settings, now=NOW, actor="t"
        )  # fmt: skip
        ensure_schema(session, strategy, ("alpha", "beta"), now=NOW)

    house.database.write(begin)

    with pytest.raises(InvalidInputError, match="Missing") as refused:
        house.terms("bot")

    assert refused.value.reason == "feature_names_mismatch"


def test_a_strategys_own_terms_count_and_not_the_settings_of_today(house: House, files: dict[str, Candles]) -> None:
    house.warm(files)
    changed = House(house.database, replace(house.settings, timeframe="1h", horizon_candles=3, sides="long"))

    terms = changed.terms()

    assert (terms.timeframe, terms.horizon_candles, terms.sides, terms.exists) == ("5m", 12, "long,short", True)


def test_a_long_only_strategy_earns_nothing_by_a_sell(house: House, files: dict[str, Candles]) -> None:
    House(house.database, replace(house.settings, sides="long")).warm(files)

    sells = [row for row in house.rows() if row.predicted_action == "SELL"]

    assert sells
    assert {(row.target_label, row.target_class) for row in sells} == {(0.0, "NEUTRAL")}


def test_an_impossible_move_goes_to_quarantine(house: House, files: dict[str, Candles]) -> None:
    wild = files["AAAUSDT"]
    half = len(wild) // 10 * 9
    factor = np.where(np.arange(len(wild)) < half, 1.0, 5.0)
    columns = {name: getattr(wild, name) * factor for name in ("open", "high", "low", "close")}

    house.warm({"AAAUSDT": replace(wild, **columns)})

    told = {row.quarantine_reason for row in house.rows() if abs(row.forward_return or 0.0) > 1}
    assert told == {"return_out_of_bounds"}
    assert any(row.quarantine_reason is None for row in house.rows())


def test_the_newest_outcome_is_that_of_the_newest_row(house: House, files: dict[str, Candles]) -> None:
    assert house.database.read(historical.newest_outcome, "default") is None
    house.warm(files)

    newest = house.database.read(historical.newest_outcome, "default")

    assert newest == max(row.timestamp for row in house.rows())
    assert to_ms(newest) > to_ms(START)
