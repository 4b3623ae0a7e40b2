"""The figures of a version's skill and drift, as the outside reads them."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from backend.database import Database
from backend.learning.evidence import drift
from backend.learning.evidence.drift import drift_of
from backend.learning.evidence.since_activation import LiveRows, read_live_rows
from backend.learning.evidence.skill import skill_of
from backend.learning.versions.find import find_version
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.settings import Settings
from tests.learning.evidence.live import LIVE, LiveHouse
from tests.learning.versions.house import CANDLE


@pytest.fixture
def house(database: Database, settings: Settings, now: datetime) -> LiveHouse:
    store = ArtifactStore(settings.model_dir)
    return LiveHouse(database, settings, store, Serving(store), now)


@pytest.fixture
def active(house: LiveHouse) -> str:
    """A version that decides."""
    only = house.train_one()
    house.activate(only)
    return only


def skill(house: LiveHouse, version_id: str) -> dict[str, Any]:
    def read(session: Session) -> dict[str, Any]:
        return skill_of(session, find_version(session, version_id), house.settings.cost).as_dict()

    told = house.database.read(read)
    json.dumps(told, allow_nan=False)
    return told


def drifted(house: LiveHouse, version_id: str) -> dict[str, Any]:
    def read(session: Session) -> dict[str, Any]:
        version = find_version(session, version_id)
        return drift_of(session, version, read_live_rows(session, version), house.serving)

    told = house.database.read(read)
    json.dumps(told, allow_nan=False)
    return told


def rows(house: LiveHouse, version_id: str) -> LiveRows:
    return house.database.read(lambda session: read_live_rows(session, find_version(session, version_id)))


def test_a_version_that_keeps_its_skill_says_how_long_losing_it_would_take_to_see(
    house: LiveHouse, active: str
) -> None:
    house.decide(active, [True, True, False] * 20)

    told = skill(house, active)

    assert (told["lost"], told["outcomes"], told["hits"], told["bound"]) == (False, 60, 40, 0.56)
    assert told["accuracy"] == pytest.approx(2 / 3)
    assert (told["rounds"], told["phases"], told["enough"], told["alarmed_at"]) == (60, 1, 20.0, None)
    assert 0 < told["e_value"] < 1 <= told["largest_e_value"]
    assert 50 < told["expected_delay"] < 300 < told["expected_delay_to_a_coin"]
    delays = (told["expected_delay_to_a_coin"], told["expected_delay"])
    said = "A fall to a coin's 50% would be seen in about {:,} further ones, one to 38% in about {:,}"
    assert said.format(*delays) in told["sentence"]


def test_a_lost_skill_says_when_it_was_seen(house: LiveHouse, active: str) -> None:
    house.decide(active, [False] * 60)
    once = skill(house, active)
    house.decide(active, [True] * 300)

    told = skill(house, active)

    assert told["lost"] is True
    assert told["alarmed_at"] == once["alarmed_at"]
    assert LIVE.isoformat().replace("+00:00", "Z") < told["alarmed_at"] < (LIVE + 60 * CANDLE).isoformat()
    assert told["e_value"] < 1
    assert told["largest_e_value"] > 20


def test_who_never_showed_skill_says_so(house: LiveHouse, active: str) -> None:
    house.change_reports(accuracy=0.48, ci95=[0.42, 0.54])
    house.decide(active, [False] * 60)

    told = skill(house, active)

    assert (told["lost"], told["bound"], told["e_value"], told["expected_delay"]) == (None, None, None, None)
    assert told["sentence"] == "It never showed skill in its walk-forward, so there is none to lose."


def test_a_report_without_a_walk_forward_showed_nothing(house: LiveHouse, active: str) -> None:
    house.change_reports(accuracy=None, ci95=None)

    assert skill(house, active)["walk_forward_accuracy"] is None
    assert skill(house, active)["accuracy"] is None


def test_an_interval_that_begins_below_a_coin_is_never_told_as_at_least_a_coin(house: LiveHouse, active: str) -> None:
    house.change_reports(accuracy=0.52, ci95=[0.449, 0.59])
    house.decide(active, [True, False])

    told = skill(house, active)

    assert told["bound"] == 0.5
    assert told["sentence"].startswith(
        "Its walk-forward had 52.0%, which never showed skill beyond chance (its interval begins at 44.9%): it is"
        " therefore held to a coin's 50%; live it was right in 1 of 2 live forecasts"
    )
    assert "at least" not in told["sentence"]


def test_before_anything_matured_nothing_is_said_to_be_right_or_wrong(house: LiveHouse, active: str) -> None:
    empty = skill(house, active)["sentence"]
    house.decide(active, [True], forward_return=0.0001)

    small = skill(house, active)["sentence"]

    assert "at least 56.0% by its interval; of its live forecasts since its activation none has matured yet." in empty
    assert "; of its live forecasts since its activation none has moved more than the costs yet." in small
    assert "0 of 0" not in empty + small


def test_a_fall_to_a_coin_is_never_seen_where_no_more_than_a_coin_was_sure(house: LiveHouse, active: str) -> None:
    house.change_reports(accuracy=0.56, ci95=[0.48, 0.64])

    told = skill(house, active)

    assert told["expected_delay_to_a_coin"] is None
    assert "A fall to a coin's 50% would not be seen" in told["sentence"]


def test_a_round_counts_when_none_of_its_outcomes_is_awaited(house: LiveHouse, active: str) -> None:
    house.decide(active, [True, True, True])
    at = LIVE + 2 * CANDLE
    unknown: dict[str, Any] = {"timestamp": at, "symbol": "ETHUSDC", "forward_return": None}
    house.decide(active, [True], forward_return_source=None, **unknown)
    awaited = len(rows(house, active).times)

    house.decide(active, [True], forward_return_source="unobservable", **{**unknown, "timestamp": LIVE})

    assert awaited == len(rows(house, active).times) == 2


def test_decisions_within_one_candle_are_one_bet_which_waits_for_all_of_them(house: LiveHouse, active: str) -> None:
    """Horizon and candle of the strategy are one: five minutes."""
    house.decide(active, [True, False])
    for seconds in (1, 40, 299):
        house.decide(active, [False], timestamp=LIVE + timedelta(seconds=seconds))
    settled = skill(house, active)

    awaited = {"forward_return": None, "forward_return_source": None}
    house.decide(active, [True], timestamp=LIVE + timedelta(seconds=120), **awaited)

    assert (settled["outcomes"], settled["rounds"]) == (5, 2)
    assert rows(house, active).together == CANDLE // timedelta(milliseconds=1)
    assert (skill(house, active)["outcomes"], skill(house, active)["rounds"]) == (1, 1)


def test_what_was_decided_before_its_latest_activation_does_not_count(house: LiveHouse, active: str) -> None:
    house.decide(active, [False] * 10)
    house.deactivate()
    house.activate(active)
    house.decide(active, [True] * 3)

    assert skill(house, active)["outcomes"] == 3


def test_the_outcome_is_known_when_its_price_was(house: LiveHouse, active: str) -> None:
    house.decide(active, [True], forward_price_at=LIVE + 2 * CANDLE)
    house.decide(active, [True], forward_price_at=None)

    found = rows(house, active)

    assert (found.ends - found.times).tolist() == [2 * 300_000, 300_000]


def test_imported_rows_and_other_versions_say_nothing(house: LiveHouse, active: str) -> None:
    house.decide(active, [False] * 5, origin="import")
    house.decide(active, [False] * 5, model_version=None)

    assert skill(house, active)["outcomes"] == 0


def test_a_score_of_zero_has_no_direction_and_is_a_miss(house: LiveHouse, active: str) -> None:
    house.decide(active, [True, True], prediction_score=0.0)

    assert (skill(house, active)["outcomes"], skill(house, active)["hits"]) == (2, 0)


def test_without_volatility_and_rows_the_answer_is_not_enough_data(house: LiveHouse, active: str) -> None:
    house.decide(active, [True] * 60)

    told = drifted(house, active)

    assert told["errors"]["drifted"] is None
    assert told["errors"]["sentence"].startswith("Not enough data: 0 of 30 stretches")
    assert told["features"]["drifted"] is None
    assert told["features"]["sentence"].startswith("Not enough data: ")
    assert [one["moved"] for one in told["features"]["features"]] == [None] * len(told["features"]["features"])


def test_errors_that_stay_are_said_to_stay(house: LiveHouse, active: str) -> None:
    house.decide(active, [True, False] * 40, volatility=0.01)

    told = drifted(house, active)["errors"]

    assert (told["drifted"], told["before"], told["since"], told["stretches"]) == (False, None, None, 39)


def test_where_errors_changed_is_told_in_time(house: LiveHouse, active: str) -> None:
    house.decide(active, [True, False] * 60, volatility=0.002)
    house.decide(active, [True, False] * 30, volatility=0.01)

    told = drifted(house, active)["errors"]

    assert told["drifted"] is True
    assert told["before"] == pytest.approx(5.0)
    assert abs(datetime.fromisoformat(told["since"]) - (LIVE + 120 * CANDLE)) < timedelta(hours=2)
    assert "shrank from 5.00 to" in told["sentence"]


def test_a_volatility_of_zero_scales_nothing(house: LiveHouse, active: str) -> None:
    house.decide(active, [True] * 80, volatility=0.0)

    assert drifted(house, active)["errors"]["stretches"] == 0


def test_leading_features_are_told_with_their_share_and_their_past(
    house: LiveHouse, active: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "WINDOW", 5)
    monkeypatch.setattr(drift, "ROWS", 1_000)
    house.decide(active, [True] * 1_000)

    told = drifted(house, active)["features"]

    assert (told["rows"], told["drifted"], told["moved"]) == (1_000, False, [])
    assert told["features"][0]["name"] == "atr"
    assert told["features"][0]["gain"] > 0.5
    assert all(one["psi"] <= one["largest_before"] for one in told["features"])


def test_a_version_whose_file_is_gone_has_no_leading_features(house: LiveHouse, active: str) -> None:
    house.store.path_of(active).unlink()
    house.serving = Serving(house.store)

    told = drifted(house, active)["features"]

    assert told["features"] == []
    assert told["sentence"].startswith("Not known which features lead: The file")
