"""``qt retrain``, ``models``, ``model``, ``activate``, ``rollback``, ``deactivate``."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from backend.cli.assembly import ACTOR, assembled
from backend.cli.output import (
    JsonOption,
    LimitOption,
    StrategyOption,
    answer,
    cell,
    print_facts,
    print_rows,
    progress_bar,
)
from backend.learning.versions import activation, queries
from backend.learning.versions.retrain import retrain as train

VersionArgument = Annotated[
    str, typer.Argument(metavar="VERSION", help="Such as v20251112_150000; qt models lists them.")
]
ReasonOption = Annotated[str | None, typer.Option("--reason", help="Why; kept in the audit trail.")]

COLUMNS = {
    "version_id": "version",
    "strategy": "strategy",
    "is_active": "active",
    "verdict": "verdict",
    "recommended": "recommended",
    "training_samples": "trained on",
    "validation_samples": "judged on",
    "validation_accuracy": "accuracy",
    "live_accuracy": "live accuracy",
    "total_predictions": "predictions",
    "total_pnl": "P&L",
}
SUMMARY = ("version_id", "strategy", "trained_at", "is_active", "verdict", "recommended", "model_path", "notes")


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
    print(told["report"]["sentence"])
    print(f"All of it: qt model {told['version_id']}    Let it decide: qt activate {told['version_id']}")


def models(strategy: StrategyOption = None, limit: LimitOption = 20, as_json: JsonOption = False) -> None:
    """Versions, newest first."""
    with assembled() as assembly:
        found, cursor = assembly.database.read(queries.list_models, strategy=strategy, limit=limit)
    told = {"status": "ok", "count": len(found), "models": found, "next_cursor": cursor}
    answer(
        told, as_json, lambda data: print_rows(data["models"], COLUMNS, "There is no version yet. Make one: qt retrain")
    )


def model(version: VersionArgument, as_json: JsonOption = False) -> None:
    """All of one version: report, lineage, live figures, activations."""
    with assembled() as assembly:
        answer(assembly.database.read(queries.get_model, version), as_json, _show_model)


def _show_model(told: Mapping[str, Any]) -> None:
    print(told["report"].get("sentence") or "")
    print_facts({key: told[key] for key in SUMMARY})
    for part in ("report", "live", "lineage"):
        print(f"\n{part}")
        print_facts(
            {f"  {key}": value for key, value in told[part].items() if key not in ("sentence", "feature_names")}
        )
    print(f"\nactivations: {len(told['activations'])}")
    for entry in told["activations"]:
        print(f"  {entry['activated_at']} by {entry['actor']}{': ' + entry['reason'] if entry['reason'] else ''}")


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


def _show_change(told: Mapping[str, Any]) -> None:
    print(told["message"])
    if told.get("warning"):
        print(f"Warning: {told['warning']}")
