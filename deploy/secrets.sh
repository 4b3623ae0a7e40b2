#!/bin/sh
# Writes random tokens and passwords for compose.yaml: once, never over what is there.
set -eu
cd "$(dirname "$0")"

random() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

if [ -e .env ] || [ -e secrets ]; then
  echo "deploy/.env or deploy/secrets is there already; remove both for new ones (a database keeps its password)." >&2
  exit 1
fi

umask 077
metrics_token=$(random)
mkdir secrets
printf 'QT_ADMIN_TOKEN=%s\nQT_METRICS_TOKEN=%s\n' "$(random)" "$metrics_token" >secrets/quantum_trader.env
# Prometheus runs as another user in its container; the folder keeps others out on this machine.
printf '%s' "$metrics_token" >secrets/metrics_token
chmod 644 secrets/metrics_token
printf 'POSTGRES_PASSWORD=%s\nGRAFANA_PASSWORD=%s\n' "$(random)" "$(random)" >.env
echo "Wrote deploy/.env and deploy/secrets. The admin token: docker exec quantum_backend qt token"
