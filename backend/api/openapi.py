"""The API's description of itself."""

import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from backend.api.problems import CONTENT_TYPE
from backend.api.routing import ROLES_KEY

TITLE = "Quantum Trader"
SUMMARY = "Learns from closed trades, and says honestly what it learned."
DESCRIPTION = """\
Decisions go in, outcomes come back, versions are trained, and a person activates one.

* **Token**: `X-Admin-Token: …` or `Authorization: Bearer …`; each call says which of QT_ADMIN_TOKEN, QT_TRADER_TOKEN
  and QT_METRICS_TOKEN it takes.
* **Errors** are `application/problem+json`; branch on `reason`. A 4xx changes nothing. Only what is not HTTP at all is
  answered 400 in plain text, by the server below this service.
* **JSON is strict**: no NaN or Infinity, no text or booleans for numbers, no unknown keys or query names.
* **Units**: ratios are fractions (0.0111 is 1.11 %), money is in quote currency, times out are UTC with `Z`; times in
  need an offset. Unknown is null, never 0.
* **Lists** are newest first; pass `next_cursor` as `cursor` for the next page.
* **More keys** than those named here may stand in any answer, and may come with any release.
"""
CONTACT = {"name": "Whoever runs this service"}
LICENSE = {"name": "MIT", "identifier": "MIT"}
SERVERS: list[dict[str, Any]] = [
    {"url": "/", "description": "The service that gave out this description."},
    {
        "url": "http://{host}:{port}",
        "description": "A service on its own address.",
        "variables": {
            "host": {"default": "127.0.0.1", "description": "QT_HOST."},
            "port": {"default": "8000", "description": "QT_PORT."},
        },
    },
]
TAGS = [
    {"name": "decisions", "description": "What a bot sends: observations, fills and outcomes."},
    {"name": "predictions", "description": "Scores for feature rows; nothing is stored."},
    {"name": "samples", "description": "Decisions with what became of them, and the import of other bots' history."},
    {"name": "retraining", "description": "Training new versions, by call and by schedule."},
    {"name": "models", "description": "Versions: how each was judged, and which one decides."},
    {"name": "strategies", "description": "The partitions and their feature schemas."},
    {"name": "operating", "description": "Status, doctor, alarms, events, figures and the audit trail."},
    {"name": "health", "description": "For a supervisor; needs no token."},
]
OPEN_TAG = "health"
SCHEMES = {
    "adminToken": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Admin-Token",
        "description": "QT_ADMIN_TOKEN (`qt token` prints it), QT_TRADER_TOKEN or QT_METRICS_TOKEN.",
    },
    "bearer": {"type": "http", "scheme": "bearer", "description": "The same token as `Authorization: Bearer`."},
}
EXAMPLES = Path(__file__).with_name("examples.json")
"""What a service really answered; tests/api/story.py writes it and a test holds it to what is answered today."""


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
            servers=SERVERS,
            contact=CONTACT,
            license_info=LICENSE,
        )
        document["components"]["securitySchemes"] = SCHEMES
        document["security"] = [{name: []} for name in SCHEMES]
        examples = json.loads(EXAMPLES.read_text(encoding="utf-8"))
        for operation in _operations(document):
            _mend(operation)
            _exemplify(operation, examples)
        document["components"]["examples"] = examples["problems"]
        document["components"]["schemas"] = {
            name: _tidied(schema) for name, schema in document["components"]["schemas"].items()
        }
        app.openapi_schema = document
    return app.openapi_schema


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def _mend(operation: dict[str, Any]) -> None:
    """Problems are said to be problems, and each call says which tokens it takes."""
    roles = operation.pop(ROLES_KEY, None)
    if OPEN_TAG in operation["tags"]:
        operation["security"] = []
    operation["description"] += f"\n\nToken: {' or '.join(roles) if roles else 'none'}."
    for status, response in operation["responses"].items():
        if int(status) >= 400 and CONTENT_TYPE in response.get("content", {}):
            response["content"].pop("application/json", None)


def _exemplify(operation: dict[str, Any], examples: dict[str, Any]) -> None:
    """Set beside each body what was really sent, and what was really answered."""
    name = operation["operationId"]
    for body in operation.get("requestBody", {}).get("content", {}).values():
        body["examples"] = examples["requests"].get(name, {})
    for status, response in operation["responses"].items():
        for content_type, content in response.get("content", {}).items():
            told = examples["answers"].get(name, {}).get(status, {}).get(content_type)
            if told:
                content["examples"] = told


def _tidied(schema: Any) -> Any:
    """The schema without the titles that only repeat its keys, and with one description a key, the nearest."""
    if isinstance(schema, list):
        return [_tidied(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {key: _tidied(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)}
    variants = tidy.get("anyOf", ())
    if {"type": "null"} in variants:
        for variant in variants:
            if "description" in variant:
                tidy.setdefault("description", variant.pop("description"))
    return tidy
