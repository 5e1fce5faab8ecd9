# shellcheck shell=bash disable=SC2034
# Sourced by run.sh after lib.sh and fetch.sh of the test tools: fetches the peers into the test cache, with pinned versions. Maven and
# pip check what they fetch: Maven by the registry's checksums, pip by the one in flink/requirements.txt.

SPARK_PEER_JARS=$TEST_CACHE/spark-peer-$(digest "$PEERS/spark/pom.xml")
FLINK_LIBRARIES=$TEST_CACHE/flink-libraries-$(digest "$PEERS/flink/requirements.txt")
FLINK_PEER_JARS=$TEST_CACHE/flink-peer-$(digest "$PEERS/flink/pom.xml")
FLINK_PEER_CLASSES=$TEST_CACHE/flink-classes-$(digest "$PEERS"/flink/*.txt "$PEERS"/flink/*.xml "$PEERS"/flink/*.java)

fetch_spark_peer() {
    fetch_spark
    fetch_jars "Kafka's and Iceberg's parts for Spark (about 75 MB)" "$PEERS/spark/pom.xml" "$SPARK_PEER_JARS"
}

# Not every Maven registry has all of Flink's table planner; its own Python package is the whole distribution.
fetch_flink_libraries() {
    [ -d "$FLINK_LIBRARIES" ] && return
    fetch_uv
    say "fetching Flink's libraries (about 310 MB) into $FLINK_LIBRARIES"
    local part=$FLINK_LIBRARIES.part
    rm -rf "$part"
    mkdir -p "$part"
    retry "the download of Flink" "$UV_HOME/bin/python" -m pip download -q --no-deps --no-binary apache-flink-libraries --require-hashes \
        -r "$PEERS/flink/requirements.txt" -d "$part/archive" >&2
    tar xzf "$part"/archive/*.tar.gz -C "$part" --strip-components=3 --wildcards '*/deps/lib/*.jar'
    rm -rf "$part/archive"
    mv "$part" "$FLINK_LIBRARIES"
}

fetch_flink_peer() {
    fetch_flink_libraries
    fetch_jars "Kafka's and Iceberg's parts for Flink (about 115 MB)" "$PEERS/flink/pom.xml" "$FLINK_PEER_JARS"
    [ -d "$FLINK_PEER_CLASSES" ] && return
    local part=$FLINK_PEER_CLASSES.part
    rm -rf "$part"
    javac -proc:none -nowarn --release 17 -cp "$FLINK_LIBRARIES/*:$FLINK_PEER_JARS/*" -d "$part" "$PEERS"/flink/*.java 2>"$part.log" || {
        cat "$part.log" >&2
        die "the job of Flink can't be compiled: see above"
    }
    rm -f "$part.log"
    mv "$part" "$FLINK_PEER_CLASSES"
}
