#!/bin/sh
# Compose itself reads the file, with the secrets that secrets.sh makes: each profile must be whole.
set -eu
cd "$(dirname "$0")/.."
. scripts/check_requires.sh
if docker compose version >/dev/null 2>&1; then
  compose() { docker compose "$@"; }
else
  requires compose docker-compose docker-compose
  compose() { docker-compose "$@"; }
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -R deploy "$folder/deploy"
rm -rf "$folder/deploy/.env" "$folder/deploy/secrets"
if compose -f "$folder/deploy/compose.yaml" config >/dev/null 2>&1; then
  echo "compose.yaml must not be whole without the secrets" >&2
  exit 1
fi
sh "$folder/deploy/secrets.sh" >/dev/null
compose -f "$folder/deploy/compose.yaml" config -q
compose -f "$folder/deploy/compose.yaml" --profile monitoring config -q
echo "compose.yaml: whole, with monitoring and without"
