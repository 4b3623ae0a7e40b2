"""Each code provoked by what really brings it about: trades, a market, a retraining, a full disk; and found by name."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from ai_engine.dataset import Rows
from ai_engine.pipeline import TrainingContext
from ai_engine.self_audit import Judgement, Task
from ai_engine.types import Forecast
from backend.crontab import latest_slot, parse_schedule
from backend.database import Database
from backend.learning.decisions.imports import import_samples
from backend.learning.decisions.quarantine import Ruling, rule_on
from backend.learning.decisions.settle import settle_due
from backend.learning.decisions.strategies import find_strategy
from backend.learning.evidence import drift
from backend.learning.evidence.doctor import diagnose, read_facts, unwritable
from backend.learning.evidence.self_audit import AuditService, self_audit
from backend.learning.evidence.watch import WatchService, watch
from backend.learning.versions.activation import ActivationRequest, VersionService, activate
from backend.learning.versions.rebuild import rebuild
from backend.learning.versions.retrain import RetrainService, retrain
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.learning.versions.trainer import InProcessTrainer
from backend.market.feed import FeedUnavailableError
from backend.models import AIModelVersion
from backend.operations.codes import Code, News
from backend.operations.delivery import Deliverer
from backend.operations.events import tell
from backend.operations.jobs import Progress, WorkFailedError
from backend.settings import Settings
from tests.learning.decisions.conftest import T0, Bench
from tests.learning.evidence.live import LiveHouse
from tests.postgres import free_port
from tests.scenarios.test_deadlock import STRATEGY as DEADLOCKED
from tests.trading.conftest import desks_in
from tests.trading.live_desk import FakeExchange, LiveDesk

PROVOKERS: dict[Code, Callable[..., Any]] = {}
NIGHTLY = parse_schedule("0 3 * * *")
ACTIVE = text("update ai_model_versions set is_active = true")
ALARMS = text("select * from alarms")


def provokes(code: Code) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark the test that provokes a code."""

    def mark(test: Callable[..., Any]) -> Callable[..., Any]:
        PROVOKERS[code] = test
        return test

    return mark


@dataclass
class Clinic:
    """One database, what fills it, and the doctor that looks at it."""

    database: Database
    settings: Settings
    now: datetime = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

    @property
    def store(self) -> ArtifactStore:
        return ArtifactStore(self.settings.model_dir)

    def findings(self, strategy: str = "default", scheduled: bool = False) -> dict[str, dict[str, Any]]:
        due = latest_slot(NIGHTLY, self.now, timedelta(days=32)) if scheduled else None
        serving = Serving(self.store)
        facts = self.database.read(read_facts, strategy, self.settings, self.now, serving, due)
        found = diagnose(facts, unwritable_because=unwritable(self.database))["findings"]
        return {one["code"]: one for one in found}

    def trade(self, count: int = 60, **changes: Callable[[int], Any]) -> None:
        """Bring in another bot's closed trades; ``changes`` make a key of each row from its number."""
        rows = []
        for number in range(count):
            decided = T0 + timedelta(minutes=10 * number)
            move = 0.01 * (-1) ** number + 0.0001 * number
            row: dict[str, Any] = {
                "symbol": "BTCUSDC",
                "timestamp": decided.isoformat(),
                "predicted_action": "BUY",
                "entry_price": 100.0,
                "exit_price": 100.0 * (1 + move),
                "exit_time": (decided + timedelta(minutes=5)).isoformat(),
                "features": {"rsi": move * 10 + number / 7, "trend": float(number % 5)},
            }
            rows.append(row | {name: make(number) for name, make in changes.items()})
        given: dict[str, Any] = {"settings": self.settings, "now": self.now, "actor": "test"}
        result = self.database.write(import_samples, "default", rows, **given)
        assert (result.accepted, result.rejected) == (count, [])

    def retrain(self, trainer: Any = None, **options: Any) -> dict[str, Any]:
        trainer = trainer or InProcessTrainer()
        service = RetrainService(self.database, self.settings, self.store, trainer, lambda: self.now)
        return retrain(service, strategy="default", actor="test", min_samples=1, **options)

    def activate(self, version_id: str) -> None:
        service = VersionService(self.database, self.settings, self.store, lambda: self.now)
        activate(service, ActivationRequest(version_id, "test", force=True, reason="to see"))


