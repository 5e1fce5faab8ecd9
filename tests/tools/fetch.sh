# shellcheck shell=bash
# Sourced by the scripts that download: setup.sh, and those that fetch on demand.

persist() { # persist WHAT COMMAND…: up to four times, with growing pauses
    local what=$1 attempt
    shift
    for attempt in 1 2 3 4; do
        "$@" && return
        [ "$attempt" -lt 4 ] || break
        say "$what failed, trying again in $((attempt * 5)) s"
        sleep $((attempt * 5))
    done
    return 1
}

retry() { persist "$@" || die "$1 failed four times: see the messages above (is the package registry reachable?)"; }

# Two checkouts may set up at once: the second waits and then finds everything done.
lock_cache() {
    mkdir -p "$TEST_CACHE"
    command -v flock >/dev/null 2>&1 || return 0
    exec 9>"$TEST_CACHE/setup.lock"
    flock 9
}

unlock_cache() { exec 9>&-; }

fetch_jars() { # fetch_jars WHAT POM DIR: the class path of a POM
    [ -d "$3" ] && return
    say "fetching $1 into $3"
    local part=$3.part
    rm -rf "$part"
    retry "the download by Maven" mvn -B -q -Dstyle.color=never -f "$2" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$part" >&2
    mv "$part" "$3"
}

fetch_uv() {
    [ -x "$UV_HOME/bin/uv" ] && return
    say "installing uv $UV_VERSION, which installs the Python packages"
    local part=$UV_HOME.part
    rm -rf "$part"
    python3 -m venv "$part" >&2 || die "python3 can't make a virtual environment: install venv (Debian: python3-venv)"
    retry "the installation of uv" "$part/bin/python" -m pip install -q "uv==$UV_VERSION" >&2
    mv "$part" "$UV_HOME"
}

# The link to the interpreter breaks when the Python that it was made with is removed.
is_venv_ready() { [ -f "$1/compiled" ] && [ -x "$1/bin/python" ]; }

# The directory is made under its final name (a virtual environment can't be moved); the stamp 'compiled' says that it is. The stamp
# is left to the caller, who may have more to check. Bytecode is made at once: the tests start Python hundreds of times, and where
# PYTHONDONTWRITEBYTECODE is set, as in many containers, every start would compile PyIceberg again, more than a second of it.
install_venv() { # install_venv DIR ARGUMENT…: a virtual environment with what uv pip install ARGUMENT… brings
    local venv=$1
    shift
    fetch_uv
    rm -rf "$venv"
    "$UV_HOME/bin/uv" venv -q --python "$(python3 -c 'import sys; print(sys.executable)')" "$venv" >&2
    retry "the installation of Python packages" "$UV_HOME/bin/uv" pip install -q --compile-bytecode --python "$venv/bin/python" "$@" >&2
}

fetch_spark() {
    is_venv_ready "$SPARK" && return
    say "installing Spark $SPARK_VERSION (about 480 MB on disk) into $SPARK"
    install_venv "$SPARK" "pyspark==$SPARK_VERSION"
    touch "$SPARK/compiled"
}

# With a database in its first state, which takes longer to make than to copy.
fetch_airflow() {
    is_venv_ready "$AIRFLOW" && return
    say "installing Airflow (about 200 MB on disk) into $AIRFLOW"
    install_venv "$AIRFLOW" -r "$TOOLS/airflow/requirements.txt"
    AIRFLOW_HOME=$AIRFLOW/home AIRFLOW__CORE__LOAD_EXAMPLES=False "$AIRFLOW/bin/airflow" db migrate >"$AIRFLOW/migrate.log" 2>&1 || {
        tail -20 "$AIRFLOW/migrate.log" >&2
        die "Airflow is installed, but can't make its database: see above"
    }
    touch "$AIRFLOW/compiled"
}
