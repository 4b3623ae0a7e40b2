"""The form of a figure for a monitoring system: a name, what it counts, and a value for each set of labels."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Labels = tuple[str, ...]
OTHER = "_other"


@dataclass(slots=True)
class Family:
    """One named figure; a set of labels whose value is not known has none."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: Labels = ()
    values: dict[Labels, float] = field(default_factory=dict)

    def add(self, labels: Iterable[object], value: float = 1.0) -> None:
        """Count ``value`` in; a label that is None is the empty one."""
        key = _key(labels)
        self.values[key] = self.values.get(key, 0.0) + value

    def put(self, labels: Iterable[object], value: float | None) -> None:
        """Set the value, where it is known."""
        if value is not None:
            self.values[_key(labels)] = float(value)


@dataclass(slots=True)
class Durations:
    """How long things took, in seconds: every one of them, for each set of labels."""

    name: str
    help: str
    labels: Labels
    seconds: dict[Labels, list[float]] = field(default_factory=dict)

    def add(self, labels: Iterable[object], seconds: float) -> None:
        """One more that took so long."""
        self.seconds.setdefault(_key(labels), []).append(seconds)


@dataclass(frozen=True, slots=True)
class Names:
    """The strategies that are told apart; all others share one name, so that bots cannot flood a monitor.

    That name begins as no strategy's may.
    """

    known: frozenset[str]

    def of(self, strategy: str | None) -> str | None:
        """The strategy's label."""
        return strategy if strategy is None or strategy in self.known else OTHER


def _key(labels: Iterable[object]) -> Labels:
    return tuple("" if label is None else str(label) for label in labels)
