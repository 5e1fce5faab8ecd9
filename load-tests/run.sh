#!/usr/bin/env bash
# run.sh SCENARIO [OPTION…]: runs pulselake-bench beside a fresh Kafka broker, or with --brokers HOST:PORT beside an
# existing one; see README.md here. Both programs have to be built: `make bench` does it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
target=${CARGO_TARGET_DIR:-target}
export PULSELAKE_BENCH_ENGINE=${PULSELAKE_BENCH_ENGINE:-$target/release/pulselake}
bench=${PULSELAKE_BENCH:-$target/release/pulselake-bench}

needs_broker=yes
case ${1:-help} in scaling | api | help | -*) needs_broker= ;; esac
for argument in "$@"; do
    case $argument in --brokers | --brokers=* | -h | --help) needs_broker= ;; esac
done
[ -n "$needs_broker" ] || exec "$bench" "$@"

"$root/tests/tools/setup.sh" >&2
# A broker under load, compiled well; the tests have one that starts quickly.
export PULSELAKE_TEST_KAFKA_JVM=${PULSELAKE_TEST_KAFKA_JVM:--XX:+UseG1GC}
exec "$root/tests/tools/with-kafka.sh" "$bench" "$@"
