#!/usr/bin/env bash
# Licences, sources and bans of every crate, known holes where the network allows, and no `unsafe` of our own.
# Installs cargo-deny, in its pinned version, below target/ (some minutes the first time).
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
tools="$PWD/target/tools"
deny="$tools/bin/cargo-deny"
if [ "$("$deny" --version 2>/dev/null)" != "cargo-deny $version" ]; then
    cargo install --quiet --locked --root "$tools" "cargo-deny@$version"
fi

"$deny" --all-features check bans licenses sources
if ! "$deny" --all-features fetch db >/dev/null 2>&1; then
    echo "warning: the advisory database could not be fetched: known holes were not looked for" >&2
else
    "$deny" --all-features --offline check advisories
fi

# The compiler enforces it; this finds a crate that does not inherit the lints, or a way around them.
grep -q '^unsafe_code = "forbid"' Cargo.toml
for manifest in */Cargo.toml; do
    awk '/^\[lints\]/ { at = 1; next } /^\[/ { at = 0 } at && /workspace *= *true/ { found = 1 } END { exit !found }' \
        "$manifest" || { echo "error: $manifest does not inherit the workspace's lints" >&2; exit 1; }
done
if grep -rnE '\bunsafe\b *(\{|fn|impl|extern)' --include='*.rs' --exclude-dir=target .; then
    echo "error: unsafe code" >&2
    exit 1
fi
