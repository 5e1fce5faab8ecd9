#!/usr/bin/env bash
# kafka-down.sh DIR: stops the broker that kafka-up.sh started in DIR (TERM, after 20 s KILL). Fine to call twice.
set -uo pipefail
[ $# -eq 1 ] || {
    echo "usage: kafka-down.sh DIR" >&2
    exit 2
}
pid_file=$1/kafka.pid
[ -s "$pid_file" ] || exit 0
pid=$(cat "$pid_file")
kill "$pid" 2>/dev/null
for _ in $(seq 200); do
    if ! kill -0 "$pid" 2>/dev/null; then
        rm -f "$pid_file"
        echo "stopped the Kafka broker $pid"
        exit 0
    fi
    sleep 0.1
done
kill -9 "$pid" 2>/dev/null
rm -f "$pid_file"
echo "killed the Kafka broker $pid: it did not stop within 20 s"
