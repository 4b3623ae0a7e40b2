"""Retrain, look, activate, decide, predict, roll back: one service, in the order a person would."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import (
    NAMES,
    NOW,
    TRADER,
    assert_problem,
    closed_samples,
    contents,
    features,
    open_client,
    settings_in,
)

MODEL_KEYS = {
    "version_id",
    "model_type",
    "strategy",
    "trained_at",
    "training_samples",
    "validation_samples",
    "train_accuracy",
    "validation_accuracy",
    "train_mae",
    "validation_mae",
    "verdict",
    "recommended",
    "is_active",
    "activated_at",
    "replaced_at",
    "total_predictions",
    "correct_predictions",
    "live_accuracy",
    "total_pnl",
    "notes",
}
ACTIVATION_KEYS = {
    "status",
    "activated_version",
    "previous_version",
    "model_type",
    "train_accuracy",
    "validation_accuracy",
    "message",
    "warning",
}
TRAINED_KEYS = {
    "status",
    "version_id",
    "training_samples",
    "validation_samples",
    "train_accuracy",
    "validation_accuracy",
    "train_mae",
    "validation_mae",
    "model_path",
    "message",
    "report",
}
FORCE = "force=true&reason=a+test"


class Trained:
    """A service with two versions of strategy ``default`` and what their retrainings answered."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.answers: list[dict[str, Any]] = []
        for seed, count in ((1, 200), (2, 40)):
            client.post("/ai/training-samples", json={"samples": closed_samples(count, seed=seed)})
            answer = client.post("/ai/retrain?min_samples=100", headers={"Content-Type": "application/json"})
            assert answer.status_code == 200, answer.text
            self.answers.append(answer.json())
        self.versions = [answer["version_id"] for answer in self.answers]

    def activate(self, version_id: str) -> dict[str, Any]:
        answer = self.client.post(f"/ai/activate-model/{version_id}?{FORCE}")
        assert answer.status_code == 200, answer.text
        activation: dict[str, Any] = answer.json()
        return activation


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    with open_client(settings_in(tmp_path_factory.mktemp("loop")), lambda: NOW) as client:
        yield Trained(client)


