"""Two versions side by side: paired on what both forecast, money beside it, and no winner that nothing proves."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend.database import Database
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.learning.evidence.compare import Shared, compare, judge, net_returns
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.models import AIModelVersion, AITrainingSample, Forecast
from backend.settings import Settings
from tests.learning.versions.house import CANDLE, START, House, Planted

LEARNED = 160
"""So many rows were learned from; the first of the others lies where the last of these was known."""


FIRST_TEN = range(LEARNED + 1, LEARNED + 11)
FREE = START + LEARNED * CANDLE


@pytest.fixture
def house(database: Database, settings: Settings, now: datetime) -> House:
    """An empty house."""
    store = ArtifactStore(settings.model_dir)
    return House(database, settings, store, Serving(store), now)


@pytest.fixture
def two(house: House) -> tuple[str, str]:
    """Two versions of one strategy, in the order they were trained, and decisions that neither learned from."""
    house.plant(Planted())
    first = str(house.train()["version_id"])
    house.plant(Planted(first=120, count=40))
    second = str(house.train()["version_id"])
    house.plant(Planted(first=LEARNED, count=160))
    return first, second


def told(house: House, a: str, b: str) -> dict[str, Any]:
    return house.database.read(compare, a, b, settings=house.settings)


Answers = Callable[[AITrainingSample], tuple[float, str]]


def forecast(house: House, version: str, role: str, answers: Answers, count: int = 30, first: int = LEARNED) -> None:
    """Let the version answer for rows, by default for the first that nobody learned from."""

    def use_case(session: Session) -> None:
        rows = select(AITrainingSample).order_by(AITrainingSample.id).offset(first).limit(count)
        for row in session.scalars(rows):
            score, action = answers(row)
            session.add(
                Forecast(
                    sample_id=row.id, version_id=version, score=score, expected_return=None, confidence=None,
                    action=action, role=role,
                )
            )  # fmt: skip

    house.database.write(use_case)


def knowing(row: AITrainingSample) -> tuple[float, str]:
    """Always right."""
    moved = row.forward_return or 0.0
    return moved, "BUY" if moved > 0 else "SELL"


def mistaken(row: AITrainingSample) -> tuple[float, str]:
    """Always wrong."""
    score, action = knowing(row)
    return -score, "SELL" if action == "BUY" else "BUY"


def silent(row: AITrainingSample) -> tuple[float, str]:
    """Right about the direction, and never trades."""
    return knowing(row)[0], "HOLD"


def test_versions_that_share_no_decision_are_shown_and_not_ranked(house: House, two: tuple[str, str]) -> None:
    answer = told(house, *two)

    assert answer["verdict"] == "not_distinguishable"
    assert "no decision together" in answer["sentence"]
    assert answer["paired"] == {
        "rows": 0, "rounds": 0, "known_before": 0, "neutral_rows": 0, "agreement": None, "same_action": None,
        "mean_difference": None,
        "a": {"accuracy": None, "correct": 0, "judged": 0, "mean_net_return": None},
        "b": {"accuracy": None, "correct": 0, "judged": 0, "mean_net_return": None},
    }  # fmt: skip
    assert (answer["confidence_sequence"], answer["outcomes_still_needed"]) == (None, None)


def test_each_side_tells_its_reports_key_figures(house: House, two: tuple[str, str]) -> None:
    answer = told(house, *two)

    for side, version_id in zip(("a", "b"), two, strict=True):
        version = house.rows_of(version_id)
        assert answer[side]["version_id"] == version_id
        for name in ("validation_accuracy", "baseline_accuracy", "break_even_accuracy", "verdict", "recommended"):
            assert answer[side]["report"][name] == version.report[name]
        assert answer[side]["live"]["live_accuracy"] is None
        assert answer[side]["executed"] == {"total_trades": 0, "total_pnl": 0.0}


def test_the_pair_is_made_of_decisions_that_both_forecast(house: House, two: tuple[str, str]) -> None:
    forecast(house, two[0], "active", mistaken, count=30)
    forecast(house, two[1], "shadow", knowing, count=20)

    paired = told(house, *two)["paired"]

    assert (paired["rows"], paired["rounds"]) == (20, 20)
    assert (paired["agreement"], paired["same_action"]) == (0.0, 0.0)
    assert (paired["a"]["accuracy"], paired["b"]["accuracy"]) == (0.0, 1.0)
    assert paired["a"]["judged"] == 20 - paired["neutral_rows"]


def test_what_one_of_the_two_learned_from_is_no_win_for_it(house: House, two: tuple[str, str]) -> None:
    for version, role, answers in ((two[0], "active", mistaken), (two[1], "shadow", knowing)):
        forecast(house, version, role, answers, count=LEARNED + 1, first=0)

    answer = told(house, *two)

    assert (answer["paired"]["rows"], answer["paired"]["known_before"]) == (1, LEARNED)
    assert (answer["verdict"], answer["confidence_sequence"]["stretches"]) == ("not_distinguishable", 0)
    assert "160 decisions are left out, from before the newest outcome" in answer["sentence"]
    back = told(house, *reversed(two))
    assert (back["paired"]["rows"], back["paired"]["known_before"]) == (1, LEARNED)


def test_decisions_posted_late_among_what_the_newer_version_learned_from_name_no_winner(house: House) -> None:
    house.plant(Planted(count=120))
    older = str(house.train()["version_id"])
    house.plant(Planted(first=120, count=120))
    newer = str(house.train()["version_id"])
    first = len(house.rows(AITrainingSample))
    house.plant(Planted(first=300, count=110))

    def backdate(session: Session) -> None:
        for row in session.scalars(select(AITrainingSample).where(AITrainingSample.id > first)):
            row.timestamp = START + (120 + row.id - first - 1) * CANDLE + timedelta(seconds=1)
            row.horizon_at = row.timestamp + CANDLE

    house.database.write(backdate)
    forecast(house, older, "active", mistaken, count=110, first=first)
    forecast(house, newer, "shadow", knowing, count=110, first=first)

    answer = told(house, older, newer)

    assert (answer["paired"]["rows"], answer["paired"]["known_before"]) == (0, 110)
    assert (answer["verdict"], answer["confidence_sequence"]) == ("not_distinguishable", None)
    assert "no decision together whose outcome counts" in answer["sentence"]
    assert "110 decisions are left out" in answer["sentence"]


def test_net_returns_are_those_of_the_labels_own_formula(house: House, two: tuple[str, str]) -> None:
    forecast(house, two[0], "active", silent)
    forecast(house, two[1], "shadow", knowing)

    paired = told(house, *two)["paired"]

    moves = np.array([row.forward_return for row in house.rows(AITrainingSample)[LEARNED:][:30]])
    expected = float(np.mean(np.abs(moves) - house.settings.cost))
    assert paired["a"]["mean_net_return"] == 0.0
    assert paired["b"]["mean_net_return"] == pytest.approx(expected, rel=1e-12)
    assert paired["mean_difference"] == pytest.approx(expected, rel=1e-12)
    assert (paired["agreement"], paired["same_action"]) == (1.0, 0.0)


def test_the_other_way_round_is_the_mirror_image(house: House, two: tuple[str, str]) -> None:
    forecast(house, two[0], "active", mistaken)
    forecast(house, two[1], "shadow", knowing)

    there, back = told(house, *two), told(house, *reversed(two))

    assert (there["paired"]["a"], there["paired"]["b"]) == (back["paired"]["b"], back["paired"]["a"])
    assert there["paired"]["mean_difference"] == -back["paired"]["mean_difference"]
    assert two[1] in there["sentence"].split("both forecast, ")[1]


def test_a_difference_that_cannot_be_chance_names_the_winner_whichever_is_asked_first(
    house: House, two: tuple[str, str]
) -> None:
    forecast(house, two[0], "active", mistaken, count=160)
    forecast(house, two[1], "shadow", knowing, count=160)

    there, back = told(house, *two), told(house, *reversed(two))

    assert (there["verdict"], back["verdict"]) == ("better", "worse")
    bounds, mirrored = there["confidence_sequence"], back["confidence_sequence"]
    assert bounds["high"] > bounds["mean_difference"] > bounds["low"] > 0
    assert (bounds["stretches"], bounds["level"], bounds["stretch_seconds"]) == (79, 0.95, 600.0)
    assert (mirrored["low"], mirrored["high"]) == (-bounds["high"], -bounds["low"])
    assert there["outcomes_still_needed"] == 0
    assert f"{two[1]} is better than {two[0]}" in there["sentence"]


def test_before_enough_stretches_of_time_have_closed_no_winner_is_named(house: House, two: tuple[str, str]) -> None:
    forecast(house, two[0], "active", mistaken, count=100)
    forecast(house, two[1], "shadow", knowing, count=100)

    answer = told(house, *two)

    sequence = answer["confidence_sequence"]
    assert answer["verdict"] == "not_distinguishable"
    assert (sequence["stretches"], sequence["low"], sequence["high"]) == (49, None, None)
    assert answer["outcomes_still_needed"] == 2
    assert "49 stretches of time have closed, and 50 are needed" in answer["sentence"]


def test_what_is_still_needed_is_told_in_outcomes_and_grows_as_the_difference_shrinks(
    house: House, two: tuple[str, str]
) -> None:
    def lucky(row: AITrainingSample) -> tuple[float, str]:
        return knowing(row) if row.id % 7 < 4 else mistaken(row)

    forecast(house, two[0], "active", silent, count=160)
    forecast(house, two[1], "shadow", lucky, count=160)

    answer = told(house, *two)

    assert answer["verdict"] == "not_distinguishable"
    assert answer["confidence_sequence"]["low"] < 0 < answer["confidence_sequence"]["high"]
    assert answer["outcomes_still_needed"] > 100
    assert f"About {answer['outcomes_still_needed']} more outcomes" in answer["sentence"]


def test_a_copy_is_never_told_from_the_original(house: House, two: tuple[str, str]) -> None:
    forecast(house, two[0], "active", knowing, count=160)
    forecast(house, two[1], "shadow", knowing, count=160)

    answer = told(house, *two)

    sequence = answer["confidence_sequence"]
    assert (answer["verdict"], answer["outcomes_still_needed"]) == ("not_distinguishable", None)
    assert (sequence["low"], sequence["mean_difference"], sequence["high"]) == (None, 0.0, None)
    assert "they earned the same" in answer["sentence"]


def test_a_difference_that_never_varies_names_no_winner(house: House, two: tuple[str, str]) -> None:
    still = update(AITrainingSample).values(forward_return=0.0)
    forecast(house, two[0], "active", lambda _: (0.0, "HOLD"), count=160)
    forecast(house, two[1], "shadow", lambda _: (0.1, "BUY"), count=160)
    house.database.write(lambda s: s.execute(still) and None)

    answer = told(house, *two)

    assert answer["paired"]["mean_difference"] == pytest.approx(-house.settings.cost)
    assert (answer["verdict"], answer["confidence_sequence"]["low"]) == ("not_distinguishable", None)
    assert "how far it may vary is not known" in answer["sentence"]


def test_an_explored_trade_is_not_the_versions_own_answer(house: House, two: tuple[str, str]) -> None:
    forecast(house, two[0], "active", knowing)
    forecast(house, two[1], "shadow", knowing)
    house.database.write(lambda s: s.execute(update(AITrainingSample).values(explored=True)) and None)

    paired = told(house, *two)["paired"]

    assert paired["a"]["mean_net_return"] == 0.0
    assert paired["b"]["mean_net_return"] > 0


@pytest.mark.parametrize("values", [{"forward_return": None}, {"quarantine_reason": "return_out_of_bounds"}])
def test_open_horizons_and_quarantined_rows_are_left_out(
    house: House, two: tuple[str, str], values: dict[str, Any]
) -> None:
    forecast(house, two[0], "active", knowing)
    forecast(house, two[1], "shadow", knowing)
    changed = update(AITrainingSample).where(AITrainingSample.id.in_(FIRST_TEN)).values(**values)
    house.database.write(lambda s: s.execute(changed) and None)

    assert told(house, *two)["paired"]["rows"] == 20


def test_rows_held_for_their_trade_alone_are_shared(house: House, two: tuple[str, str]) -> None:
    forecast(house, two[0], "active", knowing)
    forecast(house, two[1], "shadow", knowing)
    held = update(AITrainingSample).where(AITrainingSample.id.in_(FIRST_TEN))
    held = held.values(quarantine_reason="trade_far_from_candles")
    house.database.write(lambda s: s.execute(held) and None)

    assert told(house, *two)["paired"]["rows"] == 30


def test_ten_symbols_in_one_round_count_as_one_round(house: House, two: tuple[str, str]) -> None:
    forecast(house, two[0], "active", silent)
    forecast(house, two[1], "shadow", knowing)
    together = update(AITrainingSample).where(AITrainingSample.id.in_(FIRST_TEN)).values(timestamp=FREE)
    house.database.write(lambda s: s.execute(together) and None)

    paired = told(house, *two)["paired"]

    moves = [
        abs(row.forward_return or 0.0) - house.settings.cost for row in house.rows(AITrainingSample)[LEARNED:][:30]
    ]
    assert (paired["rows"], paired["rounds"]) == (30, 21)
    assert paired["mean_difference"] == pytest.approx(np.mean([np.mean(moves[:10]), *moves[10:]]), rel=1e-12)


def test_money_stands_beside_the_pair_and_never_inside(house: House, two: tuple[str, str]) -> None:
    forecast(house, two[0], "active", knowing)
    forecast(house, two[1], "shadow", knowing)
    before = told(house, *two)
    rich = update(AIModelVersion).where(AIModelVersion.version_id == two[0]).values(total_pnl=1e6, total_trades=9)
    house.database.write(lambda s: s.execute(rich) and None)

    after = told(house, *two)

    assert after["a"]["executed"] == {"total_trades": 9, "total_pnl": 1e6}
    assert after["paired"] == before["paired"]


def test_versions_of_two_strategies_are_refused(house: House, two: tuple[str, str]) -> None:
    house.plant(Planted(strategy="other"))
    foreign = str(house.train(strategy="other")["version_id"])

    with pytest.raises(ConflictError, match=r"of bot, .* of other") as refused:
        told(house, two[0], foreign)

    assert refused.value.reason == "different_strategies"


def test_a_strategy_that_contradicts_the_versions_is_404_and_theirs_is_taken(
    house: House, two: tuple[str, str]
) -> None:
    def of(strategy: str) -> dict[str, Any]:
        return house.database.read(compare, *two, strategy, settings=house.settings)

    with pytest.raises(NotFoundError, match="is a version of bot, not of 'other'"):
        of("other")
    assert of("bot") == told(house, *two)


def test_a_version_beside_itself_is_refused(house: House, two: tuple[str, str]) -> None:
    with pytest.raises(InvalidInputError, match="Name two versions"):
        told(house, two[0], two[0])


def test_an_unknown_version_is_named_with_the_nearest(house: House, two: tuple[str, str]) -> None:
    with pytest.raises(NotFoundError, match="The nearest is"):
        told(house, two[0], "v20250101_000000")


TERMS = SimpleNamespace(fee_rate=0.001, slippage_bps=2.0, cost=0.0024)


def paired_of(shared: Shared, terms: Any, sides: str = "long,short") -> dict[str, Any]:
    return judge(shared, net_returns(shared, sides=sides, costs=terms), cost=terms.cost)


def test_a_long_only_strategy_earns_nothing_by_selling(settings: Settings) -> None:
    shared = Shared(
        times=np.array([0, 1]),
        ends=np.array([1, 2]),
        forward_returns=np.array([-0.02, 0.03]),
        scores=(np.array([-1.0, -1.0]), np.array([-1.0, 1.0])),
        actions=(np.array(["SELL", "SELL"]), np.array(["SELL", "BUY"])),
    )

    paired = paired_of(shared, settings, sides="long")

    assert paired["a"]["mean_net_return"] == 0.0
    assert paired["b"]["mean_net_return"] == pytest.approx((0.03 - settings.cost) / 2)
    assert paired["a"]["accuracy"] == 0.5


ROWS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.floats(-0.2, 0.2),
        st.floats(-1, 1),
        st.floats(-1, 1),
        st.sampled_from(["BUY", "SELL", "HOLD"]),
        st.sampled_from(["BUY", "SELL", "HOLD"]),
    ),
    min_size=1,
    max_size=30,
)


@given(ROWS)
def test_the_pair_equals_a_count_by_hand(rows: list[tuple[int, float, float, float, str, str]]) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    shared = Shared(
        times=np.array([row[0] for row in rows]),
        ends=np.array([row[0] + 1 for row in rows]),
        forward_returns=np.array([row[1] for row in rows]),
        scores=(np.array([row[2] for row in rows]), np.array([row[3] for row in rows])),
        actions=(np.array([row[4] for row in rows]), np.array([row[5] for row in rows])),
    )

    paired = paired_of(shared, TERMS)

    def net(action: str, move: float) -> float:
        return {"BUY": move - 0.0024, "SELL": -move - 0.0024, "HOLD": 0.0}[action]

    means = []
    for _, group in groupby(rows, key=lambda row: row[0]):
        differences = [net(row[5], row[1]) - net(row[4], row[1]) for row in group]
        means.append(sum(differences) / len(differences))
    judged = [row for row in rows if abs(row[1]) > 0.0024]
    right = [row for row in judged if np.sign(row[2]) == np.sign(row[1])]
    assert paired["rounds"] == len(means)
    assert paired["mean_difference"] == pytest.approx(sum(means) / len(means), abs=1e-12)
    assert (paired["a"]["judged"], paired["a"]["correct"]) == (len(judged), len(right))


@given(ROWS)
def test_a_copy_is_never_ahead(rows: list[tuple[int, float, float, float, str, str]]) -> None:
    scores, actions = np.array([row[2] for row in rows]), np.array([row[4] for row in rows])
    shared = Shared(
        times=np.array([row[0] for row in rows]),
        ends=np.array([row[0] + 1 for row in rows]),
        forward_returns=np.array([row[1] for row in rows]),
        scores=(scores, scores),
        actions=(actions, actions),
    )

    paired = paired_of(shared, TERMS)

    assert paired["mean_difference"] == 0.0
    assert (paired["agreement"], paired["same_action"]) == (1.0, 1.0)
    assert paired["a"] == paired["b"]


def test_rows_without_a_known_outcome_have_no_effect(house: House, two: tuple[str, str]) -> None:
    forecast(house, two[0], "active", knowing)
    forecast(house, two[1], "shadow", mistaken)
    before = told(house, *two)["paired"]

    house.plant(replace(Planted(first=400, count=20), known=False))

    assert told(house, *two)["paired"] == before
