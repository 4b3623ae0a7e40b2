"""docs/findings.md says what its run found; and the run never lets a night see what came after it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ai_engine.candles import Candles
from ai_engine.dataset import Rows
from backend.errors import InvalidInputError
from backend.settings import ROOT
from benchmarks.findings.__main__ import BESIDE, written
from benchmarks.findings.nights import BELIEVED, Followed, Night, imitate, part
from benchmarks.findings.page import filled
from benchmarks.findings.picture import drawn
from benchmarks.findings.sets import DAY_MS, SETS, DataSet, candles_of, rows_of
from benchmarks.findings.summary import fresh, joined, summarise, turned_back
from benchmarks.findings.tables import percent, pooled, stake, tables, with_interval
from tests.manuals import page

COST = 0.0024
FEW = DataSet("few", "Few", (), "1h", "2024-01-01", "2024-03-01", window_days=30, every_days=10)
BEGIN = FEW.span[0]
HOUR = 3_600_000


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return json.loads((ROOT / "docs" / "findings.json").read_text(encoding="utf-8"))


# --- The page ---


def test_the_picture_is_drawn_from_the_figures(told: dict[str, Any]) -> None:
    assert (ROOT / "docs" / "images" / "findings.svg").read_text(encoding="utf-8") == drawn(told)


def test_the_figures_are_of_the_sets_that_the_run_knows(told: dict[str, Any]) -> None:
    assert {(one["name"], one["title"], one["every_days"], one["window_days"]) for one in told["sets"]} == {
        (data.name, data.title, data.every_days, data.window_days) for data in SETS
    }
    for one in told["sets"]:
        assert sum(one["verdicts"].values()) == one["nights"] == len(one["each_night"])


def test_every_table_and_sentence_with_figures_is_made_of_the_figures(told: dict[str, Any]) -> None:
    text = page("docs/findings.md").text

    assert filled(text, tables(told)) == text
    with pytest.raises(SystemExit, match="no mark"):
        filled(text, {"unknown": "| a |"})


def test_what_the_prose_counts_and_compares_is_so(told: dict[str, Any]) -> None:
    text = " ".join(page("docs/findings.md").text.split())
    real, coins = (
        {one["name"]: one for one in told["sets"] if (one["coin"] is None) is wanted} for wanted in (True, False)
    )
    largest = max(real.values(), key=lambda one: one["fresh"]["rows"])
    luck = [one["fresh"]["accuracy"] for one in coins.values()]
    ridge = [one for one in real.values() if one["fresh"]["ridge_accuracy"] > one["fresh"]["accuracy"]]
    nights = [night for one in real.values() for night in one["each_night"] if night["verdict"] in BELIEVED]

    assert largest["name"] == "three-5m"
    assert largest["fresh"]["ci95"][0] > 0.5
    assert real["btc-1h"]["fresh"]["ci95"][0] == pytest.approx(0.5, abs=5e-4)
    assert (sum(each > 0.5 for each in luck), sum(each > largest["fresh"]["accuracy"] for each in luck)) == (4, 2)
    assert "four of five sets came out above 50 % too, two of them further than that" in text
    assert len(ridge) == 2
    assert "about as much as the trees, in two sets more" in text
    assert [(night["at"][:4], night["fresh_accuracy"] > 0.5) for night in nights] == [
        *(("2024", False), ("2019", True), ("2019", True), ("2022", False), ("2018", False)),
    ]
    assert nights[-1]["delayed"]["verdict"] == "no_evidence"
    assert max(one["final_e_value"] for one in real.values()) < 20
    assert max(one["validation_accuracy"]["highest"] for one in real.values()) < 0.6


def test_what_is_unknown_is_a_dash_in_the_tables() -> None:
    assert percent(None) == "–"
    assert with_interval(None) == "–"
    assert with_interval({"accuracy": 0.5, "ci95": None}) == "50.0 %"
    assert stake({"decisions": 0}) == "0 (no trade)"


def test_sets_are_pooled_by_what_was_scored() -> None:
    first = {"rows": 100, "inside_costs": 0.0, "accuracy": 0.6, "ci95": [0.5, 0.7]}
    second = {"rows": 600, "inside_costs": 0.5, "accuracy": 0.5, "ci95": [0.45, 0.55]}

    assert pooled([None, {**first, "ci95": None}]) is None
    assert pooled([first, None]) == {"accuracy": 0.6, "ci95": pytest.approx([0.5, 0.7])}
    both = pooled([first, second])
    assert both is not None
    assert both["accuracy"] == pytest.approx((60 + 150) / 400)
    assert both["ci95"][1] - both["accuracy"] == pytest.approx((10**2 + 15**2) ** 0.5 / 400)


def test_what_fits_a_line_stands_on_one_and_reads_back() -> None:
    value = {"short": [1, None], "long": [{"night": "x" * 400, "list": []}] * 3}

    assert json.loads(written(value)) == value
    assert len(written(value).splitlines()) == 8


# --- The candles ---


def walk(seed: int, count: int = 600) -> Candles:
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(0.003 * rng.standard_t(5, count)))
    opened = np.concatenate(([100.0], close[:-1])) * np.exp(1e-4 * rng.normal(size=count))
    high, low = np.maximum(opened, close) * 1.002, np.minimum(opened, close) * 0.997
    times = np.arange(count, dtype=np.int64) * HOUR
    return Candles(times, opened, high, low, close, np.ones(count), HOUR)


def test_a_missing_file_is_said_with_the_option_that_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="SOLUSDT-5m"):
        candles_of(SETS[0], tmp_path)


def test_prices_that_jump_between_bid_and_ask_turn_back() -> None:
    one = walk(5)
    jumping = np.where(np.arange(len(one)) % 2 == 0, 1.002, 0.998)
    bounced = replace(one, **{name: getattr(one, name) * jumping for name in ("open", "high", "low", "close")})
    lowest, highest = turned_back([one, bounced]) or (0.0, 0.0)

    assert turned_back(()) is None
    assert lowest is not None
    assert lowest < -0.3
    assert highest == pytest.approx(0.0, abs=0.12)


@pytest.mark.market_data
@pytest.mark.slow
def test_rows_are_computed_once_and_are_those_of_the_candles(market_data: Path, tmp_path: Path) -> None:
    data = replace(SETS[-1], until="2018-01-13")
    rows = rows_of(data, market_data, tmp_path)
    stored = list(tmp_path.iterdir())
    again = rows_of(data, market_data, tmp_path)
    one = candles_of(data, market_data)["ETHBTC"]
    row = rows.symbols.index("ETHBTC")
    at = int(np.searchsorted(one.close_time, rows.times[row]))

    assert stored == list(tmp_path.iterdir())
    assert len(stored) == 1
    np.testing.assert_array_equal(rows.X, again.X)
    assert rows.forward_returns[row] == pytest.approx(one.close[at + 12] / one.open[at + 1] - 1)
    assert rows.market_returns[row] == pytest.approx(one.close[at + 12] / one.open[at + 2] - 1)
    assert len(rows_of(data, market_data, tmp_path, coin=1)) == len(rows)
    assert len(list(tmp_path.iterdir())) == 2


# --- The nights ---


def rows(seed: int = 1, signal: float = 0.0, days: int = 60) -> Rows:
    """Two symbols, a decision every three hours; the first feature knows ``signal`` of the outcome."""
    rng = np.random.default_rng(seed)
    times = np.repeat(BEGIN + np.arange(8 * days, dtype=np.int64) * 3 * HOUR, 2)
    y = 0.01 * rng.standard_t(5, len(times))
    X = rng.normal(size=(len(times), 5)).astype(np.float32)
    X[:, 0] += signal * np.sign(y)
    symbols = ("A", "B") * (8 * days)
    return Rows(
        decision_ids=tuple(f"{symbol}-{time}" for symbol, time in zip(symbols, times, strict=True)),
        symbols=symbols,
        times=times,
        ends=times + 12 * HOUR,
        X=X,
        feature_names=tuple("abcde"),
        forward_returns=y,
        market_returns=y,
        label_sources=("counterfactual",) * len(times),
    )


@pytest.fixture(scope="module")
def found() -> list[tuple[Night, Followed]]:
    return list(imitate(rows(), FEW, cost=COST))


def test_a_night_knows_nothing_of_what_came_after_it(found: list[tuple[Night, Followed]]) -> None:
    history = rows()
    second = BEGIN + 40 * DAY_MS
    known = history.ends <= second
    other = replace(
        history,
        forward_returns=np.where(known, history.forward_returns, -history.forward_returns),
        X=np.where((history.times < second)[:, None], history.X, 9.0).astype(np.float32),
    )
    ours, theirs = found, list(imitate(other, FEW, cost=COST))

    assert [night.at for night, _ in ours] == [BEGIN + day * DAY_MS for day in (30, 40, 50)]
    assert [night.report for night, _ in ours[:2]] == [night.report for night, _ in theirs[:2]]
    assert ours[2][0].report["data_hash"] != theirs[2][0].report["data_hash"]


def test_what_follows_a_night_lies_between_it_and_the_next(found: list[tuple[Night, Followed]]) -> None:
    whole = joined([followed for _, followed in found])

    for night, followed in found:
        assert night.at <= followed.times.min()
        assert followed.times.max() < night.at + 10 * DAY_MS
    assert len(np.unique(whole.times)) == 30 * 8
    assert whole.directions.shape == (4, len(whole.y))
    assert found[0][0].report["e_value"] is None
    assert found[1][0].report["e_value"] is not None


@pytest.mark.slow
def test_a_signal_is_found_recommended_and_traded() -> None:
    longer = replace(FEW, until="2024-03-21")
    found = list(imitate(rows(signal=0.75, days=80), longer, cost=COST))
    told = summarise(found, longer, cost=COST)
    recommended = [night.report["recommended"] for night, _ in found]

    assert recommended[0] is False
    assert recommended[-1] is False  # as good as the active one is not better
    assert told["recommended"] == sum(recommended) == 1
    assert told["fresh_believed"]["accuracy"] > 0.65
    assert told["traders"]["recommended"]["decisions"] == 160 * (len(found) - recommended.index(True))
    assert told["traders"]["newest"]["net"] > 0
    assert told["traders"]["newest"]["decisions"] == 800


def test_noise_is_never_recommended_nor_traded(found: list[tuple[Night, Followed]]) -> None:
    nothing = summarise(found, FEW, cost=COST)

    assert nothing["recommended"] == 0
    assert nothing["traders"]["recommended"] == {
        **dict.fromkeys(("gross", "net", "net_ci95")),
        **{"decisions": 0, "share": 0.0, "stake": 0.0},
    }


def test_few_nights_are_spread_over_the_same_history() -> None:
    few = list(imitate(rows(), FEW, cost=COST, most=2))

    assert [night.at for night, _ in few] == [BEGIN + day * DAY_MS for day in (30, 50)]
    assert len(joined([followed for _, followed in few]).y) == 480


def test_parts_are_in_the_order_of_time_whatever_came_first() -> None:
    history = rows()
    backwards = part(history, np.ones(len(history), dtype=bool))
    shuffled = np.random.default_rng(1).permutation(len(history))
    mixed = replace(
        history,
        decision_ids=tuple(history.decision_ids[row] for row in shuffled),
        symbols=tuple(history.symbols[row] for row in shuffled),
        **{
            name: getattr(history, name)[shuffled]
            for name in ("times", "ends", "X", "forward_returns", "market_returns")
        },
    )

    assert part(mixed, np.ones(len(mixed), dtype=bool)).decision_ids == backwards.decision_ids


def test_what_was_earned_is_what_a_split_stake_earns(found: list[tuple[Night, Followed]]) -> None:
    times = np.arange(8, dtype=np.int64) * 3 * HOUR
    y = np.array([0.01, -0.02, 0.03, 0.001, 0.01, 0.01, -0.01, 0.02])
    always = np.ones((4, 8))
    followed = Followed(times, times + 12 * HOUR, np.array(["A"] * 8), y, y, y, np.ones(8), always)
    earned = summarise([(found[0][0], followed)], FEW, cost=COST)["traders"]["newest"]

    assert earned["stake"] == pytest.approx((y.sum() - 8 * COST) / 4, abs=1e-5)
    assert earned["gross"] == pytest.approx(y.mean(), abs=1e-7)
    assert fresh(followed, np.ones(8, dtype=bool), COST)["accuracy"] == 1.0  # type: ignore[index]
    assert fresh(followed, np.zeros(8, dtype=bool), COST) is None


def test_the_candles_are_looked_for_beside_the_checkout() -> None:
    assert ROOT.parent / "shared" / "market-data" == BESIDE
