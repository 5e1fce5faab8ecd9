#!/usr/bin/env bash
# run.sh [--events N] [--runs N] [--set KEY=VALUE…]: drains generated events from a real broker; see README.md here.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/tests/tools/setup.sh" >&2
exec "$root/tests/tools/with-kafka.sh" bash -c 'exec "$PULSELAKE_TEST_PYTHON" "$@"' drain "$root/load-tests/drain.py" "$@"
