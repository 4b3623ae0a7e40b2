"""What calls that begin a run have in common: they wait for what comes of it, or answer with its id."""

from collections.abc import Callable
from typing import Any

from anyio.to_thread import run_sync
from fastapi.responses import JSONResponse

from backend.api.deps import AppContext


async def answered(context: AppContext, carry_out: Callable[[], Any]) -> JSONResponse:
    """What came of the run.

    Waiting takes minutes: threads of its own, so that however many wait, every other call still finds one.
    """
    return JSONResponse(await run_sync(carry_out, limiter=context.waiting, abandon_on_cancel=True))


async def started(context: AppContext, start: Callable[[], str]) -> JSONResponse:
    """The id of the run that goes on."""
    run_id = await run_sync(start, limiter=context.waiting, abandon_on_cancel=True)
    return JSONResponse({"status": "started", "run_id": run_id}, status_code=202)
