"""The whole loop over history: nights in market time, versions, nothing twice, interrupted or not."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ai_engine.artifact import Model
from backend.errors import ConflictError
from backend.learning.versions.activation import ActivationRequest, VersionService, activate
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import ArtifactStore
from backend.learning.versions.trainer import InProcessTrainer
from backend.trading.replay import ReplayOptions, ReplayService, ReplaySummary, replay
from backend.trading.role import TraderRole
from tests.trading.conftest import desks_in, write_files
from tests.trading.desk import NOW, START, Desk

OpenDesk = Callable[..., Desk]
FIRST_NIGHT = START + timedelta(hours=42)


class Wall:
    """A wall clock that moves a second each time it is looked at, as versions are named after seconds."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        self.time += timedelta(milliseconds=20)
        return self.time


NIGHTS: dict[str, Any] = {"ai_retrain_schedule": "every 3h", "ai_retrain_min_samples": 20}


@pytest.fixture
def open_replay(files: Path, open_desk: OpenDesk) -> OpenDesk:
    """Opens desks with a retraining each three hours of market time."""

    def open_replay(**changes: Any) -> Desk:
        desk = open_desk(**(NIGHTS | changes))
        desk.clock = Wall()
        return desk

    return open_replay


def silent(done: int, total: int, at: datetime, doing: str) -> None:
    """A progress nobody watches."""


def run(
    desk: Desk,
    activate: str = "newest",
    progress: Callable[..., None] = silent,
    size: int = 32,
    stores: Callable[[Path], ArtifactStore] = ArtifactStore,
) -> ReplaySummary:
    store = stores(desk.settings.model_dir)
    service = ReplayService(desk.database, desk.settings, store, Serving(store), InProcessTrainer(), desk.clock)
    return replay(service, desk.feed, ReplayOptions("replay", activate, size), progress)


def learned(desk: Desk) -> list[tuple[Any, ...]]:
    """What is equal in two replays of the same files: the runs and their versions, not their names or wall times."""
    return desk.rows(
        "select r.slot, r.state, r.actor, v.trained_at, v.data_hash, v.artifact_sha256, v.is_active,"
        " v.total_predictions"
        " from job_runs r left join ai_model_versions v on v.version_id = json_extract(r.result, '$.version_id')"
        " order by r.slot"
    )


def traded(desk: Desk) -> dict[str, list[tuple[Any, ...]]]:
    """Everything but the versions' names."""
    everything = desk.everything()
    everything["samples"] = [row[:10] + row[11:] for row in everything["samples"]]
    everything["counters"] = [row[1:] for row in everything["counters"]]
    return everything


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Replayed to its end. To look at only."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    write_files(folder / "files")
    with desks_in(folder) as open_desk:
        desk = open_desk(**NIGHTS)
        desk.clock = Wall()
        run(desk)
        yield desk


def test_retraining_happens_at_each_slot_of_market_time_and_leaves_versions(uninterrupted: Desk) -> None:
    desk = uninterrupted
    runs = desk.rows("select slot, state, actor, job from job_runs order by slot")

    assert [row[0][:16] for row in runs] == [
        f"{FIRST_NIGHT + timedelta(hours=3 * night):%Y-%m-%d %H:%M}" for night in range(len(runs))
    ]
    assert len(runs) == 4
    assert {(row[2], row[3]) for row in runs} == {("replay", "ai-retraining")}
    versions = desk.rows("select trained_at, version_id from ai_model_versions order by id")
    assert len(versions) == sum(row[1] == "success" for row in runs) >= 3
    assert all(str(trained) == str(row[0]) for (trained, _), row in zip(versions, runs[-len(versions) :], strict=True))
    assert all(version.startswith("v20260302_") for _, version in versions)
    assert len(list(desk.settings.model_dir.glob("*.pkl"))) == len(versions)


def test_each_version_was_trained_on_nothing_that_came_after_its_night(uninterrupted: Desk) -> None:
    """What left at a candle's open is known once that candle has closed: hence one candle of doubt."""
    for slot, seen in uninterrupted.rows(
        "select r.slot, json_extract(v.lineage, '$.known_outcomes') from job_runs r"
        " join ai_model_versions v on v.version_id = json_extract(r.result, '$.version_id')"
    ):
        before, until = (
            uninterrupted.rows(
                "select count(*) from ai_training_samples where outcome_known and datetime(case when"
                " label_source = 'executed' then datetime(exit_time, :doubt) else forward_price_at end)"
                " <= datetime(:slot)",
                slot=slot,
                doubt=doubt,
            )[0][0]
            for doubt in ("+5 minutes", "+0 minutes")
        )
        assert before <= seen <= until


def test_the_newest_version_decides_from_the_round_after_its_night(uninterrupted: Desk) -> None:
    spans = uninterrupted.rows(
        "select v.trained_at, min(s.timestamp) from ai_training_samples s"
        " join ai_model_versions v on v.version_id = s.model_version group by 1 order by 1"
    )
    assert len(spans) >= 2
    for trained_at, first in spans:
        assert datetime.fromisoformat(first) - datetime.fromisoformat(trained_at) == timedelta(minutes=5)


