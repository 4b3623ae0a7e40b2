"""Rows that are kept out of training, as they are listed and ruled on."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from backend.api.schemas.described import QuarantineReason
from backend.api.schemas.fields import Answer, Body, storable_value
from backend.api.schemas.samples import SampleOut


class QuarantinedSample(SampleOut):
    """A sample with what keeps it, or kept it, out of training. Its money stays in the books in any case."""

    held_for: QuarantineReason | None = Field(description="The rule that holds it, or held it until it was released.")
    explanation: str | None = Field(description="What the rule saw, in the sample's own figures, and what to look at.")


class QuarantineList(Answer):
    """A page of samples that are kept out of training, newest first."""

    status: Literal["ok"] = Field(description="Always `ok`.")
    count: int = Field(description="How many are in this answer.")
    samples: list[QuarantinedSample] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="The `cursor` of the next page; null on the last one.")


class RulingIn(Body):
    """Why a sample is released or dropped, where the query does not say so."""

    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=500,
            description="Why; it is kept in the audit trail.",
            examples=["The exchange did trade at that price for a minute."],
        ),
        AfterValidator(storable_value),
    ]


class RulingOut(Answer):
    """The sample as it stands now."""

    status: Literal["success"] = Field(description="Always `success`.")
    sample: QuarantinedSample = Field(description="The sample, with `quarantine_decision` as it was ruled.")
