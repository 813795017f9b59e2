#!/usr/bin/env bash
# Breaks a running Kith (gateway, two of each service, PostgreSQL, Redis) in random order in every way there is, under
# load, and checks after each fault that nothing that was answered is lost: see docs/reliability.md.
#   scripts/faults.sh                        100 rounds, some half an hour
#   scripts/faults.sh --rounds 6 --seed 42   fewer; the seed decides which faults come in which order
# KITH_FAULTS_BINARIES: a folder with the binaries, default target/debug. KITH_FAULTS_KEEP=1 keeps logs and data.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/servers.sh

need_server postgres postgresql
need_server psql postgresql-client
need_server redis-server redis-server
need_server setpriv util-linux
need_server python3 python3

binaries=$(realpath "${KITH_FAULTS_BINARIES:-target/debug}")
for binary in gateway svc-im-auth svc-terminal-user svc-groups svc-friends; do
    [ -x "$binaries/$binary" ] || fail "$binaries/$binary is not built: cargo build --workspace --all-features"
done

ulimit -n "$(ulimit -Hn)"
folder=$(mktemp -d)
finish() {
    status=$?
    # Only if the harness itself was killed is it still there.
    umount -l "$folder/disk" 2>/dev/null || true
    if [ -n "${KITH_FAULTS_KEEP:-}" ]; then echo "kept: $folder"; else rm -rf "$folder"; fi
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=scripts python3 -m faults --folder "$folder" --binaries "$binaries" "$@"
