#!/usr/bin/env bash
# All checks and tests, on both stacks: SQLite + in-memory state, and PostgreSQL + Redis.
# Needs Rust, a C compiler and Python 3. PostgreSQL, Redis, Chromium and OpenSSL's headers are found, or installed from
# Debian's packages where that is allowed, moto (an S3 server) and schemathesis from PyPI; all servers are
# started privately on free ports in a temporary folder.
#   scripts/test.sh            everything
#   scripts/test.sh NAME...    only tests whose names contain NAME, on both stacks; no format or lint checks
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/servers.sh

# Tests open thousands of sockets.
ulimit -n "$(ulimit -Hn)"

need_commands cargo cc
need_server postgres postgresql
need_server redis-server redis-server
need_server setpriv util-linux
need_server setsid util-linux
need_server curl curl
need_server chromium chromium
need_server chromedriver chromium-driver
need_openssl
# pip takes a minute, in which code can be built.
(need_moto && need_schemathesis) &
from_pypi=$!

if [ $# -eq 0 ]; then
    step "Format and lints"
    cargo fmt --all --check
    cargo clippy --workspace --all-features --all-targets --quiet -- -D warnings
    scripts/check-versions.sh
fi

step "Build"
export RUST_BACKTRACE=0
# Also the binaries that the tests start.
cargo build --workspace --all-features --quiet
cargo test --workspace --all-features --no-run --quiet

step "Servers"
wait "$from_pypi" || fail "see above"
need_moto
need_schemathesis
start_servers

if [ $# -eq 0 ]; then
    scripts/check-manifests.sh
fi

# Many tests wait, for time to pass or what they broke to heal: one thread more than there usually are cores.
export RUST_TEST_THREADS=3
step "Tests on SQLite and in-memory state"
KITH_TEST_STACK=sqlite cargo test --workspace --all-features --quiet -- "$@"

step "API tests on PostgreSQL and Redis"
KITH_TEST_STACK=postgres cargo test --workspace --all-features --quiet --test api -- "$@"

if [ $# -eq 0 ]; then
    # Not timed and not judged: only that every scenario still runs. Without ejabberd, which now and then resets
    # connections on a machine that is still busy with it: scripts/bench.sh --smoke ejabberd.
    step "Smoke run of the benchmarks"
    scripts/bench.sh --smoke gateway reads writes presence credentials kith growth \
        >"$servers/bench.log" 2>&1 || { cat "$servers/bench.log" >&2; fail "the benchmarks do not run"; }
    step "Faults, a few of them"
    scripts/faults.sh --rounds 6
    # Always the same examples: what only others show is for the long runs, whose seeds differ.
    step "Contract fuzzing, shortly"
    scripts/fuzz-api.sh --short --seed 8 >"$servers/fuzz.log" 2>&1 || { cat "$servers/fuzz.log" >&2; fail "contract fuzzing"; }
    tail -n 10 "$servers/fuzz.log"
fi

step "All passed"
