"""Every error leaves as ``application/problem+json`` (RFC 9457), with a stable reason and what to do next."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from backend.database import UNAVAILABLE, is_unavailable
from backend.errors import QuantumTraderError

logger = structlog.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER = "retry_after"
REASONS_BY_STATUS = {404: "no_such_path", 405: "method_not_allowed", 413: "body_too_large"}
REMEDIES = {
    404: "There is nothing at this path. GET /openapi.json lists every call.",
    405: "This path does not take this method; the Allow header names those that it takes.",
}


class UnauthorizedError(QuantumTraderError):
    """No token, or one that nobody has."""

    status_code = 401
    reason = "unauthorized"


class ForbiddenError(QuantumTraderError):
    """A known token without the right to this call."""

    status_code = 403
    reason = "forbidden"


class BodyTooLargeError(QuantumTraderError):
    """More bytes than this call takes."""

    status_code = 413
    reason = "body_too_large"


class UnsupportedMediaTypeError(QuantumTraderError):
    """A body that is not said to be JSON."""

    status_code = 415
    reason = "unsupported_media_type"


class TooManyWrongTokensError(QuantumTraderError):
    """One address keeps guessing tokens."""

    status_code = 429
    reason = "too_many_wrong_tokens"


def problem(
    status: int, detail: str, *, reason: str, request_id: str | None, extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The problem document; ``extra`` never replaces one of the standard members."""
    document = {
        "type": f"urn:quantum-trader:problem:{reason}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id,
        "reason": reason,
    }
    return document | {key: value for key, value in (extra or {}).items() if key not in document}


def problem_of(error: QuantumTraderError, request_id: str | None) -> dict[str, Any]:
    """The problem document of an expected failure."""
    return problem(error.status_code, error.message, reason=error.reason, request_id=request_id, extra=error.extra)


def problem_response(
    request: Request, document: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The answer that carries a problem document, with every token struck out."""
    content = request.app.state.redactor.value(document)
    return JSONResponse(content, status_code=document["status"], headers=headers, media_type=CONTENT_TYPE)


def request_id_of(request: Request) -> str | None:
    """The id this request is known by in the log."""
    return getattr(request.state, "request_id", None)


def expected_failure(request: Request, error: QuantumTraderError) -> JSONResponse:
    """The answer to a failure the code foresaw."""
    headers = {}
    if error.status_code == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if RETRY_AFTER in error.extra:
        headers["Retry-After"] = str(error.extra[RETRY_AFTER])
    return problem_response(request, problem_of(error, request_id_of(request)), headers)


def unexpected_failure(request: Request, _error: Exception) -> JSONResponse:
    """The answer to a failure nobody foresaw: nothing of it, but the id under which the log has it all."""
    detail = "Something failed that should not have. The service's log has the cause under this request_id."
    return problem_response(request, problem(500, detail, reason="internal_error", request_id=request_id_of(request)))


def validation_problem(errors: Sequence[Mapping[str, Any]], request_id: str | None) -> dict[str, Any]:
    """The problem document of a malformed request: the first field in words, all of them in ``errors``."""
    found = [{"field": _field_name(error["loc"]), "message": _message(error)} for error in errors]
    first = found[0]
    more = f" ({len(found) - 1} more in errors)" if len(found) > 1 else ""
    return problem(
        422,
        f"{first['field']}: {first['message']}{more}",
        reason="invalid_input",
        request_id=request_id,
        extra={"field": first["field"], "errors": found[:20]},
    )


def install(app: FastAPI) -> None:
    """Answer every kind of failure with a problem document."""
    app.add_exception_handler(QuantumTraderError, _on_expected)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    for kind in UNAVAILABLE:
        app.add_exception_handler(kind, _on_database)


async def _on_expected(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, QuantumTraderError)
    return expected_failure(request, error)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return problem_response(request, validation_problem(error.errors(), request_id_of(request)))


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = error.status_code
    document = problem(
        status,
        REMEDIES.get(status, str(error.detail)),
        reason=REASONS_BY_STATUS.get(status, "http_error"),
        request_id=request_id_of(request),
    )
    return problem_response(request, document, error.headers)


async def _on_database(request: Request, error: Exception) -> JSONResponse:
    if not is_unavailable(error):
        raise error
    logger.error("database unavailable", exc_info=error, request_id=request_id_of(request))
    detail = "The database is busy, cannot be reached, or its disk is full. Nothing was changed; try again."
    document = problem(503, detail, reason="database_unavailable", request_id=request_id_of(request))
    return problem_response(request, document, {"Retry-After": "5"})


SOURCES_OF_FIELDS = frozenset({"body", "query", "path", "header"})
ALTERNATIVES_OF_BODIES = frozenset({"single", "batch"})
NOT_AN_OBJECT = frozenset({"model_type", "model_attributes_type", "dataclass_type", "dict_type"})


def _field_name(location: Sequence[str | int]) -> str:
    parts = list(location)
    if parts[:1] == ["body"] and parts[1:2] and parts[1] in ALTERNATIVES_OF_BODIES:
        parts.pop(1)
    if len(parts) > 1 and parts[0] in SOURCES_OF_FIELDS:
        parts.pop(0)
    name = ""
    for part in parts:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else str(part)
    return name[:200] or "body"


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "is not known here. Remove it or correct its spelling."
    if error["type"] == "missing":
        return "is required and missing. Give it."
    if error["type"] in NOT_AN_OBJECT:
        return "must be an object. Write it in braces: {...}."
    message = str(error["msg"]).removeprefix("Value error, ")
    return message if message.endswith(".") else f"{message}."