@pytest.fixture
def clinic(database: Database, settings: Settings) -> Clinic:
    return Clinic(database, settings)


@pytest.fixture
def bench(database: Database, settings: Settings, now: datetime) -> Bench:
    """A bot's decisions in the clinic's database."""
    return Bench(database, settings, now, strategy="default")


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveDesk]:
    """A desk on an exchange out of memory, with minute candles and two symbols."""
    with desks_in(tmp_path) as open_desk:
        desk = open_desk(
            market="binance",
            strategy="default",
            symbols=("AAAUSDT", "BBBUSDT"),
            timeframe="1m",
            market_speed=0.0,
            require_edge=False,
            sides="long",
        )
        yield LiveDesk(desk, FakeExchange())


def looked_at(live: LiveDesk) -> dict[str, dict[str, Any]]:
    """What the doctor finds at the desk."""
    return Clinic(live.desk.database, live.desk.settings, live.clock()).findings()


def test_every_code_is_provoked_by_a_test_of_this_file_or_by_the_deadlock() -> None:
    by_the_deadlock = {Code.ONLY_HOLD, Code.THRESHOLD_UNREACHABLE}

    assert DEADLOCKED == "simulated"
    assert set(PROVOKERS) | by_the_deadlock == set(Code)


@provokes(Code.NO_DECISIONS)
def test_an_installation_that_was_only_set_up(clinic: Clinic) -> None:
    assert clinic.findings().keys() == {"no_decisions"}


@provokes(Code.NO_CLOSED_OUTCOMES)
def test_decisions_of_a_bot_that_never_comes_back(clinic: Clinic, bench: Bench) -> None:
    for number in range(3):
        bench.decide(f"d{number}", T0, symbol=f"S{number}USDC")

    def settle(session: Any) -> int:
        strategy = find_strategy(session, "default")
        return settle_due(session, strategy, market_time=clinic.now, costs=clinic.settings, markets=())  # type: ignore[arg-type]

    assert clinic.database.write(settle) == 0
    found = clinic.findings()["no_closed_outcomes"]
    assert found["severity"] == "warning"
    assert found["evidence"]["first_outcome_due"] == "2026-03-01T11:00:00Z"
    assert "POST /ai/decisions/d0/outcome?strategy=default" in found["remedy"]


@provokes(Code.OUTCOMES_UNOBSERVABLE)
def test_a_market_that_is_closed_whenever_a_horizon_ends(clinic: Clinic, bench: Bench) -> None:
    """Five candles a day, and a horizon of an hour: each window ends after the market has shut."""
    for number in range(20):
        day, candle = divmod(number, 5)
        bench.decide(f"d{number}", T0 - timedelta(days=day) + timedelta(minutes=5 * candle), symbol="EURUSD")

    def settle(session: Any) -> int:
        strategy = find_strategy(session, "default")
        return settle_due(session, strategy, market_time=clinic.now, costs=clinic.settings, markets=())  # type: ignore[arg-type]

    assert clinic.database.write(settle) == 0
    found = clinic.findings()["outcomes_unobservable"]
    answer = clinic.retrain()

    assert found["evidence"]["symbols"] == {"EURUSD": {"without_price": 20, "passed": 20}}
    assert "60 minutes after each" in found["remedy"]
    assert (answer["reason"], answer["outcomes_pending"], answer["outcomes_unobservable"]) == (
        "insufficient_samples",
        0,
        20,
    )


@provokes(Code.ZERO_LABEL_VARIANCE)
def test_a_bot_that_sends_its_entry_price_as_its_exit_price(clinic: Clinic) -> None:
    clinic.trade(exit_price=lambda _: 100.0)

    found = clinic.findings()["zero_label_variance"]

    assert found["evidence"] == {"outcomes": 60, "value": 0.0}
    assert found["severity"] == "error"


