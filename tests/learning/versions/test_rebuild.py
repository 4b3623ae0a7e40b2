"""A version made again: the same bytes, also after much has happened since; or an honest word on what differs."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from ai_engine.dataset import Rows
from ai_engine.pipeline import Refused, Trained, TrainingContext
from backend.errors import ConflictError, NotFoundError, UnavailableError
from backend.learning.versions.lineage import BLOCK, block_digests, packed, unpacked
from backend.learning.versions.rebuild import Rebuilt, rebuild
from backend.learning.versions.trainer import InProcessTrainer, SubprocessTrainer
from backend.models import AIModelVersion, AITrainingSample
from backend.operations.jobs import Progress, WorkFailedError
from tests.learning.versions.house import START, House, Planted


def train(house: House) -> AIModelVersion:
    """The version of 120 planted rows."""
    house.plant(Planted())
    assert house.train()["status"] == "success"
    (version,) = house.rows(AIModelVersion)
    return version


def change(house: House, decision_id: str, **values: Any) -> None:
    """Change one row as nothing in the service would."""

    def use_case(session: Session) -> None:
        session.execute(update(AITrainingSample).where(AITrainingSample.decision_id == decision_id).values(**values))

    house.database.write(use_case)


def again(house: House, version: AIModelVersion) -> Rebuilt:
    return rebuild(house.database, InProcessTrainer(), version.version_id)


def refusal(house: House, version: AIModelVersion) -> ConflictError:
    with pytest.raises(ConflictError) as told:
        again(house, version)
    return told.value


def test_a_version_is_made_again_byte_for_byte(house: House) -> None:
    version = train(house)

    rebuilt = again(house, version)

    assert rebuilt.artifact == house.store.path_of(version.version_id).read_bytes()
    assert rebuilt.as_dict() == {
        "status": "success",
        "version_id": version.version_id,
        "strategy": "bot",
        "identical": True,
        "sha256": version.artifact_sha256,
        "artifact_bytes": version.artifact_bytes,
        "rows": 120,
        "libraries": version.lineage["libraries"],
    }


@pytest.mark.slow
def test_in_a_process_of_its_own_it_is_the_same_file(house: House) -> None:
    version = train(house)
    trainer = SubprocessTrainer()
    stages: list[str] = []

    try:
        rebuilt = rebuild(house.database, trainer, version.version_id, lambda stage, _share: stages.append(stage))
    finally:
        trainer.close()

    assert rebuilt.sha256 == version.artifact_sha256
    assert stages[-1] == "done"


def test_many_later_decisions_change_nothing(house: House) -> None:
    version = train(house)
    house.plant(Planted(count=300, first=120))
    house.plant(Planted(count=50, first=500, known=False))
    house.plant(Planted(count=40, strategy="other"))

    assert again(house, version).sha256 == version.artifact_sha256


def test_a_forward_return_that_arrived_later_is_left_out_again(house: House) -> None:
    house.plant(Planted())
    for number in (3, 118, 119):
        change(house, f"d{number}", forward_return=None, forward_price_at=None, label_source="executed")
    assert house.train()["status"] == "success"
    (version,) = house.rows(AIModelVersion)

    for number in (3, 118, 119):
        late = START + timedelta(days=2)
        change(house, f"d{number}", forward_return=0.02, forward_price_at=late)

    assert unpacked(version.lineage["rows"]["without_forward_return"]) == [4, 119, 120]
    assert again(house, version).sha256 == version.artifact_sha256


def test_rows_that_are_gone_are_counted(house: House) -> None:
    version = train(house)
    house.database.write(lambda s: s.execute(delete(AITrainingSample).where(AITrainingSample.id <= 7)) and None)

    told = refusal(house, version)

    assert told.reason == "rows_changed"
    assert told.extra["gone"] == 7
    assert "of 120 rows 7 are gone." in told.message


def test_quarantined_rows_are_counted(house: House) -> None:
    version = train(house)
    change(house, "d5", quarantine_reason="return_out_of_bounds")

    told = refusal(house, version)

    assert (told.extra["quarantined"], told.extra["gone"]) == (1, 0)


def test_an_outcome_that_replaced_another_is_counted(house: House) -> None:
    house.plant(Planted())
    house.database.write(lambda s: s.execute(update(AITrainingSample).values(outcome_recorded_at=START)) and None)
    assert house.train()["status"] == "success"
    (version,) = house.rows(AIModelVersion)

    for number in (8, 9):
        later = START + timedelta(hours=1)
        change(house, f"d{number}", label_source="executed", market_return=0.03, outcome_recorded_at=later)

    assert refusal(house, version).extra["relabelled"] == 2


def test_a_row_altered_behind_the_services_back_is_noticed(house: House) -> None:
    version = train(house)
    change(house, "d5", features_blob=np.zeros(3, dtype="<f4").tobytes())

    told = refusal(house, version)

    assert told.extra == {"gone": 0, "quarantined": 0, "relabelled": 0, "altered_at_least": 1}
    assert "1 or more were altered" in told.message


def test_a_change_that_trains_nothing_is_no_obstacle(house: House) -> None:
    version = train(house)
    change(house, "d5", warning="looked at", exit_reason="target", realized_pnl=1.0)

    assert again(house, version).sha256 == version.artifact_sha256


class OtherLibraries:
    """A machine on which the same rows give other bytes."""

    def __init__(self, **libraries: str) -> None:
        self.libraries = libraries

    def __call__(self, rows: Rows, context: TrainingContext, progress: Progress | None = None) -> Trained | Refused:
        trained = InProcessTrainer()(rows, context, progress)
        assert isinstance(trained, Trained)
        return replace(trained, sha256="f" * 64, libraries={**trained.libraries, **self.libraries})


@pytest.mark.parametrize(
    ("libraries", "said"),
    [({"xgboost": "9.9"}, "is 9.9"), ({}, "the program or the processor differs")],
)
def test_other_bytes_name_the_libraries_that_differ(house: House, libraries: dict[str, str], said: str) -> None:
    version = train(house)

    with pytest.raises(ConflictError, match=said) as told:
        rebuild(house.database, OtherLibraries(**libraries), version.version_id)

    assert told.value.reason == "not_identical"
    assert set(told.value.extra["libraries"]) == set(libraries)
    assert told.value.extra["expected_sha256"] == version.artifact_sha256


def test_another_recipe_is_named_before_anything_is_trained(house: House) -> None:
    version = train(house)
    lineage = {**version.lineage, "recipe": {**version.lineage["recipe"], "version": "xgboost-0"}}
    house.database.write(lambda s: s.execute(update(AIModelVersion).values(lineage=lineage)) and None)

    told = refusal(house, version)

    assert (told.reason, told.extra["recorded"]) == ("recipe_changed", "xgboost-0")


def test_a_version_from_before_rows_were_recorded_says_so(house: House) -> None:
    version = train(house)
    lineage = {name: value for name, value in version.lineage.items() if name != "rows"}
    house.database.write(lambda s: s.execute(update(AIModelVersion).values(lineage=lineage)) and None)

    assert refusal(house, version).reason == "lineage_incomplete"


def test_too_few_rows_left_are_rows_changed(house: House) -> None:
    version = train(house)
    house.database.write(lambda s: s.execute(delete(AITrainingSample)) and None)

    assert refusal(house, version).extra["gone"] == 120


def failing(_rows: Rows, _context: TrainingContext, _progress: Progress | None = None) -> Trained | Refused:
    raise WorkFailedError("The training process was ended by SIGKILL.")


def test_a_training_that_does_not_end_is_one_sentence(house: House) -> None:
    version = train(house)

    with pytest.raises(UnavailableError, match="SIGKILL"):
        rebuild(house.database, failing, version.version_id)


def test_an_unknown_version_is_not_found(house: House) -> None:
    with pytest.raises(NotFoundError):
        rebuild(house.database, failing, "v20250101_000000")


def test_nothing_is_stored_by_it(house: House) -> None:
    version = train(house)
    before = house.database.read(lambda s: s.execute(select(AIModelVersion.__table__)).all())

    again(house, version)

    assert house.database.read(lambda s: s.execute(select(AIModelVersion.__table__)).all()) == before
    assert len(list(house.settings.model_dir.iterdir())) == 1


@given(st.sets(st.integers(min_value=1, max_value=10_000)))
def test_packed_ids_are_the_same_ids(ids: set[int]) -> None:
    assert unpacked(packed(ids)) == sorted(ids)


def test_the_ids_of_a_month_are_short_also_where_three_bots_write_in_turn() -> None:
    every_third = [one for start in range(1, 78_000, 9) for one in range(start, start + 3)]

    assert len(packed(every_third)) < 500
    assert len(packed(range(1, 26_000))) < 50


def test_one_digest_stands_for_each_block(house: House) -> None:
    version = train(house)

    digests = version.lineage["rows"]["digests"]

    assert len(digests) == -(-120 // BLOCK)
    assert all(len(one) == 16 for one in digests)


def test_a_digest_tells_every_column_apart() -> None:
    rows = Rows(
        decision_ids=("a", "b"),
        symbols=("X", "X"),
        times=np.array([1, 2]),
        ends=np.array([3, 4]),
        X=np.array([[1.0], [2.0]], dtype=np.float32),
        feature_names=("f",),
        forward_returns=np.array([0.1, np.nan]),
        market_returns=np.array([0.1, 0.2]),
        label_sources=("executed", "counterfactual"),
    )
    others = (
        replace(rows, decision_ids=("a", "c")),
        replace(rows, symbols=("X", "Y")),
        replace(rows, times=np.array([1, 3])),
        replace(rows, ends=np.array([3, 5])),
        replace(rows, X=np.array([[1.0], [2.1]], dtype=np.float32)),
        replace(rows, forward_returns=np.array([0.1, 0.0])),
        replace(rows, market_returns=np.array([0.1, 0.2000001])),
        replace(rows, label_sources=("executed", "historical")),
    )

    found = {block_digests(one, (1, 2), (1, 2))[0] for one in (rows, *others)}

    assert len(found) == len(others) + 1
    assert block_digests(rows, (1,), (1, 2)) != block_digests(rows, (1, 2), (1, 2))
