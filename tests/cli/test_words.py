"""What the HTTP interface advises, in the words of the terminal."""

from typing import Any

import pytest

from backend.cli.words import in_terminal_words


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("or activate it all the same with ?force=true&reason=...", "with --force --reason '...'"),
        ("Name another one with ?strategy=.", "with --strategy."),
        ("in ?strategy=paper, please", "in --strategy paper, please"),
        ("Wait for it: GET /ai/retraining-runs/run-1a2b.", "Wait for it: qt runs --json."),
        ("GET /ai/retraining-runs lists them.", "qt runs lists them."),
        ("Nothing is trained yet: POST /ai/retrain.", "yet: qt retrain."),
        ("POST /ai/activate-model/v20260302_030000, or", "qt activate v20260302_030000, or"),
        ("Again: POST /ai/retrain?strategy=bot.", "qt retrain --strategy bot."),
        ("Send one: POST /ai/decisions?strategy=bot.", "Send one: POST /ai/decisions?strategy=bot."),
        ("Post it with POST /ai/decisions first.", "Post it with POST /ai/decisions first."),
    ],
)
def test_a_remedy_names_the_command_where_there_is_one(said: str, told: str) -> None:
    assert in_terminal_words(said).endswith(told)


def test_nothing_to_roll_back_to_is_said_with_the_command(migrated: Any) -> None:
    answer = migrated("rollback")

    assert answer.code == 1
    assert "To let no version decide: qt deactivate. To activate one: qt activate VERSION" in answer.err
    assert "/ai/" not in answer.err


def test_force_without_a_reason_names_the_option(migrated: Any) -> None:
    answer = migrated("activate", "v20260302_030000", "--force")

    assert answer.code == 1
    assert "--force --reason" in answer.err
    assert "?force" not in answer.err
