"""Every table and figure that a manual computes is computed again, from formulas and not from the product's code."""

import math
import re
import tomllib
from collections.abc import Iterable
from statistics import NormalDist

import numpy as np
import pytest

from ai_engine import metrics
from ai_engine.features.catalogue import FEATURE_NAMES
from backend.settings import ROOT, load_settings
from tests.manuals import page

TRADERS, OPERATORS, NORSK = page("docs/traders.md"), page("docs/operators.md"), page("docs/hurtigstart.md")
Z = NormalDist().inv_cdf(0.975)
BYTES_PER_DECISION = 1_600
DEFAULTS = load_settings(environ={"QT_ADMIN_TOKEN": "a-token-of-enough-letters"}, env_file=None)


def wilson(share: float, outcomes: int) -> tuple[float, float]:
    """The roots p of (share - p)^2 = z^2 p (1 - p) / n."""
    roots = np.roots([1 + Z**2 / outcomes, -(2 * share + Z**2 / outcomes), share**2])
    return float(min(roots)), float(max(roots))


def percent(share: float, digits: int = 1) -> str:
    return f"{share * 100:.{digits}f}"


def interval(share: float, outcomes: int) -> str:
    low, high = wilson(share, outcomes)
    return f"{percent(low)}–{percent(high)} %"


def test_the_intervals_are_wilsons() -> None:
    rows = TRADERS.table("computed: wilson")

    assert len(rows) == 6
    for read, *told in rows:
        share = float(read.removesuffix(" %")) / 100
        assert told == [interval(share, outcomes) for outcomes in (62, 250, 1000)]


def test_the_norwegian_intervals_are_the_same_with_commas() -> None:
    for read, *told in NORSK.table("computed: wilson-no"):
        share = float(read.removesuffix(" %")) / 100
        assert told == [interval(share, outcomes).replace(".", ",") for outcomes in (62, 250, 1000)]


@pytest.mark.parametrize("name", ["README.md"])
def test_the_interval_of_the_documents_example_is_told_alike_everywhere(name: str) -> None:
    low, high = wilson(0.62, 62)

    assert f"interval from {percent(low)} % to {percent(high)} %" in " ".join(page(name).text.split())


def test_the_interval_of_forty_forecasts_is_wilsons() -> None:
    low, high = wilson(0.52, 40)

    assert f"anything from {percent(low, 0)} % to {percent(high, 0)} %" in " ".join(TRADERS.text.split())


def power(accuracy: float, outcomes: int) -> float:
    """How often a one-sided 5 % test against a coin finds a true accuracy."""
    normal = NormalDist()
    bar = 0.5 + normal.inv_cdf(0.95) * 0.5 / math.sqrt(outcomes)
    return 1 - normal.cdf((bar - accuracy) / math.sqrt(accuracy * (1 - accuracy) / outcomes))


def test_the_outcomes_needed_are_the_first_that_find_it_in_80_of_100_cases() -> None:
    for accuracy, told in TRADERS.table("computed: needed"):
        share, outcomes = float(accuracy.removesuffix(" %")) / 100, int(told.replace(",", ""))
        assert power(share, outcomes) >= 0.8 > power(share, outcomes - 1)


def test_the_service_computes_the_same() -> None:
    for accuracy, told in TRADERS.table("computed: needed"):
        share = metrics.min_detectable_accuracy(float(told.replace(",", "")))
        assert share == pytest.approx(float(accuracy.removesuffix(" %")) / 100, abs=0.001)


def test_the_break_even_accuracies_follow_from_the_formula_above_them() -> None:
    rows = TRADERS.table("computed: break-even")

    for legs, round_trip, *told in rows:
        fee, slippage = re.fullmatch(r"([\d.]+) % and (\d) bps?(?: \(the defaults\))?", legs).groups()  # type: ignore[union-attr]
        cost = 2 * (float(fee) / 100 + float(slippage) / 10_000)
        assert round_trip == f"{percent(cost, 2)} %"
        moves = (0.0025, 0.005, 0.01, 0.02)
        assert told == [f"{math.floor((0.5 + 0.5 * cost / move) * 1000 + 0.5) / 10:.1f} %" for move in moves]
        assert metrics.break_even_accuracy(np.array([0.01, -0.01]), cost=cost) == pytest.approx(0.5 + 0.5 * cost / 0.01)
    assert "(the defaults)" in rows[0][0]
    assert (DEFAULTS.fee_rate, DEFAULTS.slippage_bps) == (0.001, 2)


