# shellcheck shell=bash disable=SC2034
# Sourced by the scripts beside it: where the test tools live, and small helpers. Sets nothing up by itself.
#
# Every directory in the cache carries a digest of what it was made from, so a changed pin makes a new directory
# and an unfinished download is never taken for a finished one.

TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TEST_CACHE=${PULSELAKE_TEST_CACHE:-$HOME/.cache/pulselake-tests}
UV_VERSION=0.13.9
VERSITYGW_VERSION=1.8.0
MOTO_VERSION=5.2.5
POSTGRES_VERSION=17.5.0
SPARK_VERSION=4.1.1
SCHEMA_REGISTRY_VERSION=2.6.13.Final

digest() { # digest FILE…: a short checksum over the files’ content
    cat -- "$@" | cksum | tr -d ' '
}

KAFKA_JARS=$TEST_CACHE/kafka-$(digest "$TOOLS/kafka/pom.xml")
# Of a broker that lives for minutes and has little to do: compiling well costs it more than it brings.
KAFKA_JVM="-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
# The broker's classes as this JVM keeps them in memory: with it a broker starts with a third of the processor time.
kafka_archive() { echo "$KAFKA_JARS/classes-$(java -version 2>&1 | cksum | tr -d ' ').jsa"; }
UV_HOME=$TEST_CACHE/uv-$UV_VERSION
GRAFANA_REQUIREMENTS=$TOOLS/../../config/grafana/requirements.txt
VENV=$TEST_CACHE/python-$(digest "$TOOLS/python-requirements.txt" "$GRAFANA_REQUIREMENTS")
TEST_PYTHON=$VENV/bin/python
REST_SOURCES=("$TOOLS"/rest-catalog/src/org/apache/iceberg/rest/*.java)
REST_JARS=$TEST_CACHE/rest-jars-$(digest "$TOOLS/rest-catalog/pom.xml")
REST_CLASSES=$TEST_CACHE/rest-classes-$(digest "$TOOLS/rest-catalog/pom.xml" "${REST_SOURCES[@]}")
VERSITYGW=$TEST_CACHE/versitygw-$VERSITYGW_VERSION/versitygw
MOTO=$TEST_CACHE/moto-$MOTO_VERSION
POSTGRES_BUNDLE=$TEST_CACHE/postgres-$POSTGRES_VERSION
TRINO_JARS=$TEST_CACHE/trino-server-$(digest "$TOOLS/trino/pom-server.xml")
TRINO_PLUGINS=$TEST_CACHE/trino-plugins-$(digest "$TOOLS/trino/pom-plugin.xml")
TRINO_CLASSES=$TEST_CACHE/trino-classes-$(digest "$TOOLS/trino/TestServer.java")
DEBEZIUM_JARS=$TEST_CACHE/debezium-$(digest "$TOOLS/debezium/pom.xml")
SCHEMA_REGISTRY=$TEST_CACHE/schema-registry-$SCHEMA_REGISTRY_VERSION
SPARK=$TEST_CACHE/spark-$SPARK_VERSION
SPARK_JARS=$TEST_CACHE/spark-jars-$(digest "$TOOLS/spark/pom.xml")
AIRFLOW=$TEST_CACHE/airflow-$(digest "$TOOLS/airflow/requirements.txt")

# The browser that the pages are tested in. PULSELAKE_TEST_CHROMIUM names one. Prints nothing if there is none.
browser() {
    local name
    for name in ${PULSELAKE_TEST_CHROMIUM:-chromium chromium-browser google-chrome-stable google-chrome}; do
        type -P "$name" && return
    done
    return 0
}

# The directory of prometheus, promtool, Alertmanager (Debian's name or its own) and amtool. PULSELAKE_TEST_PROMETHEUS_BIN names one.
# Prints nothing if there is none.
prometheus_bin() {
    local dir=${PULSELAKE_TEST_PROMETHEUS_BIN:-}
    [ -n "$dir" ] || dir=$(type -P promtool || true)
    dir=${dir%/promtool}
    [ -x "$dir/prometheus" ] && [ -x "$dir/promtool" ] && [ -x "$dir/amtool" ] || return 0
    [ -x "$dir/prometheus-alertmanager" ] || [ -x "$dir/alertmanager" ] || return 0
    echo "$dir"
}

say() { printf '%s\n' "test tools: $*" >&2; }

die() {
    say "$*"
    exit 1
}

# The S3 server that is there: versitygw or, where it couldn't be built, moto. PULSELAKE_TEST_S3_SERVER names one.
s3_server() {
    local wanted=${PULSELAKE_TEST_S3_SERVER:-}
    case $wanted in '' | versitygw | moto) ;; *) die "PULSELAKE_TEST_S3_SERVER=$wanted: versitygw or moto" ;; esac
    if [ "$wanted" != moto ] && [ -x "$VERSITYGW" ]; then
        echo versitygw
    elif [ "$wanted" != versitygw ] && [ -f "$MOTO/compiled" ]; then
        echo moto
    fi
}

# The directory of initdb and postgres: of the system, newest first, else of the bundle that setup.sh fetched.
# PULSELAKE_TEST_POSTGRES_BIN names one; 'bundle' is the bundle. Prints nothing if there is none.
postgres_bin() {
    local dir wanted=${PULSELAKE_TEST_POSTGRES_BIN:-}
    if [ -n "$wanted" ] && [ "$wanted" != bundle ]; then
        echo "$wanted"
        return
    fi
    if [ -z "$wanted" ]; then
        dir=$(command -v initdb || true)
        dir=${dir%/initdb}
        [ -n "$dir" ] || dir=$(printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin | sort -Vr | head -1)
        if [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then
            echo "$dir"
            return
        fi
    fi
    [ ! -x "$POSTGRES_BUNDLE/bin/postgres" ] || echo "$POSTGRES_BUNDLE/bin"
}
