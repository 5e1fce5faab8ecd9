#!/usr/bin/env bash
# Fetches what the tests need beside Rust into ${PULSELAKE_TEST_CACHE:-~/.cache/pulselake-tests}:
#   an Apache Kafka broker (jars, by Maven), a Python environment with PyIceberg, DuckDB and a Kafka client (by uv).
# Safe to repeat: what is there already is left alone, and a run with nothing to do takes well under a second.
# Exits non-zero with one sentence per missing program.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

missing=0
need() { # need PROGRAM WHAT-TO-INSTALL
    command -v "$1" >/dev/null 2>&1 && return
    say "'$1' was not found: install $2"
    missing=1
}

check_programs() {
    need cargo "Rust by rustup (https://rustup.rs)"
    need cc "a C compiler (Debian: gcc): librdkafka, SQLite and zstd are compiled from source"
    need c++ "a C++ compiler (Debian: g++): librdkafka's build asks for one"
    need make "GNU make (Debian: make): librdkafka and OpenSSL are built with it"
    need perl "Perl 5 (Debian: perl): OpenSSL's build needs it"
    need java "a JDK 17 or newer (Debian: default-jdk-headless): the Kafka broker of the tests runs on it"
    need mvn "Maven (Debian: maven): it fetches the Kafka broker of the tests"
    need python3 "Python 3.10 or newer with venv (Debian: python3-venv): PyIceberg and DuckDB check the tables"
    [ "$missing" -eq 0 ] || die "install the programs named above, then run this again"
}

check_versions() {
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        die "python3 is $(python3 -V 2>&1), but Python 3.10 or newer is needed: put a newer python3 first in PATH"
    local java_major
    java_major=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -1)
    [ "${java_major:-0}" -ge 17 ] ||
        die "java is of version ${java_major:-unknown}, but Kafka 4 needs a JDK 17 or newer: put one first in PATH"
}

retry() { # retry WHAT COMMAND…: up to four times, with growing pauses
    local what=$1 attempt
    shift
    for attempt in 1 2 3 4; do
        "$@" && return
        [ "$attempt" -lt 4 ] || break
        say "$what failed, trying again in $((attempt * 5)) s"
        sleep $((attempt * 5))
    done
    die "$what failed four times: see the messages above (is the package registry reachable?)"
}

fetch_kafka() {
    [ -d "$KAFKA_JARS" ] && return
    say "fetching the Kafka broker (about 50 MB) into $KAFKA_JARS"
    local part=$KAFKA_JARS.part
    rm -rf "$part"
    retry "the download by Maven" mvn -B -q -Dstyle.color=never -f "$TOOLS/kafka/pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$part" >&2
    mv "$part" "$KAFKA_JARS"
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
is_python_ready() { [ -f "$VENV/complete" ] && [ -x "$TEST_PYTHON" ]; }

# The directory is made under its final name (a virtual environment can't be moved); the stamp says that it is complete.
fetch_python() {
    is_python_ready && return
    fetch_uv
    say "installing PyIceberg, DuckDB and the Kafka client (about 380 MB on disk) into $VENV"
    rm -rf "$VENV"
    "$UV_HOME/bin/uv" venv -q --python "$(python3 -c 'import sys; print(sys.executable)')" "$VENV" >&2
    retry "the installation of the Python packages" \
        "$UV_HOME/bin/uv" pip install -q --python "$TEST_PYTHON" -r "$TOOLS/python-requirements.txt" >&2
    "$TEST_PYTHON" -c 'import confluent_kafka, duckdb, pyiceberg.catalog.sql, pyarrow, duckdb_extension_iceberg' ||
        die "the Python packages are installed but can't be loaded: see the message above"
    touch "$VENV/complete"
}

check_programs
if [ -d "$KAFKA_JARS" ] && is_python_ready; then
    say "ready in $TEST_CACHE"
    exit 0
fi
check_versions
mkdir -p "$TEST_CACHE"
# Two checkouts may set up at once: the second waits and then finds everything done.
if command -v flock >/dev/null 2>&1; then
    exec 9>"$TEST_CACHE/setup.lock"
    flock 9
fi
fetch_kafka
fetch_python
say "ready in $TEST_CACHE"
