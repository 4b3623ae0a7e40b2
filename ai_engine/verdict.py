"""One word and one sentence about a version: what its numbers allow a person to believe."""

from dataclasses import dataclass

import numpy as np

from ai_engine.inference import wilson
from ai_engine.leakage import LARGEST_ACCURACY
from ai_engine.metrics import Z_ONE_SIDED_5, Z_POWER_80
from ai_engine.sequential import ENOUGH
from ai_engine.types import TargetKind, Verdict

MIN_SHIFTS = 39
MIN_EFFECTIVE_SAMPLES = 30
MIN_WINDOWS = 10
MIN_FOLD_ROWS = 30
SIGNIFICANT = 0.05
SIGNIFICANT_AGAINST_MAJORITY = 0.10
COIN = 0.5
EDGE_WORTH_SEEING = 0.08


@dataclass(frozen=True, slots=True)
class Facts:
    """What verdict and sentence are made of, out of sample; accuracies are fractions, None where nothing was scored.

    ``p_value`` is the worse of the two circular-shift tests, ``p_majority`` the bootstrap against the direction
    commoner before each block, ``edge_interval`` the 95 % interval of the accuracy's lead over the baseline,
    ``newest_accuracy`` that of the newest block, ``suspects`` the features that leak, ``only_named`` those of them that
    have an outcome's name and nothing else against them, ``unbeaten`` the dumb forecasts, in words, that do as well on
    the same rows.
    """

    constant: bool
    artifact_rows: int
    smallest_training: int
    smallest_test: int
    rows: int
    hits: int
    scored: int
    baseline_accuracy: float | None
    baseline_name: str | None
    unbeaten: tuple[str, ...]
    effective_samples: float
    windows: int
    shifts: int
    p_value: float | None
    p_majority: float | None
    edge_interval: tuple[float, float] | None
    newest_accuracy: float | None
    suspects: tuple[str, ...]
    only_named: tuple[str, ...] = ()

    @property
    def accuracy(self) -> float | None:
        """Share of right directions among the scored rows."""
        return self.hits / self.scored if self.scored else None


def judge(facts: Facts) -> Verdict:
    """Return the first verdict that applies."""
    if facts.constant:
        return Verdict.DEGENERATE
    if missing(facts):
        return Verdict.INSUFFICIENT_DATA
    if facts.suspects or _too_good(facts):
        return Verdict.SUSPECTED_LEAKAGE
    if doubts(facts):
        return Verdict.NO_EVIDENCE
    return Verdict.STRONG_EVIDENCE if _strong(facts) else Verdict.EVIDENCE


def _strong(facts: Facts) -> bool:
    """Ahead of what was commoner before, and of the baseline that the report shows.

    The first alone is not enough: where the market turned, a model that names the new direction as often as it came
    leads far over the old one, and not at all over having named the new one all along.
    """
    beats_majority = facts.p_majority is not None and facts.p_majority <= SIGNIFICANT_AGAINST_MAJORITY
    return beats_majority and facts.edge_interval is not None and facts.edge_interval[0] > 0


def _too_good(facts: Facts) -> bool:
    """Whether so many directions were right that something must have known them.

    Whatever else speaks against one night's evidence: a leak that ends before the newest part is one too. Only where
    the commoner direction explains as many does it depend on that: a market that rose in 86 of 100 windows makes
    "always up" right in 86, and nothing has leaked.
    """
    if facts.accuracy is None or facts.accuracy <= LARGEST_ACCURACY:
        return False
    return not _market_explains(facts, facts.accuracy) or not doubts(facts)


def _market_explains(facts: Facts, accuracy: float) -> bool:
    """Whether the baseline does as well, or so nearly that neither interval tells the two apart."""
    if facts.baseline_accuracy is None:
        return False
    if accuracy <= facts.baseline_accuracy:
        return True
    leads = facts.edge_interval is not None and facts.edge_interval[0] > 0
    return not leads and facts.baseline_accuracy >= _least(facts, accuracy)


def _least(facts: Facts, accuracy: float) -> float:
    """The lower end of Wilson's interval for so many independent outcomes."""
    return wilson(accuracy * facts.effective_samples, facts.effective_samples).low


