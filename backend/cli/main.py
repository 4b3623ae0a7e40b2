"""``qt``: a table of commands. Each command's module is loaded when it is called, so that ``qt --help`` is quick."""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from backend.cli.options import expanded
from backend.cli.words import in_terminal_words
from backend.env_file import SettingsError
from backend.errors import QuantumTraderError


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command's function is, the first line of its help, and how many versions it is given."""

    module: str
    function: str
    help: str
    versions: int = 0


COMMANDS = {
    "serve": Entry("serve", "serve", "Migrate, then run the service in this terminal until Ctrl-C."),
    "start": Entry("process", "start", "Start the service in the background; it logs to var/quantum_trader.log."),
    "stop": Entry("process", "stop", "Stop the service that qt start started."),
    "migrate": Entry("migrate", "migrate", "Bring the database to the newest revision."),
    "token": Entry("token", "token", "Print the admin token, or make a new one."),
    "status": Entry("views", "status", "Samples, trades, signals, retraining, the active version and the market."),
    "doctor": Entry("doctor", "doctor", "What is wrong with this installation, why, and what to do."),
    "alarms": Entry("alarms", "alarms", "What is wrong now or was, what was told to whom, and a test message."),
    "retrain": Entry("versions", "retrain", "Train a version now; it stays inactive until you activate it."),
    "self-audit": Entry(
        "self_audit",
        "self_audit",
        "How often this installation finds skill where there is none, and where there is some.",
    ),
    "models": Entry("versions", "models", "Versions, newest first."),
    "model": Entry("versions", "model", "All of one version: report, lineage, live figures, activations.", 1),
    "activate": Entry("versions", "activate", "Let a version decide from the next decision on.", 1),
    "rollback": Entry("versions", "rollback", "Go back to the version that was active before."),
    "deactivate": Entry("versions", "deactivate", "Let no version decide; the cold-start rule does."),
    "shadow": Entry("versions", "shadow", "Let a version score beside the active one, or stop it.", 1),
    "compare": Entry("compare", "compare", "Two versions side by side, and on the decisions that both forecast.", 2),
    "rebuild": Entry(
        "rebuild", "rebuild", "Train a version again from the same rows, and prove that the same file comes out.", 1
    ),
    "samples": Entry("samples", "samples", "Decisions with their outcomes, newest first, as a table, JSON or CSV."),
    "quarantine": Entry("quarantine", "quarantine", "Samples kept out of training: list them, release one, drop one."),
    "runs": Entry("views", "runs", "Retrainings, scheduled and manual, newest first."),
    "import": Entry("imports", "import_file", "Bring in the closed trades of another bot from a CSV or JSON file."),
    "backup": Entry(
        "backup", "backup", "Copy the database and every published model file into one file, while the service runs."
    ),
    "restore": Entry(
        "backup", "restore", "Put a backup in the place of the database; the old database is kept beside it."
    ),
    "bootstrap": Entry(
        "samples", "bootstrap", "Add 30 demo rows, tagged synthetic, which never train; or remove them."
    ),
    "warm-start": Entry("warm_start", "warm_start", "Learn from candles of the past, from files or from the exchange."),
    "replay": Entry("replay", "replay", "Run the whole loop over candle files, and say what came of it."),
}


class LazyCommands(TyperGroup):
    """Lists every command from the table, and loads the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """The names, in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """A stand-in that knows its help only."""
        entry = COMMANDS.get(cmd_name)
        return TyperCommand(cmd_name, help=entry.help) if entry else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is called, itself."""
        name = args[0]
        if name not in COMMANDS:
            return super().resolve_command(ctx, args)
        if ctx.resilient_parsing and outlined(args[1:]):
            return name, outline(name), args[1:]
        return name, load(name), args[1:]


class Outline(TyperCommand):
    """What a shell completes of a command without its module, which takes most of a second to load."""

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """The options, which the command itself knows."""
        return load(str(self.name)).shell_complete(ctx, incomplete)


def outlined(given: Sequence[str]) -> bool:
    """Whether an outline knows all that was typed so far."""
    return all(not one.startswith("-") or one == "--strategy" for one in given)


def outline(name: str) -> Any:
    """The command as far as its versions and strategies go."""
    outlines = importlib.import_module("backend.cli.completion").OUTLINES
    single = typer.Typer(add_completion=False)
    single.command(name, cls=Outline)(outlines[COMMANDS[name].versions])
    return typer.main.get_command(single)


def load(name: str) -> Any:
    """The command of that name, its module imported."""
    entry = COMMANDS[name]
    function = getattr(importlib.import_module(f"backend.cli.{entry.module}"), entry.function)
    single = typer.Typer(add_completion=False)
    single.command(name, help=f"{entry.help}\n\n{_rest(function.__doc__)}")(expanded(function))
    return typer.main.get_command(single)


def _rest(docstring: str | None) -> str:
    return (docstring or "").partition("\n\n")[2]


app = typer.Typer(cls=LazyCommands, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def qt() -> None:
    """Quantum Trader: learns from a trading bot's own closed trades, and tells the truth about what it learned."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; what is expected to go wrong is one sentence on standard error."""
    try:
        code = app(args=arguments, prog_name="qt", standalone_mode=False)
    except (SettingsError, QuantumTraderError) as error:
        code = _fail(in_terminal_words(str(error)), 1)
    except typer.TyperException as error:
        code = _fail(f"{error.format_message()} See: {_help_of(error)} --help", error.exit_code)
    except typer.Abort:
        code = _fail("Stopped.", 130)
    sys.exit(code if isinstance(code, int) else 0)


def _help_of(error: typer.TyperException) -> str:
    """The command whose usage was wrong, as it is called."""
    context = getattr(error, "ctx", None)
    return str(context.command_path) if context is not None else "qt"


def _fail(sentence: str, code: int) -> int:
    plain = "".join(sign if sign.isprintable() else "?" for sign in " ".join(sentence.split()))
    print(plain, file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
