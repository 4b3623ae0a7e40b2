"""An interval drawn beside what it has to beat."""

import pytest

from backend.cli.picture import WIDTH, picture


def test_interval_coin_baseline_and_break_even_stand_at_their_places() -> None:
    scale, interval, marks, legend = picture(0.55, [0.45, 0.65], {"baseline": 0.58, "pays from": 0.68})

    assert (scale[:4], scale[-4:]) == ("43% ", " 70%")
    assert len(scale) == WIDTH
    step = (0.70 - 0.43) / (WIDTH - 1)
    drawn = {"[": 0.45, "o": 0.55, "]": 0.65}, {"c": 0.5, "b": 0.58, "p": 0.68}
    for line, wanted in zip((interval, marks), drawn, strict=True):
        assert {letter: line.index(letter) for letter in wanted} == {
            letter: round((value - 0.43) / step) for letter, value in wanted.items()
        }
    assert interval.strip(" [=o]") == ""
    assert "b baseline 58.0%" in legend


def test_marks_at_one_place_are_a_star_and_unknown_ones_are_not_drawn() -> None:
    _, _, marks, legend = picture(0.6, [0.2, 1.0], {"baseline": 0.501, "pays from": None})

    assert marks.split() == ["*"]
    assert "pays" not in legend


@pytest.mark.parametrize(("accuracy", "interval"), [(None, [0.4, 0.6]), (0.5, None)])
def test_what_is_not_known_is_not_drawn(accuracy: float | None, interval: list[float] | None) -> None:
    assert picture(accuracy, interval, {"baseline": 0.5}) == []


def test_an_interval_of_no_width_is_drawn() -> None:
    assert picture(1.0, [1.0, 1.0], {"baseline": 1.0})[1].strip() == "o"
