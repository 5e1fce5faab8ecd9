#!/usr/bin/env bash
# postgres-up.sh DIR [NAME=VALUE…]: starts PostgreSQL on a free loopback port with all its files in DIR, prints its URL (also in
# DIR/postgres.url, for JDBC in DIR/postgres.jdbc; the pid is in DIR/postgres.pid). Superuser postgres, no password, database
# postgres. NAME=VALUE are settings of the server: wal_level=logical for change data capture.
# Started again in the same DIR it has the same port and data.
# PostgreSQL refuses to run as root: for root it runs as the user postgres or, where there is none, nobody.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$TOOLS/services.sh"

[ $# -ge 1 ] || die "usage: postgres-up.sh DIR [NAME=VALUE…]"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift
settings=()
for setting in "$@"; do
    case $setting in *=*) settings+=(-c "$setting") ;; *) die "'$setting' is not NAME=VALUE" ;; esac
done
bin=$(postgres_bin)
[ -n "$bin" ] || die "no PostgreSQL in PATH, /usr/lib/postgresql or $TEST_CACHE: run tests/tools/setup.sh first"
data=$dir/data

as_user=()
if [ "$(id -u)" -eq 0 ]; then
    command -v setpriv >/dev/null || die "'setpriv' was not found: install util-linux (PostgreSQL can't run as root)"
    user=nobody
    ! id postgres >/dev/null 2>&1 || user=postgres
    as_user=(setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups --)
    mkdir -p "$data"
    chown "$user" "$data"
    # mktemp -d makes directories that only root may enter.
    chmod o+x "$dir"
    "${as_user[@]}" test -x "$data" ||
        die "root starts PostgreSQL as the user $user, who can't enter $dir: choose a directory that others may reach"
    if ! "${as_user[@]}" test -x "$bin/postgres"; then
        [ "$bin" = "$POSTGRES_BUNDLE/bin" ] || die "the user $user may not run $bin/postgres"
        # The cache is in root's home, as a rule, where nobody else may read.
        [ -d "$dir/program" ] || { cp -R "$POSTGRES_BUNDLE" "$dir/program.part" && mv "$dir/program.part" "$dir/program"; }
        bin=$dir/program/bin
    fi
fi

if [ ! -e "$dir/initdb.complete" ]; then
    find "$data" -mindepth 1 -delete 2>/dev/null || true
    (cd "$dir" && ${as_user[@]+"${as_user[@]}"} "$bin/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C --no-sync) \
        >"$dir/initdb.log" 2>&1 || {
        tail -20 "$dir/initdb.log" >&2
        die "initdb could not make $data: see above"
    }
    touch "$dir/initdb.complete"
fi

# Its lines 1, 4 and 8 are the pid, the port and the state; it may be the one of a server that was killed.
is_ready() {
    [ "$(sed -n '1p;4p;8s/ *$//p' "$data/postmaster.pid" 2>/dev/null | tr '\n' ' ')" = "$(cat "$dir/postgres.pid") $1 ready " ]
}
url() {
    echo "jdbc:postgresql://127.0.0.1:$1/postgres?user=postgres" >"$dir/postgres.jdbc"
    echo "postgres://postgres@127.0.0.1:$1/postgres"
}

start "$dir" postgres 60 ${as_user[@]+"${as_user[@]}"} "$bin/postgres" -D "$data" -c listen_addresses=127.0.0.1 -c port='{port}' \
    -c unix_socket_directories= -c shared_buffers=32MB -c max_connections=200 -c fsync=off \
    ${settings[@]+"${settings[@]}"}