def test_a_second_run_over_the_same_files_adds_nothing(uninterrupted: Desk) -> None:
    desk = uninterrupted
    tables = ("ai_training_samples", "candles", "positions", "fills", "trade_logs", "forecasts", "ai_model_versions",
              "job_runs", "audit", "activations")  # fmt: skip
    before = {table: desk.rows(f"select * from {table} order by 1, 2") for table in tables}

    summary = run(desk)

    assert summary.rounds_taken == 0
    assert {table: desk.rows(f"select * from {table} order by 1, 2") for table in tables} == before
    assert summary.figures.decisions.total == len(before["ai_training_samples"])


class Interrupted(BaseException):
    """As Ctrl-C would."""


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 3, 5, 8])
def test_an_interrupted_replay_goes_on_where_it_was(uninterrupted: Desk, open_replay: OpenDesk, at: int) -> None:
    desk, calls = open_replay(), 0

    def interrupting(done: int, total: int, when: datetime, doing: str) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise Interrupted

    with pytest.raises(Interrupted):
        run(desk, progress=interrupting)
    run(desk)

    assert learned(desk) == learned(uninterrupted)
    assert traded(desk) == traded(uninterrupted)


class InterruptingStore(ArtifactStore):
    """Is interrupted when a published file is first read, which the activation does."""

    def load(self, path: str, *, sha256: str, size: int) -> Model:
        """Never."""
        raise Interrupted(path, sha256, size)


@pytest.mark.slow
def test_interrupted_between_a_version_and_its_activation_it_activates_after_all(
    uninterrupted: Desk, open_replay: OpenDesk
) -> None:
    desk = open_replay()
    with pytest.raises(Interrupted):
        run(desk, stores=InterruptingStore)
    assert desk.rows("select count(*), sum(is_active) from ai_model_versions") == [(1, 0)]

    run(desk)

    assert learned(desk) == learned(uninterrupted)
    assert traded(desk) == traded(uninterrupted)


@pytest.mark.slow
def test_the_size_of_a_transaction_changes_nothing(uninterrupted: Desk, open_replay: OpenDesk) -> None:
    desk = open_replay()

    run(desk, size=5)

    assert learned(desk) == learned(uninterrupted)
    assert traded(desk) == traded(uninterrupted)


@pytest.mark.slow
def test_by_default_nothing_that_is_not_recommended_is_activated(open_replay: OpenDesk) -> None:
    desk = open_replay()

    summary = run(desk, activate="recommended")

    assert summary.figures.versions
    assert not any(version.recommended or version.is_active for version in summary.figures.versions)
    assert summary.figures.decisions.cold_start == summary.figures.decisions.total
    assert desk.rows("select count(*) from activations") == [(0,)]


@pytest.mark.slow
def test_a_person_may_activate_between_two_replays_and_none_leaves_that_alone(
    open_replay: OpenDesk, files: Path
) -> None:
    desk, whole = open_replay(), {path: path.read_text() for path in files.iterdir()}
    for path, content in whole.items():
        path.write_text("\n".join(content.splitlines()[: 575 if "AAA" in path.name else 515]) + "\n")
    first = run(desk, activate="none")
    store = ArtifactStore(desk.settings.model_dir)
    chosen = first.figures.versions[0].version_id
    activate(VersionService(desk.database, desk.settings, store, desk.clock), ActivationRequest(chosen, "a person"))
    for path, content in whole.items():
        path.write_text(content)

    second = run(desk, activate="none")

    used = {version.version_id: version.decisions for version in second.figures.versions}
    assert used[chosen] == second.figures.decisions.total - first.figures.decisions.total > 0
    assert sum(used.values()) == used[chosen]


@pytest.mark.slow
def test_progress_reaches_the_end_and_names_the_nights(open_replay: OpenDesk) -> None:
    desk, told = open_replay(), []

    run(desk, progress=lambda done, total, at, doing: told.append((done, total, doing)))  # noqa: ARG005

    assert told[-1][0] == told[-1][1] == sum(1 for _ in desk.feed.rounds(desk.feed.start - timedelta(minutes=5)))
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert sum("retraining" in doing for _, _, doing in told) == 4


def test_a_strategy_that_another_process_trades_is_refused(open_replay: OpenDesk) -> None:
    desk = open_replay()
    assert TraderRole(desk.database, "replay", lambda: NOW, "elsewhere:1:x").take()

    with pytest.raises(ConflictError) as refused:
        run(desk)

    assert refused.value.reason == "trader_running"
    assert "--strategy" in refused.value.message


def test_with_retraining_disabled_it_only_replays(open_replay: OpenDesk) -> None:
    desk = open_replay(ai_retraining_enabled=False)

    summary = run(desk)

    assert summary.figures.retrainings == {}
    assert summary.figures.decisions.total > 0
    assert desk.feed_row().state == "finished"
