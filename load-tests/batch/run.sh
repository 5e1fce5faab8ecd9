#!/usr/bin/env bash
# run.sh [OPTION…]: silver of one day by Pulselake and by Spark on the same lake; see README.md here. The programs pulselake and pulselake-query
# have to be built (release). Prints one JSON object, and on standard error what is under way. --help lists the options.
set -euo pipefail
BATCH=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$BATCH/../.." && pwd)
. "$root/tests/tools/lib.sh"

case " $* " in
*" --help "* | *" -h "*) ;;
*) "$root/tests/tools/setup.sh" >&2 ;;
esac
python=$TEST_PYTHON
[ -x "$python" ] || python=python3
exec "$python" "$BATCH/silver_beside_spark.py" "$@"
