#!/usr/bin/env bash
# rest-catalog-up.sh DIR [KEY=VALUE…]: starts Iceberg's reference REST catalog on a free loopback port with all its files in DIR,
# prints its URL (also in DIR/rest.url; the pid is in DIR/rest.pid). Started again in the same DIR it has the same port and tables.
#   s3=URL bucket=NAME     the warehouse is s3://NAME/warehouse at that server (s3-up.sh) instead of DIR/warehouse
#   uri=jdbc:postgresql:…  tables are kept there (postgres-up.sh, in postgres.jdbc) instead of in DIR/catalog.db
#   catalog=NAME           the catalog's name in that database: uri=jdbc:sqlite:FILE catalog=NAME serves what another program made
#   credential=ID:SECRET, token=TOKEN, token-seconds=N, prefix=P, name=N, vend=true: see rest-catalog/…/CatalogServer.java
# Any other KEY=VALUE is a property of the catalog. PULSELAKE_TEST_REST_HEAP (default 256m).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$TOOLS/services.sh"

[ $# -ge 1 ] || die "usage: rest-catalog-up.sh DIR [KEY=VALUE…]"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift
[ -d "$REST_CLASSES" ] && [ -d "$REST_JARS" ] || die "no REST catalog in $TEST_CACHE: run tests/tools/setup.sh first"

s3='' bucket='' options=()
database="jdbc:sqlite:$dir/catalog.db?journal_mode=WAL&busy_timeout=30000" clients=1
for option in "$@"; do
    case $option in
    s3=*) s3=${option#*=} ;;
    bucket=*) bucket=${option#*=} ;;
    uri=jdbc:sqlite:*) database=${option#*=} ;;
    uri=*) database=${option#*=} clients=8 ;;
    *=*) options+=("$option") ;;
    *) die "'$option' is not KEY=VALUE" ;;
    esac
done
if [ -n "$s3" ]; then
    [ -n "$bucket" ] || die "s3=$s3 needs a bucket=NAME"
    store=("warehouse=s3://$bucket/warehouse" io-impl=org.apache.iceberg.aws.s3.S3FileIO "s3.endpoint=$s3" s3.path-style-access=true
        s3.access-key-id=test s3.secret-access-key=testtest client.region=us-east-1)
else
    store=("warehouse=file://$dir/warehouse" io-impl=org.apache.iceberg.rest.LocalFiles)
fi

is_ready() { grep -qsx "READY $1" "$dir/rest.log"; }
url() { echo "http://127.0.0.1:$1"; }

# Without nodelay each answer to a connection that stays open comes 40 ms late.
start "$dir" rest 60 java -Xmx"${PULSELAKE_TEST_REST_HEAP:-256m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto \
    -Dsun.net.httpserver.nodelay=true -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$REST_CLASSES:$REST_JARS/*" \
    org.apache.iceberg.rest.CatalogServer '{port}' "uri=$database" "clients=$clients" "${store[@]}" ${options[@]+"${options[@]}"}
