"""What tonight's judgement is told of earlier nights: no forecast that could have known its outcome, no broken file."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ai_engine import artifact, sequential
from ai_engine.past import NOTHING_BEFORE, Matured, Past, evidence_of_nights
from ai_engine.pipeline import Trained
from backend.clock import to_ms
from backend.database import Database
from backend.learning.decisions.observed import DecisionBody
from backend.learning.decisions.posted import DecisionService, post_decision
from backend.learning.versions.activation import ActivationRequest, activate
from backend.learning.versions.past import PastRead, read_past
from backend.learning.versions.rebuild import rebuild
from backend.learning.versions.retrain import retrain
from backend.learning.versions.store import ArtifactStore
from backend.learning.versions.trainer import InProcessTrainer, SubprocessTrainer
from backend.models import AIModelVersion, AITrainingSample, Forecast, Strategy
from backend.operations.events import list_events
from tests.learning.versions.house import CANDLE, NAMES, START, House, Planted

Train = Callable[[int], list[str]]

# With it about 70 % of directions can be known, which is not yet too good to be true.
NOISE = 0.015


def past_of(house: House, strategy: str = "bot") -> PastRead:
    return read_past(house.database, house.store, strategy)


def bet_on(house: House) -> Matured | None:
    """The matured forecasts alone."""
    matured = past_of(house).past.matured
    if matured is None:
        return None
    told = ~np.isnan(matured.scores)
    return Matured(matured.times[told], matured.ends[told], matured.y[told], matured.scores[told])


def change(house: House, number: int, **values: Any) -> None:
    """Change the planted decision of that number."""
    statement = update(AITrainingSample).where(AITrainingSample.decision_id == f"d{number}").values(**values)
    house.database.write(lambda session: session.execute(statement))


def decided_at(number: int) -> int:
    return to_ms(START + number * CANDLE)


def shadow(house: House, number: int, version_id: str, score: float) -> None:
    """Store what a shadow forecast for the decision of that number."""

    def use_case(session: Session) -> None:
        sample_id = session.scalars(
            select(AITrainingSample.id).where(AITrainingSample.decision_id == f"d{number}")
        ).one()
        session.add(Forecast(sample_id=sample_id, version_id=version_id, score=score, action="BUY", role="shadow"))

    house.database.write(use_case)


def answers(house: House, version_id: str, numbers: range) -> list[float]:
    """What the version's file says to the features of those decisions."""
    model = artifact.load(house.store.path_of(version_id).read_bytes())
    rows = {row.decision_id: row.features for row in house.rows(AITrainingSample)}
    return model.scores(np.array([rows[f"d{number}"] for number in numbers], dtype=np.float32)).tolist()


def test_before_the_first_version_there_is_no_past(house: House) -> None:
    house.plant(Planted())

    assert past_of(house) == PastRead(NOTHING_BEFORE)


def test_rows_that_a_version_learned_from_are_no_evidence_for_it(house: House, trained: Train) -> None:
    trained(1)

    assert past_of(house).past.matured is None


def test_a_decision_nobody_forecast_is_forecast_by_the_newest_version_that_could_not_have_known(
    house: House, trained: Train
) -> None:
    first, second = trained(2)
    house.plant(Planted(first=140, count=10))

    matured = bet_on(house)

    assert matured is not None
    assert matured.times.tolist() == [decided_at(number) for number in range(120, 150)]
    assert matured.ends.tolist() == [decided_at(number + 1) for number in range(120, 150)]
    assert matured.scores[:20].tolist() == pytest.approx(answers(house, first, range(120, 140)), rel=1e-9)
    assert matured.scores[20:].tolist() == pytest.approx(answers(house, second, range(140, 150)), rel=1e-9)


