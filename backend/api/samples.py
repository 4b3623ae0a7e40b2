"""Training samples: list them, export them, import another bot's."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from backend.api.deps import DEFAULT_STRATEGY, ActorDep, AppContext, ContextDep
from backend.api.parameters import StrategyQuery
from backend.api.routing import AdminRoute, ImportRoute
from backend.api.sample_export import csv_lines
from backend.api.schemas.problems import problems
from backend.api.schemas.samples import ImportAnswer, ImportBody, SampleList, SampleSelection
from backend.api.strict_json import storable
from backend.learning.decisions import queries
from backend.learning.decisions.imports import import_samples
from backend.learning.decisions.strategies import get_strategy
from backend.learning.versions.find import find_version

router = APIRouter(prefix="/ai", tags=["samples"], route_class=AdminRoute)
imports = APIRouter(prefix="/ai", tags=["samples"], route_class=ImportRoute)

CSV = "text/csv"
UNSTORABLE = "A text in the row holds a NUL character or half of a surrogate pair. Remove it."


@router.get(
    "/training-samples",
    operation_id="listSamples",
    summary="List or export samples",
    response_model=SampleList,
    responses={
        200: {
            "description": "A page of samples; with `Accept: text/csv` all that match, or `limit` of them, as CSV:"
            " data, not a spreadsheet, with every text as it was sent, also one that begins like a formula.",
            "content": {CSV: {"schema": {"type": "string"}}},
        },
        **problems("unknown_strategy", "unknown_version"),
    },
)
def list_samples(
    request: Request, selection: Annotated[SampleSelection, Query()], context: ContextDep
) -> SampleList | Response:
    """Decisions with what became of them, newest first, by any mixture of filters.

    Returns are fractions (0.0111 is 1.11 %), prices, fees and P&L in quote currency, times UTC.
    """
    chosen = context.database.read(_filter, context, selection)
    if CSV in request.headers.get("accept", ""):
        most = selection.limit if "limit" in selection.model_fields_set else None
        name = f"attachment; filename={chosen.strategy}-samples.csv"
        return StreamingResponse(
            csv_lines(context.database, chosen, most), media_type=CSV, headers={"Content-Disposition": name}
        )
    found, next_cursor = context.database.read(queries.list_samples, chosen)
    return SampleList.model_validate(
        {"status": "ok", "count": len(found), "samples": found, "next_cursor": next_cursor}
    )


@imports.post(
    "/training-samples",
    operation_id="importSamples",
    summary="Import closed samples",
    responses=problems("unsupported_media_type", "invalid_json", "market_mismatch"),
)
def post_samples(
    body: ImportBody, context: ContextDep, actor: ActorDep, strategy: StrategyQuery = None
) -> ImportAnswer:
    """History of another bot, row by row: good ones are kept, each bad one is refused with its index and reason.

    Needed in a row: `symbol, timestamp, predicted_action, entry_price, exit_price, exit_time, features`.
    The same rows again are counted as duplicates.
    """
    good = [index for index, row in enumerate(body.samples) if storable(row)]
    rows: list[object] = [body.samples[index] for index in good]
    result = context.database.write(_import, context, strategy or DEFAULT_STRATEGY, rows, actor)
    refused = [{"index": index, "reason": UNSTORABLE} for index in sorted(set(range(len(body.samples))) - set(good))]
    refused += [{**one, "index": good[one["index"]]} for one in result.pop("rejected")]
    return ImportAnswer.model_validate({**result, "rejected": sorted(refused, key=lambda one: one["index"])})


def _import(session: Session, context: AppContext, strategy: str, rows: list[object], actor: str) -> dict[str, Any]:
    result = import_samples(session, strategy, rows, settings=context.settings, now=context.clock(), actor=actor)
    return {
        "status": "success",
        "accepted": result.accepted,
        "duplicates": result.duplicates,
        "rejected": result.rejected,
        "strategy": strategy,
        "strategy_created": result.strategy_created,
        "strategy_begun": result.strategy_begun,
        "warnings": result.warnings,
        "quarantined": result.quarantined,
    }


def _filter(session: Session, context: AppContext, selection: SampleSelection) -> queries.SampleFilter:
    """The filter of a selection; a version that is named brings its strategy with it."""
    strategy = context.strategy(selection.strategy)
    if selection.model_version is not None:
        strategy = find_version(session, selection.model_version, selection.strategy).strategy
    get_strategy(session, strategy, settings=context.settings)
    fields = selection.model_dump(exclude={"strategy", "symbol"})
    symbol = selection.symbol.replace("/", "") if selection.symbol else None
    return queries.SampleFilter(strategy=strategy, symbol=symbol, **fields)
