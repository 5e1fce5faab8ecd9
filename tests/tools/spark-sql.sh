#!/usr/bin/env bash
# spark-sql.sh URI [catalog=NAME] [s3=URL] [KEY=VALUE…] -- SQL…: runs statements in Spark, in one process; prints each row as one line
# of JSON, an object. The catalog is the REST catalog at URI (http://…), or the SQL catalog in a database (jdbc:sqlite:FILE,
# jdbc:postgresql:…). It is called NAME in SQL (default lake) and is the default one; in a database it is found by that name.
# KEY=VALUE are properties of the catalog (warehouse=…, credential=…). The first time it fetches Spark (480 MB) and Iceberg's
# runtime (110 MB) into the cache. Only the long tests use it: 10 to 60 s and 1 to 2 GB of memory. PULSELAKE_TEST_SPARK_HEAP (default 1g).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$TOOLS/fetch.sh"

[ $# -ge 3 ] || die "usage: spark-sql.sh URI [s3=URL] [KEY=VALUE…] -- SQL…"
lock_cache
fetch_spark
fetch_jars "Iceberg's runtime for Spark (about 100 MB)" "$TOOLS/spark/pom.xml" "$SPARK_JARS"
unlock_cache
[ -d "$REST_JARS" ] || die "no JDBC drivers in $TEST_CACHE: run tests/tools/setup.sh first"
export SPARK_CLASS_PATH SPARK_LOCAL_IP=127.0.0.1
SPARK_CLASS_PATH=$(printf '%s:' "$SPARK_JARS"/*.jar "$REST_JARS"/sqlite-jdbc-*.jar "$REST_JARS"/postgresql-*.jar)
exec "$SPARK/bin/python" "$TOOLS/spark/run_sql.py" "$@"
