"""One version as a person reads it: its sentence, then each number beside what it means."""

from collections.abc import Mapping
from typing import Any

from ai_engine.comparison import BETTER
from backend.cli.live_view import show_live, show_shadow
from backend.cli.output import percent, print_facts, print_rows, say, when
from backend.cli.picture import picture
from backend.learning.versions.gate import MEANING

NUMBERS = {"name": "number", "value": "value", "meaning": "what it means"}


def show_version(told: Mapping[str, Any]) -> None:
    """The sentence, the verdict, the report, the live figures, the origin and the activations."""
    report = told["report"]
    say(report.get("sentence") or f"{told['version_id']} has no sentence.")
    print(f"\n{told['version_id']} of {told['strategy']}: {_state(told)}; trained {when(told['trained_at'])} UTC.")
    print(f"Verdict: {told['verdict']}. {MEANING[told['verdict']]}")
    if not told["recommended"]:
        say(f"Not recommended: {'; '.join(report.get('recommendation_reasons') or ['no reason is recorded'])}.")
    if report.get("self_audit"):
        say(report["self_audit"]["sentence"])
    say(f"What now: {told['what_now']}", style="bold")
    if _walked(report):
        print("\nOver five periods, each forecast by what was known before it: what the verdict rests on")
        print_rows(_table(_periods(report, report["walk_forward"])), NUMBERS, "")
        _draw(report)
    print("\nOn the newest fifth, forecast by what was known before it")
    print_rows(_table(_newest(report)), NUMBERS, "")
    show_live(told["live"], was_active=bool(told["activations"]))
    show_shadow(told["shadow"])
    print("\nMade of")
    print_facts(_origin(told))
    if told["history"]:
        print("\nActivations, rollbacks and deactivations")
    for entry in told["history"]:
        reason = f": {entry['reason']}" if entry["reason"] else ""
        print(f"  {when(entry['at'])} {_change(entry, told['version_id'])}, by {entry['actor']}{reason}")
    print(f"\nEvery figure: qt model {told['version_id']} --json")


def _draw(report: Mapping[str, Any]) -> None:
    """The walk-forward's interval beside what it has to beat."""
    walked = report["walk_forward"]
    marks = {"baseline": report["baseline_accuracy"], "pays from": report["break_even_accuracy"]}
    for line in picture(walked["accuracy"], walked["ci95"], marks):
        print(f"  {line}")


def _change(entry: Mapping[str, Any], version: str) -> str:
    """What happened to the version, in words."""
    now, before = entry["version_id"], entry["previous_version"] or "the cold-start rule"
    if now == version:
        return f"{'rolled back to' if entry['action'] == 'rollback' else 'activated'}, in place of {before}"
    if now is None:
        return "deactivated"
    return f"{'rolled back' if entry['action'] == 'rollback' else 'replaced'}: {now} decided from then on"


def _state(told: Mapping[str, Any]) -> str:
    if told["is_active"]:
        return f"active since {when(told['activated_at'])} UTC"
    beside = ", scores as a shadow" if told["is_shadow"] else ""
    if told["activated_at"]:
        return f"inactive since {when(told['replaced_at'])} UTC{beside}"
    return f"never active{beside}"


def _walked(report: Mapping[str, Any]) -> bool:
    """Whether there was anything to judge over several periods; reports of the first release never say so."""
    return bool((report.get("walk_forward") or {}).get("samples"))