def test_a_version_is_asked_of_no_decision_made_before_all_of_its_outcomes_were_known(
    house: House, trained: Train
) -> None:
    (first,) = trained(1)
    late = START + 125 * CANDLE + CANDLE / 2
    house.plant(Planted(first=120, count=10))

    def tell(session: Session) -> None:
        version = session.scalars(select(AIModelVersion)).one()
        version.lineage = {**version.lineage, "outcomes_known_until": late.isoformat()}

    house.database.write(tell)

    matured = bet_on(house)
    assert matured is not None
    assert matured.times.tolist() == [decided_at(number) for number in range(126, 130)]
    assert matured.scores.tolist() == pytest.approx(answers(house, first, range(126, 130)), rel=1e-9)


def test_of_a_version_that_did_not_record_it_no_outcome_counts_as_known_after_its_training(
    house: House, trained: Train
) -> None:
    trained(1)
    house.plant(Planted(first=120, count=10))
    trained_at = START + 127 * CANDLE

    def forget(session: Session) -> None:
        version = session.scalars(select(AIModelVersion)).one()
        version.lineage = {key: value for key, value in version.lineage.items() if key != "outcomes_known_until"}
        version.trained_at = trained_at

    house.database.write(forget)

    matured = bet_on(house)
    assert matured is not None
    assert matured.times.tolist() == [decided_at(number) for number in range(127, 130)]


def test_the_lineage_says_when_the_newest_outcome_was_known(house: House, trained: Train) -> None:
    trained(1)

    assert house.rows(AIModelVersion)[0].lineage["outcomes_known_until"] == "2026-02-01T10:00:00Z"


def test_the_forecast_made_at_the_decision_goes_before_every_other(house: House, trained: Train) -> None:
    first, second = trained(2)
    house.plant(Planted(first=140, count=3))
    change(house, 140, prediction_score=0.5, model_version=first)
    shadow(house, 140, second, -0.5)
    shadow(house, 141, first, 0.25)
    shadow(house, 141, second, -0.25)

    matured = bet_on(house)

    assert matured is not None
    assert matured.scores[20:22].tolist() == [0.5, -0.25]
    assert matured.scores[22] == pytest.approx(answers(house, second, range(142, 143))[0], rel=1e-9)


def test_a_forecast_that_may_have_known_the_outcome_is_made_again_by_one_that_cannot(
    house: House, trained: Train
) -> None:
    first, second = trained(2)
    change(house, 130, prediction_score=99.0, model_version=second)
    shadow(house, 131, second, 99.0)
    change(house, 132, prediction_score=99.0, model_version="v20200101_000000")

    matured = bet_on(house)

    assert matured is not None
    assert matured.scores.tolist() == pytest.approx(answers(house, first, range(120, 140)), rel=1e-9)


def test_a_row_held_for_its_trade_alone_is_bet_on(house: House, trained: Train) -> None:
    trained(1)
    house.plant(Planted(first=120, count=3))
    change(house, 121, quarantine_reason="trade_out_of_bounds")

    matured = bet_on(house)

    assert matured is not None
    assert matured.times.tolist() == [decided_at(number) for number in (120, 121, 122)]


@pytest.mark.parametrize(
    "values",
    [
        {"quarantine_reason": "implausible_return"},
        {"forward_return": None, "forward_price_at": None},
        {"origin": "import"},
        {"origin": "historical"},
        {"origin": "synthetic"},
        {"strategy": "other"},
    ],
)
def test_what_nobody_decided_or_nobody_believes_is_left_out(
    house: House, trained: Train, values: dict[str, Any]
) -> None:
    trained(1)
    house.plant(Planted(strategy="other", count=1))
    house.plant(Planted(first=120, count=3))

    change(house, 121, **values)

    matured = bet_on(house)
    assert matured is not None
    assert matured.times.tolist() == [decided_at(120), decided_at(122)]


def test_rows_without_an_outcome_yet_are_not_matured(house: House, trained: Train) -> None:
    trained(1)
    house.plant(Planted(first=120, count=3, known=False))

    assert past_of(house).past.matured is None


def other_symbol(house: House, numbers: range) -> None:
    """Make the decisions of those numbers ones of a second symbol, each at the time of the one ten before."""
    for number in numbers:
        at = START + (number - 10) * CANDLE
        change(house, number, symbol="ETHUSDC", timestamp=at, horizon_at=at + CANDLE)


