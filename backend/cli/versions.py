"""``qt retrain``, ``models``, ``model``, ``activate``, ``rollback``, ``deactivate``, ``shadow``."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from backend.cli.assembly import ACTOR, assembled
from backend.cli.completion import complete_version
from backend.cli.output import (
    Column,
    JsonOption,
    LimitOption,
    StrategyOption,
    answer,
    cell,
    percent,
    print_rows,
    progress_bar,
    say,
    when,
)
from backend.cli.version_view import show_version
from backend.learning.evidence.version_page import version_page
from backend.learning.versions import activation, queries
from backend.learning.versions import shadow as shadows
from backend.learning.versions.retrain import retrain as train

VersionArgument = Annotated[
    str,
    typer.Argument(
        metavar="VERSION",
        help="Such as v20251112_150000; qt models lists them.",
        autocompletion=complete_version,
    ),
]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why; kept in the audit trail.")]

COLUMNS: dict[str, str | Column] = {
    "version_id": "version",
    "strategy": Column("strategy", drop=2),
    "state": "state",
    "verdict": "verdict",
    "validation_accuracy": Column("accuracy", percent),
    "live_accuracy": Column("live", percent),
    "total_pnl": "P&L",
    "total_predictions": Column("decisions", drop=3),
    "training_samples": Column("trained on", drop=4),
    "validation_samples": Column("judged on", drop=5),
    "trained_at": Column("trained", when, drop=6),
}


def retrain(
    strategy: StrategyOption = None,
    min_samples: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="Known outcomes needed. Default: QT_AI_RETRAIN_MIN_SAMPLES."),
    ] = None,
    include_synthetic: Annotated[bool, typer.Option(help="Train on demo rows too; the version says so.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a version now; it stays inactive until you activate it."""
    with assembled() as assembly, progress_bar("Retraining", quiet=as_json) as progress:
        told = train(
            assembly.retraining,
            strategy=strategy or assembly.settings.strategy,
            actor=ACTOR,
            min_samples=min_samples,
            include_synthetic=include_synthetic,
            progress=progress,
        )
    answer(told, as_json, _show_training)
    if told["status"] == "error":
        raise typer.Exit(1)


def _show_training(told: Mapping[str, Any]) -> None:
    if told["status"] != "success":
        rest = {key: value for key, value in told.items() if key not in ("status", "reason", "message")}
        print(told.get("message") or f"{told['status']}: {told['reason']} ({cell(rest)}).")
        return
    print(told["message"])
    say(told["report"]["sentence"])
    say(f"What now: {told['what_now']}")
    print(f"All of it: qt model {told['version_id']}")


def models(strategy: StrategyOption = None, limit: LimitOption = 20, as_json: JsonOption = False) -> None:
    """Versions, newest first."""
    with assembled() as assembly:
        found, cursor = assembly.database.read(queries.list_models, strategy=strategy, limit=limit)
    told = {"status": "ok", "count": len(found), "models": found, "next_cursor": cursor}
    answer(told, as_json, _show_models)


def _show_models(told: Mapping[str, Any]) -> None:
    rows = [{**one, "state": _state(one)} for one in told["models"]]
    print_rows(rows, COLUMNS, "There is no version yet. Make one: qt retrain")
    if rows:
        print(f"\nWhat the numbers of one mean: qt model {rows[0]['version_id']}")


def _state(version: Mapping[str, Any]) -> str:
    """In a word or two what stands behind it, and whether it decides or scores beside the one that does."""
    if version["is_active"]:
        return "active"
    said = ["recommended"] * version["recommended"] + ["shadow"] * version["is_shadow"]
    return ", ".join(said) or "-"


def model(version: VersionArgument, as_json: JsonOption = False) -> None:
    """All of one version: report, lineage, live figures, activations."""
    with assembled() as assembly:
        told = assembly.database.read(version_page, version, cost=assembly.settings.cost, serving=assembly.serving)
    answer(told, as_json, show_version)


def activate(
    version: VersionArgument,
    force: Annotated[bool, typer.Option("--force", help="Override the gate; needs --reason.")] = False,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a version decide from the next decision on."""
    with assembled() as assembly:
        request = activation.ActivationRequest(version, ACTOR, force=force, reason=reason)
        answer(activation.activate(assembly.versions, request), as_json, _show_change)


def rollback(strategy: StrategyOption = None, reason: ReasonOption = None, as_json: JsonOption = False) -> None:
    """Go back to the version that was active before."""
    with assembled() as assembly:
        name = strategy or assembly.settings.strategy
        answer(activation.rollback(assembly.versions, name, ACTOR, reason), as_json, _show_change)


def deactivate(strategy: StrategyOption = None, reason: ReasonOption = None, as_json: JsonOption = False) -> None:
    """Let no version decide; the cold-start rule does."""
    with assembled() as assembly:
        name = strategy or assembly.settings.strategy
        answer(activation.deactivate(assembly.versions, name, ACTOR, reason), as_json, _show_change)


def shadow(
    version: VersionArgument,
    stop: Annotated[bool, typer.Option("--stop", help="Let it score no more; what it forecast stays.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let a version score beside the active one, or stop it.

    A shadow forecasts every decision from the same features and acts on none, so that qt compare can tell it from the
    active version. The newest three candidates, and the version replaced last, do so by themselves.
    """
    with assembled() as assembly:
        told = (shadows.stop if stop else shadows.ask)(assembly.versions, version, ACTOR)
    answer(told, as_json, _show_shadows)


def _show_shadows(told: Mapping[str, Any]) -> None:
    print(told["message"])
    print(f"Shadows of {told['strategy']}: {', '.join(told['shadows']) or 'none'}.")


def _show_change(told: Mapping[str, Any]) -> None:
    """Which version decides from now on, and which did before."""
    now, before = told["activated_version"], told["previous_version"]
    if now is None:
        print(told["message"] + (f" {before} decided before." if before else ""))
    elif not told["changed"]:
        say(told["message"])
    else:
        print(f"{now} decides from the next decision on, in place of {before or 'the cold-start rule'}.")
    if told.get("warning"):
        print(f"Warning: {told['warning']}")
