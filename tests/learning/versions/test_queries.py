"""Versions and strategies as the outside sees them, with exactly the promised keys."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import text

from backend.errors import InvalidInputError, NotFoundError
from backend.learning.versions.activation import ActivationRequest, activate, rollback
from backend.learning.versions.queries import get_model, list_models, list_strategies
from tests.learning.versions.house import NAMES, House

Train = Callable[[int], list[str]]

PROMISED = {
    "version_id", "model_type", "strategy", "trained_at", "training_samples", "validation_samples", "train_accuracy",
    "validation_accuracy", "train_mae", "validation_mae", "verdict", "recommended", "is_active", "activated_at",
    "replaced_at", "total_predictions", "correct_predictions", "live_accuracy", "total_pnl", "notes",
    "is_shadow", "shadow_origin",
}  # fmt: skip


def turn_on(house: House, version_id: str, reason: str | None = None) -> None:
    house.time += timedelta(seconds=1)
    activate(house.versions, ActivationRequest(version_id, "ada", reason=reason))


def test_a_listed_version_has_exactly_the_promised_keys(house: House, trained: Train) -> None:
    trained(1)

    ((row,), more) = house.database.read(list_models)

    assert row.keys() == PROMISED
    assert row["model_type"] == "xgboost_continuous"
    assert row["live_accuracy"] is None
    assert row["trained_at"] == "2026-03-02T12:01:00Z"
    assert more is None


def test_versions_come_newest_first_page_by_page(house: House, trained: Train) -> None:
    ids = trained(3)

    first, cursor = house.database.read(list_models, strategy="bot", limit=2)
    rest, more = house.database.read(list_models, strategy="bot", limit=2, cursor=cursor)

    assert [row["version_id"] for row in first + rest] == ids[::-1]
    assert more is None
    assert house.database.read(list_models, strategy="other") == ([], None)


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "99999999999999999999", "٣"])
def test_a_made_up_cursor_is_refused(house: House, cursor: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        house.database.read(list_models, cursor=cursor)

    assert caught.value.extra["field"] == "cursor"


def test_a_version_tells_where_it_comes_from(house: House, trained: Train) -> None:
    (first,) = trained(1)

    shown = house.database.read(get_model, first)

    lineage = shown["lineage"]
    assert lineage["feature_names"] == list(NAMES)
    assert lineage["rows_by_label_source"] == {"counterfactual": 120}
    assert lineage["sha256"] == house.rows_of(first).artifact_sha256
    assert lineage["data_hash"] == shown["report"]["data_hash"]
    assert lineage["feature_schema_hash"] == shown["report"]["feature_schema_hash"]
    assert lineage["window"]["samples_count"] == 120
    assert {"recipe", "libraries", "seed"} <= lineage.keys()
    assert lineage["libraries"]["xgboost"]


def test_a_version_tells_who_activated_it_when_and_why(house: House, trained: Train) -> None:
    first, second = trained(2)
    turn_on(house, first)
    turn_on(house, second, "newer")
    rollback(house.versions, "bot", "bob")

    (entry,) = house.database.read(get_model, second)["activations"]

    assert (entry["actor"], entry["reason"]) == ("ada", "newer")
    assert entry["undone_at"] is not None
    assert house.database.read(get_model, second)["is_active"] is False


def test_a_version_tells_how_it_fares(house: House, trained: Train) -> None:
    (first,) = trained(1)
    house.database.write(
        lambda s: s.execute(text("UPDATE ai_model_versions SET total_predictions = 9, matured_predictions = 4"))
    )

    live = house.database.read(get_model, first)["live"]

    assert (live["total_predictions"], live["matured_predictions"], live["pending_predictions"]) == (9, 4, 5)


def test_an_unknown_version_and_another_strategys_are_404(house: House, trained: Train) -> None:
    (first,) = trained(1)

    for arguments in (("v20200101_000000",), (first, "other")):
        with pytest.raises(NotFoundError):
            house.database.read(get_model, *arguments)


def test_strategies_are_listed_with_their_active_version(house: House, trained: Callable[..., list[str]]) -> None:
    (first,) = trained(1)
    turn_on(house, first)
    trained(1, strategy="other")

    one, cursor = house.database.read(list_strategies, limit=1)
    two, more = house.database.read(list_strategies, limit=1, cursor=cursor)

    by_name = {row["name"]: row for row in one + two}
    assert by_name.keys() == {"bot", "other"}
    assert by_name["bot"]["active_version"] == first
    assert by_name["other"]["active_version"] is None
    assert by_name["bot"]["samples"] == 120
    assert by_name["bot"]["features"] == 3
    assert more is None
