# Sourced by scripts: finds or installs what they need and starts private servers.

step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 1
}

need_commands() {
    for command in "$@"; do
        command -v "$command" >/dev/null || fail "$command is missing: install Rust (https://rustup.rs) and a C compiler"
    done
}

# Folders where Debian keeps servers that are not on everyone's PATH.
for bin in /usr/lib/postgresql/*/bin /usr/sbin; do
    [ -d "$bin" ] && PATH="$PATH:$bin"
done
export PATH

# need_server COMMAND PACKAGE: installs Debian's package where this user may.
need_server() {
    complete "$1" && return
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        step "Installing $2"
        need_package "$2" || true
        local bin
        for bin in /usr/lib/postgresql/*/bin; do PATH="$PATH:$bin"; done
    fi
    complete "$1" || fail "$1 is missing: install Debian's package $2 (apt-get install $2)"
}

# PostgreSQL counts only with its initdb beside it.
complete() {
    command -v "$1" >/dev/null && { [ "$1" != postgres ] || command -v initdb >/dev/null; }
}

# need_venv FOLDER CHECK PACKAGE...: packages from PyPI, in a Python environment of their own; CHECK is Python that fails
# without them.
need_venv() {
    local folder=$1 check=$2
    shift 2
    "$folder/bin/python3" -c "$check" 2>/dev/null && return
    step "Installing $1 from PyPI"
    command -v python3 >/dev/null || need_server python3 python3
    rm -rf "$folder"
    # Debian has venv in a package of its own.
    python3 -m venv "$folder" 2>/dev/null || { need_package python3-venv && python3 -m venv "$folder"; } ||
        fail "python3 -m venv does not work: install Debian's package python3-venv"
    "$folder/bin/pip" install --quiet "$@" || fail "$1 could not be installed from PyPI"
}

# moto's S3 server, below target/.
need_moto() {
    moto="$PWD/target/moto"
    need_venv "$moto" "import moto.server" 'moto[server]>=5,<6'
}

# schemathesis, below target/; in its pinned version, for a seed means nothing in another one.
need_schemathesis() {
    local pins
    schemathesis="$PWD/target/schemathesis"
    mapfile -t pins < <(grep '^[^#]' scripts/fuzz/requirements.txt)
    need_venv "$schemathesis" "from importlib.metadata import version
for pin in '${pins[*]}'.split():
    name, _, wanted = pin.partition('==')
    assert version(name) == wanted" "${pins[@]}"
}

# OpenSSL's headers, for TLS to PostgreSQL (the feature postgres-tls, which --all-features turns on).
need_openssl() {
    pkg-config --exists openssl 2>/dev/null && return
    step "Installing libssl-dev"
    need_package pkg-config && need_package libssl-dev || fail "OpenSSL's headers are missing: install Debian's packages pkg-config and libssl-dev"
}

need_package() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    # Nothing but the package and what it needs, and nobody is asked.
    local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1")
    { "${install[@]}" || { apt-get update -qq && "${install[@]}"; }; } >/dev/null
}

free_port() {
    # A port that the kernel gives to nobody else meanwhile is not to be had in shell; this one was free just now.
    local port
    # Below the range that the kernel takes clients' ports from.
    while port=$((5000 + RANDOM % 4000)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}

stop_servers() {
    [ -n "${pg_pid:-}" ] && kill -INT "$pg_pid" 2>/dev/null
    [ -n "${redis_pid:-}" ] && kill "$redis_pid" 2>/dev/null
    [ -n "${moto_pid:-}" ] && kill "$moto_pid" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$servers"
}

# Starts all and exports KITH_TEST_POSTGRES_URL, KITH_TEST_REDIS_URL and KITH_TEST_S3_URL; they end with the script.
start_servers() {
    servers=$(mktemp -d)
    trap stop_servers EXIT
    trap 'exit 130' INT TERM
    mkdir "$servers/pg" "$servers/redis"
    # PostgreSQL refuses root.
    local as=()
    if [ "$(id -u)" = 0 ]; then
        id postgres >/dev/null 2>&1 || fail "PostgreSQL needs a user postgres (root may not run it)"
        as=(setpriv --reuid=postgres --regid=postgres --init-groups)
        chown postgres "$servers/pg"
        chmod 711 "$servers"
    fi
    local pg_port redis_port moto_port
    pg_port=$(free_port)
    redis_port=$(free_port)
    moto_port=$(free_port)
    (cd "$servers" && "${as[@]}" initdb -D "$servers/pg" -U postgres -A trust -E UTF8 --locale=C.UTF-8 >"$servers/initdb.log" 2>&1) ||
        { cat "$servers/initdb.log" >&2; fail "initdb failed"; }
    # Transactions that fight on purpose cost each other a deadlock_timeout a time, and are to end in seconds.
    # exec: the process that is stopped at the end is the server, not a shell around it.
    (cd "$servers/pg" && exec "${as[@]}" postgres -D "$servers/pg" -p "$pg_port" -c listen_addresses=127.0.0.1 -c "unix_socket_directories=" \
        -c max_connections=500 -c shared_buffers=64MB -c deadlock_timeout=100ms >"$servers/pg.log" 2>&1) &
    pg_pid=$!
    (cd "$servers/redis" && exec redis-server --port "$redis_port" --bind 127.0.0.1 --save "" >"$servers/redis.log" 2>&1) &
    redis_pid=$!
    (cd "$servers" && exec "$moto/bin/python3" -m moto.server -H 127.0.0.1 -p "$moto_port" >"$servers/moto.log" 2>&1) &
    moto_pid=$!
    for _ in $(seq 200); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$redis_port") 2>/dev/null && pg_isready -q -h 127.0.0.1 -p "$pg_port" &&
            (exec 3<>"/dev/tcp/127.0.0.1/$moto_port") 2>/dev/null; then
            export KITH_TEST_POSTGRES_URL="postgres://postgres@127.0.0.1:$pg_port/postgres"
            export KITH_TEST_REDIS_URL="redis://127.0.0.1:$redis_port"
            export KITH_TEST_S3_URL="http://127.0.0.1:$moto_port"
            return
        fi
        sleep 0.1
    done
    cat "$servers/pg.log" "$servers/redis.log" "$servers/moto.log" >&2
    fail "the servers did not start"
}
