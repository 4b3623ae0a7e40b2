#!/bin/sh
# Spectral reads the API's description, and may not have the slightest remark.
set -eu
cd "$(dirname "$0")/.."
. scripts/check_requires.sh
requires spectral npm npm

spectral=scripts/openapi/node_modules/.bin/spectral
if [ ! -x "$spectral" ] || [ scripts/openapi/package-lock.json -nt "$spectral" ]; then
  npm ci --prefix scripts/openapi --ignore-scripts --no-audit --no-fund --loglevel=error
  touch scripts/openapi/node_modules/.bin/spectral
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
.venv/bin/python scripts/write_openapi.py >"$folder/openapi.json"
"$spectral" lint --fail-severity=hint --ruleset .spectral.yaml "$folder/openapi.json"
