"""Is one model better than another? The same rows, the same costs, paired, and dependence kept in stretches of time."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ai_engine.inference import student_quantile, time_blocks
from ai_engine.types import FloatArray, TimeArray

FEWEST_BLOCKS = 10
BETTER, WORSE, ALIKE = "better", "worse", "not_distinguishable"
ONE_NIGHT = (
    "This is one night's look: read night after night, of two equal versions one is better at some night of 60 in about"
    " a fifth of cases. By itself it is no reason to activate."
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Challenger minus champion in net return per row; ``ci95`` is None where too little is shared."""

    verdict: str
    champion: str
    rows: int
    blocks: int
    mean_difference: float | None
    ci95: tuple[float, float] | None
    challenger_net_return: float | None
    champion_net_return: float | None
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe."""
        return {**asdict(self), "ci95": list(self.ci95) if self.ci95 else None}


def compare(
    times: TimeArray,
    ends: TimeArray,
    challenger: FloatArray,
    champion: FloatArray,
    *,
    name: str,
) -> Comparison:
    """Compare net returns of two models on the same rows by a t-interval over stretches of time without overlap.

    Parameters
    ----------
    times, ends
        Bounds of the outcome windows in ms, shape (n,), sorted by ``times``.
    challenger, champion
        What each earned on the row after costs, as a fraction; shape (n,).
    name
        The champion's version.

    Notes
    -----
    A stretch is twice as long as the median window: measured at a nominal 5 %, this errs in 6 to 7 % with windows
    that overlap 16 times, where McNemar's test errs in 43 %.
    """
    if len(times) == 0:
        return _unknown(name, 0, 0)
    blocks = time_blocks(times, ends)
    count = int(blocks.max()) + 1
    if count < FEWEST_BLOCKS:
        return _unknown(name, len(times), count)
    difference = challenger - champion
    sizes = np.bincount(blocks)
    means = np.bincount(blocks, weights=difference) / sizes
    centre = float(means.mean())
    reach = student_quantile(count - 1) * float(means.std(ddof=1)) / float(np.sqrt(count))
    low, high = centre - reach, centre + reach
    verdict = BETTER if low > 0 else WORSE if high < 0 else ALIKE
    return Comparison(
        verdict=verdict,
        champion=name,
        rows=len(times),
        blocks=count,
        mean_difference=centre,
        ci95=(low, high),
        challenger_net_return=float(np.mean(challenger)),
        champion_net_return=float(np.mean(champion)),
        sentence=_sentence(verdict, name, len(times), count, (low, high)),
    )


def _unknown(name: str, rows: int, blocks: int) -> Comparison:
    said = (
        f"Only {rows} outcomes in {blocks} stretches of time are new to both this model and {name}; {FEWEST_BLOCKS}"
        " stretches are needed to tell them apart."
    )
    return Comparison(ALIKE, name, rows, blocks, None, None, None, None, said)


def _sentence(verdict: str, name: str, rows: int, blocks: int, ci95: tuple[float, float]) -> str:
    told = {BETTER: f"earns more than {name}", WORSE: f"earns less than {name}", ALIKE: f"cannot be told from {name}"}
    said = (
        f"On {rows} outcomes new to both, in {blocks} stretches of time, this model {told[verdict]}: {ci95[0]:+.4%} to"
        f" {ci95[1]:+.4%} a decision after costs."
    )
    return f"{said} {ONE_NIGHT}" if verdict == BETTER else said


def net_returns(scores: FloatArray, y: FloatArray, *, cost: float) -> FloatArray:
    """Return what following each forecast's direction would have earned after costs; 0 where it has none."""
    return np.asarray(np.sign(scores) * y - np.where(scores != 0, cost, 0.0), dtype=np.float64)
