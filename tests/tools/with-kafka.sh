#!/usr/bin/env bash
# with-kafka.sh COMMAND…: runs COMMAND with a fresh Kafka broker on a free loopback port and always stops the broker,
# also on ^C, TERM or when this script itself is killed. Its exit code is COMMAND's. COMMAND sees
#   PULSELAKE_TEST_KAFKA      127.0.0.1:PORT
#   PULSELAKE_TEST_KAFKA_DIR  the broker's directory (kafka.log, kafka.pid), for tests that stop and start it
#   PULSELAKE_TEST_PYTHON     a Python with PyIceberg, DuckDB, confluent_kafka and Playwright
#   PULSELAKE_TEST_CHROMIUM   the browser of the pages' tests
#   PULSELAKE_TEST_TOOLS      the directory of these scripts
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$TOOLS/services.sh"
. "$TOOLS/beside.sh"

[ $# -ge 1 ] || die "usage: with-kafka.sh COMMAND…"
[ -x "$TEST_PYTHON" ] || die "the test tools are not set up: run tests/tools/setup.sh first"

stop_services() { "$TOOLS/kafka-down.sh" "$dir"; }
begin kafka

started=
for _ in 1 2 3; do
    port=$(free_port)
    if "$TOOLS/kafka-up.sh" "$port" "$dir" >/dev/null; then
        started=yes
        break
    fi
    rm -rf "$dir/logs"
done
[ -n "$started" ] || die "the Kafka broker did not start in three tries: see above"
say "Kafka answers on 127.0.0.1:$port"

export PULSELAKE_TEST_KAFKA=127.0.0.1:$port PULSELAKE_TEST_KAFKA_DIR=$dir
run_beside "$@"