@provokes(Code.COSTS_EXCEED_MOVES)
def test_a_bot_that_trades_moves_smaller_than_its_fees(clinic: Clinic) -> None:
    clinic.trade(exit_price=lambda number: 100.0 + 0.1 * (-1) ** number)

    found = clinic.findings()["costs_exceed_moves"]

    assert found["evidence"]["median_move"] == pytest.approx(0.001)
    assert "QT_HORIZON_CANDLES=70" in found["remedy"]


@provokes(Code.CONSTANT_FEATURES)
def test_a_bot_one_of_whose_indicators_is_stuck(clinic: Clinic) -> None:
    clinic.trade(features=lambda number: {"rsi": 50.0, "trend": float(number % 7)})

    assert clinic.findings()["constant_features"]["evidence"] == {"rows": 60, "features": ["rsi"]}


@provokes(Code.SAME_DATA)
def test_a_second_retraining_with_nothing_new(clinic: Clinic) -> None:
    clinic.trade()
    first = clinic.retrain()
    assert "same_data" not in clinic.findings()

    clinic.retrain()

    assert clinic.findings()["same_data"]["evidence"]["version_id"] == first["version_id"]


@provokes(Code.SAMPLES_QUARANTINED)
def test_a_row_that_waits_for_somebody_to_look(clinic: Clinic) -> None:
    bench = Bench(clinic.database, clinic.settings, clinic.now, strategy="default")
    held = bench.decide()
    assert "samples_quarantined" not in clinic.findings()
    bench.decide("wrong", T0 + timedelta(minutes=61), price=100_000.0)

    assert clinic.findings()["samples_quarantined"]["evidence"] == {"held": {"return_out_of_bounds": 1}}
    ruling = Ruling(held, "dropped", "a slipped point", "test")
    clinic.database.write(rule_on, ruling, now=clinic.now, cost=clinic.settings.cost)

    assert "samples_quarantined" not in clinic.findings()


class BrokenTrainer:
    """A child process that ends without an answer."""

    def __call__(self, _rows: Rows, _context: TrainingContext, *_told: object) -> Any:
        raise WorkFailedError("The training process ended with signal 9.")


@provokes(Code.RETRAINING_FAILED)
def test_a_training_whose_process_dies(clinic: Clinic) -> None:
    clinic.trade()
    clinic.retrain(BrokenTrainer())

    found = clinic.findings()["retraining_failed"]

    assert (found["severity"], found["evidence"]["reason"]) == ("error", "training_failed")
    assert found["evidence"]["run_id"] in found["remedy"]
    assert clinic.retrain()["status"] == "success"
    assert "retraining_failed" not in clinic.findings()


@provokes(Code.RETRAINING_OVERDUE)
def test_a_service_that_slept_through_the_night(clinic: Clinic) -> None:
    evening = clinic.now - timedelta(hours=14)
    clinic.now, morning = evening, clinic.now
    clinic.trade(exit_time=lambda number: (T0 + timedelta(minutes=10 * number + 5)).isoformat())
    assert "retraining_overdue" not in clinic.findings(scheduled=True)

    clinic.now = morning

    assert clinic.findings(scheduled=True)["retraining_overdue"]["evidence"]["due"] == "2026-03-02T03:00:00Z"
    clinic.retrain(slot=datetime(2026, 3, 2, 3, 0, tzinfo=UTC))
    assert "retraining_overdue" not in clinic.findings(scheduled=True)


@provokes(Code.LIVE_ACCURACY_LOW)
def test_a_version_that_was_wrong_two_times_in_three(clinic: Clinic, bench: Bench) -> None:
    bench.add_version()
    clinic.database.write(lambda session: session.execute(ACTIVE))
    price, hour = 100.0, timedelta(hours=1)
    for number in range(64):
        right = number % 3 == 0
        rises = number % 2 == 0
        score = 0.01 if rises == right else -0.01
        bench.now = T0 + number * hour
        bench.decide(
            f"d{number}", bench.now, price=price, action="BUY" if score > 0 else "SELL",
            forecast=Forecast(score, score, 0.6), model_version="v20260301_000000",
        )  # fmt: skip
        price *= 1.01 if rises else 0.99
    clinic.now = bench.now

    found = clinic.findings()["live_accuracy_low"]

    assert (found["evidence"]["judged"], found["evidence"]["correct"]) == (63, 21)
    assert found["evidence"]["ci95"][1] < 0.55
    assert "qt deactivate" in found["remedy"]


