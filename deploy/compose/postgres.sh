#!/usr/bin/env bash
# One database and one role a service. Run by PostgreSQL's image at the first start, before it listens.
set -euo pipefail

for service in im_auth terminal_user groups friends; do
    psql -v ON_ERROR_STOP=1 --no-psqlrc -q -U "${POSTGRES_USER:-postgres}" -d postgres \
        -v role="$service" -v password="$(<"/secrets/postgres/$service")" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
CREATE DATABASE :"role" OWNER :"role";
REVOKE ALL ON DATABASE :"role" FROM PUBLIC;
SQL
done
psql -v ON_ERROR_STOP=1 --no-psqlrc -q -U "${POSTGRES_USER:-postgres}" -d postgres \
    -c 'REVOKE CONNECT ON DATABASE postgres FROM PUBLIC'
