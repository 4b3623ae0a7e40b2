"""What the pipeline finds on real candles, night after night, and on the same candles with every move a coin.

    .venv/bin/python -m benchmarks.findings --data ../shared/market-data

For every set of candles the nights are imitated: a training on the days before it, with the forecasts of earlier
nights carried along, and then the days after it, which nobody had seen. Figures are printed and, with ``--json``,
written down; ``benchmarks.findings.page`` makes page and picture of them.
"""

import argparse
import json
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_engine import labels, pipeline
from ai_engine.recipes import RECIPE_VERSION
from benchmarks.claims import QUIET
from benchmarks.findings.nights import imitate
from benchmarks.findings.sets import SETS, candles_of, rows_of
from benchmarks.findings.summary import summarise, turned_back

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "market-data"
QUICK_NIGHTS = 4
LINE = 600


@dataclass(frozen=True)
class Job:
    """One set, as it was or with its moves mirrored by coins of that seed."""

    name: str
    coin: int | None
    data: Path
    cache: Path
    cost: float
    most: int | None


def run(job: Job) -> dict[str, Any]:
    """All nights of one job."""
    began = time.monotonic()
    data = next(one for one in SETS if one.name == job.name)
    rows = rows_of(data, job.data, job.cache, job.coin)
    computed = time.monotonic()
    nights = list(imitate(rows, data, cost=job.cost, most=job.most))
    candles = candles_of(data, job.data).values() if job.coin is None else ()
    told = summarise(nights, data, cost=job.cost) | {"coin": job.coin, "turned_back": turned_back(candles)}
    return told | {"seconds": {"features": round(computed - began), "nights": round(time.monotonic() - computed)}}


def main() -> None:
    """Run all jobs, the longest first, and print a block for each."""
    options = _options()
    cost = labels.round_trip_cost(0.001, 2.0)
    coins: list[int | None] = [None, *range(1, options.coins + 1)]
    names = options.sets.split(",") if options.sets else [one.name for one in SETS]
    jobs = [
        Job(name, coin, options.data, options.cache, cost, QUICK_NIGHTS if options.quick else None)
        for name in names
        for coin in coins
    ]
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    with ProcessPoolExecutor(options.processes) as pool:
        waiting = [pool.submit(run, job) for job in jobs]
        for finished in as_completed(waiting):
            _show(finished.result())
    told = {
        "cost": cost,
        "recipe": RECIPE_VERSION,
        "libraries": pipeline.libraries(),
        "sets": [one.result() for one in waiting],
    }
    if options.json:
        options.json.write_text(written(told) + "\n", encoding="utf-8")


def written(value: Any, depth: int = 0) -> str:
    """JSON that a person can read and compare: what fits a line stands on one."""
    whole = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if len(whole) <= LINE or not isinstance(value, dict | list):
        return whole
    margin = "\n" + " " * (depth + 1)
    if isinstance(value, dict):
        inside = [f"{json.dumps(key)}: {written(item, depth + 1)}" for key, item in value.items()]
    else:
        inside = [written(item, depth + 1) for item in value]
    first, last = "{}" if isinstance(value, dict) else "[]"
    return first + margin + f",{margin}".join(inside) + margin[:-1] + last


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=BESIDE, help="folder of candle files, one folder a market")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "qt-findings")
    parser.add_argument("--sets", help="only these, separated by commas")
    parser.add_argument("--coins", type=int, default=1, help="controls a set, each mirrored by coins of its own seed")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_NIGHTS} nights a set")
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser.parse_args()


def _show(told: dict[str, Any]) -> None:
    fresh, kind = told["fresh"], "as it was" if told["coin"] is None else f"coin {told['coin']}"
    print(f"\n{told['title']} ({kind}): {told['nights']} nights, {told['rows_a_training']} rows a training", flush=True)
    print(f"  verdicts {told['verdicts']}, recommended {told['recommended']}, e {told['final_e_value']}")
    print(f"  walk-forward {told['walk_forward_accuracy']}, validation {told['validation_accuracy']}")
    print(f"  random split {told['random_split']}")
    for name in ("fresh", "fresh_believed", "fresh_others"):
        part = told[name]
        if part:
            print(
                f"  {name}: {part['accuracy']} {part['ci95']} of {part['rows']} rows, baseline {part['baseline']},"
                f" ridge {part['ridge_accuracy']}, break-even {part['break_even']}, ic {part['rank_ic']},"
                f" gross {part['gross_return']}, net {part['net_return']}"
            )
    for trader, earned in told["traders"].items():
        print(f"  trader {trader}: {earned}")
    print(f"  inside costs {fresh['inside_costs']}, {told['seconds']}")


if __name__ == "__main__":
    main()