@pytest.fixture
def living(database: Database, settings: Settings, now: datetime) -> LiveHouse:
    """Two versions that were activated one after the other, and what the second decided."""
    store = ArtifactStore(settings.model_dir)
    house = LiveHouse(database, replace(settings, strategy="bot"), store, Serving(store), now)
    for version_id in house.train_two():
        house.activate(version_id)
    return house


def diagnosed(living: LiveHouse) -> dict[str, dict[str, Any]]:
    """What the doctor finds after a look at the live evidence."""
    living.look(anew=True)
    return Clinic(living.database, living.settings, living.time).findings("bot")


@provokes(Code.SKILL_LOST)
def test_a_version_whose_direction_turned(living: LiveHouse) -> None:
    active = str(living.active())
    living.decide(active, [True, True, False] * 20)
    assert "skill_lost" not in diagnosed(living)
    living.decide(active, [False] * 60)

    found = diagnosed(living)["skill_lost"]

    assert found["severity"] == "warning"
    assert (found["evidence"]["hits"], found["evidence"]["outcomes"], found["evidence"]["bound"]) == (40, 120, 0.56)
    assert found["remedy"].startswith("Go back to v")
    living.activate(next(row.version_id for row in living.rows(AIModelVersion) if row.version_id != active))
    assert "skill_lost" not in diagnosed(living)


@provokes(Code.ERRORS_DRIFTED)
def test_a_market_that_moves_more_than_its_volatility_said(living: LiveHouse) -> None:
    active = str(living.active())
    living.decide(active, [True, False] * 60, volatility=0.01)
    assert "errors_drifted" not in diagnosed(living)
    living.decide(active, [True, False] * 30, volatility=0.002)

    found = diagnosed(living)["errors_drifted"]

    assert found["severity"] == "warning"
    assert "grew from 1.00 to" in found["explanation"]


@provokes(Code.FEATURES_DRIFTED)
def test_a_bot_one_of_whose_indicators_changed_its_unit(living: LiveHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "WINDOW", 5)
    monkeypatch.setattr(drift, "ROWS", 1_000)
    active = str(living.active())
    living.decide(active, [True] * 995)
    assert "features_drifted" not in diagnosed(living)
    living.decide(active, [True] * 5, features_blob=np.full(3, 20.0, dtype="<f4").tobytes())

    found = diagnosed(living)["features_drifted"]

    assert found["severity"] == "info"
    assert "atr" in found["explanation"]


@provokes(Code.ARTIFACT_CORRUPT)
def test_a_file_that_somebody_opened_and_saved(clinic: Clinic) -> None:
    clinic.trade()
    version = clinic.retrain()["version_id"]
    clinic.activate(version)
    assert "artifact_corrupt" not in clinic.findings()
    path = clinic.settings.model_dir / f"xgb_model_{version}.pkl"

    path.write_bytes(path.read_bytes()[:-1] + b"?")

    found = clinic.findings()["artifact_corrupt"]
    assert found["severity"] == "error"
    assert found["remedy"] == f"Make its file again from its rows: qt rebuild {version} --out {path}."
    path.write_bytes(rebuild(clinic.database, InProcessTrainer(), version).artifact)
    assert "artifact_corrupt" not in clinic.findings()


@provokes(Code.MARKET_FEED_STALE)
def test_an_exchange_that_cannot_be_reached_any_more(live: LiveDesk) -> None:
    live.minutes(2)
    assert "market_feed_stale" not in looked_at(live)

    live.exchange.error = FeedUnavailableError("binance answered 503 to klines.", retry_after_seconds=1.0)
    live.minutes(6)

    found = looked_at(live)["market_feed_stale"]
    assert "binance answered 503 to klines." in found["explanation"]
    assert "which the trader goes on trying" in found["remedy"]


def test_a_trader_whose_process_is_gone_is_told_apart_from_a_market_that_is(live: LiveDesk) -> None:
    live.minutes(2)

    live.wait(3600)

    assert looked_at(live)["market_feed_stale"]["remedy"] == (
        "The process that trades is gone or hangs: qt stop, then qt start."
    )


