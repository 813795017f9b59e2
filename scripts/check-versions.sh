#!/usr/bin/env bash
# Versions and features of external crates stand in the workspace manifest only; members choose only features of
# service-kit. Otherwise `-p` and `--workspace` builds rebuild each other's dependencies.
set -euo pipefail
cd "$(dirname "$0")/.."
status=0
for manifest in */Cargo.toml; do
    bad=$(awk '
        /^\[/ { deps = ($0 ~ /dependencies\]$/) }
        deps && /=/ && !/workspace *= *true/ { print }
        deps && /features/ && !/^service-kit/ { print }
    ' "$manifest")
    if [ -n "$bad" ]; then
        printf '%s: versions and features belong in the workspace manifest:\n%s\n' "$manifest" "$bad" >&2
        status=1
    fi
done
exit $status