def test_a_round_of_which_an_outcome_is_awaited_is_not_bet_on_but_what_is_known_of_it_counts_for_the_majority(
    house: House, trained: Train
) -> None:
    trained(1)
    house.plant(Planted(first=120, count=10))
    house.plant(Planted(first=130, count=10, known=False))
    other_symbol(house, range(130, 140))
    for number in range(130, 138):
        change(house, number, forward_return=0.01, forward_price_at=START + (number - 9) * CANDLE)

    matured = bet_on(house)

    assert matured is not None
    assert matured.times.tolist() == [decided_at(number) for number in range(120, 128) for _ in range(2)]
    everything = past_of(house).past.matured
    assert everything is not None
    assert everything.times.tolist()[-2:] == [decided_at(128), decided_at(129)]
    assert np.isnan(everything.scores[-2:]).all()
    assert not np.isnan(everything.y).any()


@pytest.mark.parametrize(
    "values",
    [
        {"forward_return_source": "unobservable"},
        {"quarantine_reason": "implausible_return"},
        {"features_blob": np.array([1.0, np.nan, 1.0], dtype="<f4").tobytes()},
    ],
)
def test_a_round_waits_for_nothing_that_will_never_be_known_nor_for_what_nobody_forecast(
    house: House, trained: Train, values: dict[str, Any]
) -> None:
    trained(1)
    house.plant(Planted(first=120, count=10))
    house.plant(Planted(first=130, count=10, known=False))
    other_symbol(house, range(130, 140))
    for number in range(130, 140):
        change(house, number, **values)

    matured = bet_on(house)

    assert matured is not None
    assert matured.times.tolist() == [decided_at(number) for number in range(120, 130)]


def test_outcomes_that_nobody_forecast_are_told_without_a_score(house: House, trained: Train) -> None:
    trained(1)
    house.plant(Planted(first=120, count=3))

    matured = past_of(house).past.matured

    assert matured is not None
    assert matured.times.tolist() == [decided_at(number) for number in range(123)]
    assert np.isnan(matured.scores).tolist() == [True] * 120 + [False] * 3


def test_without_a_move_larger_than_the_costs_there_is_no_evidence(house: House, trained: Train) -> None:
    trained(1)
    house.plant(Planted(first=120, count=3))

    past = past_of(house).past

    assert evidence_of_nights(past, cost=1.0) is None
    assert evidence_of_nights(past, cost=0.0) is not None


def test_a_row_that_lacks_a_feature_or_holds_no_number_is_not_forecast(house: House, trained: Train) -> None:
    trained(1)
    house.plant(Planted(first=120, count=3))
    house.plant(Planted(first=123, count=2, names=("atr", "rsi")))
    change(house, 121, features_blob=np.array([1.0, np.nan, 1.0], dtype="<f4").tobytes())

    matured = bet_on(house)

    assert matured is not None
    assert matured.times.tolist() == [decided_at(120), decided_at(122)]


def test_a_row_that_holds_more_features_is_forecast_by_name(house: House, trained: Train) -> None:
    (first,) = trained(1)
    wider = tuple(sorted((*NAMES, "aaa")))
    house.plant(Planted(first=120, count=2, names=wider))

    matured = bet_on(house)

    rows = {row.decision_id: row.features for row in house.rows(AITrainingSample)}
    own = [[rows[f"d{number}"][wider.index(name)] for name in NAMES] for number in (120, 121)]
    model = artifact.load(house.store.path_of(first).read_bytes())
    assert matured is not None
    assert matured.scores.tolist() == pytest.approx(model.scores(np.array(own, dtype=np.float32)).tolist(), rel=1e-9)


def test_a_damaged_version_leaves_its_rows_to_the_one_before_it(house: House, trained: Train) -> None:
    first, second = trained(2)
    house.plant(Planted(first=140, count=2))
    house.store.path_of(second).write_bytes(b"damaged")

    matured = bet_on(house)

    assert matured is not None
    assert matured.scores.tolist() == pytest.approx(answers(house, first, range(120, 142)), rel=1e-9)


