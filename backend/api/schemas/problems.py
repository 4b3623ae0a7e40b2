"""The problem document, as the API's description shows it."""

from typing import Any

from pydantic import Field

from backend.api.problems import CONTENT_TYPE
from backend.api.schemas.fields import Answer
from backend.api.schemas.reasons import EVERYWHERE, OPEN, REASONS


class Problem(Answer):
    """An error (RFC 9457). ``reason`` is a stable code to branch on; what else a caller needs stands beside it."""

    type: str = Field(
        description="A URN that ends in the reason.", examples=["urn:quantum-trader:problem:invalid_input"]
    )
    title: str = Field(description="The status in words.", examples=["Unprocessable Content"])
    status: int = Field(description="The HTTP status.", examples=[422])
    detail: str = Field(
        description="What is wrong and what to do, in words for a person.",
        examples=["limit: Input should be less than or equal to 1000."],
    )
    request_id: str | None = Field(
        description="Under which the service's log has this call; `X-Request-ID` of the request where it has one.",
        examples=["5f0c1a8e9d7b4c3f8a6e2d1b0c9f8e7d"],
    )
    reason: str = Field(description="A stable code to branch on.", examples=["invalid_input"])


DESCRIPTIONS = {
    400: "The Host header is not one this service answers to.",
    401: "The token is missing or not in force.",
    403: "The token does not have the right to this call.",
    404: "What the call names does not exist.",
    409: "The call contradicts what is stored or what is going on.",
    413: "The body is too large.",
    415: "The body is not said to be JSON.",
    422: "A parameter, key or value cannot be accepted; `detail` says what to do.",
    429: "Too many wrong tokens from this address; `Retry-After` says how long to wait.",
    500: "Something failed that should not have.",
    503: "The service cannot do this now.",
}


def problems(*reasons: str) -> dict[int | str, dict[str, Any]]:
    """The documented error answers of a call: those of every call, and those with ``reasons`` of its own.

    >>> problems("unknown_run")[404]["description"]
    'What the call names does not exist. `unknown_run`: there is no such run, or it is of another strategy.'
    """
    return _responses((*EVERYWHERE, *reasons))


def open_problems() -> dict[int | str, dict[str, Any]]:
    """The documented error answers of a call that needs no token."""
    return _responses(OPEN)


def _responses(reasons: tuple[str, ...]) -> dict[int | str, dict[str, Any]]:
    found: dict[int, list[str]] = {}
    for name in dict.fromkeys(reasons):
        found.setdefault(REASONS[name].status, []).append(name)
    return {status: _response(status, found[status]) for status in sorted(found)}


def _response(status: int, names: list[str]) -> dict[str, Any]:
    meanings = "; ".join(f"`{name}`: {REASONS[name].meaning}" for name in names)
    examples = {name: {"$ref": f"#/components/examples/{name}"} for name in names}
    return {
        "description": f"{DESCRIPTIONS[status]} {meanings}.",
        "model": Problem,
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}},
    }
