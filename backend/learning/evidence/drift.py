"""Whether a version's errors, or the features it leans on most, have changed: for information, it decides nothing."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from ai_engine.drift import ADWIN_SMALLEST, PAST_WINDOWS, Break, Shift, adwin, by_stretch, feature_shift
from ai_engine.types import FeatureMatrix
from backend.clock import from_ms, iso
from backend.learning.decisions.rows import read_feature_matrix
from backend.learning.evidence.since_activation import LiveRows
from backend.learning.versions.serving import Serving
from backend.learning.versions.store import UnusableArtifactError
from backend.models import AIModelVersion, AITrainingSample

WINDOW = 50
ROWS = WINDOW * (PAST_WINDOWS + 1)
LEADING = 10
LARGER = 1.0
NEWEST_STRETCHES = 2_000


@dataclass(frozen=True, slots=True)
class ErrorDrift:
    """How many stretches of time the scaled errors fill, and the newest change of their mean; times in ms."""

    stretches: int
    found: Break | None
    at: int | None

    @property
    def grew(self) -> bool:
        """Whether the errors became larger."""
        return self.found is not None and self.found.after > self.found.before

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe; ``drifted`` is null where too little is known."""
        return {
            "stretches": self.stretches,
            "stretches_needed": 2 * ADWIN_SMALLEST,
            "drifted": self.found is not None if self.stretches >= 2 * ADWIN_SMALLEST else None,
            "since": iso(from_ms(self.at)) if self.at is not None else None,
            "before": self.found.before if self.found else None,
            "after": self.found.after if self.found else None,
            "sentence": self.sentence(),
        }

    def sentence(self) -> str:
        """One plain sentence."""
        if self.found is not None and self.at is not None:
            word = "grew" if self.grew else "shrank"
            return (
                f"Its errors in units of volatility {word} from {self.found.before:.2f} to {self.found.after:.2f} about"
                f" {iso(from_ms(self.at))}."
            )
        if self.stretches < 2 * ADWIN_SMALLEST:
            return (
                f"Not enough data: {self.stretches} of {2 * ADWIN_SMALLEST} stretches of time with a known volatility."
            )
        return "Its errors in units of volatility have not changed."


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """The features that a version leans on most, each against its own past; ``gains`` are shares of all gain.

    ``unknown_because`` says why there are none: the version's file cannot be read.
    """

    rows: int
    gains: dict[str, float]
    shifts: dict[str, Shift]
    unknown_because: str | None = None

    @property
    def moved(self) -> tuple[str, ...]:
        """Those that stand out from their own past, the most important first."""
        return tuple(name for name, shift in self.shifts.items() if shift.moved)

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe; ``moved`` of a feature is null where too little is known."""
        return {
            "rows": self.rows,
            "rows_needed": ROWS,
            "window": WINDOW,
            "drifted": bool(self.moved) if self.rows >= ROWS and self.shifts else None,
            "moved": list(self.moved),
            "features": [
                {
                    "name": name,
                    "gain": self.gains[name],
                    "psi": shift.psi,
                    "largest_before": shift.largest_before,
                    "moved": shift.moved,
                }
                for name, shift in self.shifts.items()
            ],
            "sentence": self.sentence(),
        }

    def sentence(self) -> str:
        """One plain sentence."""
        if self.unknown_because is not None:
            return f"Not known which features lead: {self.unknown_because}"
        if self.rows < ROWS:
            return f"Not enough data: {self.rows:,} of {ROWS:,} decisions with its features."
        if not self.shifts:
            return "The version leans on no feature."
        if not self.moved:
            return f"None of its {len(self.shifts)} leading features stands out from its own past."
        return (
            f"Of its {len(self.shifts)} leading features {_listed(self.moved)} in the newest {WINDOW} decisions"
            f" {'lies' if len(self.moved) == 1 else 'lie'} farther from the rest than in any of {PAST_WINDOWS} windows"
            f" before; of 20 looks without a change about one names a feature."
        )


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def drift_of(session: Session, version: AIModelVersion, rows: LiveRows, serving: Serving) -> dict[str, Any]:
    """Both, as the outside sees them; ``rows`` are what the version decided since its activation."""
    return {
        "errors": judge_errors(rows).as_dict(),
        "features": features_of(session, version, serving).as_dict(),
    }


def judge_errors(rows: LiveRows) -> ErrorDrift:
    """Whether the mean of ``|forward_return - expected_return| / volatility`` changed since the activation."""
    volatility = np.where(rows.volatility > 0, rows.volatility, np.nan)
    scaled = np.abs(rows.forward_returns - rows.expected_returns) / volatility
    known = ~np.isnan(scaled)
    times, means = by_stretch(rows.times[known], rows.ends[known], scaled[known])
    times, means = times[-NEWEST_STRETCHES:], means[-NEWEST_STRETCHES:]
    found = adwin(means)
    return ErrorDrift(len(means), found, int(times[found.at]) if found is not None else None)


def features_of(session: Session, version: AIModelVersion, serving: Serving) -> FeatureDrift:
    """The newest decisions of the strategy, whoever decided them, in the version's leading features."""
    try:
        gains = serving.load(version).leading_features(LEADING)
    except UnusableArtifactError as error:
        return FeatureDrift(0, {}, {}, error.message)
    X = _newest(session, version.strategy, tuple(gains))
    shifts = {name: feature_shift(X[:, place].astype(np.float64), WINDOW) for place, name in enumerate(gains)}
    return FeatureDrift(len(X), gains, shifts)


def _newest(session: Session, strategy: str, names: tuple[str, ...]) -> FeatureMatrix:
    """The features of the newest decisions that hold them all, in time order; shape (n, f)."""
    row = AITrainingSample
    decided = select(row.id).where(row.strategy == strategy, row.origin == "decision")
    newest = decided.order_by(row.timestamp.desc(), row.id.desc()).limit(ROWS)
    X = read_feature_matrix(session, newest, names)[::-1]
    return X[np.isfinite(X).all(axis=1)]