def test_more_rows_than_are_read_at_once_are_all_forecast_each_by_its_own_features(
    house: House, trained: Train
) -> None:
    (first,) = trained(1)
    house.plant(Planted(first=120, count=1_030))

    matured = bet_on(house)

    assert matured is not None
    assert matured.scores.tolist() == pytest.approx(answers(house, first, range(120, 1_150)), rel=1e-9)


class WatchedStore(ArtifactStore):
    """Proves at every file that a writer could write: on SQLite one transaction open elsewhere would not keep it."""

    opened = 0
    database: Database

    def load(self, path: Any, *, sha256: str, size: int) -> artifact.Model:
        assert self.database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        self.opened += 1
        return super().load(path, sha256=sha256, size=size)


def test_files_are_read_and_models_asked_with_no_transaction_open(house: House, trained: Train) -> None:
    _, second = trained(2)
    house.plant(Planted(first=140, count=2))
    activate(house.versions, ActivationRequest(second, "ada"))
    store = WatchedStore(house.settings.model_dir)
    store.database = house.database

    read = read_past(house.database, store, "bot")

    assert store.opened == 3
    assert read.past.champion is not None


def test_the_active_version_is_the_champion_with_its_published_bytes(house: House, trained: Train) -> None:
    first, _ = trained(2)
    activate(house.versions, ActivationRequest(first, "ada"))

    champion = past_of(house).past.champion

    assert champion is not None
    assert champion.version_id == first
    assert champion.blob == house.store.path_of(first).read_bytes()
    assert champion.known_until == decided_at(120)


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_a_champion_whose_file_is_unusable_is_not_compared_with_and_nothing_is_recommended(
    house: House, trained: Train, damage: str
) -> None:
    (first,) = trained(1)
    activate(house.versions, ActivationRequest(first, "ada"))
    path = house.store.path_of(first)
    path.unlink() if damage == "missing" else path.write_bytes(b"damaged")
    house.plant(Planted(first=120, count=20))

    answer = house.train()

    report: Any = answer["report"]
    assert answer["status"] == "success"
    assert report["comparison"] is None
    assert report["recommended"] is False
    assert f"{first} is active and could not be compared with" in report["recommendation_reasons"][-1]
    assert house.rows_of(str(answer["version_id"])).recommended is False


def convinced(house: House) -> str:
    """Nights on which a real signal proves itself: the version that is recommended at last."""
    house.plant(Planted(count=300, noise=NOISE))
    house.train()
    house.plant(Planted(first=300, count=300, noise=NOISE))
    house.train()
    return str(house.rows(AIModelVersion)[-1].version_id)


def test_a_signal_that_holds_over_nights_is_recommended_told_and_let_through_in_strict_mode(house: House) -> None:
    house.settings = replace(house.settings, activation_gate="strict", fee_rate=0.0002, slippage_bps=0.0)
    version = house.rows_of(convinced(house))

    assert version.report["verdict"] in ("evidence", "strong_evidence")
    assert version.report["e_value"] >= sequential.ENOUGH
    assert (version.recommended, version.report["recommendation_reasons"]) == (True, [])
    told, _ = house.database.read(list_events)
    assert [event["subject"] for event in told if event["code"] == "version_recommended"] == [version.version_id]
    answer = activate(house.versions, ActivationRequest(version.version_id, "ada"))
    assert (answer["activated_version"], answer["warning"]) == (version.version_id, None)


def test_a_version_that_is_not_told_from_the_active_one_is_not_recommended(house: House) -> None:
    house.settings = replace(house.settings, fee_rate=0.0002, slippage_bps=0.0)
    first = convinced(house)
    activate(house.versions, ActivationRequest(first, "ada"))
    house.plant(Planted(first=600, count=60, noise=NOISE))

    report: Any = house.train()["report"]

    assert report["comparison"]["champion"] == first
    assert report["comparison"]["verdict"] == "not_distinguishable"
    assert report["recommended"] is False
    newest = house.rows(AIModelVersion)[-1].version_id
    warned = activate(house.versions, ActivationRequest(newest, "ada"))["warning"]
    assert "One night's evidence speaks for it, but against the active version it is not distinguishable." in warned


