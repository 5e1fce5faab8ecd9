#!/usr/bin/env bash
# kafka-up.sh PORT DIR: starts one Kafka broker (KRaft: broker and controller in one process) on 127.0.0.1:PORT, its
# controller on PORT + 1, with all its files under DIR; waits until it answers; prints its pid (also in DIR/kafka.pid).
# A DIR that was used before is started again with its topics. Topics are never created by themselves.
# PULSELAKE_TEST_KAFKA_HEAP (default 512m), PULSELAKE_TEST_KAFKA_WAIT seconds (default 90). PULSELAKE_TEST_KAFKA_JVM: flags of its
# JVM (default KAFKA_JVM of lib.sh).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ $# -eq 2 ] || die "usage: kafka-up.sh PORT DIR"
port=$1
controller_port=$((port + 1))
mkdir -p "$2"
dir=$(cd "$2" && pwd)
heap=${PULSELAKE_TEST_KAFKA_HEAP:-512m}
wait_s=${PULSELAKE_TEST_KAFKA_WAIT:-90}
# Jars alone: a directory in the class path would keep the JVM from using the archive of classes.
class_path="$KAFKA_JARS/*"
read -ra jvm <<<"${PULSELAKE_TEST_KAFKA_JVM:-$KAFKA_JVM}"
of_both=(-Dlog4j2.configurationFile="$TOOLS/kafka/log4j2.xml" -cp "$class_path")
archive=$(kafka_archive)
[ ! -f "$archive" ] || of_both+=(-XX:SharedArchiveFile="$archive")
[ -d "$KAFKA_JARS" ] || die "no Kafka in $TEST_CACHE: run tests/tools/setup.sh first"

if [ -s "$dir/kafka.pid" ] && kill -0 "$(cat "$dir/kafka.pid")" 2>/dev/null; then
    cat "$dir/kafka.pid"
    exit 0
fi

cat >"$dir/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller_port
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller_port
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=$dir/logs
auto.create.topics.enable=false
num.partitions=12
# The tests produce records of weeks ago and values of several MB.
log.retention.ms=-1
log.message.timestamp.after.max.ms=9223372036854775807
message.max.bytes=16777216
log.segment.bytes=268435456
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# Members under the new group protocol can't set these themselves: quicker than the defaults, as the tests are.
group.consumer.heartbeat.interval.ms=1000
group.consumer.min.heartbeat.interval.ms=1000
group.consumer.session.timeout.ms=6000
group.consumer.min.session.timeout.ms=6000
PROPERTIES

if [ ! -f "$dir/logs/meta.properties" ]; then
    cluster_id=$(head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d '=')
    # Split into its flags.
    # shellcheck disable=SC2086
    java $KAFKA_JVM "${of_both[@]}" kafka.tools.StorageTool \
        format -t "$cluster_id" -c "$dir/server.properties" >"$dir/format.log" 2>&1 || {
        cat "$dir/format.log" >&2
        die "Kafka could not format $dir/logs: see above"
    }
fi

# A session of its own (where setsid exists), so that ^C on the tests does not reach the broker before they have ended.
detach=$(command -v setsid || true)
$detach nohup java -Xms128m -Xmx"$heap" "${jvm[@]}" -Djava.awt.headless=true "${of_both[@]}" \
    kafka.Kafka "$dir/server.properties" >"$dir/kafka.log" 2>&1 </dev/null 9>&- &
pid=$!
echo "$pid" >"$dir/kafka.pid"

deadline=$((SECONDS + wait_s))
while [ "$SECONDS" -lt "$deadline" ]; do
    if ! kill -0 "$pid" 2>/dev/null; then
        rm -f "$dir/kafka.pid"
        tail -20 "$dir/kafka.log" >&2
        die "the Kafka broker ended while starting: its last lines are above, the whole log is $dir/kafka.log"
    fi
    if grep -qs 'Kafka Server started' "$dir/kafka.log" && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        echo "$pid"
        exit 0
    fi
    sleep 0.1
done
tail -20 "$dir/kafka.log" >&2
"$TOOLS/kafka-down.sh" "$dir" >&2
die "the Kafka broker was not ready after $wait_s s (PULSELAKE_TEST_KAFKA_WAIT): its last lines are above"
