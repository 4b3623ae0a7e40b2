"""Whether the skill that a version showed at its training is lost: its live forecasts against its own walk-forward."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from ai_engine.sequential import ENOUGH
from ai_engine.skill import COIN, NO_DOUBT, Doubt, Live, bound_of, doubt, expected_delay
from backend.clock import from_ms, iso
from backend.learning.evidence.since_activation import LiveRows, read_live_rows
from backend.models import AIModelVersion


@dataclass(frozen=True, slots=True)
class Skill:
    """What a version must keep, how its live forecasts did, and what speaks against it.

    ``begins`` is the lower end of its walk-forward's interval, ``bound`` the same and at least 0.5; None where it never
    did better than a coin. ``matured`` counts the live forecasts whose outcome is known, also of moves that are small.
    """

    version_id: str
    shown: float | None
    begins: float | None
    bound: float | None
    matured: int
    outcomes: int
    hits: int
    doubt: Doubt

    @property
    def lost(self) -> bool:
        """Whether the evidence was ever enough."""
        return self.doubt.alarmed_at is not None

    @property
    def only_a_coin(self) -> bool:
        """Whether its interval reaches below a coin, so that a coin is all it must keep."""
        return self.begins is not None and self.begins < COIN

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe, with one sentence."""
        known, alarmed_at = self.bound is not None, self.doubt.alarmed_at
        return {
            "lost": self.lost if known else None,
            "walk_forward_accuracy": self.shown,
            "bound": self.bound,
            "outcomes": self.outcomes,
            "hits": self.hits,
            "accuracy": self.hits / self.outcomes if self.outcomes else None,
            "rounds": self.doubt.rounds,
            "phases": self.doubt.phases,
            "e_value": self.doubt.e_value if known else None,
            "largest_e_value": self.doubt.largest if known else None,
            "enough": ENOUGH,
            "alarmed_at": iso(from_ms(alarmed_at)) if alarmed_at is not None else None,
            "expected_delay": self._delay(1.0 - self.shown) if self.shown is not None else None,
            "expected_delay_to_a_coin": self._delay(COIN),
            "sentence": self.sentence(),
        }

    def sentence(self) -> str:
        """One plain sentence or two, with the numbers."""
        if self.bound is None or self.shown is None or self.begins is None:
            return "It never showed skill in its walk-forward, so there is none to lose."
        kept = f"Its walk-forward had {self.shown:.1%}, at least {self.bound:.1%} by its interval"
        if self.only_a_coin:
            kept = (
                f"Its walk-forward had {self.shown:.1%}, which never showed skill beyond chance (its interval begins at"
                f" {self.begins:.1%}): it is therefore held to a coin's 50%"
            )
        if self.lost:
            return (
                f"{kept}; {self._seen()}, and the evidence that it fell below that reached"
                f" {self.doubt.largest:.4g} ({ENOUGH:g} is enough)."
            )
        return f"{kept}; {self._seen()}. {self._patience()}"

    def _seen(self) -> str:
        if not self.matured:
            return "of its live forecasts since its activation none has matured yet"
        if not self.outcomes:
            return "of its live forecasts since its activation none has moved more than the costs yet"
        return f"live it was right in {self.hits} of {self.outcomes} live forecasts that moved more than the costs"

    def _patience(self) -> str:
        """How much speaks against it, and how long it would take to see what may happen."""
        now = f"What speaks against it is {self.doubt.e_value:.2g} ({ENOUGH:g} is enough)."
        turned = 1.0 - (self.shown or COIN)
        flip, coin = self._delay(turned), self._delay(COIN)
        seen = f"would be seen in about {coin:,} further ones" if coin else "would not be seen"
        fall = f", one to {turned:.0%} in about {flip:,}" if flip else ""
        return f"{now} A fall to a coin's 50% {seen}{fall} (outcomes without overlap)."

    def _delay(self, rate: float) -> int | None:
        return expected_delay(self.bound, rate) if self.bound is not None else None


def skill_of(session: Session, version: AIModelVersion, cost: float) -> Skill:
    """What speaks against the version since its latest activation; ``cost`` is the round trip as a fraction."""
    return judge_skill(version, read_live_rows(session, version), cost)


def judge_skill(version: AIModelVersion, rows: LiveRows, cost: float) -> Skill:
    """The same from rows that were read; a score of 0 has no direction and is a miss, a small move neither."""
    walk_forward = version.report.get("walk_forward") or {}
    bound = bound_of(walk_forward)
    scored = rows.part(~np.isnan(rows.scores))
    moved = np.abs(scored.forward_returns) > cost
    right = scored.scores * scored.forward_returns > 0
    live = Live(scored.times, scored.ends, np.where(moved, right.astype(np.float64), np.nan))
    found = doubt(live, bound=bound, together=rows.together) if bound is not None else NO_DOUBT
    outcomes, hits = int(moved.sum()), int((moved & right).sum())
    begins = (walk_forward.get("ci95") or [None])[0]
    return Skill(
        version_id=version.version_id,
        shown=walk_forward.get("accuracy"),
        begins=begins,
        bound=bound,
        matured=len(scored.times),
        outcomes=outcomes,
        hits=hits,
        doubt=found,
    )
