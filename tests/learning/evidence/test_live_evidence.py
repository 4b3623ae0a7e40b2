"""What follows from live evidence: alarms once, closed when their cause is gone, and a way back only where wanted."""

import threading
from datetime import datetime

import pytest
from sqlalchemy import update
from sqlalchemy.event import listen

from backend.database import Database
from backend.learning.evidence import drift
from backend.learning.evidence.live_evidence import ACTOR, DRIFT_EVERY, LiveEvidence, look
from backend.learning.evidence.version_page import version_page
from backend.learning.versions.activation import rollback
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.models import Activation, AITrainingSample, AuditEntry, Event
from backend.operations.codes import Code, News
from backend.settings import Settings
from tests.learning.evidence.live import LiveHouse

GOOD, BAD = [True, True, False] * 20, [False] * 60
LOST = str(Code.SKILL_LOST)


@pytest.fixture
def house(database: Database, settings: Settings, now: datetime) -> LiveHouse:
    store = ArtifactStore(settings.model_dir)
    return LiveHouse(database, settings, store, Serving(store), now)


def audited(house: LiveHouse) -> list[tuple[str, str, str | None]]:
    return [(row.actor, row.action, row.subject) for row in house.rows(AuditEntry) if row.action != "strategy_created"]


def told(house: LiveHouse, code: str) -> list[str]:
    return [event.state for event in house.rows(Event) if event.code == code]


def now_of(house: LiveHouse, version_id: str) -> str:
    page = house.database.read(version_page, version_id, serving=house.serving, cost=house.settings.cost)
    return str(page["what_now"])


def test_a_version_that_turned_wrong_is_alarmed_about_and_goes_on_deciding(house: LiveHouse) -> None:
    first, second = house.train_two()
    house.activate(first)
    house.activate(second)
    house.decide(second, GOOD)
    assert house.look() == 0
    house.decide(second, BAD)

    assert house.look() == 1

    (alarm,) = house.alarms()
    assert (alarm.code, alarm.subject, alarm.strategy, alarm.severity) == (LOST, second, "bot", "warning")
    assert f"{second} has lost the skill it showed. Its walk-forward had 62.0%, at least 56.0%" in alarm.detail
    assert "right in 40 of 120 live forecasts" in alarm.detail
    event = next(event for event in house.rows(Event) if event.code == LOST)
    assert event.detail["evidence"]["lost"] is True
    assert event.detail["remedy"].startswith(f"Go back to {first}: qt rollback --strategy bot.")
    assert event.detail["remedy"].endswith("qt retrain --strategy bot.")
    assert house.active() == second
    assert now_of(house, second).startswith("Take it back (skill_lost): qt rollback --strategy bot,")
    house.deactivate()
    house.activate(second)
    house.look()
    assert now_of(house, second).startswith("It decides."), "counting began anew"


def test_of_a_version_that_was_held_to_a_coin_the_alarm_claims_no_skill(house: LiveHouse) -> None:
    only = house.train_one()
    house.change_reports(accuracy=0.52, ci95=[0.449, 0.59])
    house.activate(only)
    house.decide(only, [False] * 120)

    assert house.look() == 1

    (alarm,) = house.alarms()
    assert f"{only} does worse than a coin. Its walk-forward had 52.0%, which never showed skill" in alarm.detail
    assert "lost the skill" not in alarm.detail
    assert "right in 0 of 120 live forecasts" in alarm.detail


def test_the_alarm_stays_through_better_days_and_a_restart_until_another_version_decides(house: LiveHouse) -> None:
    first, second = house.train_two()
    house.activate(second)
    house.decide(second, BAD)
    house.look()
    house.decide(second, [True] * 200)

    assert house.look(anew=True) == 0
    assert house.open() == [(LOST, second)]
    house.activate(first)
    assert house.look() == 1
    assert house.open() == []
    assert told(house, LOST) == ["raised", "closed"]


