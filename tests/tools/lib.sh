# shellcheck shell=bash disable=SC2034
# Sourced by the scripts beside it: where the test tools live, and small helpers. Sets nothing up by itself.
#
# Every directory in the cache carries a digest of what it was made from, so a changed pin makes a new directory
# and an unfinished download is never taken for a finished one.

TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TEST_CACHE=${PULSELAKE_TEST_CACHE:-$HOME/.cache/pulselake-tests}
UV_VERSION=0.13.9

digest() { # digest FILE…: a short checksum over the files’ content
    cat -- "$@" | cksum | tr -d ' '
}

KAFKA_JARS=$TEST_CACHE/kafka-$(digest "$TOOLS/kafka/pom.xml")
UV_HOME=$TEST_CACHE/uv-$UV_VERSION
VENV=$TEST_CACHE/python-$(digest "$TOOLS/python-requirements.txt")
TEST_PYTHON=$VENV/bin/python

say() { printf '%s\n' "test tools: $*" >&2; }

die() {
    say "$*"
    exit 1
}
