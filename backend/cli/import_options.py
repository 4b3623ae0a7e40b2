"""The options of ``qt import`` that say how a CSV file is to be read; a file can hold them too."""

import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.errors import InvalidInputError
from backend.learning.decisions.csv_columns import Wishes
from backend.learning.decisions.csv_values import COMMA, DATE_ORDERS, POINT, Reading, read_zone
from backend.learning.decisions.trade_csv import Form

Option = typer.Option


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """What was said about the file; None is what nobody said."""

    map: Annotated[
        list[str] | None,
        Option(
            metavar="FIELD=COLUMN", help="Which column is which field; a minus before it turns the sign. Repeat it."
        ),
    ] = None
    set: Annotated[
        list[str] | None, Option(metavar="FIELD=VALUE", help="One value for a field of every row. Repeat it.")
    ] = None
    mapping: Annotated[Path | None, Option(metavar="FILE", help="A .toml or .json file that holds these options.")] = (
        None
    )
    features: Annotated[str | None, Option(metavar="COLUMNS", help="Feature columns, separated by commas.")] = None
    feature_prefix: Annotated[
        str | None, Option(metavar="TEXT", help="Columns that begin with it are features, named without it.")
    ] = None
    candles: Annotated[
        list[str] | None,
        Option(metavar="GLOB", help="Candle files to compute the features from, as each decision saw them."),
    ] = None
    timezone: Annotated[str | None, Option(help="Zone of times without one: UTC, +02:00, Europe/Oslo.")] = None
    decimal: Annotated[str | None, Option(metavar="point|comma", help="What parts a number's decimals.")] = None
    date_order: Annotated[str | None, Option(metavar="dmy|mdy", help="How 11/12/2025 is meant.")] = None
    date_format: Annotated[str | None, Option(metavar="FORMAT", help="Such as '%d %b %Y %H:%M'.")] = None
    encoding: Annotated[str | None, Option(help="Such as cp1252. Default: UTF-8, or what the file's mark says.")] = None
    delimiter: Annotated[str | None, Option(help="What parts columns. Default: found out.")] = None

    @property
    def wishes(self) -> Wishes:
        """What was said about columns."""
        return Wishes(
            columns=_pairs("--map", self.map),
            constants=_pairs("--set", self.set),
            features=tuple(name.strip() for name in (self.features or "").split(",") if name.strip()),
            feature_prefix=self.feature_prefix,
        )

    @property
    def form(self) -> Form:
        """What was said about cells."""
        for name, value, allowed in (
            ("decimal", self.decimal, (POINT, COMMA)),
            ("date-order", self.date_order, DATE_ORDERS),
        ):
            if value is not None and value not in allowed:
                raise typer.BadParameter(f"must be {' or '.join(allowed)}, not {value!r}", param_hint=f"--{name}")
        reading = Reading(
            timezone=read_zone(self.timezone) if self.timezone else None,
            decimal=self.decimal,
            date_order=self.date_order,
            date_format=self.date_format,
        )
        return Form(reading, self.encoding or "utf-8", self.delimiter)

    def said(self) -> list[str]:
        """The names of the options that were given."""
        return [f"--{one.name.replace('_', '-')}" for one in fields(self) if getattr(self, one.name) is not None]

    def completed(self) -> "CsvOptions":
        """With what the mapping file says wherever the command line says nothing; its maps are joined."""
        if self.mapping is None:
            return self
        told = _read_mapping(self.mapping)
        mine = {name: getattr(self, name) for name in told}
        joined: dict[str, Any] = {
            name: [*told[name], *(mine[name] or [])] if name in ("map", "set") else mine[name] or told[name]
            for name in told
        }
        return replace(self, **joined)


def _pairs(option: str, given: Iterable[str] | None) -> dict[str, str]:
    pairs = {}
    for one in given or ():
        name, mark, value = one.partition("=")
        if not mark or not name.strip():
            raise typer.BadParameter(f"must be FIELD=..., not {one!r}", param_hint=option)
        pairs[name.strip()] = value.strip()
    return pairs


def _read_mapping(path: Path) -> dict[str, Any]:
    """The file's options; a table ``map`` or ``set`` becomes pairs, lists of features a text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        told = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}.", field="mapping") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path} is neither TOML nor JSON: {error}.", field="mapping") from error
    known = {one.name for one in fields(CsvOptions)} - {"mapping"}
    if not isinstance(told, dict) or (unknown := sorted(set(told) - known)):
        names = ", ".join(unknown) if isinstance(told, dict) else "no table"
        raise InvalidInputError(f"{path} holds {names}; it may hold {', '.join(sorted(known))}.", field="mapping")
    return {name: _plain(name, value, path) for name, value in told.items()}


def _plain(name: str, value: Any, path: Path) -> Any:
    """The value as the command line would give it."""
    if name in ("map", "set") and isinstance(value, dict):
        return [f"{key}={text}" for key, text in value.items()]
    if name == "features" and isinstance(value, list):
        return ",".join(map(str, value))
    if name == "candles" and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return value
    if not isinstance(value, str) or name in ("map", "set"):
        raise InvalidInputError(
            f"{path}: {name} must be {'a table' if name in ('map', 'set') else 'text'}.", field=name
        )
    return [value] if name == "candles" else value
