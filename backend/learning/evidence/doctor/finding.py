"""What a check of the doctor hands back."""

from dataclasses import dataclass
from typing import Any

from backend.operations.codes import Code, Severity


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong here, what shows it, and one concrete thing to do."""

    code: Code
    severity: Severity
    explanation: str
    evidence: dict[str, Any]
    remedy: str
