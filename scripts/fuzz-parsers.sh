#!/usr/bin/env bash
# Feeds the readers of untrusted bytes with what libFuzzer makes from their corpora, led by coverage, on stable Rust:
# see docs/reliability.md. A finding ends its target; its input is kept, and named, for the corpus.
#   scripts/fuzz-parsers.sh                                  every target for a minute
#   scripts/fuzz-parsers.sh --minutes 5 gateway/path         so long each; targets: CRATE/fuzz/NAME
#   scripts/fuzz-parsers.sh --build                          only builds them
# KITH_FUZZ_SECONDS: the time of each target in seconds instead. KITH_FUZZ_FOUND: the folder where inputs that reached
# something new are gathered, default target/fuzz/found.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/servers.sh
need_commands cargo cc c++

seconds=${KITH_FUZZ_SECONDS:-60}
only_build=
while [ $# -gt 0 ]; do
    case $1 in
        --minutes) seconds=$((60 * $2)); shift 2 ;;
        --build) only_build=1; shift ;;
        *) break ;;
    esac
done
crates=(service-kit gateway svc-im-auth svc-friends svc-terminal-user)
targets=("$@")
if [ $# = 0 ]; then
    for crate in "${crates[@]}"; do
        for folder in "$crate"/fuzz/*/; do targets+=("$crate/$(basename "$folder")"); done
    done
fi

packages=("${crates[@]/#/--package=}")
host=$(rustc -vV | sed -n 's/^host: //p')
# What the compiler has for its own fuzzers; --target keeps it from build scripts and procedural macros.
export RUSTFLAGS="--cfg fuzzing --cfg fuzzing_libfuzzer -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
export CARGO_TARGET_DIR=target/fuzz
built=$(cargo test --quiet --profile fuzz --target "$host" --lib "${packages[@]}" \
    --features service-kit/db,service-kit/media,service-kit/rongcloud,service-kit/testkit \
    --no-run --message-format=json-render-diagnostics | python3 -c '
import json, sys
for line in sys.stdin:
    m = json.loads(line)
    if m.get("executable") and m["reason"] == "compiler-artifact":
        print(m["target"]["name"].replace("_", "-"), m["executable"])')
[ -z "$only_build" ] || exit 0

found=$(realpath -m "${KITH_FUZZ_FOUND:-target/fuzz/found}")
failed=0
for target in "${targets[@]}"; do
    crate=${target%%/*} name=${target#*/}
    corpus=$(realpath -e "$crate/fuzz/$name" 2>/dev/null) || fail "there is no $crate/fuzz/$name"
    binary=$(sed -n "s/^$crate //p" <<<"$built")
    test=$("$binary" --list 2>/dev/null | sed -n "s/^\(.*::fuzz::$name\): test$/\1/p")
    gathered=$found/$target
    log=$gathered.log
    mkdir -p "$gathered"
    status=0
    arguments=("$gathered" "$corpus" "-max_total_time=$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=2048
        -print_final_stats=1 "-artifact_prefix=$gathered.failing-")
    # In its crate's folder, as cargo would start it.
    (cd "$crate" && BOLERO_LIBTEST_HARNESS=1 BOLERO_LIBFUZZER_ARGS="${arguments[*]}" \
        "$binary" "$test" --exact --nocapture --test-threads 1) >"$log" 2>&1 || status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "$target: ${runs:-0} executions, $(ls "$gathered" | wc -l) new inputs kept"
    if [ "$status" != 0 ]; then
        failed=1
        echo "FOUND: $target: $log, $(ls -d "$gathered".failing-* 2>/dev/null | tr '\n' ' ')" >&2
    fi
done
exit "$failed"
