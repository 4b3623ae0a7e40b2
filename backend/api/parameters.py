"""The kinds of values a query or a path may hold. They need FastAPI; what a body or an answer holds does not."""

from typing import Annotated

from fastapi import Path, Query
from pydantic import AfterValidator

from backend.api.schemas.fields import (
    CURSOR_PATTERN,
    DECISION_ID_PATTERN,
    STRATEGY_PATTERN,
    PlainInteger,
    known_form_of_version,
    storable_value,
)
from backend.errors import NotFoundError


def _known_form_of_run(value: str) -> str:
    if len(value) > 40 or not value.isascii() or not value.replace("-", "").replace("_", "").isalnum():
        raise NotFoundError(
            "There is no run of this name. GET /ai/retraining-runs lists those there are.", reason="unknown_run"
        )
    return value


def _known_form_of_sample(value: str) -> str:
    if len(value) > 18 or not (value.isascii() and value.isdigit()):
        raise NotFoundError(
            "There is no sample of this number. GET /ai/quarantine lists those that are kept out of training.",
            reason="unknown_sample",
        )
    return value


StrategyQuery = Annotated[
    str | None,
    Query(
        pattern=STRATEGY_PATTERN,
        description="The partition. Left out, it is QT_STRATEGY, or `default` for a bot's calls.",
    ),
]
Limit = Annotated[int, PlainInteger, Query(ge=1, le=1000, description="How many at most.")]
Cursor = Annotated[str | None, Query(pattern=CURSOR_PATTERN, description="`next_cursor` of the page before.")]
ReasonQuery = Annotated[
    str | None,
    Query(min_length=1, max_length=500, description="Why; it is kept in the audit trail."),
    AfterValidator(lambda value: None if value is None else storable_value(value)),
]
Wait = Annotated[bool, Query(description="`false`: answer 202 with a run_id at once.")]
DecisionIdPath = Annotated[str, Path(pattern=DECISION_ID_PATTERN, description="The decision's id.")]
StrategyPath = Annotated[str, Path(pattern=STRATEGY_PATTERN, description="The strategy's name.")]
VersionIdPath = Annotated[str, Path(description="Such as v20260131_030000."), AfterValidator(known_form_of_version)]
RunIdPath = Annotated[str, Path(description="The run's id."), AfterValidator(_known_form_of_run)]
SampleIdPath = Annotated[
    str, Path(description="The sample's number, such as 4711."), AfterValidator(_known_form_of_sample)
]
