"""As much of JSON Schema as the API's description uses, so that examples and answers can be held to it.

A keyword it does not know is an error: nothing is let through unchecked.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

Schema = Mapping[str, Any]

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "boolean": (bool,), "object": (dict,), "array": (list,), "null": (type(None),), "integer": (int,),
    "number": (int, float),
}  # fmt: skip
ANNOTATIONS = {"description", "examples", "default", "title", "discriminator", "format"}
BOUNDS = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "minLength": lambda value, bound: len(value) >= bound,
    "maxLength": lambda value, bound: len(value) <= bound,
    "minItems": lambda value, bound: len(value) >= bound,
    "maxItems": lambda value, bound: len(value) <= bound,
    "minProperties": lambda value, bound: len(value) >= bound,
    "maxProperties": lambda value, bound: len(value) <= bound,
    "const": lambda value, bound: value == bound,
    "enum": lambda value, bound: value in bound,
    "pattern": lambda value, bound: re.search(bound, value) is not None,
}


def faults(value: Any, schema: Schema, document: Schema, where: str = "$") -> Iterator[str]:
    """What is wrong with the value, each fault with its place; nothing where it fits."""
    if "$ref" in schema:
        yield from faults(value, resolved(schema["$ref"], document), document, where)
    kinds = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", [])
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield f"{where}: {value!r:.80} is not {' or '.join(kinds)}"
        return
    if schema.get("format") == "date-time" and isinstance(value, str) and not _is_time(value):
        yield f"{where}: {value!r:.80} is no time with an offset"
    for keyword, rule in schema.items():
        if keyword in BOUNDS:
            if not BOUNDS[keyword](value, rule):
                yield f"{where}: {value!r:.80} breaks {keyword} {rule!r:.80}"
        elif keyword in CHECKS:
            yield from CHECKS[keyword](value, schema, document, where)
        elif keyword not in ANNOTATIONS | {"$ref", "type"}:
            yield f"{where}: this validator does not know {keyword}"


def resolved(reference: str, document: Schema) -> Schema:
    """What a local reference leads to."""
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found  # type: ignore[no-any-return]


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, TYPES[kind])


def _is_time(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _any_of(value: Any, schema: Schema, document: Schema, where: str) -> Iterator[str]:
    if not _fitting(value, schema["anyOf"], document, where):
        yield f"{where}: {value!r:.80} fits none of anyOf"


def _one_of(value: Any, schema: Schema, document: Schema, where: str) -> Iterator[str]:
    fitting = _fitting(value, schema["oneOf"], document, where)
    if fitting != 1:
        yield f"{where}: {value!r:.80} fits {fitting} of oneOf"


def _fitting(value: Any, variants: list[Schema], document: Schema, where: str) -> int:
    return sum(not any(faults(value, variant, document, where)) for variant in variants)


def _properties(value: Any, schema: Schema, document: Schema, where: str) -> Iterator[str]:
    for name, rule in schema["properties"].items():
        if name in value:
            yield from faults(value[name], rule, document, f"{where}.{name}")


def _required(value: Any, schema: Schema, _: Schema, where: str) -> Iterator[str]:
    for name in schema["required"]:
        if name not in value:
            yield f"{where}: {name} is missing"


def _additional(value: Any, schema: Schema, document: Schema, where: str) -> Iterator[str]:
    rule = schema["additionalProperties"]
    for name in value.keys() - schema.get("properties", {}).keys():
        if rule is False:
            yield f"{where}: {name} is not known"
        elif rule is not True:
            yield from faults(value[name], rule, document, f"{where}.{name}")


def _names(value: Any, schema: Schema, document: Schema, where: str) -> Iterator[str]:
    for name in value:
        yield from faults(name, schema["propertyNames"], document, f"{where}: name")


def _items(value: Any, schema: Schema, document: Schema, where: str) -> Iterator[str]:
    for index, item in enumerate(value):
        yield from faults(item, schema["items"], document, f"{where}[{index}]")


CHECKS = {
    "anyOf": _any_of, "oneOf": _one_of, "properties": _properties, "required": _required, "items": _items,
    "additionalProperties": _additional, "propertyNames": _names,
}  # fmt: skip
