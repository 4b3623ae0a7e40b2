"""``qt migrate``."""

import json

from backend import migrations
from backend.cli.output import JsonOption
from backend.settings import load_settings


def migrate(as_json: JsonOption = False) -> None:
    """Bring the database to the newest revision."""
    settings = load_settings(require_token=False)
    migrations.upgrade(settings.database_url)
    told = {"status": "ok", "revision": migrations.head()}
    print(json.dumps(told) if as_json else f"The database is at revision {told['revision']}.")