def missing(facts: Facts) -> list[str]:
    """Return, in words, what the data lacks before an accuracy or a correlation means anything."""
    reasons = []
    if facts.smallest_training < MIN_FOLD_ROWS:
        reasons.append(f"{_counted(facts.smallest_training, 'row')} to fit a part on ({MIN_FOLD_ROWS} needed)")
    if facts.smallest_test < MIN_FOLD_ROWS:
        reasons.append(f"{_counted(facts.smallest_test, 'later row')} to judge a part on ({MIN_FOLD_ROWS} needed)")
    if facts.shifts < MIN_SHIFTS:
        reasons.append(f"{_counted(facts.shifts, 'wrong alignment')} to compare with ({MIN_SHIFTS} needed)")
    if facts.windows < MIN_WINDOWS:
        reasons.append(f"{_counted(facts.windows, 'outcome window')} without overlap ({MIN_WINDOWS} needed)")
    if facts.effective_samples < MIN_EFFECTIVE_SAMPLES:
        independent = int(facts.effective_samples)
        reasons.append(f"about {_counted(independent, 'independent outcome')} ({MIN_EFFECTIVE_SAMPLES} needed)")
    return reasons


def doubts(facts: Facts) -> list[str]:
    """Return, in words, what speaks against one night's evidence; empty where it holds."""
    reasons = []
    if facts.p_value is None or facts.p_value > SIGNIFICANT:
        shown = "unknown" if facts.p_value is None else f"{facts.p_value:.1%}"
        reasons.append(f"chance alone does as well in {shown} of alignments (at most {SIGNIFICANT:.0%} wanted)")
    if facts.accuracy is None or facts.baseline_accuracy is None or facts.accuracy <= facts.baseline_accuracy:
        reasons.append(f"it does not beat {_plain(facts.baseline_name)}")
    if facts.newest_accuracy is None or facts.newest_accuracy < COIN:
        shown = "nothing to score" if facts.newest_accuracy is None else f"{facts.newest_accuracy:.1%}"
        reasons.append(f"its newest part had {shown}, less than a coin")
    return reasons


def recommendation_reasons(
    verdict: Verdict, comparison: str | None, e_value: float | None, *, kind: TargetKind = TargetKind.HORIZON
) -> list[str]:
    """Return why a version is not recommended; empty where it is.

    ``comparison`` is the verdict against the active version, None where none is active; ``kind`` the return it learned.
    """
    reasons = []
    if verdict not in (Verdict.EVIDENCE, Verdict.STRONG_EVIDENCE):
        reasons.append(f"the verdict is {verdict.value}, not evidence")
    if comparison not in (None, "better"):
        reasons.append(f"against the active version it is {comparison.replace('_', ' ')}")
    if e_value is None and kind is TargetKind.TRADE:
        reasons.append(
            "there is no evidence over all nights: it counts decisions whose return over the horizon became known, and"
            " imported trades know only their own return"
        )
    elif e_value is None or e_value < ENOUGH:
        shown = "not known yet" if e_value is None else f"{e_value:.3g}"
        reasons.append(f"the evidence over all nights is {shown} ({ENOUGH:g} needed)")
    return reasons


def sentence(facts: Facts, verdict: Verdict) -> str:
    """Return one plain sentence with its numbers, and what the shipped file was fitted on."""
    shipped = f"the shipped file is fitted on all {facts.artifact_rows} usable rows."
    if verdict is Verdict.DEGENERATE:
        return f"The model answers the same number whatever it sees, so it has no direction to follow; {shipped}"
    if verdict is Verdict.INSUFFICIENT_DATA:
        return f"{_too_little(facts)}; {shipped}"
    if verdict is Verdict.SUSPECTED_LEAKAGE:
        return f"{_measured(facts)}: {_leaking(facts)}; {shipped}"
    meaning = (
        f"cannot be told from chance, for {_listed(doubts(facts))}"
        if verdict is Verdict.NO_EVIDENCE
        else f"chance alone does as well in {facts.p_value:.1%} of alignments"
    )
    return f"{_measured(facts)}: {meaning}{_dumb(facts)}; {shipped}"


