#!/usr/bin/env bash
# make-secrets.sh: makes the secrets that the compose files mount, each a random text in a file of its own under docker/secrets. What is
# there already stays, so it may be run again. The directory is closed to others; the files in it are not, because containers read them
# as users of their own. They are for trying things out on one machine: in production they come from where your secrets are kept.
set -euo pipefail
umask 022
directory=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/secrets
mkdir -p "$directory"
chmod 700 "$directory"

# keep NAME COMMAND…: puts what the command prints into the secret, without a line end, unless the secret is there.
keep() {
    local file=$directory/$1
    shift
    [ ! -s "$file" ] || return 0
    "$@" | tr -d '\n' >"$file.part"
    mv "$file.part" "$file"
}
random() { # random BYTES: letters and digits of so many random bytes
    od -An -v -tx1 -N"$1" /dev/urandom | tr -d ' \n'
}

for name in http_token action_token s3_secret_key catalog_password debezium_password source_owner_password \
    database_password airflow_password airflow_jwt_secret airflow_admin_password superset_password superset_secret_key \
    superset_admin_password grafana_admin_password; do
    keep "$name" random 24
done
# Airflow wants a key of Fernet's form, and its users' passwords as JSON.
fernet_key() { head -c 32 /dev/urandom | base64 | tr '+/' '-_'; }
users() { printf '{"admin": "%s"}' "$(cat "$directory/airflow_admin_password")"; }
keep airflow_fernet_key fernet_key
keep airflow_users users
# Where Alertmanager sends alerts to: nowhere, until you write an address of yours into each.
nowhere() { echo "http://127.0.0.1:1/$1"; }
for receiver in streaming-on-call streaming-channel data-on-call data-channel content-channel; do
    keep "$receiver" nowhere "$receiver"
done
chmod 644 "$directory"/*
echo "secrets are in $directory"
