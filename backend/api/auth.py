"""Who is calling: tokens, roles, and a limit on guessing."""

import hashlib
import hmac
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from enum import StrEnum

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.api.problems import ForbiddenError, TooManyWrongTokensError, UnauthorizedError, expected_failure
from backend.errors import QuantumTraderError
from backend.settings import Settings

WRONG_TOKENS_PER_MINUTE = 60
MINUTE = 60.0
MAX_ADDRESSES = 10_000
OPEN_PATHS = frozenset({"/", "/docs", "/favicon.ico", "/health/live", "/health/ready"})
OPEN_PREFIX = "/web/"
HOW_TO_AUTHENTICATE = "Send it as X-Admin-Token, or as Authorization: Bearer. `qt token` prints the admin token."


class Role(StrEnum):
    """What a token is for."""

    ADMIN = "admin"
    TRADER = "trader"
    METRICS = "metrics"


ADMIN_ONLY = frozenset({Role.ADMIN})
ADMIN_AND_TRADER = frozenset({Role.ADMIN, Role.TRADER})


class Tokens:
    """The tokens in force; a comparison takes the same time whatever it is compared with."""

    def __init__(self, tokens: Iterable[tuple[Role, str | None]]) -> None:
        self._digests = tuple((role, _digest(token.encode())) for role, token in tokens if token)

    @classmethod
    def of(cls, settings: Settings) -> "Tokens":
        """The tokens of the settings."""
        secrets = (
            (Role.ADMIN, settings.admin_token),
            (Role.ADMIN, settings.admin_token_previous),
            (Role.TRADER, settings.trader_token),
            (Role.METRICS, settings.metrics_token),
        )
        return cls((role, secret.get_secret_value() if secret else None) for role, secret in secrets)

    def role_of(self, token: bytes) -> Role | None:
        """The role of a token, None when nobody has it."""
        given = _digest(token)
        matches = [role for role, digest in self._digests if hmac.compare_digest(given, digest)]
        return matches[0] if matches else None


class WrongTokenThrottle:
    """Counts wrong tokens by address over the last minute."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def retry_after(self, address: str) -> int | None:
        """Count one wrong token; the seconds to wait when there were too many within a minute, else None."""
        now = self._timer()
        with self._lock:
            times = self._wrong.setdefault(address, deque())
            self._wrong.move_to_end(address)
            while len(self._wrong) > MAX_ADDRESSES:
                self._wrong.popitem(last=False)
            while times and now - times[0] >= MINUTE:
                times.popleft()
            if len(times) >= WRONG_TOKENS_PER_MINUTE:
                return max(1, round(MINUTE - (now - times[0])))
            times.append(now)
        return None


class Authentication:
    """Lets nobody past the open paths without a token that is in force."""

    def __init__(self, app: ASGIApp, tokens: Tokens, throttle: WrongTokenThrottle) -> None:
        self._app = app
        self._tokens = tokens
        self._throttle = throttle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 or 429, or go on with the caller's role in the request's state."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        refusal = None if _is_open(scope["path"]) else self._refusal(request)
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await expected_failure(request, refusal)(scope, receive, send)

    def _refusal(self, request: Request) -> QuantumTraderError | None:
        token = _token_in(request.headers)
        if not token:
            return UnauthorizedError(f"This call needs a token. {HOW_TO_AUTHENTICATE}", reason_detail="missing_token")
        role = self._tokens.role_of(token)
        if role is not None:
            request.state.role = role
            return None
        address = request.client.host if request.client else "unknown"
        seconds = self._throttle.retry_after(address)
        if seconds is not None:
            return TooManyWrongTokensError(
                f"Too many wrong tokens from this address. Try again in {seconds} s with a right one.",
                retry_after=seconds,
            )
        return UnauthorizedError(f"This token is not in force. {HOW_TO_AUTHENTICATE}", reason_detail="wrong_token")


def role_of(request: Request) -> Role:
    """The role of the caller of a path that is not open."""
    role: Role = request.state.role
    return role


def authorize(request: Request, roles: frozenset[Role]) -> None:
    """Refuse a caller whose token is right but not for this call."""
    role = role_of(request)
    if role not in roles:
        needed = " or ".join(sorted(roles))
        raise ForbiddenError(f"The {role} token does not have the right to this call. Use the {needed} token.")


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIX)


def _token_in(headers: Headers) -> bytes:
    token = headers.get("x-admin-token", "").strip()
    if not token:
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        token = credentials.strip() if scheme.lower() == "bearer" else ""
    return token.encode("latin-1")


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
