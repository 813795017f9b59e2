#!/usr/bin/env bash
# Prints the Secrets that the overlays need, with random values where the value is ours to choose:
#
#   POSTGRES=db.example.com REDIS=redis.example.com S3_KEY_ID=… S3_SECRET=… deploy/k8s/make-secrets.sh >secrets.yaml
#   kubectl apply -f secrets.yaml     and keep the file where secrets are kept, not in git
#
# The keys are settings (README.md), so that more apps and previous values during a rotation are only more keys here.
# POSTGRES_PASSWORD_<SERVICE> (IM_AUTH, TERMINAL_USER, GROUPS, FRIENDS) and REDIS_PASSWORD take passwords that are
# given; otherwise they are random, and the roles must be made with them: see docs/runbook.md.
# Without S3_KEY_ID the pods' own rights count. POSTGRES_CA is a file with the certificate that PostgreSQL's is checked
# against; without it the connection is encrypted, but to whoever answers.
set -euo pipefail

: "${POSTGRES:?host[:port] of PostgreSQL}" "${REDIS:?host[:port] of Redis}"
namespace=${NAMESPACE:-kith}
sslmode=${POSTGRES_SSLMODE:-require}
ca=
if [ -n "${POSTGRES_CA:-}" ]; then
    sslmode='verify-full&sslrootcert=/etc/kith/postgres/ca.crt'
    ca=$(<"$POSTGRES_CA")
fi

random() { head -c 600 /dev/urandom | LC_ALL=C tr -dc 'a-zA-Z0-9' | head -c 32; }

# secret NAME KEY VALUE...
secret() {
    printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n  namespace: %s\ntype: Opaque\nstringData:\n' "$1" "$namespace"
    shift
    while [ $# -gt 0 ]; do
        printf "  %s: '%s'\n" "$1" "${2//\'/\'\'}"
        shift 2
    done
}

# database SERVICE
database() {
    local given="POSTGRES_PASSWORD_$1"
    printf 'postgres://%s:%s@%s/%s?sslmode=%s' "${1,,}" "${!given:-$(random)}" "$POSTGRES" "${1,,}" "$sslmode"
}

secret kith-internal KITH__INTERNAL__TOKEN "$(random)" KITH__GATEWAY__TOKEN "$(random)"
secret kith-apps KITH__APPS__KITH__SECRET "$(random)" KITH__APPS__KITH__AUTH_TOKEN "$(random)"
secret kith-state KITH__STATE__URL "redis://${REDIS_PASSWORD:+:$REDIS_PASSWORD@}$REDIS"
if [ -n "${S3_KEY_ID:-}" ]; then
    secret kith-media KITH__MEDIA__ACCESS_KEY_ID "$S3_KEY_ID" KITH__MEDIA__SECRET_ACCESS_KEY "${S3_SECRET:?}"
else
    secret kith-media
fi
secret kith-im-auth-secrets KITH__IM_AUTH__DATABASE_URL "$(database IM_AUTH)" \
    KITH__IM_AUTH__TOKEN__SIGNING_KID k1 KITH__IM_AUTH__TOKEN__KEYS__K1__SECRET "$(random)"
secret kith-terminal-user-secrets KITH__TERMINAL_USER__DATABASE_URL "$(database TERMINAL_USER)"
secret kith-groups-secrets KITH__GROUPS__DATABASE_URL "$(database GROUPS)"
secret kith-friends-secrets KITH__FRIENDS__DATABASE_URL "$(database FRIENDS)"
if [ -n "$ca" ]; then
    printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: kith-postgres-ca\n  namespace: %s\ntype: Opaque\nstringData:\n  ca.crt: |\n%s\n' \
        "$namespace" "$(sed 's/^/    /' <<<"$ca")"
fi
