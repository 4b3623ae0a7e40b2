"""What the page says in figures: its tables, and the sentences that hold figures, as Markdown."""

from collections.abc import Iterable
from typing import Any

from ai_engine.types import Verdict

BELIEVERS = {
    "recommended": "with recommended versions only",
    "rule_of_60": "with every version whose validation accuracy exceeds 60 %",
    "newest": "with every newest version",
}
WORDS = {str(word): str(word).replace("_", " ") for word in Verdict}


def tables(told: dict[str, Any]) -> dict[str, str]:
    """Every table of the page, and every sentence with figures, by its mark."""
    real = [one for one in told["sets"] if one["coin"] is None]
    coins = [one for one in told["sets"] if one["coin"] is not None]
    return {
        "summary": f"- {_verdicts(real)}\n- {_fresh(real)}\n- {_against_luck(real, coins)}\n- {_whom_to_believe(real)}",
        "pooled": _pooled_sentence(real),
        "delayed": _delayed(real),
        "held": f"{_held('real candles', real)} {_held('coins', coins)}",
        "sets": table(SETS, (_set(one) for one in real)),
        "verdicts": table(FOUND, (_found(one) for one in told["sets"])),
        "believed": table(BELIEVED, (_believed(one) for one in told["sets"])),
        "ways": table(WAYS, (_ways(one) for one in told["sets"])),
        "traders": table(TRADERS, (_traders(one) for one in real)),
    }


SETS = "candles | nights | from | every | learns from | rows a training | rows judged afterwards | a move and the next"
FOUND = (
    "candles | verdicts | recommended | evidence over all nights | fresh accuracy, 95 % interval | one direction"
    " | ridge | needed"
)
BELIEVED = "candles | nights with evidence | the days after those | nights without | the days after those"
WAYS = (
    "candles | random split, XGBoost's defaults | random split, the service's trees | newest fifth: mean, highest"
    " | walk-forward | fresh"
)
TRADERS = (
    "candles | only recommended | validation above 60 % | always the newest | the newest, by the service's thresholds"
    " | a decision before and after costs"
)


def _verdicts(real: list[dict[str, Any]]) -> str:
    nights, counts = sum(one["nights"] for one in real), _counts(real)
    said = ", ".join(f"{counts[word]} × `{word}`" for word in WORDS if counts.get(word))
    recommended = sum(one["recommended"] for one in real)
    return f"In {nights} nights on {len(real)} sets of candles the verdict was {said}; {recommended} × `recommended`."


def _fresh(real: list[dict[str, Any]]) -> str:
    got, needed = ([one["fresh"][name] for one in real] for name in ("accuracy", "break_even"))
    return (
        f"On the days afterwards the direction was right in {percent(min(got))} to {percent(max(got))} of the moves"
        f" larger than the costs, by set; to pay them {percent(min(needed))} to {percent(max(needed))} are needed."
    )


def _against_luck(real: list[dict[str, Any]], coins: list[dict[str, Any]]) -> str:
    nights, believed = (sum(one["nights"] for one in coins), _believed_nights(coins))
    return (
        f"On the same candles without any signal {believed} of {nights} nights were given evidence, on the real ones"
        f" {_believed_nights(real)} of {sum(one['nights'] for one in real)}."
    )


def _whom_to_believe(real: list[dict[str, Any]]) -> str:
    told = [f"{_range([one['traders'][name]['stake'] for one in real])} {how}" for name, how in BELIEVERS.items()]
    return f"In per cent of a stake a symbol, by set, would have been earned: {'; '.join(told)}."


def _range(stakes: list[float]) -> str:
    low, high = 100 * min(stakes), 100 * max(stakes)
    return "0" if low == high == 0 else f"{low:+.0f} to {high:+.0f}"


def _counts(sets: list[dict[str, Any]]) -> dict[str, int]:
    words = {word for one in sets for word in one["verdicts"]}
    return {word: sum(one["verdicts"].get(word, 0) for one in sets) for word in words}


def _believed_nights(sets: list[dict[str, Any]]) -> int:
    return sum(_counts(sets).get(word, 0) for word in ("evidence", "strong_evidence"))


def _pooled_sentence(sets: list[dict[str, Any]]) -> str:
    after, others = (pooled([one[name] for one in sets]) for name in ("fresh_believed", "fresh_others"))
    return (
        f"All real candles together, sets taken as independent: after nights with evidence {with_interval(after)},"
        f" after the others {with_interval(others)}."
    )


