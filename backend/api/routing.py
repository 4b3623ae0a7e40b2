"""The routes' guard: the caller's right, the query's names and the body's form, all before anything else runs."""

from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel

from backend.api.auth import ADMIN_AND_TRADER, ADMIN_ONLY, Role, authorize
from backend.api.problems import BodyTooLargeError, UnsupportedMediaTypeError
from backend.api.strict_json import parse
from backend.errors import InvalidInputError

MEBIBYTE = 1024 * 1024
ROLES_KEY = "x-roles"


class _StrictRequest(Request):
    """A request whose body has been read and parsed already."""

    def with_body(self, body: bytes, value: Any) -> "_StrictRequest":
        """This request with what its body holds."""
        self._body = body
        self._value = value
        return self

    async def json(self) -> Any:
        """The body's value."""
        return self._value


class AdminRoute(APIRoute):
    """A call for the admin token."""

    roles: ClassVar[frozenset[Role]] = ADMIN_ONLY
    max_body_bytes: ClassVar[int] = 8 * MEBIBYTE
    unique_keys: ClassVar[bool] = True

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        options["openapi_extra"] = {ROLES_KEY: sorted(self.roles), **(options.get("openapi_extra") or {})}
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler behind the guard."""
        handler = super().get_route_handler()
        names = _query_names(self.dependant)
        takes_body = self.body_field is not None

        async def guarded(request: Request) -> Response:
            authorize(request, self.roles)
            _refuse_unknown_query(request, names)
            body = await _read(request, self.max_body_bytes)
            strict = _StrictRequest(request.scope, request.receive)
            if not takes_body:
                await _refuse_unexpected(body)
                return await handler(strict.with_body(b"", None))
            if body.strip():
                _require_json(request)
                value = await run_in_threadpool(parse, body, unique_keys=self.unique_keys)
                _claim_json(strict)
                return await handler(strict.with_body(body, value))
            return await handler(strict.with_body(b"", None))

        return guarded


class BotRoute(AdminRoute):
    """A call a bot's token is enough for."""

    roles: ClassVar[frozenset[Role]] = ADMIN_AND_TRADER


class ImportRoute(AdminRoute):
    """A call that takes a large body, whose rows are judged one by one."""

    max_body_bytes: ClassVar[int] = 64 * MEBIBYTE
    unique_keys: ClassVar[bool] = False


def _query_names(dependant: Dependant) -> frozenset[str]:
    names = frozenset().union(*(_query_names(one) for one in dependant.dependencies))
    for field in dependant.query_params:
        kind = field.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names |= frozenset(kind.model_fields)
        else:
            names |= {field.alias}
    return names


def _refuse_unknown_query(request: Request, names: frozenset[str]) -> None:
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in names:
            known = ", ".join(sorted(names)) or "none"
            raise InvalidInputError(
                f"{name[:80]}: this call has no such query parameter. It knows: {known}.", field=name[:80]
            )
        if given.count(name) > 1:
            raise InvalidInputError(f"{name}: is given more than once. Give it once.", field=name)


async def _read(request: Request, limit: int) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit:
        raise _too_large(limit)
    chunks = bytearray()
    async for chunk in request.stream():
        chunks += chunk
        if len(chunks) > limit:
            raise _too_large(limit)
    return bytes(chunks)


async def _refuse_unexpected(body: bytes) -> None:
    if not body.strip():
        return
    try:
        value = await run_in_threadpool(parse, body)
    except InvalidInputError:
        value = body
    if value not in ({}, None):
        raise InvalidInputError("body: this call takes no body. Give its options as query parameters.", field="body")


def _require_json(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise UnsupportedMediaTypeError("The body must be JSON. Send it with Content-Type: application/json.")


def _claim_json(request: Request) -> None:
    """Spare FastAPI a second, narrower opinion about the content type's parameters."""
    headers = [(name, value) for name, value in request.scope["headers"] if name != b"content-type"]
    request.scope["headers"] = [*headers, (b"content-type", b"application/json")]


def _too_large(limit: int) -> BodyTooLargeError:
    mebibytes = limit // MEBIBYTE
    return BodyTooLargeError(f"The body is larger than {mebibytes} MiB. Send it in parts.", max_bytes=limit)
