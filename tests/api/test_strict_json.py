"""What counts as JSON here."""

import json
import math
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.api.strict_json import MAX_CONTAINERS, MAX_DEPTH, outside_texts, parse, storable, storable_text
from backend.errors import InvalidInputError

SCALARS = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20
)


@given(VALUES)
def test_what_the_standard_library_writes_is_read_back(value: object) -> None:
    assert parse(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "body", [b"{", b"{'a': 1}", b'{"a": 1} {"b": 2}', b"\xff\xfe", b'"\xe9"', b"[1,]", b"nul", b"9" * 5000]
)
def test_what_is_not_json_is_refused_as_such(body: bytes) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        parse(body)

    assert refusal.value.reason == "invalid_json"


def test_a_repeated_key_is_refused_by_name_unless_rows_are_judged_one_by_one() -> None:
    body = b'{"price": 1, "price": 2}'

    with pytest.raises(InvalidInputError, match="price") as refusal:
        parse(body)

    assert refusal.value.extra["field"] == "price"
    assert parse(body, unique_keys=False) == {"price": 2}


def test_nan_is_left_to_the_field_that_holds_it() -> None:
    assert math.isnan(parse(b'{"price": NaN}')["price"])
    assert parse(b'{"price": 1e999}')["price"] == math.inf


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, 200_000])
def test_deep_nesting_is_refused_and_not_a_crash(opening: bytes, depth: int) -> None:
    closing = b"]" if opening == b"[" else b"}"

    with pytest.raises(InvalidInputError, match="nested"):
        parse(opening * depth + b"1" + closing * depth)


def test_nesting_up_to_the_limit_is_read() -> None:
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


def test_brackets_within_texts_are_no_nesting() -> None:
    value = ["[" * 100, "\\", '"' + "{" * 100, {"\\" + "[" * 100: '\\"['}]

    assert parse(json.dumps(value).encode()) == value


@given(VALUES | st.lists(st.text('[]{}"\\n', max_size=9)), st.integers(1, 9), st.booleans())
def test_brackets_are_found_outside_texts_wherever_the_pieces_end(value: object, piece: int, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")

    assert b"".join(outside_texts(body, piece)).decode() == brackets(value)


def brackets(value: object) -> str:
    """The brackets that a value is written with, but for those of its texts."""
    if isinstance(value, dict):
        return "{" + "".join(map(brackets, value.values())) + "}"
    return "[" + "".join(map(brackets, value)) + "]" if isinstance(value, list) else ""


@pytest.mark.parametrize("one", [b"[]", b"{}"])
@pytest.mark.parametrize("unique_keys", [True, False])
def test_more_lists_and_objects_than_allowed_are_refused(one: bytes, unique_keys: bool) -> None:
    body = b"[" + (one + b",") * 8 + one + b"]"

    assert len(parse(body, unique_keys=unique_keys, max_containers=10)) == 9
    with pytest.raises(InvalidInputError, match="more than 9 lists and objects"):
        parse(body, unique_keys=unique_keys, max_containers=9)
    assert len(parse(body, unique_keys=unique_keys, max_containers=None)) == 9


def test_more_lists_than_any_call_needs_are_refused_before_one_is_made() -> None:
    with pytest.raises(InvalidInputError, match="lists and objects"):
        parse(b"[" + b"[]," * MAX_CONTAINERS + b"this is no JSON")


@pytest.mark.parametrize("one", [b"1.5", b"1"])
def test_other_threads_have_their_turn_while_a_large_body_is_read(one: bytes) -> None:
    """The parser of the standard library lets nobody else run from its first byte to its last."""
    body = b"[" + (one + b",") * 5_000_000 + one + b"]"
    reading = threading.Thread(target=parse, args=(body,), kwargs={"unique_keys": False})
    turns = 0
    reading.start()
    while reading.is_alive():
        time.sleep(0.001)
        turns += 1
    assert turns > 20


@given(st.text(st.characters(codec=None, categories=None)))
def test_storable_text_is_exactly_what_utf8_and_a_database_can_hold(text: str) -> None:
    try:
        text.encode("utf-8")
        encodable = True
    except UnicodeEncodeError:
        encodable = False

    assert storable_text(text) == (encodable and "\x00" not in text)


@pytest.mark.parametrize("value", [{"a\x00": 1}, {"a": ["\x00"]}, [{"b": {"c": "\ud800"}}]])
def test_unstorable_text_is_found_wherever_it_stands(value: object) -> None:
    assert not storable(value)
    assert storable({"a": ["b", {"c": "d"}, 1, None]})
