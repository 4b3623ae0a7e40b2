"""Print the API's description, as ``GET /openapi.json`` answers it, without starting a service."""

import json
import secrets
import sys

from backend.api.openapi import describe
from backend.main import create_app
from backend.settings import load_settings


def main() -> None:
    """Write it to standard output."""
    settings = load_settings(environ={"QT_ADMIN_TOKEN": secrets.token_urlsafe(32)}, env_file=None)
    json.dump(describe(create_app(settings)), sys.stdout, indent=2)


if __name__ == "__main__":
    main()
