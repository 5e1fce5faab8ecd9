#!/usr/bin/env bash
# spark-submit.sh URI [catalog=NAME] [KEY=VALUE…] -- [OPTION…] JOB.py [ARGUMENT…]: runs a job by spark-submit, in one process on two cores. The
# catalog is the REST catalog at URI (http://…), or the SQL catalog in a database (jdbc:sqlite:FILE); NAME (default lake) is its name in SQL,
# and in the database. KEY=VALUE are properties of the catalog (warehouse=…). Fetches Spark as spark-sql.sh does.
# PULSELAKE_TEST_SPARK_HEAP (default 1g), PULSELAKE_TEST_SPARK_CORES (default 2).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$TOOLS/fetch.sh"

[ $# -ge 3 ] || die "usage: spark-submit.sh URI [KEY=VALUE…] -- [OPTION…] JOB.py [ARGUMENT…]"
lock_cache
fetch_spark
fetch_jars "Iceberg's runtime for Spark (about 100 MB)" "$TOOLS/spark/pom.xml" "$SPARK_JARS"
unlock_cache
[ -d "$REST_JARS" ] || die "no JDBC drivers in $TEST_CACHE: run tests/tools/setup.sh first"

uri=$1 name=lake properties=()
shift
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    case $1 in
    catalog=*) name=${1#*=} ;;
    *=*) properties+=("$1") ;;
    *) die "'$1' is not KEY=VALUE" ;;
    esac
    shift
done
shift
case $uri in
jdbc:*) properties+=("type=jdbc" "jdbc.schema-version=V1" "clients=1") ;;
*) properties+=("type=rest") ;;
esac

scratch=$(mktemp -d "${TMPDIR:-/tmp}/pulselake-spark.XXXXXX")
class_path=$(printf '%s:' "$SPARK_JARS"/*.jar "$REST_JARS"/sqlite-jdbc-*.jar "$REST_JARS"/postgresql-*.jar)
cores=${PULSELAKE_TEST_SPARK_CORES:-2}
settings=(
    "spark.driver.memory=${PULSELAKE_TEST_SPARK_HEAP:-1g}"
    "spark.driver.extraClassPath=$class_path"
    spark.driver.host=127.0.0.1
    spark.driver.bindAddress=127.0.0.1
    spark.ui.enabled=false
    spark.ui.showConsoleProgress=false
    "spark.local.dir=$scratch"
    "spark.sql.warehouse.dir=$scratch/warehouse"
    "spark.sql.shuffle.partitions=$cores"
    spark.sql.extensions=org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions
    "spark.sql.catalog.$name=org.apache.iceberg.spark.SparkCatalog"
    "spark.sql.catalog.$name.uri=$uri"
    "spark.sql.catalog.$name.cache-enabled=false"
)
for property in "${properties[@]}"; do
    settings+=("spark.sql.catalog.$name.$property")
done
options=()
for setting in "${settings[@]}"; do
    options+=(--conf "$setting")
done
cat >"$scratch/log4j2.properties" <<'PROPERTIES'
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{HH:mm:ss} %p %c: %m%n%ex
PROPERTIES
# Spark takes another machine's or another user's set-up from these.
unset SPARK_HOME SPARK_CONF_DIR PYTHONPATH
export SPARK_LOCAL_IP=127.0.0.1 PYSPARK_PYTHON=$SPARK/bin/python
code=0
"$SPARK/bin/spark-submit" --master "local[$cores]" --driver-java-options "-Dlog4j2.configurationFile=$scratch/log4j2.properties" \
    "${options[@]}" "$@" || code=$?
rm -rf "$scratch"
exit "$code"
