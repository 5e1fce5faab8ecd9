#!/usr/bin/env bash
# all.sh DIR [OPTION…]: every ready scenario of pulselake-load, one after the other, each with its report in DIR/NAME. Goes on
# after a scenario that does not pass; says at the end which did not, and exits with 1 then. The options go to each run.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
reports=${1:?all.sh DIR [OPTION…]}
shift

failed=()
for scenario in $("$target/release/pulselake-load" list | awk 'NR > 1 { print $1 }'); do
    echo "== $scenario" >&2
    "$target/release/pulselake-load" run "$scenario" --engine "$target/release/pulselake" --report "$reports/$scenario" "$@" ||
        failed+=("$scenario")
done
[ ${#failed[@]} -eq 0 ] || {
    echo "not passed: ${failed[*]}" >&2
    exit 1
}
