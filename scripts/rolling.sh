#!/usr/bin/env bash
# Two replicas of every service and of the gateway, the gateways behind nginx, on PostgreSQL and Redis, under load:
#   restart   each process gets SIGTERM and is started again, one after another, on a schema one migration ahead of the
#             code: no call may fail, no socket may close without 1001
#   rotate    a new token key, app secret and auth_token with overlap: no call may fail
# All of it, or one: scripts/rolling.sh [restart|rotate]. Takes about five minutes.
# Needs the debug build (cargo build --workspace --all-features), PostgreSQL, Redis, nginx and Python 3.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/servers.sh

ulimit -n "$(ulimit -Hn)"
need_server postgres postgresql
need_server redis-server redis-server
need_server nginx nginx
need_moto

start_servers
for service in im_auth terminal_user groups friends; do
    psql -q -d "$KITH_TEST_POSTGRES_URL" -c "CREATE DATABASE $service"
done
python3 scripts/lib/rolling.py "$servers" "${@:-all}"
step "All passed"
