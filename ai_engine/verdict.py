"""One word and one sentence about a version: what its numbers allow a person to believe."""

from dataclasses import dataclass

from ai_engine.types import Verdict

MIN_EFFECTIVE_SAMPLES = 30
MIN_WINDOWS = 10
MIN_PART_ROWS = 30


@dataclass(frozen=True, slots=True)
class Facts:
    """What the verdict and the sentence are made of; accuracies are fractions, None where nothing could be scored."""

    constant: bool
    training_rows: int
    validation_rows: int
    artifact_rows: int
    hits: int
    scored: int
    baseline_accuracy: float | None
    baseline_name: str | None
    effective_samples: float
    windows: int
    min_detectable_accuracy: float | None

    @property
    def accuracy(self) -> float | None:
        """Share of right directions among the scored rows."""
        return self.hits / self.scored if self.scored else None


def judge(facts: Facts) -> Verdict:
    """Return the first verdict that applies; evidence over several periods is not judged here, so never more."""
    if facts.constant:
        return Verdict.DEGENERATE
    if missing(facts):
        return Verdict.INSUFFICIENT_DATA
    return Verdict.NO_EVIDENCE


def missing(facts: Facts) -> list[str]:
    """Return, in words, what the data lacks before an accuracy means anything."""
    reasons = []
    if facts.training_rows < MIN_PART_ROWS:
        reasons.append(f"{_counted(facts.training_rows, 'row')} to fit on ({MIN_PART_ROWS} needed)")
    if facts.validation_rows < MIN_PART_ROWS:
        reasons.append(f"{_counted(facts.validation_rows, 'newer row')} to judge it on ({MIN_PART_ROWS} needed)")
    if facts.windows < MIN_WINDOWS:
        reasons.append(f"{_counted(facts.windows, 'outcome window')} without overlap ({MIN_WINDOWS} needed)")
    if facts.effective_samples < MIN_EFFECTIVE_SAMPLES:
        independent = int(facts.effective_samples)
        reasons.append(f"about {_counted(independent, 'independent outcome')} ({MIN_EFFECTIVE_SAMPLES} needed)")
    return reasons


def recommendation_reasons(verdict: Verdict) -> list[str]:
    """Return why a version is not recommended; an empty list would mean that it is."""
    return [
        f"the verdict is {verdict.value}, not evidence",
        "evidence over several periods and many nights has not been computed",
    ]


def sentence(facts: Facts, verdict: Verdict) -> str:
    """Return one plain sentence with its numbers, and what the shipped file was fitted on."""
    shipped = f"the shipped file is fitted on all {facts.artifact_rows} usable rows."
    if verdict is Verdict.DEGENERATE:
        return f"The model answers the same number whatever it sees, so it has no direction to follow; {shipped}"
    measured = _measured(facts)
    if verdict is Verdict.INSUFFICIENT_DATA:
        return f"{measured}: too little to tell it from a coin, with {_listed(missing(facts))}; {shipped}"
    return f"{measured}; {_what_it_means(facts)}; {shipped}"


def _measured(facts: Facts) -> str:
    if facts.accuracy is None:
        return "No newer move larger than the costs was left to judge the direction on"
    baseline = ""
    if facts.baseline_accuracy is not None and facts.baseline_name is not None:
        baseline = f" ({facts.baseline_name.replace('_', ' ')} scores {facts.baseline_accuracy:.1%})"
    return (
        f"The fit on older rows had the direction right on {facts.hits} of {facts.scored} newer moves larger than "
        f"the costs, {facts.accuracy:.1%}{baseline}"
    )


def _what_it_means(facts: Facts) -> str:
    independent = int(facts.effective_samples)
    needed = facts.min_detectable_accuracy
    if needed is None or facts.accuracy is None:
        return f"about {independent} independent outcomes cannot tell this from a coin"
    if facts.accuracy < needed:
        return f"about {independent} independent outcomes would reliably show only an accuracy of {needed:.1%} or more"
    return (
        f"that is more than the {needed:.1%} which about {independent} independent outcomes can show, but one split "
        "alone does not count as evidence"
    )


def _listed(reasons: list[str]) -> str:
    return reasons[0] if len(reasons) == 1 else f"{', '.join(reasons[:-1])} and {reasons[-1]}"


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
