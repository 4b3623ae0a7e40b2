"""The trader as a thread: one process trades, failures are said and survived, a stop is clean."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from backend.errors import InvalidInputError
from backend.learning.decisions.strategies import ensure_strategy
from backend.learning.evidence.status import STOPPED, trader_trouble
from backend.learning.versions.serving import Serving, ServingModel
from backend.learning.versions.store import ArtifactStore
from backend.models import Feed
from backend.operations.codes import Code
from backend.trading.feed_state import say
from backend.trading.live import TraderLoop
from backend.trading.markets import feed_of
from backend.trading.role import TraderRole
from backend.trading.turns import Patience, Workplace
from tests.trading.desk import NOW, Desk

OpenDesk = Callable[..., Desk]
QUICK = Patience(tick_seconds=0.05, first_retry_seconds=0.02, longest_retry_seconds=0.05)


@pytest.fixture
def desk(files: Path, open_desk: OpenDesk) -> Desk:
    return open_desk(market_files=str(files), market_speed=0.0)


@contextmanager
def trading(desk: Desk, **changes: Any) -> Iterator[TraderLoop]:
    """A loop that runs while the block does."""
    given: dict[str, Any] = {
        "settings": desk.settings,
        "serving": Serving(ArtifactStore(desk.settings.model_dir)),
        "clock": desk.clock,
        "patience": QUICK,
    }
    loop = TraderLoop(Workplace(desk.database, **(given | changes)))
    loop.start()
    try:
        yield loop
    finally:
        loop.stop()


def eventually(check: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it never became so"
        time.sleep(0.02)


def state_of(desk: Desk, strategy: str = "replay") -> tuple[str, str | None] | None:
    def read(session: Session) -> tuple[str, str | None] | None:
        row = session.get(Feed, strategy)
        return (row.state, row.detail) if row else None

    return desk.database.read(read)


def test_a_replayed_market_is_traded_to_its_end_and_then_finished(desk: Desk, cold_desk: Desk) -> None:

    with trading(desk):
        eventually(lambda: state_of(desk) == ("finished", None))

    assert desk.everything() == cold_desk.everything()
    assert state_of(desk) == ("finished", None)
    assert desk.feed_row().market_time is not None


def test_a_stopped_trader_goes_on_where_it_was(desk: Desk, cold_desk: Desk) -> None:
    slow = replace(desk.settings, market_speed=40.0)

    with trading(desk, settings=slow):
        eventually(lambda: desk.rows("select count(*) from ai_training_samples")[0][0] > 10)
    stopped = desk.rows("select count(*) from ai_training_samples")[0][0]
    assert state_of(desk) == ("off", "The service was stopped.")
    assert stopped < cold_desk.rows("select count(*) from ai_training_samples")[0][0]

    with trading(desk):
        eventually(lambda: state_of(desk) == ("finished", None))
    assert desk.everything() == cold_desk.everything()


@pytest.mark.slow
def test_two_processes_trade_once(desk: Desk, cold_desk: Desk) -> None:
    slow = replace(desk.settings, market_speed=60.0)

    with trading(desk, settings=slow, holder="a:1:x"), trading(desk, settings=slow, holder="b:2:y"):
        eventually(lambda: desk.rows("select count(*) from ai_training_samples")[0][0] > 40)
        assert len(desk.rows("select holder from leases where name = 'trader:replay'")) == 1
        eventually(lambda: state_of(desk) == ("finished", None))

    assert desk.everything() == cold_desk.everything()


def test_when_the_holder_stops_another_takes_over(desk: Desk) -> None:
    slow = replace(desk.settings, market_speed=20.0)
    with trading(desk, settings=slow, holder="a:1:x") as first:
        eventually(lambda: desk.rows("select count(*) from ai_training_samples")[0][0] > 4)
        with trading(desk, holder="b:2:y"):
            first.stop()
            eventually(lambda: state_of(desk) == ("finished", None))

    assert desk.rows("select fence from leases where name = 'trader:replay'")[0][0] >= 2


def test_a_role_that_another_process_took_ends_the_round_before_it_writes(desk: Desk) -> None:
    mine = TraderRole(desk.database, "replay", lambda: NOW, "a:1:x")
    assert mine.take()
    later = TraderRole(desk.database, "replay", lambda: NOW + timedelta(minutes=5), "b:2:y")
    trader = desk.trader(guard=mine.keep)
    assert later.take()

    with pytest.raises(Exception, match="Another process trades"):
        trader.steps(list(trader.feed.rounds(trader.after))[:3])

    assert desk.rows("select count(*) from ai_training_samples") == [(0,)]


class FailingServing(Serving):
    """Fails the first times it is asked, then has no model."""

    def __init__(self, failures: int) -> None:
        self.left = failures

    def model_for(self, session: Session, strategy: str) -> ServingModel | None:  # noqa: ARG002
        """No model, in the end."""
        if self.left:
            self.left -= 1
            raise RuntimeError("the disk is full")
        return None


def test_an_exception_is_said_while_the_trader_waits_to_try_again(desk: Desk) -> None:
    patience = replace(QUICK, first_retry_seconds=60.0)

    with trading(desk, serving=FailingServing(1), patience=patience):
        eventually(lambda: state_of(desk) == ("stale", "RuntimeError: the disk is full"))


def test_an_exception_is_retried_and_leaves_nothing_half_done(
    desk: Desk, cold_desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    with trading(desk, serving=FailingServing(3)):
        eventually(lambda: state_of(desk) == ("finished", None))

    assert sum("A round failed" in message for message in caplog.messages) == 3
    assert desk.everything() == cold_desk.everything()


def test_a_strategy_of_another_market_is_a_clear_state_and_trades_nothing(desk: Desk) -> None:
    begin = {"market": "simulated", "settings": desk.settings, "now": NOW, "actor": "test"}
    desk.database.write(ensure_strategy, "replay", **begin)

    with trading(desk):
        eventually(lambda: state_of(desk) is not None)

    state, detail = state_of(desk) or ("", None)
    assert state == "off"
    assert "simulated" in (detail or "")
    assert desk.rows("select count(*) from ai_training_samples") == [(0,)]


def test_files_that_are_missing_are_a_clear_state(desk: Desk, tmp_path: Path) -> None:
    nowhere = replace(desk.settings, market_files=str(tmp_path / "nowhere"))

    with trading(desk, settings=nowhere):
        eventually(lambda: state_of(desk) is not None)

    state, detail = state_of(desk) or ("", None)
    assert state == "off"
    assert "nowhere" in (detail or "")


def test_a_refused_trader_is_trouble_until_what_it_named_is_mended(desk: Desk, tmp_path: Path) -> None:
    damaged = tmp_path / "AAAUSDT-5m.csv"
    damaged.write_text("1,2,3\n")
    wrong = replace(desk.settings, market_files=str(damaged))
    with trading(desk, settings=wrong):
        eventually(lambda: state_of(desk) is not None)
    before = desk.database.read(trader_trouble, wrong)

    with trading(desk):
        eventually(lambda: desk.rows("select count(*) from feeds where state != 'off'") == [(1,)])
        during = desk.database.read(trader_trouble, desk.settings)

    assert (before, during) == (Code.TRADER_STOPPED, None)
    assert desk.database.read(trader_trouble, replace(wrong, market="off")) is None


def test_a_trader_that_was_stopped_or_never_ran_is_no_trouble(desk: Desk) -> None:
    never = desk.database.read(trader_trouble, desk.settings)
    with trading(desk, settings=replace(desk.settings, market_speed=40.0)):
        eventually(lambda: desk.rows("select count(*) from ai_training_samples")[0][0] > 0)

    assert state_of(desk) == ("off", STOPPED)
    assert (never, desk.database.read(trader_trouble, desk.settings)) == (None, None)


def test_a_trader_that_keeps_failing_is_trouble(desk: Desk) -> None:
    with trading(desk, serving=FailingServing(1000)):
        eventually(lambda: (state_of(desk) or ("",))[0] == "stale")
        assert desk.database.read(trader_trouble, desk.settings) is Code.MARKET_FEED_STALE


def test_a_trader_whose_first_market_was_refused_is_warming_from_its_next_start(desk: Desk) -> None:
    desk.database.write(say, "replay", "replay", "off", now=NOW, detail="The file is damaged.")

    desk.trader()

    assert state_of(desk) == ("warming", None)


def test_the_simulated_market_is_traded_from_thirty_days_back_and_resumed_by_market_time(open_desk: OpenDesk) -> None:
    desk = open_desk(market="simulated", strategy="simulated", market_speed=0.0, symbols=("BTCUSDC",))
    now = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    with trading(desk, clock=lambda: now):
        eventually(lambda: desk.rows("select count(*) from ai_training_samples")[0][0] > 60)
    first = desk.rows("select min(timestamp), max(timestamp), count(*) from ai_training_samples")[0]
    assert first[0].startswith("2026-01-31 12:00:00")

    with trading(desk, clock=lambda: now + timedelta(hours=1)):
        eventually(lambda: desk.rows("select count(*) from ai_training_samples")[0][0] > first[2] + 60)
    begun, ended, count = desk.rows("select min(timestamp), max(timestamp), count(*) from ai_training_samples")[0]
    span = datetime.fromisoformat(ended) - datetime.fromisoformat(begun)
    assert begun == first[0]
    assert count == span / timedelta(minutes=5) + 1


def test_a_trader_stopped_on_its_way_does_not_complain_that_no_candle_came(
    open_desk: OpenDesk, caplog: pytest.LogCaptureFixture
) -> None:
    desk = open_desk(market="simulated", strategy="simulated", market_speed=20.0, symbols=("BTCUSDC",))
    with trading(desk, clock=lambda: datetime(2026, 3, 2, 12, 0, tzinfo=UTC)):
        eventually(lambda: desk.rows("select count(*) from ai_training_samples")[0][0] > 0)

    assert state_of(desk, "simulated") == ("off", "The service was stopped.")
    assert "has no newer candle" not in caplog.text


def test_at_real_time_the_trader_waits_for_the_next_candle(open_desk: OpenDesk) -> None:
    desk = open_desk(market="simulated", strategy="simulated", market_speed=0.0, symbols=("BTCUSDC",), timeframe="1m")
    base, ahead = datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC), timedelta(0)
    desk.database.write(_began_at, base - timedelta(minutes=40), desk)
    with trading(desk, clock=lambda: base + ahead):
        eventually(
            lambda: str(desk.rows("select max(timestamp) from ai_training_samples")[0][0]).startswith(
                "2026-03-02 12:00"
            )
        )
        time.sleep(0.3)
        assert desk.rows("select max(timestamp) from ai_training_samples")[0][0].startswith("2026-03-02 12:00")
        ahead = timedelta(minutes=2)
        eventually(
            lambda: str(desk.rows("select max(timestamp) from ai_training_samples")[0][0]).startswith(
                "2026-03-02 12:02"
            )
        )

    assert desk.rows("select count(*) - count(distinct timestamp) from ai_training_samples") == [(0,)]


def _began_at(session: Session, moment: datetime, desk: Desk) -> None:
    session.add(Feed(strategy="simulated", source="simulated", state="off", market_time=moment, updated_at=NOW))


def test_the_files_symbols_are_those_of_the_settings_where_they_hold_any(desk: Desk) -> None:
    every, one = desk.settings, replace(desk.settings, symbols=("BBBUSDT", "CCCUSDT"))

    assert [feed_of(settings, desk.clock).symbols for settings in (every, one)] == [
        ("AAAUSDT", "BBBUSDT"),
        ("BBBUSDT",),
    ]
    with pytest.raises(InvalidInputError, match="QT_MARKET=off has no trader"):
        feed_of(replace(desk.settings, market="off"), desk.clock)
