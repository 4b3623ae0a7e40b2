"""Pages of a list, newest first: the cursor is the id of the last row that was shown."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from backend.errors import InvalidInputError

MAX_ID = 2**63 - 1


class HasId(Protocol):
    """A row with a growing integer key."""

    @property
    def id(self) -> int:
        """The key."""


Row = TypeVar("Row", bound=HasId)


def before_id(cursor: str) -> int:
    """The id a cursor stands for.

    >>> before_id("17")
    17
    """
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 19 and int(cursor) <= MAX_ID):
        raise InvalidInputError("cursor is not one this service gave out. Leave it out to start again.", field="cursor")
    return int(cursor)


def page_of(rows: Sequence[Row], limit: int) -> tuple[Sequence[Row], str | None]:
    """The first ``limit`` of ``limit + 1`` rows asked for, and the cursor of the next page where there is one."""
    page = rows[:limit]
    return page, str(page[-1].id) if len(rows) > limit else None
