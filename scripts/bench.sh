#!/usr/bin/env bash
# Measures Kith beside its peers and beside the bare parts, on this machine, and prints tables (docs/performance.md says
# what they mean). For figures the machine should be quiet.
# Needs what scripts/test.sh needs, nginx, and for the scenario ejabberd Debian's package of that name; all servers are
# private, on free ports and in a temporary folder.
#   scripts/bench.sh                     everything
#   scripts/bench.sh gateway kith        only these: gateway reads writes presence credentials ejabberd kith growth
#   scripts/bench.sh --rounds 9 reads    more turns of each side (5); --seconds N, --accounts N likewise
#   scripts/bench.sh --smoke             everything shortly, on debug binaries, to see that it runs
# KITH_BENCH_PROFILE=debug measures what `cargo build --workspace` has built; else the release build is made first.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/servers.sh

for argument in "$@"; do
    [ "$argument" = --smoke ] && KITH_BENCH_PROFILE=debug
done
profile=${KITH_BENCH_PROFILE:-release}

# Thousands of sockets, and their other ends.
ulimit -n "$(ulimit -Hn)"

need_commands cargo cc
need_server postgres postgresql
need_server redis-server redis-server
need_server setpriv util-linux
need_server nginx nginx
# The scenario ejabberd is left out, and says so, where this is not to be had.
dpkg -s ejabberd erlang-p1-pgsql >/dev/null 2>&1 || { need_package ejabberd && need_package erlang-p1-pgsql; } 2>/dev/null || true

# --all-features: as scripts/test.sh builds them. It is the same code: features only add to what tests use.
if [ "$profile" = debug ]; then
    cargo build --workspace --all-features --quiet
else
    cargo build --release --workspace --quiet
fi

folder=$(mktemp -d)
# PostgreSQL runs as a user of its own where this is root.
chmod 711 "$folder"
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
"target/$profile/bench" --binaries "$PWD/target/$profile" --folder "$folder" "$@"
