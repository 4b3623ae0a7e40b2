#!/bin/sh
# Provides what the tests marked `java` need: the generator of clients, which no test installs by itself.
set -eu
cd "$(dirname "$0")/.."
. scripts/check_requires.sh
requires java java default-jre-headless

.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
  -r scripts/openapi/requirements.txt
