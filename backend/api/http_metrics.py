"""What this process answered over HTTP: counted by route template, so that no caller can invent a label."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
NO_ROUTE = "none"
ABORTED = "aborted"


class HttpFigures:
    """Requests, their durations, and how many are being served."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "quantum_trader_http_requests",
            "Requests this process answered; route none: refused before a route was found; status aborted: no answer.",
            ("method", "route", "status"),
            registry=registry,
        )
        self.seconds = Histogram(
            "quantum_trader_http_request_duration_seconds",
            "How long this process took to answer.",
            ("method", "route"),
            buckets=SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "quantum_trader_http_requests_in_flight", "Requests being served by this process.", registry=registry
        )


class CountRequests:
    """Counts and times every request that passes; the outermost of the middlewares, so that refusals count too."""

    def __init__(self, app: ASGIApp, figures: HttpFigures) -> None:
        self._app = app
        self._figures = figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = ABORTED

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        started = time.perf_counter()
        self._figures.in_flight.inc()
        try:
            await self._app(scope, receive, noting)
        finally:
            self._figures.in_flight.dec()
            route, method = _template(scope), scope["method"] if scope["method"] in METHODS else "other"
            self._figures.requests.labels(method, route, status).inc()
            self._figures.seconds.labels(method, route).observe(time.perf_counter() - started)


def _template(scope: Scope) -> str:
    """The matched route as it is written, ``/ai/models/{version_id}``; a folder of files by its own name, ``/web``."""
    return str(getattr(scope.get("route"), "path", scope.get("root_path") or NO_ROUTE))
