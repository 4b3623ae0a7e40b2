"""The API's description of itself."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

TITLE = "Quantum Trader"
SUMMARY = "Learns from closed trades, and says honestly what it learned."
DESCRIPTION = """\
Decisions go in, outcomes come back, versions are trained, and a person activates one.

* **Token**: `X-Admin-Token: …` or `Authorization: Bearer …`. The trader token suffices for the calls under *decisions*
  and *predictions*.
* **Errors** are `application/problem+json`; branch on `reason`. A 4xx changes nothing. Only what is not HTTP at all is
  answered 400 in plain text, by the server below this service.
* **JSON is strict**: no NaN or Infinity, no text or booleans for numbers, no unknown keys or query names.
* **Units**: ratios are fractions (0.0111 is 1.11 %), money is in quote currency, times out are UTC with `Z`; times in
  need an offset. Unknown is null, never 0.
* **Lists** are newest first; pass `next_cursor` as `cursor` for the next page.
"""
TAGS = [
    {"name": "decisions", "description": "What a bot sends: observations, fills and outcomes."},
    {"name": "predictions", "description": "Scores for feature rows; nothing is stored."},
    {"name": "samples", "description": "Decisions with what became of them, and the import of other bots' history."},
    {"name": "retraining", "description": "Training new versions, by call and by schedule."},
    {"name": "models", "description": "Versions: how each was judged, and which one decides."},
    {"name": "strategies", "description": "The partitions and their feature schemas."},
    {"name": "operating", "description": "Status, doctor and the audit trail."},
    {"name": "health", "description": "For a supervisor; needs no token."},
]
OPEN_TAG = "health"
SCHEMES = {
    "adminToken": {"type": "apiKey", "in": "header", "name": "X-Admin-Token"},
    "bearer": {"type": "http", "scheme": "bearer"},
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=TITLE,
            version=app.version,
            summary=SUMMARY,
            description=DESCRIPTION,
            routes=app.routes,
            tags=TAGS,
            servers=[{"url": "/", "description": "This service"}],
        )
        document["components"]["securitySchemes"] = SCHEMES
        document["security"] = [{name: []} for name in SCHEMES]
        _mend(document)
        app.openapi_schema = document
    return app.openapi_schema


def _mend(document: dict[str, Any]) -> None:
    """Problems are said to be problems, and the open calls to need no token."""
    for path in document["paths"].values():
        for operation in path.values():
            if OPEN_TAG in operation["tags"]:
                operation["security"] = []
            for status, response in operation["responses"].items():
                if int(status) >= 400 and "application/problem+json" in response.get("content", {}):
                    response["content"].pop("application/json", None)