def test_a_version_that_a_person_activates_again_begins_anew(house: LiveHouse) -> None:
    second = house.train_one()
    house.activate(second)
    house.decide(second, BAD)
    house.look()
    house.deactivate()
    house.activate(second)

    house.look()

    assert house.open() == []
    house.decide(second, BAD)
    house.look()
    assert house.open() == [(LOST, second)]


def test_nothing_is_read_where_no_outcome_came(house: LiveHouse) -> None:
    second = house.train_one()
    house.activate(second)
    house.decide(second, GOOD)
    house.look()
    selects: list[str] = []
    listen(house.database.engine, "before_cursor_execute", lambda *told: selects.append(told[2]))

    house.look()

    assert len(selects) <= 8
    assert not any("ai_training_samples" in one for one in selects)


def test_without_an_active_version_there_is_nothing_to_say(house: LiveHouse) -> None:
    house.train_two()

    assert house.look(auto_rollback=True) == 0


@pytest.mark.parametrize("walk_forward", [{"accuracy": 0.48}, {"ci95": None}, {"accuracy": None}])
def test_who_never_showed_skill_cannot_lose_it(house: LiveHouse, walk_forward: dict[str, float | None]) -> None:
    second = house.train_one()
    house.change_reports(**walk_forward)
    house.activate(second)
    house.decide(second, BAD)

    assert house.look() == 0


def test_rows_in_quarantine_and_moves_within_the_costs_say_nothing(house: LiveHouse) -> None:
    second = house.train_one()
    house.activate(second)
    house.decide(second, BAD, quarantine_reason="alike_outcomes")
    house.decide(second, BAD, forward_return=0.001)

    assert house.look() == 0


def test_losses_told_so_that_they_are_held_speak_against_it_all_the_same(house: LiveHouse) -> None:
    second = house.train_one()
    house.activate(second)
    house.decide(second, BAD, quarantine_reason="trade_out_of_bounds")

    assert house.look() == 1


# --- QT_AUTO_ROLLBACK ---


def test_by_itself_it_goes_back_once_with_audit_and_news(house: LiveHouse) -> None:
    first, second = house.train_two()
    house.activate(first)
    house.activate(second)
    house.decide(second, BAD)

    house.look(auto_rollback=True)

    assert house.active() == house.served() == first
    assert audited(house)[-1] == (ACTOR, "rollback", first)
    entry = house.rows(AuditEntry)[-1]
    assert entry.reason == f"{second} fell below what its walk-forward holds it to (skill_lost)"
    assert told(house, News.VERSION_ROLLED_BACK) == ["news"]
    assert told(house, LOST) == ["raised", "closed"]
    raised = next(event for event in house.rows(Event) if event.code == LOST)
    assert raised.sentence.endswith(f"QT_AUTO_ROLLBACK is on: the service goes back to {first}.")
    assert house.look(auto_rollback=True) == 0
    assert house.look(auto_rollback=True, anew=True) == 0
    assert house.active() == first


def test_a_process_that_ended_between_alarm_and_rollback_leaves_it_to_the_next(house: LiveHouse) -> None:
    first, second = house.train_two()
    house.activate(first)
    house.activate(second)
    house.decide(second, BAD)
    house.look()
    assert house.active() == second

    house.look(auto_rollback=True, anew=True)

    assert house.active() == first
    assert [action for _, action, _ in audited(house)].count("rollback") == 1