def _table(rows: list[tuple[str, str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value, "meaning": meaning} for name, value, meaning in rows]


def _interval(interval: list[float] | None) -> tuple[str, str, str]:
    if interval is None:
        return "95 % interval", "-", "cannot be told from so little"
    return "95 % interval", f"{percent(interval[0])} to {percent(interval[1])}", "where the accuracy lies"


def _baseline(report: Mapping[str, Any]) -> tuple[str, str, str]:
    name = (report["baseline_name"] or "the baseline").replace("_", " ")
    return "baseline", percent(report["baseline_accuracy"]), f"what '{name}' scores on the same rows"


def _periods(report: Mapping[str, Any], walked: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What decides, in the order in which it is to be believed."""
    rows = [
        ("accuracy", percent(walked["accuracy"]), _directions(walked)),
        _interval(walked["ci95"]),
        _baseline(report),
        (
            "chance",
            percent(walked["p_value"]),
            "of wrong alignments of forecast and outcome do as well; at most 5 % wanted",
        ),
        (
            "detectable",
            percent(report["min_detectable_accuracy"]),
            f"the least accuracy that about {report['effective_samples']} independent outcomes reliably show",
        ),
        ("net return", percent(walked["net_return"]), "a trade, had every forecast been followed"),
    ]
    challengers = walked.get("challengers")
    if challengers:
        rows.append(("ridge", percent(challengers["ridge"]["accuracy"]), "a ridge regression on the same rows"))
    nights = report["e_value"]
    if nights is None:
        rows.append(("all nights", "-", "not known yet: no forecast that was made before its outcome met a move"))
    else:
        rows.append(("all nights", f"{nights:.3g}", "evidence of all matured forecasts; 20 wanted"))
    if report["comparison"]:
        rows.append(("against", report["comparison"]["champion"], _compared(report["comparison"]["verdict"])))
    return rows


def _directions(walked: Mapping[str, Any]) -> str:
    """What the accuracy is a share of; older reports did not keep it."""
    if walked.get("judged") is None:
        return f"right directions among {walked['samples']:,} rows, those that moved less than the costs not counted"
    small = walked["samples"] - walked["judged"]
    return f"right directions among {walked['judged']:,} moves larger than the costs ({small:,} smaller ones left out)"


def _compared(verdict: str) -> str:
    """How it did against the active version; where that sounds like a reason to activate, what it is worth."""
    if verdict != BETTER:
        return verdict.replace("_", " ")
    return "better on this one night: of two equal versions one is so at some night of 60 in about a fifth of cases"


def _newest(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    judged, small = report["validation_samples"] - report["neutral_samples"], report["neutral_samples"]
    return [
        (
            "accuracy",
            percent(report["validation_accuracy"]),
            f"right directions among {judged:,} newer moves larger than the costs ({small:,} smaller ones left out)",
        ),
        _interval(report.get("validation_accuracy_ci95")),
        *([] if _walked(report) else [_baseline(report)]),
        ("break-even", percent(report["break_even_accuracy"]), _break_even(report)),
        ("net return", percent(report["net_return_after_costs"]), "a trade, had every forecast been followed"),
        (
            "error",
            percent(report["validation_mae"]),
            f"mean absolute error of the forecast; always forecasting 0 has {percent(report['mae_zero_forecast'])}",
        ),
        ("on older rows", percent(report["train_accuracy"]), "accuracy on rows it was fitted to: no merit in it"),
    ]


def _break_even(report: Mapping[str, Any]) -> str:
    if report["costs_exceed_moves"]:
        return "no accuracy pays: the costs exceed the moves"
    return "the accuracy from which on a trade pays its costs"


def _origin(told: Mapping[str, Any]) -> dict[str, str]:
    report, lineage = told["report"], told["lineage"]
    sources = ", ".join(f"{count:,} {name}" for name, count in report["rows_by_label_source"].items())
    recipe = lineage["recipe"]
    kept_out = ", ".join(f"{count:,} {reason}" for reason, count in report["quarantined"].items())
    constant = report["constant_features"]
    return {
        "rows": f"{report['artifact_samples']:,} ({sources}), fitted on {report['training_samples']:,} older and judged"
        f" on {report['validation_samples']:,} newer; the file is refitted on all",
        "window": f"{when(report['window_start'])} to {when(report['window_end'])} UTC",
        "left out": kept_out or "none",
        "learned": "the move over the horizon" if report["target_kind"] == "horizon" else "the move of each trade",
        "features": f"{len(lineage['feature_names'])}"
        + (f", of which {len(constant)} never change: {', '.join(constant[:5])}" if constant else ""),
        "recipe": f"{recipe['name']} ({recipe['version']}), {recipe['trees']} trees of depth {recipe['depth']}",
        "libraries": ", ".join(f"{name} {version}" for name, version in lineage["libraries"].items()),
        "file": f"{told['model_path']} ({lineage['artifact_bytes']:,} bytes, SHA-256 {lineage['sha256'][:16]}...)",
        "again": f"qt rebuild {told['version_id']} makes it again" if lineage.get("rows") else "cannot be rebuilt",
    }
