#!/usr/bin/env bash
# schema-registry-up.sh DIR: starts a schema registry (Apicurio) on a free loopback port with all its files in DIR, prints its URL
# (also in DIR/schema-registry.url; the pid is in DIR/schema-registry.pid). Confluent's interface is at URL/apis/ccompat/v7, its own, for
# converters, at URL/apis/registry/v2. Everybody may; schemas are in memory and gone when it ends.
# PULSELAKE_TEST_SCHEMA_REGISTRY_HEAP (default 256m). Ready in about 5 s.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$TOOLS/services.sh"

[ $# -eq 1 ] || die "usage: schema-registry-up.sh DIR"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
[ -d "$SCHEMA_REGISTRY" ] || die "no schema registry in $TEST_CACHE: run tests/tools/setup.sh first"

is_ready() (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf 'GET /apis/ccompat/v7/subjects HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' >&3
    read -r -t 10 _ status _ <&3
    [ "$status" = 200 ]
) 2>/dev/null
url() { echo "http://127.0.0.1:$1"; }

start "$dir" schema-registry 60 java -Xmx"${PULSELAKE_TEST_SCHEMA_REGISTRY_HEAP:-256m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    -Xshare:auto -Dquarkus.http.host=127.0.0.1 -Dquarkus.http.port='{port}' -jar "$SCHEMA_REGISTRY"/*-runner.jar
