#!/usr/bin/env bash
# trino-up.sh DIR REST_URL [s3=URL] [KEY=VALUE…]: starts Trino on a free loopback port with all its files in DIR, with the catalog 'lake' that
# is the REST catalog at REST_URL; prints its URL (also in DIR/trino.url). Tables lie in local files, or at the S3 server of s3-up.sh.
# KEY=VALUE are further properties of the catalog (iceberg.rest-catalog.prefix=…). The first time it fetches Trino (220 MB) into the
# cache. Trino needs a JDK 25: PULSELAKE_TEST_JAVA25 names its 'java'. PULSELAKE_TEST_TRINO_HEAP (default 1536m).
# trino_sql.py URL SQL… asks it (by PULSELAKE_TEST_PYTHON). Only the long tests use it: ready in 15 to 60 s, 1 GB of memory.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$TOOLS/services.sh"
. "$TOOLS/fetch.sh"

[ $# -ge 2 ] || die "usage: trino-up.sh DIR REST_URL [s3=URL] [KEY=VALUE…]"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
rest=$2
shift 2

major_of() { "$1" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -1; }
find_java25() {
    local candidate
    for candidate in "${PULSELAKE_TEST_JAVA25:-}" "$(command -v java)" /usr/lib/jvm/*/bin/java; do
        [ -x "$candidate" ] && [ "$(major_of "$candidate")" -ge 25 ] && {
            echo "$candidate"
            return
        }
    done
    die "Trino needs a JDK 25 or newer, and there is none in PATH or /usr/lib/jvm: set PULSELAKE_TEST_JAVA25 to its 'java'"
}
java=$(find_java25)

lock_cache
fetch_jars "the Trino server (about 90 MB)" "$TOOLS/trino/pom-server.xml" "$TRINO_JARS"
if [ ! -d "$TRINO_PLUGINS" ]; then
    rm -rf "$TRINO_PLUGINS.part"
    fetch_jars "Trino's Iceberg connector (about 130 MB)" "$TOOLS/trino/pom-plugin.xml" "$TRINO_PLUGINS.part/iceberg"
    # The jars in Maven don't say which class is the plugin.
    python3 - "$TRINO_PLUGINS.part/iceberg/service.jar" <<'PYTHON'
import sys, zipfile
zipfile.ZipFile(sys.argv[1], "w").writestr("META-INF/services/io.trino.spi.Plugin", "io.trino.plugin.iceberg.IcebergPlugin\n")
PYTHON
    mv "$TRINO_PLUGINS.part" "$TRINO_PLUGINS"
fi
if [ ! -d "$TRINO_CLASSES" ]; then
    javac --release 17 -d "$TRINO_CLASSES.part" "$TOOLS/trino/TestServer.java" >&2
    mv "$TRINO_CLASSES.part" "$TRINO_CLASSES"
fi
unlock_cache

mkdir -p "$dir/etc/catalog" "$dir/data"
port_file=$dir/trino.port
[ -s "$port_file" ] || free_port >"$port_file"
port=$(cat "$port_file")
cat >"$dir/etc/config.properties" <<PROPERTIES
node.environment=tests
node.internal-address=127.0.0.1
node.bind-ip=127.0.0.1
coordinator=true
node-scheduler.include-coordinator=true
http-server.http.port=$port
discovery.uri=http://127.0.0.1:$port
catalog.config-dir=$dir/etc/catalog
catalog.management=static
plugin.dir=$TRINO_PLUGINS
query.max-memory-per-node=600MB
PROPERTIES
{
    echo "connector.name=iceberg"
    echo "iceberg.catalog.type=rest"
    echo "iceberg.rest-catalog.uri=$rest"
    store=$'fs.native-local.enabled=true\nlocal.location=/'
    for option in "$@"; do
        case $option in
        s3=*)
            store=$'fs.native-s3.enabled=true\ns3.region=us-east-1\ns3.path-style-access=true\ns3.aws-access-key=test\n'
            store+=$'s3.aws-secret-key=testtest\ns3.endpoint='${option#*=}
            ;;
        *) echo "$option" ;;
        esac
    done
    echo "$store"
} >"$dir/etc/catalog/lake.properties"

is_ready() { grep -qs 'SERVER STARTED' "$dir/trino.log"; }
url() { echo "http://127.0.0.1:$1"; }
start "$dir" trino 180 "$java" -Xmx"${PULSELAKE_TEST_TRINO_HEAP:-1536m}" -XX:+UseSerialGC --enable-native-access=ALL-UNNAMED \
    --sun-misc-unsafe-memory-access=allow --add-modules jdk.incubator.vector -Djdk.attach.allowAttachSelf=true \
    -Dconfig="$dir/etc/config.properties" -cp "$TRINO_CLASSES:$TRINO_JARS/*" TestServer
