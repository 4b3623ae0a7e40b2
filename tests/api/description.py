"""Holds what a service answers to what it says of itself, call by call."""

import re
from functools import cache
from typing import Any

from fastapi import FastAPI

from backend.api.openapi import describe
from tests.json_schema import faults

PROBLEM = "application/problem+json"


@cache
def _description() -> dict[str, Any]:
    return {}


def description_of(app: FastAPI) -> dict[str, Any]:
    """The description, which is the same with all settings: made once."""
    kept = _description()
    if not kept:
        kept.update(describe(app))
        kept["patterns"] = [(_pattern(path), verbs) for path, verbs in kept["paths"].items()]
    return kept


def _pattern(path: str) -> re.Pattern[str]:
    """Which addresses are calls of this path; one without parameters is its own only address."""
    return re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))


def operation_of(document: dict[str, Any], method: str, path: str) -> dict[str, Any] | None:
    """The operation that a call goes to, None where it goes to none."""
    for pattern, verbs in document["patterns"]:
        if pattern.fullmatch(path) and method.lower() in verbs:
            found: dict[str, Any] = verbs[method.lower()]
            return found
    return None


def assert_described(document: dict[str, Any], answer: Any) -> None:
    """An answer of a described operation has a described status, form and, where it is a problem, reason."""
    operation = operation_of(document, answer.request.method, answer.request.url.path)
    if operation is None:
        return
    answer.read()
    name, status = operation["operationId"], str(answer.status_code)
    kind = answer.headers.get("content-type", "").partition(";")[0]
    contents = operation["responses"].get(status, {}).get("content", {})
    assert kind in contents, f"{name} answered {status} {kind}, which is not described: {answer.text[:300]}"
    if not kind.endswith("json"):
        return
    value = answer.json()
    wrong = list(faults(value, contents[kind]["schema"], document))
    assert wrong == [], f"{name} answered {status} otherwise than described: {wrong[:5]}"
    if kind == PROBLEM:
        assert value["reason"] in contents[kind]["examples"], f"{name}: {value['reason']} is not described for {status}"
