"""What the newest self-audit of a strategy said, as it stands in the report of each version made after it."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.clock import iso
from backend.models import JobRun
from backend.operations.runs import SELF_AUDIT

KEPT = (
    "placebos",
    "false_approvals",
    "false_approval_rate",
    "false_approval_ci95",
    "planted",
    "placebo_accuracy",
    "rows",
    "kind",
    "holds",
)


def newest_run(session: Session, strategy: str, *, state: str | None = None) -> JobRun | None:
    """The strategy's newest self-audit, of any state or of one."""
    query = select(JobRun).where(JobRun.job == SELF_AUDIT, JobRun.strategy == strategy, JobRun.state != "missed")
    if state is not None:
        query = query.where(JobRun.state == state)
    return session.scalars(query.order_by(JobRun.id.desc()).limit(1)).one_or_none()


def in_report(session: Session, strategy: str) -> dict[str, Any] | None:
    """The newest result, in short; None where the strategy was never audited."""
    run = newest_run(session, strategy, state="success")
    if run is None or run.result is None:
        return None
    found: dict[str, Any] = {name: run.result[name] for name in KEPT}
    finished = iso(run.finished_at) if run.finished_at else None
    return found | {"run_id": run.run_id, "finished_at": finished, "sentence": _sentence(run.result)}


def _sentence(result: dict[str, Any]) -> str:
    distrust = "The self-audit does not hold, so verdicts are not to be trusted."
    if not result["judged"]:
        little = (
            "When it was last audited, nothing could be judged: this installation had too little data for a verdict."
        )
        return f"{distrust} {little}" if result["faults"] else little
    low, high = result["false_approval_ci95"]
    powers = [
        f"a true {one['accuracy']:.0%} model is found in {one['detection_rate']:.0%}"
        for one in result["planted"]
        if one["detection_rate"] is not None
    ]
    said = (
        f"On {result['rows']} rows of this installation's own data a model without skill is called evidence in"
        f" {result['false_approval_rate']:.1%} (95 %: {low:.1%} to {high:.1%}); {' and '.join(powers)}."
    )
    return said if result["holds"] else f"{distrust} {said}"
