#!/bin/sh
# Called twice in the image's build: for the dependencies, then for our code. Both must be the same command, or Cargo
# builds the dependencies again.
set -eu
[ "${CARGO_BUILD_JOBS:-0}" != 0 ] || unset CARGO_BUILD_JOBS
exec cargo build --locked --profile dist --features service-kit/postgres-tls \
    -p service-kit -p gateway -p svc-im-auth -p svc-terminal-user -p svc-groups -p svc-friends -p standalone
