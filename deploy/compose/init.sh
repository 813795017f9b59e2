#!/usr/bin/env bash
# Secrets of docker-compose.yml, in the volume `secrets`. Run by `docker compose run --rm init COMMAND`:
#   make           makes those that are missing (each `docker compose up` does)
#   show           prints what app servers need
#   rotate NAME    a new one; the one so far counts as well      NAME: app-secret, auth-token, token-key
#   retire NAME    the one so far counts no longer
# After rotate and retire the services must start anew; docs/runbook.md says in which order.
set -euo pipefail
# Another folder only where it is checked (scripts/check-manifests.sh).
cd "${KITH_SECRETS:-/secrets}"

KITH=10001
# postgres and redis have the same number in their images.
SERVER=999

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 1
}

# At most 32 characters, what an app's secret may have; 160 bits and more.
random() { head -c 600 /dev/urandom | LC_ALL=C tr -dc 'a-zA-Z0-9' | head -c 32; }

# put OWNER FILE TEXT: whole or not at all, and never readable by others.
put() {
    (umask 277 && printf '%s\n' "$3" >"$2.new")
    chown "$1:$1" "$2.new"
    mv -f "$2.new" "$2"
}

# make_one OWNER FILE [TEXT]
make_one() {
    [ -e "$2" ] || put "$1" "$2" "${3:-$(random)}"
}

make() {
    mkdir -p kith postgres redis
    for name in app-secret app-secret-previous auth-token auth-token-previous gateway-token internal-token; do
        make_one $KITH "kith/$name"
    done
    # One signs and both verify, so that the other is known everywhere before it signs.
    make_one $KITH kith/token-key-a
    make_one $KITH kith/token-key-b
    make_one $KITH kith/signing-kid a

    make_one $SERVER postgres/superuser
    for service in im_auth terminal_user groups friends; do
        make_one $SERVER "postgres/$service"
        make_one $KITH "kith/$service-database-url" \
            "postgres://$service:$(<"postgres/$service")@postgres/$service"
    done

    make_one $SERVER redis/password
    make_one $SERVER redis/redis.conf "requirepass $(<redis/password)"
    make_one $KITH kith/state-url "redis://:$(<redis/password)@redis:6379"

    chown $KITH:$KITH kith
    chown $SERVER:$SERVER postgres redis
    chmod 500 kith postgres redis
}

show() {
    printf 'app secret (document 002):      %s\n' "$(<kith/app-secret)"
    printf 'app auth_token (document 004):  %s\n' "$(<kith/auth-token)"
    printf 'PostgreSQL, user postgres:      %s\n' "$(<postgres/superuser)"
    printf 'Redis:                          %s\n' "$(<redis/password)"
}

other_key() { [ "$(<kith/signing-kid)" = a ] && echo b || echo a; }

rotate() {
    case $1 in
        app-secret | auth-token)
            put $KITH "kith/$1-previous" "$(<"kith/$1")"
            put $KITH "kith/$1" "$(random)"
            ;;
        token-key) put $KITH kith/signing-kid "$(other_key)" ;;
        *) fail "$1: none of app-secret, auth-token, token-key" ;;
    esac
}

retire() {
    case $1 in
        app-secret | auth-token) put $KITH "kith/$1-previous" "$(random)" ;;
        # Tokens that it signed are dead from then on: only after im_auth.token.days.
        token-key) put $KITH "kith/token-key-$(other_key)" "$(random)" ;;
        *) fail "$1: none of app-secret, auth-token, token-key" ;;
    esac
}

# Whatever comes first finds all of them.
make
case ${1:-} in
    make) ;;
    show) show ;;
    rotate | retire) "$1" "${2:-}" ;;
    *) fail "usage: init make | show | rotate NAME | retire NAME" ;;
esac