def test_several_processes_go_back_once(house: LiveHouse) -> None:
    first, second = house.train_two()
    for version_id in (first, second, first, second):
        house.activate(version_id)
    house.decide(second, BAD)
    processes = [house.process(auto_rollback=True) for _ in range(4)]
    ready = threading.Barrier(len(processes))

    def work(service: LiveEvidence) -> None:
        ready.wait()
        for _ in range(3):
            look(service)

    threads = [threading.Thread(target=work, args=(service,)) for service in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert house.active() == first
    assert [action for _, action, _ in audited(house)].count("rollback") == 1
    assert told(house, LOST) == ["raised", "closed"]
    assert told(house, News.VERSION_ROLLED_BACK) == ["news"]


def test_a_person_who_was_faster_is_not_overruled(house: LiveHouse) -> None:
    first, second = house.train_two()
    house.activate(first)
    house.activate(second)
    house.activate(first)

    with pytest.raises(Exception, match="was changed meanwhile") as refused:
        rollback(house.versions, "bot", ACTOR, only_from=second)

    assert getattr(refused.value, "reason", None) == "activation_changed"
    assert house.active() == first


def test_where_nothing_was_active_before_it_changes_nothing_and_says_so(house: LiveHouse) -> None:
    second = house.train_one()
    house.activate(second)
    house.decide(second, BAD)

    for anew in (False, False, True):
        house.look(auto_rollback=True, anew=anew)

    assert house.active() == second
    (alarm,) = house.alarms()
    assert alarm.detail.count("no other version was active before: nothing was changed.") == 1
    assert told(house, LOST) == ["raised"]


def test_a_damaged_file_to_go_back_to_is_named_in_the_alarm(house: LiveHouse) -> None:
    first, second = house.train_two()
    house.activate(first)
    house.activate(second)
    house.decide(second, BAD)
    house.store.path_of(first).write_bytes(b"?")

    for _ in range(3):
        house.look(auto_rollback=True)

    assert house.active() == second
    (alarm,) = house.alarms()
    assert alarm.detail.count("QT_AUTO_ROLLBACK could not go back: The file") == 1


def test_off_nothing_is_ever_changed(house: LiveHouse) -> None:
    first, second = house.train_two()
    house.activate(first)
    house.activate(second)
    house.decide(second, BAD)

    for anew in (False, True, True):
        house.look(anew=anew)

    assert house.active() == second
    assert len(house.rows(Activation)) == 2


# --- Drift ---


def scaled(house: LiveHouse, version_id: str, count: int, volatility: float) -> None:
    house.decide(version_id, [True, False] * (count // 2), volatility=volatility)


def test_errors_that_grew_are_alarmed_about_and_decide_nothing(house: LiveHouse) -> None:
    first, second = house.train_two()
    house.activate(first)
    house.activate(second)
    scaled(house, second, 120, 0.01)
    assert house.look(auto_rollback=True) == 0
    scaled(house, second, 60, 0.002)
    assert house.look(auto_rollback=True) == 0, "not looked at again within a quarter of an hour"
    house.time += DRIFT_EVERY
    scaled(house, second, 20, 0.002)

    assert house.look(auto_rollback=True) == 1

    (alarm,) = house.alarms()
    assert (alarm.code, alarm.subject, alarm.severity) == ("errors_drifted", second, "warning")
    assert "grew from 1.0" in alarm.detail
    assert house.active() == second


def test_features_that_moved_are_information_and_over_when_they_are_as_before(
    house: LiveHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "WINDOW", 5)
    monkeypatch.setattr(drift, "ROWS", 1_000)
    second = house.train_one()
    house.activate(second)
    house.decide(second, [True] * 1_000)
    house.look()
    quiet = house.open()
    house.time += DRIFT_EVERY
    newest = update(AITrainingSample).where(AITrainingSample.decision_id.in_([f"live{n}" for n in range(995, 1_000)]))
    moved = b"\x00\x00\xa0\x41" * 3  # 20.0
    house.database.write(lambda session: session.execute(newest.values(features_blob=moved)))
    house.decide(second, [True])
    house.look()
    alarms = house.alarms()
    house.time += DRIFT_EVERY
    house.decide(second, [True] * 30)
    house.look()

    assert quiet == []
    assert [(alarm.code, alarm.subject, alarm.severity) for alarm in alarms] == [("features_drifted", second, "info")]
    assert "leading features" in alarms[0].detail
    assert house.open() == []
