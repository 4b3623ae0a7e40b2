"""A long-only bot: it decides, trades in partial fills and reports every outcome. Kill it and start it again at will.

    python examples/bot.py --token "$QT_TRADER_TOKEN" --strategies trend,breakout --steps 400

The market is made up (a walk in which half of a move carries on): put your exchange in place of `market` and `trade`.
"""

import argparse
import json
import math
import random
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

SYMBOL, HOLD_STEPS, FEE_RATE = "BTCUSDC", 6, 0.001
START, STEP = datetime(2026, 1, 5, tzinfo=UTC), timedelta(minutes=5)


def call(api: argparse.Namespace, method: str, path: str, body: object = None) -> tuple[int, dict]:
    """Answer (status, body); while the service restarts, ask again for a minute."""
    target = f"{api.url}{path}{'&' if '?' in path else '?'}strategy={api.strategy}"
    headers = {"X-Admin-Token": api.token, "Content-Type": "application/json"}
    for _ in range(60):
        try:
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(target, data, headers, method=method)
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as problem:
            return problem.code, json.load(problem)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(1)
    sys.exit(f"{api.url} does not answer. Start the service, then the bot again.")


def report(api: argparse.Namespace, path: str, body: object) -> dict:
    """A call that must succeed: a problem ends the bot with the service's own words."""
    status, answer = call(api, "POST", path, body)
    return answer if status < 400 else sys.exit(f"{path}: {answer['detail']}")


def market(seed: int, steps: int) -> list[float]:
    """The price at every step: the same in every run with this seed."""
    path, move, draw = [45_000.0], 0.0, random.Random(seed)
    while len(path) < steps:
        move = 0.5 * move + draw.gauss(0, 0.002)
        path.append(path[-1] * math.exp(move))
    return path


def decide(api: argparse.Namespace, decision_id: str, moment: datetime, prices: list[float]) -> dict:
    """The active model's decision, or the bot's own rule while there is no model; asked and stored once."""
    if (known := call(api, "GET", f"/ai/decisions/{decision_id}"))[0] == 200:
        return known[1]
    features = {f"return_{n}": prices[-1] / prices[-1 - n] - 1 for n in (1, 2, 3, 6, 12)}
    body = {"decision_id": decision_id, "symbol": SYMBOL, "timestamp": moment.isoformat(), "price": prices[-1]}
    if call(api, "POST", "/ai/predict", {"rows": [features]})[0] != 200:
        body["predicted_action"] = "BUY" if features["return_3"] > 0 else "HOLD"
    return report(api, "/ai/decisions", body | {"features": features})


def trade(api: argparse.Namespace, decision_id: str, leg: str, fill: dict) -> None:
    """Two partial fills. `fees`: the entry's own; at the exit, both legs of the part that leaves."""
    for part in (1, 2):
        report(api, f"/ai/decisions/{decision_id}/{leg}", fill | {"quantity": 0.05, "fill_id": f"{leg}-{part}"})


def run(api: argparse.Namespace, seed: int) -> None:
    """Every step once: leave what is due, decide, enter at most every seventh step."""
    known = call(api, "GET", "/ai/decisions?state=open")[1].get("decisions", [])
    held = {row["decision_id"]: row["entry_price"] for row in known}
    newest = call(api, "GET", "/ai/decisions?limit=1")[1].get("decisions", [])
    first = max([12] + [int(row["decision_id"].split("-")[1]) for row in newest])
    print(f"{api.strategy}: from step {first}, open {sorted(held)}", flush=True)
    for step in range(first, len(path := market(seed, api.steps + 12))):
        moment, decision_id, due = START + step * STEP, f"{SYMBOL}-{step}", f"{SYMBOL}-{step - HOLD_STEPS}"
        if due in held:
            fees = 0.05 * (held.pop(due) + path[step]) * FEE_RATE
            trade(api, due, "outcome", {"exit_price": path[step], "exit_time": moment.isoformat(), "fees": fees})
        answer = decide(api, decision_id, moment, path[: step + 1])
        if answer["predicted_action"] == "BUY" and step % (HOLD_STEPS + 1) == 0:
            held[decision_id] = path[step]
            enter = {"side": "BUY", "entry_price": path[step], "fees": 0.05 * path[step] * FEE_RATE}
            trade(api, decision_id, "execution", enter | {"entry_time": moment.isoformat()})
        print(f"{api.strategy} {step} {answer['predicted_action']} {answer['model_version']}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--token", required=True)
    parser.add_argument("--strategies", default="trend", help="comma-separated, one after the other")
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    for number, name in enumerate(options.strategies.split(",")):
        run(argparse.Namespace(**vars(options), strategy=name), number)