def test_the_file_does_not_depend_on_the_past_but_the_report_does(house: House) -> None:
    house.plant(Planted())
    house.train()
    house.plant(Planted(first=120, count=60))
    told: list[Past] = []

    def remembering(rows: Any, context: Any, progress: Any = None, past: Past = NOTHING_BEFORE) -> Trained:
        told.append(past)
        with_past = InProcessTrainer()(rows, context, progress, past)
        without = InProcessTrainer()(rows, context)
        assert isinstance(with_past, Trained)
        assert isinstance(without, Trained)
        assert with_past.artifact == without.artifact
        assert with_past.data_hash == without.data_hash
        assert (without.report["e_value"], with_past.report["e_value"] is None) == (None, False)
        return with_past

    answer = retrain(replace(house.training, trainer=remembering), strategy="bot", actor="tests")  # type: ignore[arg-type]

    assert told[0].matured is not None
    rebuilt = rebuild(house.database, InProcessTrainer(), answer["version_id"])
    assert rebuilt.artifact == house.store.path_of(answer["version_id"]).read_bytes()


def test_the_child_is_told_the_past_too(house: House, trained: Train) -> None:
    (first,) = trained(1)
    activate(house.versions, ActivationRequest(first, "ada"))
    house.plant(Planted(first=120, count=60))
    trainer = SubprocessTrainer()

    try:
        there = retrain(replace(house.training, trainer=trainer), strategy="bot", actor="tests")
    finally:
        trainer.close()

    assert there["report"]["comparison"]["champion"] == first
    assert there["report"]["e_value"] is not None


def test_every_version_ever_trained_is_a_look_also_one_that_nobody_activated(house: House, trained: Train) -> None:
    trained(3)
    house.train()

    assert [version.report["looks"] for version in house.rows(AIModelVersion)] == [1, 2, 3]
    assert house.database.read(lambda s: s.get_one(Strategy, "bot").looks) == 3


def test_the_largest_evidence_is_a_number_that_json_knows() -> None:
    times = np.arange(50_000, dtype=np.int64)

    longest = sequential.e_process(np.ones(50_000), times, times + 1)

    assert json.loads(json.dumps(longest.e_value, allow_nan=False)) == longest.e_value > 1e200
    assert math.isfinite(longest.e_value * 1e40)


def test_what_shadows_really_scored_is_evidence_although_no_version_was_ever_active(
    house: House, trained: Train
) -> None:
    _, second = trained(2)
    service = DecisionService(house.database, house.settings, house.serving, house.clock)
    random = np.random.default_rng(5)
    for number in range(200, 240):
        features = dict(zip(NAMES, random.normal(size=len(NAMES)).tolist(), strict=True))
        price = 100.0 + number % 7
        own = {"predicted_action": "BUY"} if number == 220 else {}
        body = DecisionBody("BTCUSDC", f"p{number}", START + number * CANDLE, price, features, **own)
        post_decision(service, "bot", body, "trader")

    read = house.database.read(
        lambda s: s.execute(
            select(AITrainingSample.timestamp, Forecast.score)
            .join(Forecast, Forecast.sample_id == AITrainingSample.id)
            .where(Forecast.role == "shadow", Forecast.version_id == second, AITrainingSample.forward_return != None)  # noqa: E711
        ).all()
    )
    told = {to_ms(timestamp): score for timestamp, score in read}
    house.store.path_of(second).unlink()

    matured = bet_on(house)

    assert matured is not None
    assert len(told) == 38
    assert decided_at(220) not in told
    kept = dict(zip(matured.times.tolist(), matured.scores.tolist(), strict=True))
    assert {time: kept[time] for time in told} == told
    assert decided_at(220) in kept
    house.plant(Planted(first=140, count=20))
    assert house.train()["report"]["e_value"] > 0  # type: ignore[index]
