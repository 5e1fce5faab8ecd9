#!/usr/bin/env bash
# service-down.sh DIR [NAME]: stops the services that were started in DIR or in directories below it: all of them, or NAME
# (s3, rest, postgres). Asks first, kills after 20 s. Their files stay, so that they can be started again. Fine to call twice.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$TOOLS/services.sh"

[ $# -ge 1 ] && [ $# -le 2 ] || die "usage: service-down.sh DIR [NAME]"
[ -d "$1" ] || exit 0

stop() { # stop DIR NAME
    local dir=$1 name=$2 pid
    is_running "$dir" "$name" || {
        rm -f "$dir/$name.pid" "$dir/$name.started"
        return 0
    }
    pid=$(cat "$dir/$name.pid")
    # PostgreSQL would wait for its clients at TERM; at KILL its children would stay.
    local ask=TERM force=KILL
    [ "$name" != postgres ] || ask=INT force=QUIT
    kill "-$ask" "$pid" 2>/dev/null || true
    local deadline=$((SECONDS + 20))
    while is_running "$dir" "$name"; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            kill "-$force" "$pid" 2>/dev/null || true
            say "killed $name ($pid): it did not stop within 20 s"
            break
        fi
        sleep 0.05
    done
    rm -f "$dir/$name.pid" "$dir/$name.started"
}

# kafka.pid, which the tests may keep in the same place, is kafka-down.sh's.
while IFS= read -r pid_file; do
    file_name=${pid_file##*/}
    stop "${pid_file%/*}" "${file_name%.pid}" &
done < <(find "$1" -name "${2:-*}.pid" ! -name kafka.pid ! -name postmaster.pid)
wait
