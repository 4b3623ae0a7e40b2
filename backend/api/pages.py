"""The page and the documentation, as static files without a foreign address, and the API's description."""

from html import escape
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, Response
from fastapi.staticfiles import StaticFiles

from backend.api.openapi import describe
from backend.api.routing import BotRoute

WEB = Path(__file__).resolve().parents[1] / "web"
USUAL_ADDRESS = "http://127.0.0.1:8000"
POLICY = {"content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'"}

open_pages = APIRouter(include_in_schema=False)
description = APIRouter(include_in_schema=False, route_class=BotRoute)


@open_pages.get("/")
def index(request: Request) -> HTMLResponse:
    """The front page, whose example calls the address that it was opened at."""
    here = escape(str(request.base_url).rstrip("/"))
    text = (WEB / "index.html").read_text(encoding="utf-8")
    return HTMLResponse(text.replace(USUAL_ADDRESS, here), headers=POLICY)


@open_pages.get("/docs")
def docs() -> FileResponse:
    """Every call, read from the description with the reader's own token."""
    return FileResponse(WEB / "docs.html", headers=POLICY)


@open_pages.get("/favicon.ico")
def favicon() -> Response:
    """None, said without an error."""
    return Response(status_code=204)


@description.get("/openapi.json")
def openapi(request: Request) -> dict[str, Any]:
    """The API's description."""
    return describe(request.app)


def mount(app: FastAPI) -> None:
    """Serve the pages and their files."""
    app.include_router(open_pages)
    app.include_router(description)
    app.mount("/web", StaticFiles(directory=WEB), name="web")
