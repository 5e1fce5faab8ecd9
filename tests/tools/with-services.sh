#!/usr/bin/env bash
# with-services.sh COMMAND…: runs COMMAND beside an S3 server, PostgreSQL and two REST catalogs, fresh ones on free loopback ports,
# and always stops them, also on ^C, TERM or when this script itself is killed. Its exit code is COMMAND's. COMMAND sees
#   PULSELAKE_TEST_S3               http://127.0.0.1:PORT: keys test / testtest, region us-east-1, path style, an empty bucket 'lake'
#   PULSELAKE_TEST_POSTGRES         postgres://postgres@127.0.0.1:PORT/postgres: no password, may make databases
#   PULSELAKE_TEST_REST             http://127.0.0.1:PORT: everybody may, no prefix, the warehouse is a local directory
#   PULSELAKE_TEST_REST_OAUTH       another one: tokens by OAuth2 (/v1/oauth/tokens), a prefix, the warehouse in the bucket 'vended',
#                                   whose keys come with each table to clients that ask for them
#   PULSELAKE_TEST_REST_CREDENTIAL  its client_id:client_secret
#   PULSELAKE_TEST_REST_WAREHOUSE   its warehouse parameter, without which it tells no configuration
#   PULSELAKE_TEST_SERVICES_DIR     s3/, postgres/, rest/ and rest-oauth/, for service-down.sh DIR and s3-up.sh DIR etc.; what a
#                                   test starts in further directories here is stopped with the others
#   PULSELAKE_TEST_PYTHON, PULSELAKE_TEST_TOOLS  as with-kafka.sh
# Goes together with with-kafka.sh: with-kafka.sh with-services.sh COMMAND…
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$TOOLS/beside.sh"

[ $# -ge 1 ] || die "usage: with-services.sh COMMAND…"
[ -d "$REST_CLASSES" ] && [ -x "$TEST_PYTHON" ] || die "the test tools are not set up: run tests/tools/setup.sh first"

starting=()
# shellcheck disable=SC2329 # invoked by clean_up
stop_services() {
    # One that is still on its way is stopped when it is there.
    [ ${#starting[@]} -eq 0 ] || wait "${starting[@]}" || true
    "$TOOLS/service-down.sh" "$dir"
}
begin services
# PostgreSQL runs as another user when root starts it.
chmod o+x "$dir"

credential=pulselake:secret-of-the-tests
warehouse=tests
start_s3_and_catalog() {
    "$TOOLS/s3-up.sh" "$dir/s3" lake vended >/dev/null
    "$TOOLS/rest-catalog-up.sh" "$dir/rest-oauth" s3="$(cat "$dir/s3/s3.url")" bucket=vended credential="$credential" \
        prefix=of/tests name="$warehouse" vend=true >/dev/null
}

# In process groups of their own: ^C reaches this script alone, which then stops what has come up.
set -m
start_s3_and_catalog &
starting+=($!)
"$TOOLS/postgres-up.sh" "$dir/postgres" >/dev/null &
starting+=($!)
"$TOOLS/rest-catalog-up.sh" "$dir/rest" >/dev/null &
starting+=($!)
set +m
for pid in "${starting[@]}"; do
    wait "$pid" || die "a service did not start: see above"
done
starting=()
say "S3, PostgreSQL and two REST catalogs answer"

PULSELAKE_TEST_S3=$(cat "$dir/s3/s3.url")
PULSELAKE_TEST_POSTGRES=$(cat "$dir/postgres/postgres.url")
PULSELAKE_TEST_REST=$(cat "$dir/rest/rest.url")
PULSELAKE_TEST_REST_OAUTH=$(cat "$dir/rest-oauth/rest.url")
export PULSELAKE_TEST_S3 PULSELAKE_TEST_POSTGRES PULSELAKE_TEST_REST PULSELAKE_TEST_REST_OAUTH
export PULSELAKE_TEST_REST_CREDENTIAL=$credential PULSELAKE_TEST_REST_WAREHOUSE=$warehouse PULSELAKE_TEST_SERVICES_DIR=$dir
run_beside "$@"
