"""What every request passes before its route: an id for the log, and the refusal of foreign hosts."""

import re
import time
import uuid

import structlog
from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.problems import expected_failure, unexpected_failure
from backend.errors import QuantumTraderError

logger = structlog.get_logger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}


class HostNotAllowedError(QuantumTraderError):
    """A Host header this service does not answer to."""

    reason = "host_not_allowed"


class RequestContext:
    """Gives each request an id, logs how it ended, and turns what nobody foresaw into a bare 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        given = request.headers.get("x-request-id", "")
        request.state.request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        with structlog.contextvars.bound_contextvars(request_id=request.state.request_id):
            await self._serve(request, receive, send)

    async def _serve(self, request: Request, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        status: int | None = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request.state.request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(request.scope, receive, send_with_headers)
        except ClientDisconnect:
            logger.info("client left before its request was whole", method=request.method, path=request.url.path)
            return
        except Exception as error:
            logger.exception("request failed", method=request.method, path=request.url.path)
            if status is not None:
                raise
            await unexpected_failure(request, error)(request.scope, receive, send_with_headers)
        logger.info(
            "request",
            method=request.method,
            path=request.url.path,
            status=status,
            duration_ms=round(1000 * (time.perf_counter() - started), 1),
        )


class AllowedHosts:
    """Refuses a Host header that is not ours, so that a foreign page cannot reach a local service by its name."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower().strip("[]") for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] == "http" and "*" not in self._hosts:
            request = Request(scope, receive)
            if _host_name(request.headers.get("host", "")) not in self._hosts:
                refusal = HostNotAllowedError(
                    "This service does not answer to that Host header. Add the name to QT_ALLOWED_HOSTS."
                )
                await expected_failure(request, refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _host_name(header: str) -> str:
    """The name in a Host header.

    >>> _host_name("[::1]:8000"), _host_name("LOCALHOST:8000"), _host_name("127.0.0.1")
    ('::1', 'localhost', '127.0.0.1')
    """
    header = header.strip().lower()
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]
