"""``qt token``: the admin token, alone on standard output so that ``$(qt token)`` works."""

import json
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from backend import env_file
from backend.cli.output import JsonOption
from backend.setting_values import token as strong_token
from backend.settings import ENV_FILE, SettingsError, admin_token_in_environment, load_settings

NAME, PREVIOUS = "QT_ADMIN_TOKEN", "QT_ADMIN_TOKEN_PREVIOUS"


def token(
    new: Annotated[
        bool, typer.Option("--new", help="Make another one; the old one works until you remove it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the admin token, or make a new one.

    --new writes it into .env and keeps the old one there as QT_ADMIN_TOKEN_PREVIOUS, for whoever still uses it.
    """
    if new:
        shown = replace_token(ENV_FILE)
        print(_advice(), file=sys.stderr)
    else:
        shown = load_settings().admin_token.get_secret_value()
    print(json.dumps({"token": shown}) if as_json else shown)


def replace_token(path: Path) -> str:
    """Write a new admin token into the file; the old one stays beside it where it was a good one."""
    fresh, old = secrets.token_urlsafe(32), env_file.read(path).get(NAME, "")
    changes = {NAME: fresh}
    try:
        strong_token(NAME, old)
        changes[PREVIOUS] = old
    except SettingsError:
        pass
    env_file.assign(path, changes)
    return fresh


def _advice() -> str:
    if admin_token_in_environment():
        return "Written to .env, but QT_ADMIN_TOKEN in the environment goes before it: remove it there."
    return "Written to .env. A running service takes it at its next start; then remove QT_ADMIN_TOKEN_PREVIOUS."
