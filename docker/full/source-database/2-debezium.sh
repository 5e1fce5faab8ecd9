#!/usr/bin/env bash
# Debezium's role: it may read the two tables and the replication stream, and change nothing. Run once by PostgreSQL's image, on an
# empty data directory.
set -euo pipefail

psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --set ON_ERROR_STOP=1 \
    --set password="$(cat /run/secrets/debezium_password)" <<'SQL'
CREATE ROLE debezium LOGIN REPLICATION PASSWORD :'password';
GRANT USAGE ON SCHEMA content, users TO debezium;
GRANT SELECT ON content.videos, users.profiles TO debezium;
SQL
