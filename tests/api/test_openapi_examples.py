"""The examples of the description: each fits its schema, and each is what a service really answers today."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from backend.api.openapi import EXAMPLES
from backend.api.schemas.reasons import REASONS
from backend.api.schemas.reports import Report, WalkForward
from tests.api.story import Told, examples_of, play
from tests.json_schema import faults, resolved

DIFFERS_BY_RUN = {"sha256", "artifact_bytes", "libraries", "retry_after"}
DIFFERS_BY_PYTHON = {"title"}
DIFFERS_BY_XGBOOST = {
    "report", "lineage", "train_accuracy", "validation_accuracy", "train_mae", "validation_mae", "notes", "warning",
    "prediction_score", "prediction_confidence", "expected_return", "predictions", "expected_returns", "confidences",
    "data_hash",
}  # fmt: skip
LOOSE = DIFFERS_BY_RUN | DIFFERS_BY_PYTHON | DIFFERS_BY_XGBOOST
PROSE = {"detail", "explanation"}
RECORD_AGAIN = "Look at what changed; where it is meant: python -m tests.api.story"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[Told]:
    return play(tmp_path_factory.mktemp("story"))


@pytest.fixture(scope="module")
def document(shared_client: TestClient) -> dict[str, Any]:
    described: dict[str, Any] = shared_client.get("/openapi.json").json()
    return described


def bodies(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every body of the description: of requests, answers and problems."""
    found = []
    for verbs in document["paths"].values():
        for operation in verbs.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                found.append((f"{operation['operationId']} request", content))
            for status, response in operation["responses"].items():
                for content in response.get("content", {}).values():
                    found.append((f"{operation['operationId']} {status}", content))
    return found


def test_every_body_has_an_example(document: dict[str, Any]) -> None:
    without = [name for name, content in bodies(document) if not content.get("examples")]

    assert without == []


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    wrong = []
    for name, content in bodies(document):
        for key, example in content["examples"].items():
            shown = resolved(example["$ref"], document) if "$ref" in example else example
            wrong += [f"{name} {key} {fault}" for fault in faults(shown["value"], content["schema"], document)]

    assert wrong == []


def test_the_answers_of_the_story_are_documented_with_their_status(told: list[Told], document: dict[str, Any]) -> None:
    responses = {
        operation["operationId"]: operation["responses"]
        for verbs in document["paths"].values()
        for operation in verbs.values()
    }
    for one in told:
        promised = responses[one.operation].get(str(one.status), {}).get("content", {})
        assert one.content_type in promised, (one.operation, one.name, one.status, one.content_type)
        assert not list(faults(one.answer, promised[one.content_type]["schema"], document)), (one.operation, one.name)
        if one.content_type == "application/problem+json":
            assert one.answer["reason"] in promised[one.content_type]["examples"], (one.operation, one.name)


def test_the_story_provokes_every_reason_there_is(told: list[Told]) -> None:
    provoked = {one.answer["reason"]: one.status for one in told if one.content_type == "application/problem+json"}

    assert provoked == {name: reason.status for name, reason in REASONS.items()}


def test_the_examples_are_what_a_service_answers_today(told: list[Told]) -> None:
    kept = json.loads(Path(EXAMPLES).read_text(encoding="utf-8"))

    assert list(differences(kept, examples_of(told))) == [], RECORD_AGAIN


def differences(kept: Any, now: Any, where: str = "") -> list[str]:
    """Where the two say something else; numbers that a library's version may change are compared by their kind."""
    key = where.rpartition(".")[2].partition("[")[0]
    if key in LOOSE and kind(kept) == kind(now):
        return []
    if key in PROSE and isinstance(kept, str) and isinstance(now, str):
        return []
    if isinstance(kept, dict) and isinstance(now, dict):
        found = [f"{where}.{name}: only in one" for name in kept.keys() ^ now.keys()]
        for name in kept.keys() & now.keys():
            found += differences(kept[name], now[name], f"{where}.{name}")
        return found
    if isinstance(kept, list) and isinstance(now, list) and len(kept) == len(now):
        return [
            fault
            for index, (one, other) in enumerate(zip(kept, now, strict=True))
            for fault in differences(one, other, f"{where}[{index}]")
        ]
    if isinstance(kept, float) and isinstance(now, float):
        return [] if math.isclose(kept, now, rel_tol=1e-9) else [f"{where}: {kept} is now {now}"]
    return [] if kept == now else [f"{where}: {kept!r:.80} is now {now!r:.80}"]


def kind(value: Any) -> Any:
    """The form of a value: its keys and kinds, not its figures."""
    if isinstance(value, dict):
        return {name: kind(item) for name, item in value.items()}
    if isinstance(value, list):
        return [kind(item) for item in value[:1]]
    if isinstance(value, bool) or value is None:
        return value is None
    return "number" if isinstance(value, int | float) else "text"


def test_a_changed_answer_is_seen() -> None:
    kept = {"count": 1, "sha256": "a", "models": [{"price": 1.0, "train_mae": 0.1}]}

    assert differences(kept, {"count": 1, "sha256": "b", "models": [{"price": 1.0, "train_mae": 0.2}]}) == []
    assert differences(kept, {"count": 2, "sha256": "b", "models": [{"price": 1.0, "train_mae": 0.2}]}) != []
    assert differences(kept, {"count": 1, "sha256": None, "models": [{"price": 1.0, "train_mae": 0.1}]}) != []
    assert differences(kept, {"count": 1, "sha256": "a", "models": [{"price": 1.1, "train_mae": 0.1}]}) != []
    assert differences(kept, {"count": 1, "sha256": "a", "models": [{"train_mae": 0.1}]}) != []


def reports(value: Any) -> list[dict[str, Any]]:
    """Every report that a recorded answer holds."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value["report"]] if isinstance(value, dict) and "walk_forward" in (value.get("report") or ()) else []
    return own + [found for one in inside for found in reports(one)]


def test_every_key_of_a_report_is_described() -> None:
    """Answers let unknown keys through, so that nothing else would tell that one was forgotten."""
    told = reports(json.loads(Path(EXAMPLES).read_text(encoding="utf-8")))

    assert len(told) >= 2
    for report in told:
        assert report.keys() == Report.model_fields.keys()
        assert report["walk_forward"].keys() == WalkForward.model_fields.keys()
