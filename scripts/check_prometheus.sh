#!/bin/sh
# Prometheus itself reads the rules and the scrape configuration, and runs the rules' unit tests.
set -eu
cd "$(dirname "$0")/.."
. scripts/check_requires.sh
requires promtool promtool prometheus

cd deploy/prometheus
promtool check config --syntax-only prometheus.yml
promtool check rules rules.yml
promtool test rules rules_test.yml
