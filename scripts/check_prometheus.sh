#!/bin/sh
# Prometheus itself reads the scrape configuration, the rules and the dashboard's expressions, and tries the rules.
set -eu
cd "$(dirname "$0")/.."
. scripts/check_requires.sh
requires promtool promtool prometheus

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
.venv/bin/python scripts/dashboard_rules.py >"$folder/dashboard.yml"
cd deploy/prometheus
promtool check config --syntax-only prometheus.yml
promtool check rules rules.yml "$folder/dashboard.yml"
promtool test rules rules_test.yml