@pytest.fixture(autouse=True)
def _nothing_active(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "trained" in request.fixturenames:
        request.getfixturevalue("trained").client.post("/ai/deactivate")


def test_a_retraining_answers_every_key_of_the_document(trained: Trained) -> None:
    for answer in trained.answers:
        assert answer["status"] == "success"
        assert set(answer) >= TRAINED_KEYS
        assert answer["report"]["verdict"]
        assert Path(answer["model_path"]).name == f"xgb_model_{answer['version_id']}.pkl"


def test_the_same_data_again_makes_no_second_version(trained: Trained) -> None:
    answer = trained.client.post("/ai/retrain").json()

    assert (answer["status"], answer["reason"]) == ("skipped", "no_new_samples")
    assert answer["version_id"] == trained.versions[-1]


def test_too_few_outcomes_are_said_with_the_numbers(trained: Trained) -> None:
    answer = trained.client.post("/ai/retrain?min_samples=1000000")

    assert answer.status_code == 200
    assert answer.json()["reason"] == "insufficient_samples"
    assert (answer.json()["samples_count"], answer.json()["required"]) == (240, 1_000_000)


def test_without_waiting_the_run_can_be_asked_for(trained: Trained) -> None:
    started = trained.client.post("/ai/retrain?wait=false&min_samples=1000000")

    run = trained.client.get(f"/ai/retraining-runs/{started.json()['run_id']}").json()

    assert started.status_code == 202
    assert run["run_id"] == started.json()["run_id"]
    assert run["state"] in {"running", "skipped"}
    assert run["slot"] is None


def test_runs_are_listed_newest_first(trained: Trained) -> None:
    runs = trained.client.get("/ai/retraining-runs").json()

    assert runs["status"] == "ok"
    assert runs["count"] == len(runs["runs"]) >= 2
    assert [run["result"]["version_id"] for run in runs["runs"] if run["state"] == "success"] == trained.versions[::-1]


def test_a_run_of_another_strategy_is_404(trained: Trained) -> None:
    run_id = trained.client.get("/ai/retraining-runs").json()["runs"][0]["run_id"]

    assert trained.client.get(f"/ai/retraining-runs/{run_id}?strategy=default").status_code == 200
    assert_problem(trained.client.get(f"/ai/retraining-runs/{run_id}?strategy=other"), 404, "unknown_run")


def test_versions_are_listed_newest_first_page_by_page(trained: Trained) -> None:
    first = trained.client.get("/ai/models?limit=1").json()
    second = trained.client.get(f"/ai/models?limit=1&cursor={first['next_cursor']}").json()

    assert [page["models"][0]["version_id"] for page in (first, second)] == trained.versions[::-1]
    assert second["next_cursor"] is None
    assert set(first["models"][0]) >= MODEL_KEYS
    assert first["models"][0]["live_accuracy"] is None


def test_one_version_is_shown_with_its_report_and_lineage(trained: Trained) -> None:
    version_id = trained.versions[0]

    shown = trained.client.get(f"/ai/models/{version_id}").json()

    assert shown["report"] == trained.answers[0]["report"]
    assert shown["lineage"]["feature_names"] == list(NAMES)
    assert len(shown["lineage"]["sha256"]) == 64
    assert_problem(trained.client.get(f"/ai/models/{version_id}?strategy=other"), 404, "unknown_version")


def test_an_activated_version_makes_the_next_decision_and_predicts_the_same(trained: Trained) -> None:
    version_id = trained.versions[0]
    answer = trained.activate(version_id)

    body = {"symbol": "BTCUSDC", "price": 40_000.0, "features": features()}
    decided = trained.client.post("/ai/decisions", json=body, headers=TRADER).json()
    predicted = trained.client.post("/ai/predict", json={"rows": [features()]}, headers=TRADER).json()

    assert set(answer) >= ACTIVATION_KEYS
    assert answer["activated_version"] == version_id
    assert answer["warning"]
    assert decided["model_version"] == predicted["model_version"] == version_id
    assert predicted["predictions"] == [decided["prediction_score"]]
    assert predicted["expected_returns"] == [decided["expected_return"]]
    assert predicted["confidences"] == [decided["prediction_confidence"]]
    assert predicted["actions"] == [decided["predicted_action"]]


def test_the_counters_and_the_filter_by_version_know_its_decisions(trained: Trained) -> None:
    version_id = trained.versions[1]
    trained.activate(version_id)
    trained.client.post("/ai/decisions", json={"symbol": "BTCUSDC", "price": 1.0, "features": features(5)})

    model = next(one for one in trained.client.get("/ai/models").json()["models"] if one["version_id"] == version_id)
    samples = trained.client.get(f"/ai/training-samples?model_version={version_id}").json()["samples"]

    assert model["is_active"] is True
    assert model["total_predictions"] == len(samples) > 0
    assert {sample["model_version"] for sample in samples} == {version_id}
    contradicted = trained.client.get(f"/ai/training-samples?model_version={version_id}&strategy=other")
    assert_problem(contradicted, 404, "unknown_version")


def test_rolling_back_walks_through_earlier_activations(trained: Trained) -> None:
    older, newer = trained.versions
    trained.activate(older)
    trained.activate(newer)

    answer = trained.client.post("/ai/rollback?reason=worse")

    assert answer.status_code == 200
    assert set(answer.json()) >= ACTIVATION_KEYS
    assert (answer.json()["activated_version"], answer.json()["previous_version"]) == (older, newer)
    entry = trained.client.get("/ai/audit?limit=1").json()["entries"][0]
    assert (entry["action"], entry["actor"], entry["reason"], entry["subject"]) == ("rollback", "admin", "worse", older)


def test_a_schema_that_the_active_version_cannot_serve_is_said_and_its_decisions_come_in(trained: Trained) -> None:
    older, newer = trained.versions
    trained.activate(older)
    trained.activate(newer)
    others = {"rsi": 55.0, **{name: value for name, value in features().items() if name != "feature_0"}}

    wider = trained.client.post("/ai/strategies/default/schema", json={"features": [*features(), "rsi"]}).json()
    narrower = trained.client.post("/ai/strategies/default/schema", json={"features": list(others)}).json()
    body = {"symbol": "BTCUSDC", "price": 40_000.0, "features": others}
    one = trained.client.post("/ai/decisions", json={**body, "decision_id": "n-1"}, headers=TRADER)
    batch = trained.client.post("/ai/decisions", json={"decisions": [{**body, "decision_id": "n-2"}]}, headers=TRADER)

    assert wider["warning"] is None, "the version's names are all among them"
    assert all(word in narrower["warning"] for word in (newer, "feature_0", "schema_mismatch", "Retrain"))
    for status, answer in ((one.status_code, one.json()), (201, batch.json()["results"][0])):
        assert status == answer.get("status", 201) == 201
        assert (answer["predicted_action"], answer["reason"]) == ("HOLD", "schema_mismatch")
        assert (answer["model_version"], answer["prediction_score"]) == (None, None)
    stored = trained.client.get("/ai/training-samples?outcome_known=false").json()["samples"]
    assert {sample["decision_id"] for sample in stored} >= {"n-1", "n-2"}
    assert_problem(trained.client.post("/ai/rollback?reason=worse"), 409, "schema_mismatch")
    again = trained.client.post("/ai/strategies/default/schema", json={"features": list(features())})
    assert again.json()["warning"] is None


def test_any_version_predicts_active_or_not(trained: Trained) -> None:
    older, newer = trained.versions
    rows = [features(seed) for seed in range(20)]

    answers = [
        trained.client.post("/ai/predict", json={"rows": rows, "version_id": version_id}).json()
        for version_id in (older, newer)
    ]

    assert [answer["model_version"] for answer in answers] == [older, newer]
    assert {len(answer[key]) for answer in answers for key in ("predictions", "confidences", "actions")} == {20}


def test_without_an_active_version_prediction_is_409(trained: Trained) -> None:
    answer = trained.client.post("/ai/predict", json={"rows": [features()]})

    assert_problem(answer, 409, "no_active_model")


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        ([{**features(), "feature_0": "1"}], "rows[0].feature_0"),
        ([features(), {**features(), "feature_1": None}], "rows[1].feature_1"),
        ([{**features(), "other": 1.0}], "rows[0]"),
        ([{"feature_0": 1.0}], "rows[0]"),
    ],
)
def test_a_row_to_predict_is_refused_by_its_field(trained: Trained, rows: list[Any], field: str) -> None:
    body = {"rows": rows, "version_id": trained.versions[0]}

    assert assert_problem(trained.client.post("/ai/predict", json=body), 422)["field"] == field


