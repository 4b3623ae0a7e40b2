"""The validator that examples and answers are held to refuses what JSON Schema refuses."""

from typing import Any

import pytest

from tests.json_schema import faults

DOCUMENT = {"components": {"schemas": {"Side": {"type": "string", "enum": ["BUY", "SELL"]}}}}
SIDE = {"$ref": "#/components/schemas/Side"}
ROW = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer"}, 1, 1.5),
        ({"type": "integer"}, 1, True),
        ({"type": "number"}, 1.5, "1.5"),
        ({"type": "null"}, None, 0),
        ({"type": ["string", "null"]}, None, 1),
        ({"type": "boolean"}, False, 0),
        ({"type": "number", "minimum": 0, "maximum": 1}, 1, 1.01),
        ({"type": "string", "minLength": 1, "maxLength": 2}, "ab", "abc"),
        ({"type": "string", "pattern": "^a$"}, "a", "ba"),
        ({"type": "string", "format": "date-time"}, "2026-01-31T12:00:00Z", "2026-01-31T12:00:00"),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1}, ["a"], []),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 1}, ["a"], [1]),
        ({"type": "object", "maxProperties": 1}, {"a": 1}, {"a": 1, "b": 2}),
        ({"const": "ok"}, "ok", "no"),
        (ROW, {"a": 1}, {}),
        (ROW, {"a": 1}, {"a": 1, "b": 1}),
        (ROW, {"a": 1}, {"a": "1"}),
        ({"type": "object", "additionalProperties": {"type": "number"}}, {"a": 1}, {"a": "1"}),
        ({"type": "object", "propertyNames": {"maxLength": 1}}, {"a": 1}, {"ab": 1}),
        (SIDE, "BUY", "HOLD"),
        ({"anyOf": [SIDE, {"type": "null"}]}, None, "HOLD"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, 1.5, 1),
    ],
)
def test_the_good_one_passes_and_the_bad_one_does_not(schema: dict[str, Any], good: Any, bad: Any) -> None:
    assert list(faults(good, schema, DOCUMENT)) == []
    assert list(faults(bad, schema, DOCUMENT)) != []


def test_a_keyword_that_it_does_not_know_is_a_fault() -> None:
    assert list(faults(1, {"type": "integer", "multipleOf": 2}, DOCUMENT)) == [
        "$: this validator does not know multipleOf"
    ]


def test_a_fault_names_its_place() -> None:
    schema = {"type": "object", "properties": {"rows": {"type": "array", "items": ROW}}}

    assert list(faults({"rows": [{"a": 1}, {"a": None}]}, schema, DOCUMENT)) == ["$.rows[1].a: None is not integer"]
