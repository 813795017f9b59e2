#!/usr/bin/env bash
# Throws generated requests, most of them signed and about users and groups that exist, at every call of the API
# document through the gateway, and holds each answer against document and contract: see docs/reliability.md.
# Needs Python 3 and a built `kith`; schemathesis comes from PyPI into target/. The server is the run's own, on free
# ports and in a temporary folder.
#   scripts/fuzz-api.sh                              at least 20,000 examples, some minutes
#   scripts/fuzz-api.sh --short                      5,000
#   scripts/fuzz-api.sh --examples 3000 --seed 42    the seed decides which examples
#   scripts/fuzz-api.sh --stack postgres             on PostgreSQL and Redis instead of SQLite and memory
#   scripts/fuzz-api.sh --only '^/im/'               only calls whose paths match
# KITH_FUZZ_BINARY: the `kith` to test, default target/debug/kith.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/servers.sh

need_server python3 python3
need_server setpriv util-linux
need_schemathesis
if [[ " $* " == *postgres* ]]; then
    need_server postgres postgresql
    need_server psql postgresql-client
    need_server redis-server redis-server
fi
kith=$(realpath "${KITH_FUZZ_BINARY:-target/debug/kith}")
[ -x "$kith" ] || fail "$kith is not built: cargo build --workspace --all-features"

ulimit -n "$(ulimit -Hn)"
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=scripts:scripts/lib "$schemathesis/bin/python3" -m fuzz \
    --schemathesis "$schemathesis/bin/st" --kith "$kith" "$@"
