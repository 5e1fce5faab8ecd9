# shellcheck shell=bash
# Sourced by the scripts that start services: ports, and processes that are known by DIR/NAME.pid (beside it NAME.log,
# NAME.port, NAME.url, and NAME.started, by which a process that got the same pid later is told from the service).

in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A free port whose successor is free too, below the range from which systems give ports to outgoing connections.
free_port() {
    local port
    for _ in $(seq 50); do
        port=$((20000 + (RANDOM % 6000) * 2))
        in_use "$port" || in_use $((port + 1)) || {
            echo "$port"
            return
        }
    done
    die "found no free port between 20000 and 32000"
}

# When a process was started, in whatever form the system tells it; nothing if it has ended, reaped or not.
start_of() {
    local stat fields
    if [ -d /proc/self ]; then
        stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
        # After the name, which may hold blanks, in parentheses: first the state, as the twentieth the start.
        read -ra fields <<<"${stat##*) }"
        [ "${fields[0]}" = Z ] || echo "${fields[19]}"
    else
        ps -o lstart= -p "$1" 2>/dev/null || true
    fi
}

is_running() { # is_running DIR NAME
    local started now
    [ -s "$1/$2.pid" ] && [ -s "$1/$2.started" ] || return 1
    started=$(cat "$1/$2.started")
    now=$(start_of "$(cat "$1/$2.pid")")
    [ "$now" = "$started" ]
}

# start DIR NAME SECONDS COMMAND…: runs COMMAND on a free port of its own choice or on the one of the last time, and waits
# until it answers; prints its URL. In COMMAND each '{port}' becomes the port; is_ready PORT says whether it answers; url PORT
# makes the URL. With three tries: a port may be taken meanwhile, or what was killed may not be gone entirely.
start() {
    local dir=$1 name=$2 wait_s=$3 port pause_s
    shift 3
    if is_running "$dir" "$name"; then
        cat "$dir/$name.url"
        return
    fi
    for pause_s in 0.3 1 0; do
        # Clients know the port of the last time: another one would be no help.
        port=$(cat "$dir/$name.port" 2>/dev/null || free_port)
        if launch "$dir" "$name" "$port" "${@//\{port\}/$port}" && await "$dir" "$name" "$port" "$wait_s"; then
            echo "$port" >"$dir/$name.port"
            url "$port" | tee "$dir/$name.url"
            return
        fi
        sleep "$pause_s"
    done
    tail -20 "$dir/$name.log" >&2
    die "$name did not come up on 127.0.0.1:$port (three tries of at most $wait_s s): the end of $dir/$name.log is above"
}

launch() { # launch DIR NAME PORT COMMAND…
    local dir=$1 name=$2 detach
    shift 3
    # A session of its own (where setsid exists), so that ^C on the tests does not reach the service before they have ended.
    detach=$(command -v setsid || true)
    # Whoever ends this script meanwhile ends the service too.
    trap '"$TOOLS/service-down.sh" "$dir" "$name" >/dev/null; exit 143' INT TERM HUP
    (cd "$dir" && exec $detach "$@") >"$dir/$name.log" 2>&1 </dev/null 9>&- &
    echo $! >"$dir/$name.pid"
    start_of $! >"$dir/$name.started"
}

await() { # await DIR NAME PORT SECONDS
    local dir=$1 name=$2 port=$3 deadline=$((SECONDS + $4))
    while [ "$SECONDS" -lt "$deadline" ] && is_running "$dir" "$name"; do
        # Asked a second time whether it runs: what answered may be another's server, and ours have ended for it.
        if is_ready "$port" && is_running "$dir" "$name"; then
            trap - INT TERM HUP
            return
        fi
        sleep 0.05
    done
    "$TOOLS/service-down.sh" "$dir" "$name" >/dev/null
    trap - INT TERM HUP
    return 1
}