def pooled(parts: list[dict[str, Any] | None]) -> dict[str, Any] | None:
    """Several sets' accuracies as one: weighted by the moves that were scored, sets taken as independent."""
    known = [part for part in parts if part and part["ci95"]]
    weights = [part["rows"] * (1 - part["inside_costs"]) for part in known]
    if not known:
        return None
    accuracy = sum(weight * part["accuracy"] for weight, part in zip(weights, known, strict=True)) / sum(weights)
    reaches = [(part["ci95"][1] - part["ci95"][0]) / 2 for part in known]
    reach = sum((weight * each) ** 2 for weight, each in zip(weights, reaches, strict=True)) ** 0.5 / sum(weights)
    return {"accuracy": accuracy, "ci95": [accuracy - reach, accuracy + reach]}


def _delayed(real: list[dict[str, Any]]) -> str:
    kept, nights = sum(one["believed_a_candle_later"] for one in real), _believed_nights(real)
    most = min(real, key=lambda one: one["turned_back"][0])
    now, later = most["fresh"]["rank_ic"], most["fresh"]["rank_ic_a_candle_later"]
    return (
        f"Of {nights} nights with evidence on real candles {kept} keep it if orders are filled a candle later. In"
        f" the set that turns back most, {most['title']}, the rank correlation of forecasts with the days after is"
        f" {now:.3f}, and {later:.3f} a candle later."
    )


def _held(kind: str, sets: list[dict[str, Any]]) -> str:
    nights = [night for one in sets for night in one["each_night"] if night["ci95"] and night["fresh_ci95"]]
    inside = sum(night["ci95"][0] <= night["fresh_accuracy"] <= night["ci95"][1] for night in nights)
    return f"On {kind} the accuracy of the days after lay within the night's interval {inside} times of {len(nights)}."


def table(heading: str, rows: Iterable[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    columns = heading.split(" | ")
    return "\n".join(f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *rows))


def _name(one: dict[str, Any]) -> str:
    return one["title"] if one["coin"] is None else f"{one['title']}, coins"


def _set(one: dict[str, Any]) -> tuple[str, ...]:
    return (
        one["title"],
        str(one["nights"]),
        one["first_night"][:10],
        f"{one['every_days']} days",
        f"{one['window_days']} days",
        f"{one['rows_a_training']:,}",
        f"{one['fresh']['rows']:,}",
        " to ".join(f"{bound:+.2f}" for bound in dict.fromkeys(one["turned_back"])),
    )


def _found(one: dict[str, Any]) -> tuple[str, ...]:
    fresh = one["fresh"]
    return (
        _name(one),
        ", ".join(f"{count} {WORDS[word]}" for word, count in one["verdicts"].items()),
        str(one["recommended"]),
        f"{one['final_e_value']:.2g}",
        with_interval(fresh),
        percent(fresh["baseline"]),
        percent(fresh["ridge_accuracy"]),
        percent(fresh["break_even"]),
    )


def _believed(one: dict[str, Any]) -> tuple[str, ...]:
    believed = sum(one["verdicts"].get(word, 0) for word in ("evidence", "strong_evidence"))
    return (
        _name(one),
        str(believed),
        with_interval(one["fresh_believed"]),
        str(one["nights"] - believed),
        with_interval(one["fresh_others"]),
    )


def _ways(one: dict[str, Any]) -> tuple[str, ...]:
    naive, newest = one["random_split"], one["validation_accuracy"]
    return (
        _name(one),
        percent(naive["library_defaults"]),
        percent(naive["own"]),
        f"{percent(newest['mean'])}, {percent(newest['highest'])}",
        percent(one["walk_forward_accuracy"]),
        percent(one["fresh"]["accuracy"]),
    )


def _traders(one: dict[str, Any]) -> tuple[str, ...]:
    earned, fresh = one["traders"], one["fresh"]
    return (
        one["title"],
        *(stake(earned[name]) for name in ("recommended", "rule_of_60", "newest", "service")),
        f"{fresh['gross_return']:+.3%}, {fresh['net_return']:+.3%}".replace("%", " %"),
    )


def percent(share: float | None) -> str:
    """A share to a tenth of a per cent; a dash where it is unknown."""
    return "–" if share is None else f"{share * 100:.1f} %"


def with_interval(part: dict[str, Any] | None) -> str:
    """Accuracy and its 95 % interval."""
    if part is None or part["accuracy"] is None:
        return "–"
    if part["ci95"] is None:
        return percent(part["accuracy"])
    return f"{percent(part['accuracy'])} ({part['ci95'][0] * 100:.1f} to {part['ci95'][1] * 100:.1f})"


def stake(earned: dict[str, Any]) -> str:
    """What was earned over all nights in per cent of one stake a symbol; 0 where nothing was traded."""
    return (
        "0 (no trade)" if not earned["decisions"] else f"{earned['stake'] * 100:+.{int(abs(earned['stake']) < 0.1)}f} %"
    )
