#!/usr/bin/env bash
# Starts docker-compose.yml from nothing, as a project of its own on a free port, and tries it: calls of every family and
# sockets through the gateway, replicas, rotations, and the death of each container in turn. Takes it down again with its
# volumes.
#   scripts/compose-smoke.sh            all of it
#   scripts/compose-smoke.sh smoke      some of: smoke scale rotate crash
# KITH_VERSION=tag uses images that are there instead of building them; KEEP=1 leaves the project up.
# Needs Docker with docker-compose 1.29 or the plugin `docker compose`, and Python 3.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/servers.sh

if docker compose version >/dev/null 2>&1; then
    export KITH_COMPOSE="docker compose"
elif command -v docker-compose >/dev/null; then
    export KITH_COMPOSE=docker-compose
else
    fail "docker-compose or the plugin docker compose is missing"
fi
build=--build
[ -z "${KITH_VERSION:-}" ] || build=--no-build
export COMPOSE_PROJECT_NAME=kith-smoke-$$
KITH_PUBLISH=127.0.0.1:$(free_port)
export KITH_PUBLISH KITH_PUBLIC_BASE_URL=http://$KITH_PUBLISH

down() {
    [ -n "${KEEP:-}" ] && { echo "left up: project $COMPOSE_PROJECT_NAME at $KITH_PUBLISH"; return; }
    $KITH_COMPOSE down -v --remove-orphans >/dev/null 2>&1
}
trap down EXIT
trap 'exit 130' INT TERM

step "Start"
$KITH_COMPOSE up -d "$build" || { $KITH_COMPOSE logs --tail=20; fail "up"; }
python3 scripts/lib/compose_smoke.py "${@:-all}" || { $KITH_COMPOSE ps; exit 1; }
step "All passed"
