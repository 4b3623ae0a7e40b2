#!/bin/sh
# systemd itself reads the unit, with this checkout in the place of the installed one, and rates its sandbox (0 to 10).
set -eu
cd "$(dirname "$0")/.."
. scripts/check_requires.sh
requires systemd systemd-analyze systemd

MOST_EXPOSURE_TIMES_TEN=20
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
sed "s#/opt/quantum-trader#$PWD#g" deploy/quantum_backend.service >"$folder/quantum_backend.service"
systemd-analyze verify --man=no "$folder/quantum_backend.service"
systemd-analyze security --offline=true --no-pager --threshold=$MOST_EXPOSURE_TIMES_TEN \
  "$folder/quantum_backend.service" >"$folder/rating" || { cat "$folder/rating" >&2; exit 1; }
tail -n 1 "$folder/rating"
