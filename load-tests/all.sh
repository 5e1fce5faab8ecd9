#!/usr/bin/env bash
# all.sh DIR [OPTION…]: every ready scenario of pulselake-load, one after the other, each with its report in DIR/NAME. Those
# whose events are embedded run a second time over a Kafka broker of their own, with the report in DIR/NAME-kafka; the soak
# does not, and none does where the options name --brokers. Goes on after a run that does not pass; says at the end which did not, and exits with 1 then. The options go to
# each run.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
reports=${1:?all.sh DIR [OPTION…]}
shift

# Name and transport of the full form, a line each.
scenarios=$("$target/release/pulselake-load" list | awk 'NR > 1 { print $1, $4 }')
[ -n "$scenarios" ] || {
    echo "pulselake-load list names no scenario" >&2
    exit 1
}

has_brokers=
for option in "$@"; do
    [[ $option != --brokers* ]] || has_brokers=1
done

failed=()
run() { # NAME REPORT [OPTION…]
    echo "== $2" >&2
    "$target/release/pulselake-load" run "$1" --engine "$target/release/pulselake" --report "$reports/$2" "${@:3}" </dev/null ||
        failed+=("$2")
}

while read -r scenario transport; do
    run "$scenario" "$scenario" "$@"
    # The long runs' hours are not spent twice.
    if [ "$transport" = embedded ] && [ "$scenario" != soak ] && [ -z "$has_brokers" ]; then
        run "$scenario" "$scenario-kafka" --kafka "$@"
    fi
done <<<"$scenarios"
[ ${#failed[@]} -eq 0 ] || {
    echo "not passed: ${failed[*]}" >&2
    exit 1
}
