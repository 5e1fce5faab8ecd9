#!/usr/bin/env bash
# with-kafka.sh COMMAND…: runs COMMAND with a fresh Kafka broker on a free loopback port and always stops the broker,
# also on ^C, TERM or when this script itself is killed. Its exit code is COMMAND's. COMMAND sees
#   PULSELAKE_TEST_KAFKA      127.0.0.1:PORT
#   PULSELAKE_TEST_KAFKA_DIR  the broker's directory (kafka.log, kafka.pid), for tests that stop and start it
#   PULSELAKE_TEST_PYTHON     a Python with PyIceberg, DuckDB and confluent_kafka
#   PULSELAKE_TEST_TOOLS      the directory of these scripts
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ $# -ge 1 ] || die "usage: with-kafka.sh COMMAND…"
[ -x "$TEST_PYTHON" ] || die "the test tools are not set up: run tests/tools/setup.sh first"

in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below the range from which systems give ports to outgoing connections.
free_port() {
    local port
    for _ in $(seq 50); do
        port=$((20000 + (RANDOM % 6000) * 2))
        in_use "$port" || in_use $((port + 1)) || {
            echo "$port"
            return
        }
    done
    die "found no free port between 20000 and 32000"
}

dir=$(mktemp -d "${TMPDIR:-/tmp}/pulselake-kafka.XXXXXX")
command_pid=
cleaned_up=
# shellcheck disable=SC2329 # invoked by the trap
clean_up() {
    [ -z "$cleaned_up" ] || return 0
    cleaned_up=yes
    if [ -n "$command_pid" ] && kill -0 "$command_pid" 2>/dev/null; then
        kill -TERM -- "-$command_pid" 2>/dev/null || true
    fi
    "$TOOLS/kafka-down.sh" "$dir" >&2
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

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

# Should this script be killed without its traps running, the broker must not outlive it.
script_pid=$$
(
    trap '' INT TERM HUP
    while kill -0 "$script_pid" 2>/dev/null; do sleep 2; done
    "$TOOLS/kafka-down.sh" "$dir" >/dev/null 2>&1
    rm -rf "$dir"
) </dev/null >/dev/null 2>&1 &
disown

export PULSELAKE_TEST_KAFKA=127.0.0.1:$port PULSELAKE_TEST_KAFKA_DIR=$dir
export PULSELAKE_TEST_PYTHON=$TEST_PYTHON PULSELAKE_TEST_TOOLS=$TOOLS

# In a process group of its own, so that a signal ends the whole command; in the background, so that the traps run at once.
set -m
"$@" &
command_pid=$!
set +m
exit_code=0
wait "$command_pid" || exit_code=$?
exit "$exit_code"
