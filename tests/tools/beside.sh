# shellcheck shell=bash
# Sourced by with-kafka.sh and with-services.sh: runs a command beside services that always end with it, also on ^C, TERM or when
# the script itself is killed. The script defines stop_services, then calls begin NAME, starts its services in $dir, and
# calls run_beside COMMAND….

command_pid=
cleaned_up=
# shellcheck disable=SC2329 # invoked by the trap
clean_up() {
    [ -z "$cleaned_up" ] || return 0
    cleaned_up=yes
    if [ -n "$command_pid" ] && kill -0 "$command_pid" 2>/dev/null; then
        kill -TERM -- "-$command_pid" 2>/dev/null || true
    fi
    stop_services >&2
    rm -rf "$dir"
}

begin() { # begin NAME: makes $dir
    dir=$(mktemp -d "${TMPDIR:-/tmp}/pulselake-$1.XXXXXX")
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

run_beside() {
    # Should this script be killed without its traps running, the services must not outlive it.
    local script_pid=$$
    (
        trap '' INT TERM HUP
        while kill -0 "$script_pid" 2>/dev/null; do sleep 2; done
        stop_services >/dev/null 2>&1
        rm -rf "$dir"
    ) </dev/null >/dev/null 2>&1 &
    disown

    # Inside the tests it is a warm one already (warm_python.py).
    export PULSELAKE_TEST_PYTHON=${PULSELAKE_TEST_PYTHON:-$TEST_PYTHON} PULSELAKE_TEST_TOOLS=$TOOLS
    PULSELAKE_TEST_CHROMIUM=$(browser)
    export PULSELAKE_TEST_CHROMIUM

    # In a process group of its own, so that a signal ends the whole command; in the background, so that the traps run at once.
    set -m
    "$@" &
    command_pid=$!
    set +m
    local exit_code=0
    wait "$command_pid" || exit_code=$?
    exit "$exit_code"
}
