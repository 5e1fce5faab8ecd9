#!/usr/bin/env bash
# airflow.sh DIR ARGUMENT…: runs `airflow ARGUMENT…` with the DAGs of airflow/dags and everything that Airflow keeps in DIR; `airflow.sh DIR python
# SCRIPT…` runs a script with Airflow's Python instead. It knows nothing of the caller's own Airflow. The first time it fetches Airflow
# into the cache. A command takes 5 to 30 s and 0.4 GB of memory.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$TOOLS/fetch.sh"

[ $# -ge 2 ] || die "usage: airflow.sh DIR ARGUMENT…"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift
lock_cache
fetch_airflow
unlock_cache
[ -f "$dir/airflow.db" ] || cp "$AIRFLOW/home/airflow.db" "$dir/airflow.db"

program=("$AIRFLOW/bin/airflow")
if [ "$1" = python ]; then
    program=("$AIRFLOW/bin/python")
    shift
fi
own=()
while IFS= read -r name; do
    # Variables of Airflow itself (AIRFLOW_VAR_…) are the test's.
    case $name in AIRFLOW_HOME | AIRFLOW_CONFIG | AIRFLOW__*) own+=(-u "$name") ;; esac
done < <(compgen -e)
exec env ${own[@]+"${own[@]}"} AIRFLOW_HOME="$dir" AIRFLOW__CORE__DAGS_FOLDER="$(cd "$TOOLS/../../airflow/dags" && pwd)" \
    AIRFLOW__CORE__LOAD_EXAMPLES=False AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="sqlite:///$dir/airflow.db" \
    PYTHONDONTWRITEBYTECODE=1 "${program[@]}" "$@"
