"""Figures of the samples and their trades, all counted in one pass over the table."""

from typing import Any, TypeAlias

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from ai_engine.types import Action, LabelSource
from backend.learning.evidence.metric_families import Family, Names
from backend.models import AITrainingSample

Sample = AITrainingSample
Group: TypeAlias = Row[*tuple[Any, ...]]

KNOWN, PENDING, UNOBSERVABLE = "known", "pending", "unobservable"


def sample_families(session: Session, names: Names) -> list[Family]:
    """Decisions, samples, outcomes, trades and what they earned; a strategy without samples has a plain 0 of each."""
    families = _Families()
    for strategy in sorted(names.known):
        families.begin(strategy)
    for group in _groups(session):
        families.count(names.of(group.strategy), group)
    return families.told()


class _Families:
    """The figures while they are being counted."""

    def __init__(self) -> None:
        by_strategy = ("strategy",)
        self._decisions = Family(
            "decisions", "counter", "Decisions taken, by what was answered.", ("strategy", "action")
        )
        self._samples = Family(
            "samples",
            "gauge",
            "Stored samples, decisions and imports alike, by their outcome: known, pending or unobservable.",
            ("strategy", "outcome"),
        )
        self._outcomes = Family(
            "outcomes",
            "gauge",
            "Known outcomes by class and source; an executed one replaces a counterfactual one, so that one can fall.",
            ("strategy", "target_class", "label_source"),
        )
        self._quarantined = Family(
            "samples_quarantined", "gauge", "Samples kept out of training as implausible.", by_strategy
        )
        self._open = Family("trades_open", "gauge", "Trades entered and not fully left.", by_strategy)
        self._closed = Family("trades_closed", "counter", "Trades entered and fully left.", by_strategy)
        self._pnl = Family(
            "realized_pnl_quote",
            "gauge",
            "Net profit and loss of the closed trades whose quantity is known, in quote currency, fees paid.",
            by_strategy,
        )
        self._fees = Family(
            "trade_fees_quote",
            "gauge",
            "Fees of the trades in realized_pnl_quote, which plus this is the gross result.",
            by_strategy,
        )

    def begin(self, strategy: str) -> None:
        """A strategy of which nothing is stored is known to have none."""
        for action in Action:
            self._decisions.add((strategy, action), 0)
        for outcome in (KNOWN, PENDING, UNOBSERVABLE):
            self._samples.add((strategy, outcome), 0)
        for family in (self._quarantined, self._open, self._closed):
            family.add((strategy,), 0)

    def count(self, strategy: str | None, group: Group) -> None:
        """Add rows that are alike in all that a figure tells apart."""
        if group.decided:
            self._decisions.add((strategy, group.predicted_action), group.rows)
        lost = group.state == UNOBSERVABLE
        self._samples.add((strategy, KNOWN if group.outcome_known else UNOBSERVABLE if lost else PENDING), group.rows)
        self._quarantined.add((strategy,), group.rows if group.quarantined else 0)
        self._open.add((strategy,), group.rows if group.state == "open" else 0)
        if group.outcome_known:
            self._outcomes.add((strategy, group.target_class, group.label_source), group.rows)
            if group.executed and group.label_source == LabelSource.EXECUTED:
                self._count_trades(strategy, group)

    def _count_trades(self, strategy: str | None, group: Group) -> None:
        self._closed.add((strategy,), group.rows)
        if group.pnl is not None:
            self._pnl.add((strategy,), group.pnl)
            self._fees.add((strategy,), group.fees_paid or 0.0)

    def told(self) -> list[Family]:
        """All of them; without any closed trade nothing was earned, with none of known quantity nobody knows what."""
        for labels, closed in self._closed.values.items():
            if not closed:
                self._pnl.add(labels, 0)
                self._fees.add(labels, 0)
        return [
            self._decisions,
            self._samples,
            self._outcomes,
            self._quarantined,
            self._open,
            self._closed,
            self._pnl,
            self._fees,
        ]


def _groups(session: Session) -> list[Group]:
    kinds = (
        Sample.strategy,
        (Sample.origin == "decision").label("decided"),
        Sample.predicted_action,
        Sample.state,
        Sample.outcome_known,
        Sample.target_class,
        Sample.label_source,
        Sample.executed,
        Sample.quarantine_reason.is_not(None).label("quarantined"),
    )
    sums = (
        func.count().label("rows"),
        func.sum(Sample.realized_pnl).label("pnl"),
        func.sum(Sample.fees).filter(Sample.realized_pnl.is_not(None)).label("fees_paid"),
    )
    return list(session.execute(select(*kinds, *sums).group_by(*kinds)).all())