def neighbour_accuracy(seed: int, *, by_time: bool) -> float:
    """Who judges 62 of 312 rows of a random walk by the most similar other row; outcomes overlap 16-fold."""
    generator = np.random.default_rng(seed)
    rows, step, horizon, before = 312, 3, 48, 200
    price = np.cumsum(generator.normal(0, 1, rows * step + horizon + before))
    times = before + np.arange(rows) * step
    X = np.stack([price[times], *(price[times] - price[times - back] for back in (24, 48, 96, 192))], axis=1)
    X, y = X / X.std(axis=0), price[times + horizon] - price[times]
    order = np.arange(rows) if by_time else generator.permutation(rows)
    fitted, judged = order[:250], order[250:]
    if by_time:
        fitted = fitted[times[fitted] + horizon <= times[judged[0]]]
    nearest = ((X[judged][:, None] - X[fitted][None]) ** 2).sum(axis=2).argmin(axis=1)
    return float((np.sign(y[fitted][nearest]) == np.sign(y[judged])).mean())


def test_a_random_split_of_a_random_walk_reads_as_it_is_told() -> None:
    told = {row[0]: (row[1], row[2]) for row in TRADERS.table("computed: random-split")}

    for split, by_time in (("at random, 80/20", False), ("by time, with purge", True)):
        read = np.array([neighbour_accuracy(seed, by_time=by_time) for seed in range(200)])
        assert told[split] == (f"{percent(read.mean(), 0)} %", f"{percent((read > 0.6).mean(), 0)} %")


def test_seven_losses_in_a_row_are_as_rare_as_told() -> None:
    assert f"about once in {1 / 0.45**7:.0f} trades" in " ".join(TRADERS.text.split())
    assert f"(0.45⁷ = {0.45**7:.4f})" in TRADERS.text


def test_a_hundred_outcomes_are_known_in_less_than_four_hours() -> None:
    candles_an_hour = 3_600_000 / DEFAULTS.timeframe_ms
    an_hour = len(DEFAULTS.symbols) * candles_an_hour
    waiting = DEFAULTS.horizon_candles / candles_an_hour

    assert f"{an_hour:.0f} decisions an hour" in " ".join(TRADERS.text.split())
    assert (waiting, waiting + 100 / an_hour < 4) == (1.0, True)


def test_the_simulated_market_reaches_now_in_about_seven_minutes() -> None:
    minutes = 30 * 86_400_000 / DEFAULTS.timeframe_ms / DEFAULTS.market_speed / 60

    assert round(minutes) == 7


def test_a_year_of_decisions_takes_as_much_disk_as_told() -> None:
    day_ms = 86_400_000
    for what, decisions, told in OPERATORS.table("computed: disk"):
        symbols, timeframe = re.fullmatch(r"(\d+) symbols, (\w+)", what).groups()  # type: ignore[union-attr]
        width = {"1m": 60_000, "5m": 300_000, "1h": 3_600_000}[timeframe]
        a_day = int(symbols) * day_ms // width
        gigabytes = a_day * 365 * BYTES_PER_DECISION / 1e9
        assert decisions == f"{a_day:,}"
        assert told == f"{gigabytes:.1f} GB" if gigabytes > 0.1 else told == f"{gigabytes:.2f} GB"


def test_the_number_of_features_is_right_wherever_it_is_told() -> None:
    told = [
        int(number) for number in numbers_before(" features", ("README.md", "docs/traders.md", "docs/operators.md"))
    ]

    assert {number for number in told if number > 30} == {100, len(FEATURE_NAMES)}
    assert f"med {len(FEATURE_NAMES)} features" in NORSK.text


def numbers_before(word: str, names: Iterable[str]) -> list[str]:
    texts = " ".join(" ".join(page(name).text.split()) for name in names).replace(
        "100 or more features", "100 features"
    )
    return re.findall(rf"(\d+){word}", texts)


def test_the_changelog_knows_the_release_that_is_installed() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

    assert f"[{version}]" in page("CHANGELOG.md").text or f"to become {version}" in page("CHANGELOG.md").text