def test_a_contradicting_strategy_of_a_prediction_is_404(trained: Trained) -> None:
    body = {"rows": [features()], "version_id": trained.versions[0]}

    assert_problem(trained.client.post("/ai/predict?strategy=other", json=body), 404)


def test_a_damaged_file_is_refused_and_nothing_changes(trained: Trained) -> None:
    folder: Path = trained.client.app.state.context.settings.model_dir  # type: ignore[attr-defined]
    file = folder / f"xgb_model_{trained.versions[0]}.pkl"
    whole = file.read_bytes()
    before = contents(trained.client)

    file.write_bytes(whole[:-1])
    truncated = trained.client.post(f"/ai/activate-model/{trained.versions[0]}?{FORCE}")
    file.unlink()
    missing = trained.client.post(f"/ai/activate-model/{trained.versions[0]}?{FORCE}")
    file.write_bytes(whole)

    assert_problem(truncated, 409, "artifact_corrupt")
    assert_problem(missing, 409, "artifact_missing")
    assert contents(trained.client) == before


def test_the_status_counts_what_the_lists_hold(trained: Trained) -> None:
    samples = trained.client.get("/ai/training-samples?limit=1000").json()["samples"]

    status = trained.client.get("/ai/status").json()

    assert status["samples"]["total"] == len(samples)
    assert status["samples"]["outcome_known"] == sum(sample["outcome_known"] for sample in samples)
    assert status["retraining"]["next_run"] == "2026-03-03T03:00:00Z"
    assert status["retraining"]["last_run"]["strategy"] == "default"
    assert status["active_model"] == {"version_id": None, "serving_version_id": None, "degraded": False}
    assert status["market"]["state"] == "off"
    assert "token" not in str(status["settings_in_force"]).lower()


def test_the_doctor_names_what_it_finds_with_a_remedy(trained: Trained) -> None:
    trained.client.post("/ai/retrain")

    report = trained.client.get("/ai/doctor").json()

    assert {"same_data"} <= {finding["code"] for finding in report["findings"]}
    assert all(finding["remedy"] and finding["evidence"] for finding in report["findings"])


def test_strategies_are_listed_with_what_is_fixed(trained: Trained) -> None:
    listed = trained.client.get("/ai/strategies").json()

    (default,) = [one for one in listed["strategies"] if one["name"] == "default"]
    assert (default["market"], default["timeframe"], default["horizon_candles"]) == ("external", "5m", 12)
    assert default["samples"] == trained.client.get("/ai/status").json()["samples"]["total"]


def test_no_audit_entry_and_no_answer_is_written_for_a_refused_activation(trained: Trained) -> None:
    before = contents(trained.client)

    answer = trained.client.post(f"/ai/activate-model/{trained.versions[0]}?strategy=other&{FORCE}")

    assert_problem(answer, 404)
    assert contents(trained.client) == before
