"""The problem document, as the API's description shows it."""

from typing import Any

from pydantic import Field

from backend.api.problems import CONTENT_TYPE
from backend.api.schemas.fields import Answer


class Problem(Answer):
    """An error (RFC 9457). ``reason`` is a stable code to branch on; what else a caller needs stands beside it."""

    type: str = Field(examples=["urn:quantum-trader:problem:invalid_input"])
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["limit: Input should be less than or equal to 1000."])
    request_id: str | None = Field(examples=["5f0c1a8e9d7b4c3f8a6e2d1b0c9f8e7d"])
    reason: str = Field(examples=["invalid_input"])


DESCRIPTIONS = {
    400: "The Host header is not one this service answers to.",
    401: "The token is missing or not in force.",
    403: "The token does not have the right to this call.",
    404: "What the call names does not exist.",
    409: "The call contradicts what is stored or what is going on; `reason` says which.",
    413: "The body is too large.",
    415: "The body is not said to be JSON.",
    422: "A parameter, key or value cannot be accepted; `field` names it and `detail` the remedy.",
    429: "Too many wrong tokens from this address.",
    500: "Something failed that should not have; the log has it under `request_id`.",
    503: "The service cannot do this now.",
}
EVERYWHERE = (400, 401, 403, 422, 429, 500, 503)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented error answers of a call: those of every call, and ``statuses``."""
    return {
        status: {
            "description": DESCRIPTIONS[status],
            "model": Problem,
            "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted({*EVERYWHERE, *statuses})
    }
