"""Samples as CSV, read page by page, so that an export of any size takes little memory and no long transaction."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.api.schemas.samples import SampleColumns
from backend.database import Database
from backend.learning.decisions.queries import SampleFilter, list_samples
from backend.models import AITrainingSample, FeatureSchema

PAGE = 1000
COLUMNS = tuple(SampleColumns.model_fields)


def csv_lines(database: Database, chosen: SampleFilter, most: int | None) -> Iterator[str]:
    """The head and one line a sample, newest first; ``most`` None is all of them. Unknown is an empty field."""
    names = database.read(_feature_names, chosen.strategy) if chosen.features else []
    yield _line([*COLUMNS, *names])
    left, cursor = most, chosen.cursor
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        page, cursor = database.read(list_samples, replace(chosen, limit=size, cursor=cursor))
        for sample in page:
            features = dict(zip(sample["feature_names"], sample["features"], strict=True)) if names else {}
            yield _line([_cell(sample[column]) for column in COLUMNS] + [_cell(features.get(name)) for name in names])
        left = None if left is None else left - len(page)
        if cursor is None:
            return


def _feature_names(session: Session, strategy: str) -> list[str]:
    row = AITrainingSample
    used = select(row.feature_schema_id).where(row.strategy == strategy).distinct()
    schemas = session.scalars(select(FeatureSchema.names).where(FeatureSchema.id.in_(used))).all()
    return sorted({name for names in schemas for name in names})


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


def _line(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue()
