#!/usr/bin/env bash
# Builds stand-ins for the base images of deploy/Dockerfile and docker-compose.yml, under their very names, from Debian's
# packages and this machine's Rust toolchain: for sites without an image registry. Needs root, Docker, debootstrap and a
# Debian mirror; rust also needs a toolchain here (rustup's), because Debian's own is too old.
#
#   deploy/offline/build-images.sh                      all four
#   deploy/offline/build-images.sh debian rust          some of debian, rust, postgres, redis
#
# Settings: MIRROR (http://deb.debian.org/debian), SECURITY_MIRROR, TOOLCHAIN (folder of a Rust toolchain),
# WORK (folder for unpacking, about 4 GB).
set -euo pipefail
cd "$(dirname "$0")"

SUITE=bookworm
MIRROR=${MIRROR:-http://deb.debian.org/debian}
SECURITY_MIRROR=${SECURITY_MIRROR:-http://deb.debian.org/debian-security}
RUST_VERSION=$(sed -n 's/^ARG RUST_VERSION=//p' ../Dockerfile)

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || fail "debootstrap needs root"
command -v docker >/dev/null || fail "docker is missing"
command -v debootstrap >/dev/null || apt-get install -y -qq debootstrap >/dev/null ||
    fail "debootstrap is missing: install Debian's package debootstrap"

work=$(mktemp -d "${WORK:-/var/tmp}/kith-offline.XXXXXX")
trap 'rm -rf "$work"' EXIT

step() { printf '== %s (%s s)\n' "$1" "$SECONDS"; }

# The system that all four begin with.
make_root() {
    step "debootstrap $SUITE"
    debootstrap --variant=minbase "$SUITE" "$work/root" "$MIRROR" >"$work/log" 2>&1 ||
        { tail -n 20 "$work/log" >&2; fail "debootstrap"; }
    printf '%s\n' "deb $MIRROR $SUITE main" "deb $MIRROR $SUITE-updates main" "deb $SECURITY_MIRROR $SUITE-security main" \
        >"$work/root/etc/apt/sources.list"
    # No server starts in the chroot, and no documentation comes with packages, as in the official images.
    printf '#!/bin/sh\nexit 101\n' >"$work/root/usr/sbin/policy-rc.d"
    chmod +x "$work/root/usr/sbin/policy-rc.d"
    printf '%s\n' 'path-exclude /usr/share/doc/*' 'path-exclude /usr/share/man/*' 'path-exclude /usr/share/locale/*' \
        >"$work/root/etc/dpkg/dpkg.cfg.d/kith-slim"
    echo force-unsafe-io >"$work/root/etc/dpkg/dpkg.cfg.d/kith-unpack"
    in_root "$work/root" upgrade
}

# in_root FOLDER APT-GET-ARGUMENTS...
in_root() {
    local root=$1
    shift
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    chroot "$root" sh -c 'apt-get update -qq' >"$work/log" 2>&1 &&
        DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get -y -qq --no-install-recommends "$@" >>"$work/log" 2>&1 ||
        { tail -n 20 "$work/log" >&2; fail "apt-get $*"; }
}

# image NAME PACKAGES...: a copy of the root with packages, before the caller's own changes.
image() {
    step "$1"
    root="$work/image"
    rm -rf "$root"
    cp -a "$work/root" "$root"
    shift
    [ $# = 0 ] || in_root "$root" install "$@"
}

# save NAME DOCKER-IMPORT-ARGUMENTS...
save() {
    local name=$1
    shift
    rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/* "$root"/usr/share/{doc,man,locale}/* \
        "$root/usr/sbin/policy-rc.d" "$root/etc/dpkg/dpkg.cfg.d/kith-unpack"
    : >"$root/etc/resolv.conf"
    tar -C "$root" --numeric-owner -c . | docker import "$@" - "$name" >/dev/null
    rm -rf "$root"
    printf '   %s: %s\n' "$name" "$(docker image inspect -f '{{.Size}}' "$name" | numfmt --to=iec)"
}

debian() {
    image "debian:$SUITE-slim"
    save "debian:$SUITE-slim" -c 'CMD ["bash"]'
}

rust() {
    local toolchain=${TOOLCHAIN:-}
    [ -n "$toolchain" ] || toolchain=$(rustc --print sysroot) || fail "rustc is missing; set TOOLCHAIN to the folder of a Rust toolchain"
    "$toolchain/bin/rustc" --version | grep -q "^rustc $RUST_VERSION\." ||
        fail "$toolchain is not Rust $RUST_VERSION: rustup toolchain install $RUST_VERSION, and set TOOLCHAIN"
    # What the official image has of Debian, as far as our build uses it.
    image "rust:$RUST_VERSION-$SUITE" ca-certificates gcc g++ libc6-dev libssl-dev make perl pkg-config
    # What this site trusts besides Debian's: a proxy's certificate, a mirror's.
    if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
        cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
        chroot "$root" update-ca-certificates >/dev/null 2>&1
    fi
    mkdir -p "$root/usr/local/rustup" "$root/usr/local/cargo/bin"
    cp -aL "$toolchain" "$root/usr/local/rustup/toolchain"
    rm -rf "$root/usr/local/rustup/toolchain/share" \
        "$root"/usr/local/rustup/toolchain/bin/{rust-analyzer,rust-gdb,rust-gdbgui,rust-lldb,rustdoc,*clippy*,*miri*,rls}
    ln -s ../../rustup/toolchain/bin/{cargo,rustc} "$root/usr/local/cargo/bin/"
    chmod -R go+rX "$root/usr/local"
    save "rust:$RUST_VERSION-$SUITE" -c 'ENV CARGO_HOME=/usr/local/cargo RUSTUP_HOME=/usr/local/rustup' \
        -c 'ENV PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' -c 'CMD ["bash"]'
}

# server NAME: the user of the official image, before Debian's package makes one with another number.
server_user() {
    chroot "$root" groupadd --system --gid 999 "$1"
    chroot "$root" useradd --system --uid 999 --gid "$1" --home-dir "$2" --shell /bin/bash "$1"
}

postgres() {
    image postgres:15-$SUITE
    server_user postgres /var/lib/postgresql
    in_root "$root" install postgresql-common
    # The package would make a cluster of its own.
    sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' "$root/etc/postgresql-common/createcluster.conf"
    in_root "$root" install postgresql-15
    install -D -m 755 postgres-entrypoint.sh "$root/usr/local/bin/docker-entrypoint.sh"
    # Inside: links such as /var/run would lead out of it.
    chroot "$root" install -d /docker-entrypoint-initdb.d
    chroot "$root" install -d -o postgres -g postgres -m 1777 /var/lib/postgresql/data
    chroot "$root" install -d -o postgres -g postgres -m 3777 /var/run/postgresql
    save postgres:15-$SUITE -c 'ENV PGDATA=/var/lib/postgresql/data LANG=C.UTF-8' \
        -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/15/bin' \
        -c 'VOLUME /var/lib/postgresql/data' -c 'EXPOSE 5432' \
        -c 'ENTRYPOINT ["docker-entrypoint.sh"]' -c 'CMD ["postgres"]'
}

redis() {
    image redis:7-$SUITE
    server_user redis /data
    in_root "$root" install redis-server
    install -D -m 755 redis-entrypoint.sh "$root/usr/local/bin/docker-entrypoint.sh"
    mkdir -p "$root/data"
    chroot "$root" chown redis:redis /data
    save redis:7-$SUITE -c 'VOLUME /data' -c 'WORKDIR /data' -c 'EXPOSE 6379' \
        -c 'ENTRYPOINT ["docker-entrypoint.sh"]' -c 'CMD ["redis-server"]'
}

[ $# -gt 0 ] || set -- debian rust postgres redis
for name in "$@"; do
    case $name in debian | rust | postgres | redis) ;; *) fail "$name: none of debian, rust, postgres, redis" ;; esac
done
make_root
for name in "$@"; do "$name"; done
step "done"
