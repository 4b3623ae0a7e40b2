"""How values are written for a person."""

from typing import Any

import pytest

from backend.cli.output import answer, cell, print_facts, print_rows, progress_bar


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (0.0, "0.00"),
        (0.0111111, "0.01111"),
        (-0.00001234, "-1.234e-05"),
        (45000.0, "45,000.00"),
        (12, "12"),
        ("BUY", "BUY"),
        ([], "-"),
        ([0.49, 0.73], "0.49, 0.73"),
        ({}, "-"),
        ({"BUY": 1, "HOLD": None}, "BUY 1, HOLD -"),
    ],
)
def test_cells(value: object, text: str) -> None:
    assert cell(value) == text


def test_json_is_strict() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        answer({"x": float("nan")}, True, print)


def test_a_table_is_whole_where_it_is_piped(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"a": "x" * 60, "b": 1.5}, {"a": "[bold]y", "b": None}], {"a": "first", "b": "second"}, "none")

    lines = capsys.readouterr().out.splitlines()

    assert lines[0].split() == ["first", "second"]
    assert lines[1].split() == ["x" * 60, "1.50"]
    assert lines[2].split() == ["[bold]y", "-"]


def test_no_row_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([], {"a": "first"}, "There is none.")

    assert capsys.readouterr().out == "There is none.\n"


def test_facts_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts({"a": 1, "longer": "two"})

    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == ["a       1", "longer  two"]


@pytest.mark.parametrize("quiet", [True, False])
def test_a_progress_bar_says_nothing_where_nobody_watches(capsys: pytest.CaptureFixture[str], quiet: bool) -> None:
    with progress_bar("Working", quiet=quiet) as tell:
        tell("walk_forward", 0.5)

    captured: Any = capsys.readouterr()
    assert (captured.out, captured.err.strip()) == ("", "")