def _too_little(facts: Facts) -> str:
    """What so little data allows to say: nothing is called a coin that had nearly all directions right."""
    more = _rows_needed(facts)
    needed = f"; about {more} more are needed to see an edge of {100 * EDGE_WORTH_SEEING:.0f} points" if more else ""
    if facts.rows and not facts.scored:
        unseen = f"{_counted(facts.rows, 'outcome')} that the model had not seen"
        return f"None of the {unseen} moved more than the costs, so no direction could be judged"
    if _more_than_chance(facts):
        lacks = _listed(missing(facts))
        return f"{_measured(facts)}: more than chance so far, but too little to rest on ({lacks}){needed}"
    return f"{_like_a_coin(facts)}{needed}"


def _more_than_chance(facts: Facts) -> bool:
    """Whether not even the lower end of an interval for so many independent outcomes is a coin's or the baseline's."""
    if facts.accuracy is None or facts.baseline_accuracy is None or doubts(facts) or facts.effective_samples <= 0:
        return False
    return _least(facts, facts.accuracy) > max(COIN, facts.baseline_accuracy)


def _like_a_coin(facts: Facts) -> str:
    rows, worth = _counted(facts.scored, "outcome"), int(facts.effective_samples)
    said = f"{rows} that the model had not seen"
    lacking = missing(facts)
    if worth < facts.scored:
        few = f" ({MIN_EFFECTIVE_SAMPLES} needed)" if facts.effective_samples < MIN_EFFECTIVE_SAMPLES else ""
        said += f", worth about {worth} independent ones{few},"
        lacking = lacking[:-1] if few else lacking  # the last of them, and said already
    lacks = "cannot tell this model from a coin" + (f" ({_listed(lacking)})" if lacking else "")
    return f"{said} {lacks}"


def _rows_needed(facts: Facts) -> int | None:
    """Further scored rows of this kind until an edge of 8 points would be seen with 80 % power."""
    if facts.effective_samples <= 0:
        return None
    accuracy = COIN + EDGE_WORTH_SEEING
    spread = Z_ONE_SIDED_5 * 0.5 + Z_POWER_80 * float(np.sqrt(accuracy * (1 - accuracy)))
    lacking = (spread / EDGE_WORTH_SEEING) ** 2 - facts.effective_samples
    return _two_digits(lacking * facts.scored / facts.effective_samples) if lacking > 0 else None


def _two_digits(number: float) -> int:
    """A rough number said roughly."""
    return int(float(f"{number:.2g}"))


def _measured(facts: Facts) -> str:
    if facts.accuracy is None:
        return "No move larger than the costs was left to judge the direction on"
    baseline = ""
    if facts.baseline_accuracy is not None:
        baseline = f" ({_plain(facts.baseline_name)}: {facts.baseline_accuracy:.1%})"
    return (
        f"Right direction in {facts.hits} of {facts.scored} moves larger than the costs that the model had not seen,"
        f" {facts.accuracy:.1%}{baseline}"
    )


def _leaking(facts: Facts) -> str:
    measured = [name for name in facts.suspects if name not in facts.only_named]
    said = []
    if measured:
        said.append(
            f"too good to be a forecast, because {_listed(measured)} {_one(measured, 'knows', 'know')} the outcome"
        )
    if facts.only_named:
        named = list(facts.only_named)
        called = f"{_listed(named)} {_one(named, 'is', 'are')} named after an outcome"
        leads = "and" if measured else "not to be relied on, for"
        said.append(f"{leads} {called}: leave out what is not known when deciding, and rename the rest")
    if said:
        return ", ".join(said)
    return f"more than {LARGEST_ACCURACY:.0%} is too good to be a forecast; look for a feature that knows the outcome"


def _one(names: list[str], one: str, many: str) -> str:
    return one if len(names) == 1 else many


def _dumb(facts: Facts) -> str:
    return f"; on the same rows it does not beat {_listed(list(facts.unbeaten))}" if facts.unbeaten else ""


def _plain(name: str | None) -> str:
    return (name or "the commoner direction").replace("_", " ")


def _listed(reasons: list[str]) -> str:
    return reasons[0] if len(reasons) == 1 else f"{', '.join(reasons[:-1])} and {reasons[-1]}"


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
