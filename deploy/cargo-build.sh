#!/bin/sh
# Called twice in the image's build: for the dependencies, then for our code. Both must be the same command, or Cargo
# builds the dependencies again.
set -eu
[ "${CARGO_BUILD_JOBS:-0}" != 0 ] || unset CARGO_BUILD_JOBS
# OpenSSL, for TLS to PostgreSQL, is Debian's and becomes part of the binaries, so that the image needs no package. Its
# place is named because pkg-config links nothing statically out of the system's own folders.
library=$(find /usr/lib -name libssl.a | head -n 1)
export OPENSSL_STATIC=1 OPENSSL_LIB_DIR="${library%/*}" OPENSSL_INCLUDE_DIR=/usr/include
exec cargo build --locked --profile dist --features service-kit/postgres-tls \
    -p service-kit -p gateway -p svc-im-auth -p svc-terminal-user -p svc-groups -p svc-friends -p standalone
