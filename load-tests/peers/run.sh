#!/usr/bin/env bash
# run.sh [OPTION…]: Pulselake, Spark Structured Streaming and Flink at the same work, one after the other, beside a Kafka broker that is
# started for it and stopped at the end; see README.md here. The Pulselake program has to be built: `make peers` does it.
# Prints one JSON object, and on standard error what is under way and a table. --help lists the options.
set -euo pipefail
PEERS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$PEERS/../.." && pwd)
. "$root/tests/tools/lib.sh"
. "$root/tests/tools/fetch.sh"
. "$PEERS/fetch.sh"

# Asking for help needs nothing but a Python.
case " $* " in *" --help "* | *" -h "*) exec python3 "$PEERS/options.py" --help ;; esac

"$root/tests/tools/setup.sh" >&2
# Says what is wrong with the options, or which program is missing, before anything is fetched.
engines=$("$TEST_PYTHON" "$PEERS/options.py" "$@")

fetch() { # fetch NAME FUNCTION
    ("$2") || die "$1 can't be had: see above; '--only' names the engines to compare without it"
}
lock_cache
case " $engines " in *' spark '*) fetch Spark fetch_spark_peer ;; esac
case " $engines " in *' flink '*) fetch Flink fetch_flink_peer ;; esac
unlock_cache

export PEERS_SPARK_PYTHON=$SPARK/bin/python PEERS_SPARK_JARS=$SPARK_PEER_JARS
export PEERS_FLINK_CLASS_PATH="$PEERS/flink:$FLINK_PEER_CLASSES:$FLINK_LIBRARIES/*:$FLINK_PEER_JARS/*"
# A broker under load, compiled well; the tests have one that starts quickly.
export PULSELAKE_TEST_KAFKA_JVM=${PULSELAKE_TEST_KAFKA_JVM:--XX:+UseG1GC}
exec "$root/tests/tools/with-kafka.sh" "$TEST_PYTHON" "$PEERS/compare_peers.py" "$@"
