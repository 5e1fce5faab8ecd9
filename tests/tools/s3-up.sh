#!/usr/bin/env bash
# s3-up.sh DIR [BUCKET…]: starts an S3 server on a free loopback port with all its files in DIR, makes the buckets, prints its
# URL (also in DIR/s3.url; the pid is in DIR/s3.pid). Keys test / testtest, region us-east-1, path style. It is versitygw, which
# checks signatures and keeps its objects when it is started again (same DIR, same port), or else moto, which does neither.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$TOOLS/services.sh"

[ $# -ge 1 ] || die "usage: s3-up.sh DIR [BUCKET…]"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift

# A path at which only the server that was started here answers 200, not another one that took the port meanwhile.
health=/moto-api/
is_ready() (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$health" >&3
    read -r -t 5 _ status _ <&3
    [ "$status" = 200 ]
) 2>/dev/null
url() { echo "http://127.0.0.1:$1"; }

server=$(s3_server)
case $server in
versitygw)
    # A bucket is a directory of its own. --sidecar: attributes in files, whatever the file system can do.
    health=/health-of-$$
    mkdir -p "$dir/objects" "$dir/attributes"
    for bucket in "$@"; do mkdir -p "$dir/objects/$bucket"; done
    start "$dir" s3 30 "$VERSITYGW" --access test --secret testtest --region us-east-1 --port '127.0.0.1:{port}' \
        --health "$health" --quiet posix --sidecar "$dir/attributes" "$dir/objects"
    ;;
moto)
    start "$dir" s3 60 "$MOTO/bin/moto_server" -H 127.0.0.1 -p '{port}'
    "$MOTO/bin/python" - "$(cat "$dir/s3.url")" "$@" <<'PYTHON'
import sys, urllib.request
for bucket in sys.argv[2:]:
    urllib.request.urlopen(urllib.request.Request(f"{sys.argv[1]}/{bucket}", method="PUT"), timeout=30).close()
PYTHON
    ;;
*) die "no S3 server in $TEST_CACHE: run tests/tools/setup.sh first" ;;
esac