@provokes(Code.CLOCK_SKEW)
@pytest.mark.parametrize(("offset", "said"), [(-45.0, "45 s behind"), (90.0, "90 s ahead of")])
def test_a_machine_whose_clock_is_off(live: LiveDesk, offset: float, said: str) -> None:
    live.exchange.clock_offset_seconds = offset

    live.minutes(1)

    assert said in looked_at(live)["clock_skew"]["explanation"]


@provokes(Code.SELF_AUDIT_FAILED)
def test_a_pipeline_that_calls_noise_evidence(clinic: Clinic) -> None:
    clinic.trade(120)

    def approve(task: Task, _progress: Progress) -> tuple[list[Judgement], dict[str, str]]:
        return [Judgement(number, "evidence", 0.6) for number in task.worlds], {}

    service = AuditService(clinic.database, clinic.settings, approve, lambda: clinic.now)
    self_audit(service, strategy="default", actor="tests", placebos=20, planted=10)

    finding = clinic.findings()["self_audit_failed"]
    assert finding["severity"] == "error"
    assert "100.0% were called evidence" in finding["explanation"]
    assert "qt self-audit" in finding["remedy"]


@provokes(Code.SYMBOLS_UNKNOWN)
def test_a_symbol_that_the_exchange_does_not_have(live: LiveDesk) -> None:
    live.desk.settings = replace(live.desk.settings, symbols=("AAAUSDT", "BBBUSDT", "NOPEUSDT"))
    live.exchange.unknown_symbols = ("NOPEUSDT",)
    live.begin()

    live.minutes(1)

    found = looked_at(live)["symbols_unknown"]
    assert found["evidence"]["unknown"] == ["NOPEUSDT"]
    assert "QT_SYMBOLS=AAAUSDT,BBBUSDT," in found["remedy"]


@provokes(Code.TRADER_STOPPED)
def test_a_trader_whose_timeframe_is_not_its_strategys(live: LiveDesk) -> None:
    live.minutes(1)
    live.desk.settings = replace(live.desk.settings, timeframe="5m")
    live.exchange.timeframe = "5m"
    live.begin()

    live.minutes(1)

    found = looked_at(live)["trader_stopped"]
    assert "Set QT_TIMEFRAME=1m" in found["explanation"]
    assert "qt stop, then qt start" in found["remedy"]


@provokes(Code.WRITES_FAIL)
def test_a_disk_without_room(live: LiveDesk) -> None:
    live.minutes(1)
    pages = live.desk.rows("PRAGMA page_count")[0][0]

    live.limit_pages(pages)

    found = looked_at(live)["writes_fail"]
    assert "full" in found["explanation"]
    assert "df -h" in found["remedy"]


def test_to_look_whether_anything_can_be_stored_leaves_nothing_behind(clinic: Clinic) -> None:
    assert unwritable(clinic.database) is None
    assert clinic.database.read(lambda session: session.execute(ALARMS).all()) == []


@provokes(Code.DELIVERY_FAILING)
def test_a_webhook_that_nobody_answers(clinic: Clinic) -> None:
    clinic.trade()
    nobody = f"http://127.0.0.1:{free_port()}/hook"
    settings = replace(clinic.settings, webhook_url=nobody, webhook_secret=SecretStr("a-secret-for-signatures"))
    deliverer = Deliverer(clinic.database, settings, lambda: clinic.now)
    deliverer.begin()
    clinic.database.write(
        lambda session: tell(
            session, News.TEST, strategy=None, subject=None, sentence="Is anybody there?", detail={}, at=clinic.now
        )
    )
    for _ in range(12):
        deliverer.step()
        clinic.now += timedelta(minutes=20)
    watch(WatchService(clinic.database, settings, Serving(clinic.store), None, lambda: clinic.now))

    found = clinic.findings()["delivery_failing"]

    assert found["evidence"]["settings"] == ["QT_WEBHOOK_URL"]
    assert nobody not in str(found)
    assert "qt alarms --test" in found["remedy"]
