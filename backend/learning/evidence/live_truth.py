"""How a version fares: what became of its forecasts, and beside it, never inside, what was earned by following them.

A forecast is judged by the return over the strategy's horizon, whoever traded and whenever he left: stops that arrive
before targets, or early, change what a trade earns and nothing about the direction. Only a decision later than all the
version learned from judges it: a past that is posted again may be known by heart. Everything is computed from the rows
at the moment of asking, in one snapshot.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
from sqlalchemy.orm import Session

from ai_engine import directions
from ai_engine.directions import Outcomes
from ai_engine.types import Action, IndexArray
from backend.clock import to_ms
from backend.learning.evidence.live_money import profit_and_loss, trades
from backend.learning.evidence.live_rows import (
    NONE,
    Decisions,
    Forecasts,
    Mask,
    Names,
    read_decisions,
    read_outcomes,
    read_shadow,
)
from backend.learning.versions.find import find_version
from backend.learning.versions.past import learned_until
from backend.learning.versions.queries import get_model
from backend.models import AIModelVersion

Known: TypeAlias = tuple[IndexArray, Outcomes]
"""The ids of all rows of the strategy whose outcome is known, and the outcomes."""

ACTIONS = tuple(action.value for action in Action)
COUNTED = ("matured", "neutral", "judged", "correct")
SIDES = (Action.BUY.value, Action.SELL.value, NONE)


def show_model(session: Session, version_id: str, strategy: str | None = None, *, cost: float) -> dict[str, Any]:
    """All of one version, with how it fares: ``live`` what it decided, ``shadow`` what it forecast beside another.

    ``cost`` is the round trip as a fraction; smaller moves judge no direction.
    """
    told = get_model(session, version_id, strategy)
    version = find_version(session, version_id, strategy)
    known = read_outcomes(session, version.strategy)
    return {
        **told,
        "live": live_truth(session, version, known, cost=cost),
        "shadow": shadow_truth(session, version, known, cost=cost),
    }


def live_truth(session: Session, version: AIModelVersion, known: Known, *, cost: float) -> dict[str, Any]:
    """What became of the decisions that the version made."""
    decided = read_decisions(session, version.version_id)
    seen = _Seen.of(decided.forecasts, version, cost)
    counts, fared = seen.counts(), _fared(decided.forecasts, seen, known, cost)
    traded, money = trades(decided), profit_and_loss(session, version.version_id, decided)
    return {
        "total_predictions": counts["total"],
        "matured_predictions": counts["matured"],
        "pending_predictions": counts["total"] - counts["matured"],
        "neutral_predictions": counts["neutral"],
        "correct_predictions": counts["correct"],
        "live_accuracy": fared["accuracy"],
        "total_trades": traded["closed"],
        "total_pnl": money["net"],
        "forecasts": counts,
        **fared,
        "trades": traded,
        "pnl": money,
        "by_symbol": _parts(decided, seen, decided.forecasts.symbols, sorted(set(decided.forecasts.symbols.tolist()))),
        "by_side": _parts(decided, seen, decided.sides, SIDES),
        "by_action": _parts(decided, seen, decided.actions, ACTIONS),
        "explored": _part(decided, seen, decided.explored),
    }


def shadow_truth(session: Session, version: AIModelVersion, known: Known, *, cost: float) -> dict[str, Any]:
    """What became of the forecasts that the version made beside the one that decided; no money was ever on them."""
    forecasts = read_shadow(session, version.version_id)
    seen = _Seen.of(forecasts, version, cost)
    counts = seen.counts()
    return {"forecasts": counts.pop("total"), **counts, **_fared(forecasts, seen, known, cost)}


@dataclass(frozen=True, slots=True)
class _Seen:
    """Which forecasts are what: every one is matured, known before, pending, unobservable or in quarantine.

    ``known_before`` are those whose return is known, of decisions dated before the newest outcome that the version
    learned from was: it may know them by heart, so they judge nothing (docs/decisions/0036).
    """

    matured: Mask
    known_before: Mask
    judged: Mask
    correct: Mask
    quarantined: Mask
    unobservable: Mask

    @classmethod
    def of(cls, forecasts: Forecasts, version: AIModelVersion, cost: float) -> "_Seen":
        later = forecasts.times >= to_ms(learned_until(version.lineage, version.trained_at))
        matured, known_before = forecasts.matured & later, forecasts.matured & ~later
        with np.errstate(invalid="ignore"):
            judged = matured & (np.abs(forecasts.y) > cost)
            correct = judged & (np.sign(forecasts.scores) == np.sign(forecasts.y))
        kept_out = forecasts.quarantined
        return cls(matured, known_before, judged, correct, kept_out, forecasts.unobservable & ~kept_out)

    def counts(self) -> dict[str, int]:
        """The same as numbers."""
        pending = ~(self.matured | self.known_before | self.quarantined | self.unobservable)
        return {
            "total": len(self.matured),
            "matured": int(self.matured.sum()),
            "known_before": int(self.known_before.sum()),
            "pending": int(pending.sum()),
            "unobservable": int(self.unobservable.sum()),
            "quarantined": int(self.quarantined.sum()),
            "neutral": int((self.matured & ~self.judged).sum()),
            "judged": int(self.judged.sum()),
            "correct": int(self.correct.sum()),
        }


def _fared(forecasts: Forecasts, seen: _Seen, known: Known, cost: float) -> dict[str, Any]:
    """The matured forecasts' accuracy with all that belongs beside it."""
    panel = forecasts.panel(seen.matured)
    told = asdict(directions.judge(panel, cost=cost))
    interval = told["accuracy_ci95"]
    return {
        **{name: value for name, value in told.items() if name not in COUNTED},
        "accuracy_ci95": list(interval) if interval else None,
        "e_value": _evidence(forecasts, seen.matured & forecasts.settled, known, cost),
    }


def _evidence(forecasts: Forecasts, bet: Mask, known: Known, cost: float) -> float | None:
    """The bets by the rule of the evidence over nights; the commoner direction is that of all that was known."""
    ids, outcomes = known
    others = ~np.isin(ids, forecasts.ids[bet])
    beside = Outcomes(outcomes.times[others], outcomes.ends[others], outcomes.y[others])
    return directions.evidence(forecasts.panel(bet), beside, cost=cost)


def _parts(decided: Decisions, seen: _Seen, names: Names, wanted: Sequence[str]) -> dict[str, Any]:
    """The same decisions cut by a name: the parts add up to all of them."""
    return {name: _part(decided, seen, names == name) for name in wanted}


def _part(decided: Decisions, seen: _Seen, chosen: Mask) -> dict[str, Any]:
    judged, correct = int((seen.judged & chosen).sum()), int((seen.correct & chosen).sum())
    return {
        "decisions": int(chosen.sum()),
        "matured": int((seen.matured & chosen).sum()),
        "judged": judged,
        "correct": correct,
        "accuracy": correct / judged if judged else None,
        "trades": int((decided.closed & chosen).sum()),
        "net_pnl": math.fsum(decided.pnl[chosen]),
    }
