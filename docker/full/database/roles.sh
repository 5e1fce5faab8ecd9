#!/usr/bin/env bash
# A database and a role of its own for each service that keeps its state in PostgreSQL: the REST catalog, Airflow and Superset. Run once
# by PostgreSQL's image, on an empty data directory.
set -euo pipefail

for service in catalog airflow superset; do
    psql --username "$POSTGRES_USER" --dbname postgres --set ON_ERROR_STOP=1 --set service="$service" \
        --set password="$(cat "/run/secrets/${service}_password")" <<'SQL'
CREATE ROLE :"service" LOGIN PASSWORD :'password';
CREATE DATABASE :"service" OWNER :"service";
REVOKE CONNECT ON DATABASE :"service" FROM PUBLIC;
SQL
done
