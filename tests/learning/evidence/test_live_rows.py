"""Rows of every kind at random: each figure equals a count in plain Python, and the parts add up."""

import math
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from backend.database import Database
from backend.learning.evidence.live_rows import read_decisions, read_shadow
from backend.learning.evidence.live_truth import show_model
from backend.models import AITrainingSample, Fill, Forecast
from tests.learning.evidence.conftest import NOW, STRATEGY, Records

OURS, OTHER = "v20260301_030000", "v20260301_030001"
LEARNED_UNTIL = NOW + timedelta(minutes=40)
CUTS = ("by_symbol", "by_side", "by_action")
COUNTS = ("decisions", "matured", "judged", "correct", "trades")


def plant(records: Records, seed: int, count: int = 120) -> None:
    """Decisions of two versions of every kind: traded in parts, in quarantine, pending; shadows beside the half."""
    random = np.random.default_rng(seed)
    records.begin()
    records.version(version_id=OURS, lineage={"outcomes_known_until": LEARNED_UNTIL.isoformat()})
    records.version(version_id=OTHER, is_active=False, data_hash="other")
    rows: list[Any] = []
    for number in range(1, count + 1):
        version = OURS if random.random() < 0.7 else OTHER
        traded = _trade(random, number) if random.random() < 0.5 else {}
        fills = traded.pop("fills", [])
        rows.append(
            AITrainingSample(
                id=number,
                decision_id=f"d{number}",
                strategy=STRATEGY,
                symbol=str(random.choice(["AAA", "BBB", "CCC"])),
                timestamp=NOW + timedelta(minutes=5 * (number // 3)),
                origin="decision",
                horizon_at=NOW + timedelta(minutes=5 * (number // 3) + 20),
                price=None if random.random() < 0.3 else 100.0,
                predicted_action=str(random.choice(["BUY", "SELL", "HOLD"])),
                prediction_score=float(random.choice([0.01, -0.01, 0.0])),
                model_version=version,
                explored=bool(random.random() < 0.2),
                feature_schema_id=1,
                features_blob=b"",
                created_at=NOW,
                **_fate(random) | traded,
            )
        )
        rows += fills
        if random.random() < 0.5:
            beside = OTHER if version == OURS else OURS
            score = float(random.choice([0.01, -0.01]))
            rows.append(Forecast(sample_id=number, version_id=beside, score=score, action="BUY", role="shadow"))
        rows.append(Forecast(sample_id=number, version_id=version, score=0.5, action="BUY", role="active"))
    records.database.write(lambda session: session.add_all(rows))


def _fate(random: np.random.Generator) -> dict[str, Any]:
    kind = random.random()
    if kind < 0.15:
        return {}
    if kind < 0.25:
        return {"forward_return_source": "unobservable"}
    moved = float(random.choice([0.02, -0.02, 0.002, -0.002, 0.0024, 0.05]))
    known = {
        "forward_return": moved,
        "outcome_known": True,
        "forward_price_at": NOW + timedelta(minutes=int(random.integers(900))),
    }
    return known | ({"quarantine_reason": "return_out_of_bounds"} if random.random() < 0.2 else {})


def _trade(random: np.random.Generator, number: int) -> dict[str, Any]:
    """Entered in one or two parts; left, or open yet."""
    side, fills = str(random.choice(["BUY", "SELL"])), []

    def fill(leg: str, index: int, price: float) -> Fill:
        reference = None if random.random() < 0.2 else price * float(random.uniform(0.99, 1.01))
        one = Fill(
            sample_id=number, leg=leg, fill_id=str(index), price=price, reference_price=reference,
            quantity=float(random.integers(1, 5)), fees=None, filled_at=NOW, body_hash="-",
        )  # fmt: skip
        fills.append(one)
        return one

    entries = [fill("entry", index, float(random.uniform(99, 101))) for index in range(random.integers(1, 3))]
    quantity = sum(float(one.quantity or 0) for one in entries)
    entered = {"executed": True, "execution_side": side, "quantity": quantity, "state": "open", "outcome_known": False}
    entered["fills"] = fills
    if random.random() < 0.2:
        return entered
    exits = [fill("exit", index, float(random.uniform(95, 105))) for index in range(random.integers(1, 3))]
    quantity = sum(float(one.quantity or 0) for one in exits)
    told = {"fees": float(random.choice([0.0, 0.3])), "fees_known": bool(random.random() < 0.7)}
    sign = 1 if side == "BUY" else -1
    pnl = 0.0 if random.random() < 0.1 else sign * quantity * (_mean(exits) - _mean(entries)) - told["fees"]
    return entered | told | {"state": "closed", "outcome_known": True, "quantity": quantity, "realized_pnl": pnl}


def _mean(fills: list[Fill]) -> float:
    return sum(one.price * float(one.quantity or 0) for one in fills) / sum(float(one.quantity or 0) for one in fills)


def loaded(records: Records, table: type[Any]) -> list[Any]:
    return records.database.read(lambda session: list(session.scalars(select(table))))


def shown(records: Records, version_id: str = OURS) -> dict[str, Any]:
    return records.database.read(show_model, version_id, cost=records.settings.cost)


def is_known(row: AITrainingSample) -> bool:
    """Whether the return is known and believed."""
    return row.forward_return is not None and row.quarantine_reason is None


def judge(row: AITrainingSample, score: float, cost: float) -> tuple[bool, bool, bool]:
    """Whether the row is matured, judged, correct."""
    matured = is_known(row) and row.timestamp >= LEARNED_UNTIL
    judged = matured and abs(row.forward_return or 0.0) > cost
    return matured, judged, judged and score * (row.forward_return or 0.0) > 0


def by_hand(rows: list[AITrainingSample], cost: float) -> dict[str, Any]:
    judgements = [judge(row, row.prediction_score or 0.0, cost) for row in rows]
    closed = [row for row in rows if row.executed and row.outcome_known]
    judged, correct = (sum(each[place] for each in judgements) for place in (1, 2))
    return {
        "decisions": len(rows),
        "matured": sum(each[0] for each in judgements),
        "judged": judged,
        "correct": correct,
        "accuracy": correct / judged if judged else None,
        "trades": len(closed),
        "net_pnl": pytest.approx(sum(row.realized_pnl or 0.0 for row in closed), abs=1e-9),
    }


def slipped_by_hand(rows: list[AITrainingSample], fills: list[Fill]) -> dict[str, list[float]]:
    """What each closed trade's legs gave up, of those trades that know it."""
    told: dict[str, list[float]] = {"entry": [], "exit": [], "both": []}
    for row in rows:
        if not (row.executed and row.outcome_known):
            continue
        legs = {}
        for leg, worse in (("entry", 1), ("exit", -1)):
            mine = [fill for fill in fills if fill.sample_id == row.id and fill.leg == leg]
            fallback = row.price if leg == "entry" else None
            references = [fallback if fill.reference_price is None else fill.reference_price for fill in mine]
            if None not in references:
                quantities = [float(fill.quantity or 0.0) for fill in mine]
                differences = [fill.price - reference for fill, reference in zip(mine, references, strict=True)]
                a_unit = sum(map(math.prod, zip(quantities, differences, strict=True))) / sum(quantities)
                side = 1 if row.execution_side == "BUY" else -1
                legs[leg] = side * worse * a_unit * float(row.quantity or 0.0)
                told[leg].append(legs[leg])
        if len(legs) == 2:
            told["both"].append(legs["entry"] + legs["exit"])
    return told


@pytest.mark.parametrize("seed", range(2))
def test_every_figure_equals_a_count_by_hand(records: Records, seed: int) -> None:
    plant(records, seed)
    cost = records.settings.cost
    mine = [row for row in loaded(records, AITrainingSample) if row.model_version == OURS]

    live = shown(records)["live"]

    whole = by_hand(mine, cost)
    assert live["forecasts"] == {
        "total": len(mine),
        "matured": whole["matured"],
        "known_before": sum(is_known(row) and row.timestamp < LEARNED_UNTIL for row in mine),
        "pending": sum(
            row.forward_return is None and row.quarantine_reason is None and row.forward_return_source is None
            for row in mine
        ),
        "unobservable": sum(row.forward_return_source == "unobservable" for row in mine),
        "quarantined": sum(row.quarantine_reason is not None for row in mine),
        "neutral": whole["matured"] - whole["judged"],
        "judged": whole["judged"],
        "correct": whole["correct"],
    }
    assert live["forecasts"]["known_before"] > 0
    assert live["accuracy"] == whole["accuracy"]
    kinds = {"by_symbol": "symbol", "by_action": "predicted_action", "by_side": "execution_side"}
    for cut, column in kinds.items():
        groups = defaultdict(list)
        for row in mine:
            groups[getattr(row, column) or "none"].append(row)
        assert {name: part for name, part in live[cut].items() if part["decisions"]} == {
            name: by_hand(group, cost) for name, group in groups.items()
        }
    assert live["explored"] == by_hand([row for row in mine if row.explored], cost)


@pytest.mark.parametrize("seed", range(2))
def test_money_equals_a_count_by_hand(records: Records, seed: int) -> None:
    plant(records, seed)
    mine = [row for row in loaded(records, AITrainingSample) if row.model_version == OURS]
    closed = [row for row in mine if row.executed and row.outcome_known]
    slipped = slipped_by_hand(mine, loaded(records, Fill))

    live = shown(records)["live"]

    pnl, trades = live["pnl"], live["trades"]
    assert trades == {
        "open": sum(row.executed and not row.outcome_known for row in mine),
        "closed": len(closed),
        "won": sum((row.realized_pnl or 0.0) > 0 for row in closed),
        "lost": sum((row.realized_pnl or 0.0) < 0 for row in closed),
        "even": sum(row.realized_pnl == 0 for row in closed),
    }
    assert pnl["net"] == live["total_pnl"] == math.fsum(row.realized_pnl for row in closed)
    assert pnl["fees"] == math.fsum(row.fees for row in closed)
    assert pnl["fees_known_trades"] == sum(row.fees_known for row in closed)
    assert (pnl["slippage_known_trades"], pnl["slippage"]) == (
        len(slipped["both"]),
        pytest.approx(sum(slipped["both"])),
    )
    for leg in ("entry", "exit"):
        told = {"known_trades": len(slipped[leg]), "slippage": pytest.approx(sum(slipped[leg]))}
        assert pnl["slippage_by_leg"][leg] == told
    assert pnl["gross"] == pnl["net"] + pnl["fees"] + pnl["slippage"]
    assert 0 < pnl["slippage_known_trades"] < trades["closed"]


@pytest.mark.parametrize("seed", range(2))
def test_the_parts_of_every_cut_add_up_to_the_whole(records: Records, seed: int) -> None:
    plant(records, seed)

    live = shown(records)["live"]

    whole = {**live["forecasts"], "decisions": live["total_predictions"], "trades": live["total_trades"]}
    for cut in CUTS:
        parts = live[cut].values()
        assert {name: sum(part[name] for part in parts) for name in COUNTS} == {name: whole[name] for name in COUNTS}
        assert sum(part["net_pnl"] for part in parts) == pytest.approx(live["total_pnl"], abs=1e-9)


@pytest.mark.parametrize("seed", range(2))
def test_a_shadow_equals_a_count_by_hand(records: Records, seed: int) -> None:
    plant(records, seed)
    rows = {row.id: row for row in loaded(records, AITrainingSample)}
    beside = [one for one in loaded(records, Forecast) if (one.version_id, one.role) == (OURS, "shadow")]
    judgements = [judge(rows[one.sample_id], one.score, records.settings.cost) for one in beside]

    shadow = shown(records)["shadow"]

    assert shadow["forecasts"] == len(beside) > 0
    assert [shadow[name] for name in ("matured", "judged", "correct")] == [
        sum(each[place] for each in judgements) for place in range(3)
    ]
    early = [rows[one.sample_id] for one in beside if rows[one.sample_id].timestamp < LEARNED_UNTIL]
    assert shadow["known_before"] == sum(is_known(row) for row in early) > 0
    assert shadow["accuracy"] == shadow["correct"] / shadow["judged"]


def test_columns_come_in_time_order_with_the_later_of_horizon_and_price(records: Records) -> None:
    records.begin()
    records.version(version_id=OURS)
    late = NOW + timedelta(minutes=7, milliseconds=1, microseconds=999)
    records.sample(model_version=OURS, timestamp=late, horizon_at=late, forward_price_at=late - timedelta(minutes=1))
    records.sample(model_version=OURS, timestamp=NOW, horizon_at=NOW, forward_price_at=late)
    records.sample(model_version=OURS, timestamp=NOW, horizon_at=late)

    found = records.database.read(read_decisions, OURS).forecasts

    began, ended = milliseconds(NOW), milliseconds(late)
    assert found.times.tolist() == [began, began, ended]
    assert found.ends.tolist() == [ended, ended, ended]
    assert ended - began == 7 * 60_000 + 1


def milliseconds(moment: datetime) -> int:
    return math.floor(moment.timestamp() * 1000)


def test_without_a_row_every_column_is_empty(records: Records) -> None:
    assert len(records.database.read(read_decisions, OURS)) == 0
    assert len(records.database.read(read_shadow, OURS)) == 0


def test_postgresql_gives_the_same_figures(
    records: Records, postgres_url: str, make_records: Callable[..., Records]
) -> None:
    plant(records, 1)
    twin = make_records(postgres_url)
    plant(twin, 1)

    here, there = shown(records), shown(twin)

    assert there["live"]["pnl"].pop("slippage") == pytest.approx(here["live"]["pnl"].pop("slippage"))
    for figures in (here, there):
        for name in ("gross", "slippage_by_leg"):
            figures["live"]["pnl"].pop(name)
    assert (there["live"], there["shadow"]) == (here["live"], here["shadow"])


@pytest.fixture
def make_records(records: Records) -> Any:
    opened = []

    def make(url: str) -> Records:
        database = Database(url)
        opened.append(database)
        AITrainingSample.metadata.create_all(database.engine)
        return Records(database, records.settings, records.serving)

    yield make
    for database in opened:
        database.close()
