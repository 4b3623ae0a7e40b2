"""A dataclass among a command's parameters becomes one option a field."""

import dataclasses
import inspect
from typing import Annotated

import pytest
import typer

from backend.cli.import_options import CsvOptions
from backend.cli.options import expanded


@dataclasses.dataclass(frozen=True)
class Colours:
    """Two options."""

    front: Annotated[str, typer.Option(help="The front.")] = "red"
    back: str | None = None


def paint(what: str, colours: Colours, often: int = 1) -> tuple[str, Colours, int]:
    """Paint it."""
    return what, colours, often


def test_the_fields_stand_where_the_dataclass_stood() -> None:
    signature = inspect.signature(expanded(paint))

    assert list(signature.parameters) == ["what", "front", "back", "often"]
    assert [one.default for one in signature.parameters.values()] == [inspect.Parameter.empty, "red", None, 1]


def test_what_is_given_arrives_as_the_dataclass() -> None:
    assert expanded(paint)(what="wall", front="blue", back="white", often=2) == ("wall", Colours("blue", "white"), 2)


def test_the_function_keeps_its_name_and_words() -> None:
    assert expanded(paint).__name__ == "paint"
    assert expanded(paint).__doc__ == "Paint it."


def test_a_function_without_one_is_left_alone() -> None:
    def plain(what: str) -> str:
        return what

    assert expanded(plain) is plain


def test_typer_makes_options_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    app = typer.Typer(add_completion=False)

    def show(colours: Colours) -> None:
        print(colours)

    app.command()(expanded(show))
    app(["--front", "green"], standalone_mode=False)

    assert capsys.readouterr().out == "Colours(front='green', back=None)\n"


def test_every_option_of_an_import_explains_itself() -> None:
    for field in dataclasses.fields(CsvOptions):
        assert field.default is None
        assert field.type.__metadata__[0].help.endswith(".")
