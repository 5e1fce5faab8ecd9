#!/usr/bin/env bash
# debezium-up.sh DIR KAFKA [KEY=VALUE…]: starts a Kafka Connect worker with Debezium's connector for PostgreSQL on a free loopback
# port with all its files in DIR, prints the URL of its REST interface (also in DIR/debezium.url; the pid is in DIR/debezium.pid). It
# runs no connector until one is registered there. KAFKA is host:port of the broker, where the worker keeps connectors and their
# positions in topics named after DIR: started again in the same DIR it has the same port and goes on where it was, after
# kill -9 with repeated deliveries. JSON without schemas, where a connector does not say otherwise.
# KEY=VALUE are further properties of the worker. PULSELAKE_TEST_DEBEZIUM_HEAP (default 256m). Ready in about 5 s.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$TOOLS/services.sh"

[ $# -ge 2 ] || die "usage: debezium-up.sh DIR KAFKA [KEY=VALUE…]"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
kafka=$2
shift 2
[ -d "$DEBEZIUM_JARS" ] || die "no Debezium in $TEST_CACHE: run tests/tools/setup.sh first"
for property in "$@"; do
    case $property in *=*) ;; *) die "'$property' is not KEY=VALUE" ;; esac
done

# The broker serves other tests and other workers.
group=connect-$(printf '%s' "$dir" | cksum | tr ' ' '-')
write_properties() { # write_properties PORT
    cat <<PROPERTIES
bootstrap.servers=$kafka
group.id=$group
config.storage.topic=$group-configs
offset.storage.topic=$group-offsets
offset.storage.partitions=1
status.storage.topic=$group-status
status.storage.partitions=1
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
offset.flush.interval.ms=1000
scheduled.rebalance.max.delay.ms=0
# One that was killed is out of the group before the next one asks to join.
session.timeout.ms=6000
heartbeat.interval.ms=1000
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable=false
value.converter.schemas.enable=false
plugin.discovery=service_load
listeners=http://127.0.0.1:$1
PROPERTIES
    shift
    [ $# -eq 0 ] || printf '%s\n' "$@"
}

# 200 only when the worker has joined its group and knows its connectors.
is_ready() (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf 'GET /health HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' >&3
    read -r -t 10 _ status _ <&3
    [ "$status" = 200 ]
) 2>/dev/null
url() { echo "http://127.0.0.1:$1"; }
# The file has to name the port that start has chosen.
# shellcheck disable=SC2016
run='printf "%s\n" "$1" >worker.properties && shift && exec "$@"'

start "$dir" debezium 90 bash -c "$run" debezium "$(write_properties '{port}' "$@")" java -Xmx"${PULSELAKE_TEST_DEBEZIUM_HEAP:-256m}" \
    -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Djava.awt.headless=true -cp "$TOOLS/kafka:$DEBEZIUM_JARS/*" \
    org.apache.kafka.connect.cli.ConnectDistributed worker.properties
