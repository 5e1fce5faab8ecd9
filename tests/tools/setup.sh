#!/usr/bin/env bash
# Fetches what the tests need beside Rust into ${PULSELAKE_TEST_CACHE:-~/.cache/pulselake-tests}:
#   an Apache Kafka broker (jars, by Maven), a Python environment with PyIceberg, DuckDB, a Kafka client and Playwright (by uv),
#   Iceberg's reference REST catalog (jars, by Maven; its server is compiled by javac), an S3 server (versitygw, by Go; without
#   Go: moto, by uv), PostgreSQL (the system's; without one: a bundle of its binaries, by Maven), Debezium on Kafka Connect (jars,
#   by Maven), Apicurio's schema registry (an archive of jars, by Maven). The browser of the pages' tests, Chromium, is the
#   system's: where it is missing, root gets Debian's package. So it is with Prometheus and Alertmanager.
# Safe to repeat: what is there already is left alone, and a run with nothing to do takes well under a second.
# Exits non-zero with one sentence per missing program.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$TOOLS/fetch.sh"

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
    need javac "a JDK 17 or newer (Debian: default-jdk-headless): a JRE is not enough, the REST catalog of the tests is compiled"
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

fetch_rest_catalog() {
    fetch_jars "the Iceberg REST catalog (about 50 MB)" "$TOOLS/rest-catalog/pom.xml" "$REST_JARS"
    [ -d "$REST_CLASSES" ] && return
    local part=$REST_CLASSES.part
    rm -rf "$part"
    # -proc:none: no annotation processor that happens to lie in a jar.
    javac -proc:none -nowarn --release 17 -cp "$REST_JARS/*" -d "$part" "${REST_SOURCES[@]}" 2>"$part.log" || {
        cat "$part.log" >&2
        die "the REST catalog of the tests can't be compiled: see above"
    }
    rm -f "$part.log"
    mv "$part" "$REST_CLASSES"
}

# Runs a broker once, whose JVM writes what it has loaded when it ends. Without it all works, more slowly: a JVM that can't is no error.
archive_kafka_classes() {
    local dir archive part
    archive=$(kafka_archive)
    [ ! -f "$archive.tried" ] || return 0
    dir=$(mktemp -d)
    part=$archive.part
    rm -f "$part"
    (
        . "$TOOLS/services.sh"
        PULSELAKE_TEST_KAFKA_JVM="$KAFKA_JVM -XX:ArchiveClassesAtExit=$part" "$TOOLS/kafka-up.sh" "$(free_port)" "$dir" &&
            "$TOOLS/kafka-down.sh" "$dir" && mv "$part" "$archive"
    ) >/dev/null || say "the broker's classes could not be archived: it starts more slowly"
    # Once for this JVM.
    touch "$archive.tried"
    rm -rf "$dir"
}

build_versitygw() {
    local part=${VERSITYGW%/*}.part
    rm -rf "$part"
    mkdir -p "$part"
    say "building the S3 server versitygw $VERSITYGW_VERSION (some minutes, once) into ${VERSITYGW%/*}"
    persist "the build of versitygw" env GOBIN="$part" GOFLAGS=-modcacherw \
        go install "github.com/versity/versitygw/cmd/versitygw@v$VERSITYGW_VERSION" >&2 || return 1
    mv "$part" "${VERSITYGW%/*}"
}

fetch_s3_server() {
    [ -z "$(s3_server)" ] || return 0
    local wanted=${PULSELAKE_TEST_S3_SERVER:-}
    if [ "$wanted" != moto ]; then
        if ! command -v go >/dev/null 2>&1; then
            say "'go' was not found (https://go.dev/dl), so the S3 server of the tests is moto instead of versitygw"
        elif build_versitygw; then
            return
        else
            say "versitygw can't be built with $(go version): the S3 server of the tests is moto instead"
        fi
        [ "$wanted" != versitygw ] || die "PULSELAKE_TEST_S3_SERVER=versitygw, which is not to be had: see above"
    fi
    say "installing moto $MOTO_VERSION (about 180 MB on disk) into $MOTO"
    install_venv "$MOTO" "moto[server]==$MOTO_VERSION"
    touch "$MOTO/compiled"
}

# The jar holds an archive .txz, which Python can unpack where tar has no xz.
fetch_postgres() {
    [ -z "$(postgres_bin)" ] || return 0
    local system machine part=$POSTGRES_BUNDLE.part
    case $(uname -s) in Linux) system=linux ;; Darwin) system=darwin ;; *) system=unknown ;; esac
    case $(uname -m) in x86_64) machine=amd64 ;; aarch64 | arm64) machine=arm64v8 ;; *) machine=unknown ;; esac
    say "no PostgreSQL was found in PATH or /usr/lib/postgresql: fetching a bundle of $POSTGRES_VERSION (15 MB) into $POSTGRES_BUNDLE"
    [ "$system-$machine" = "${system/unknown/}-${machine/unknown/}" ] ||
        die "there is no PostgreSQL bundle for $(uname -sm): install PostgreSQL (Debian: postgresql)"
    rm -rf "$part"
    retry "the download of PostgreSQL by Maven" mvn -B -q -Dstyle.color=never dependency:copy \
        -Dartifact="io.zonky.test.postgres:embedded-postgres-binaries-$system-$machine:$POSTGRES_VERSION:jar" -DoutputDirectory="$part" >&2
    python3 - "$part" <<'PYTHON'
import glob, io, sys, tarfile, zipfile
part = sys.argv[1]
jar = zipfile.ZipFile(glob.glob(f"{part}/*.jar")[0])
name = next(n for n in jar.namelist() if n.endswith(".txz"))
tarfile.open(fileobj=io.BytesIO(jar.read(name)), mode="r:xz").extractall(part)
PYTHON
    rm -f "$part"/*.jar
    mv "$part" "$POSTGRES_BUNDLE"
}

fetch_schema_registry() {
    [ -d "$SCHEMA_REGISTRY" ] && return
    say "fetching the schema registry Apicurio $SCHEMA_REGISTRY_VERSION (142 MB) into $SCHEMA_REGISTRY"
    local part=$SCHEMA_REGISTRY.part
    rm -rf "$part"
    retry "the download of the schema registry by Maven" mvn -B -q -Dstyle.color=never dependency:copy \
        -Dartifact="io.apicurio:apicurio-registry-app:$SCHEMA_REGISTRY_VERSION:tar.gz:all" -DoutputDirectory="$part" >&2
    tar -xzf "$part"/*.tar.gz -C "$part"
    rm -f "$part"/*.tar.gz
    mv "$part" "$SCHEMA_REGISTRY"
}

install_browser() {
    apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >&2
}

fetch_browser() {
    [ -z "$(browser)" ] || return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        die "no Chromium was found, in which the pages are tested: install it (Debian: chromium), or name one by PULSELAKE_TEST_CHROMIUM"
    fi
    say "installing Chromium from Debian's packages (about 400 MB on disk)"
    retry "the installation of Chromium" install_browser
}

# Debian's packages start the servers that they bring, now and with the machine; nobody has asked for that here. What was there before
# is left alone.
install_prometheus() {
    local package refusal=/usr/sbin/policy-rc.d outcome=0 new=()
    for package in prometheus prometheus-alertmanager; do
        dpkg -s "$package" >/dev/null 2>&1 || new+=("$package")
    done
    if [ -e "$refusal" ]; then
        refusal=
    else
        printf '#!/bin/sh\nexit 101\n' >"$refusal"
        chmod 755 "$refusal"
    fi
    apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${new[@]}" >&2 || outcome=1
    [ -z "$refusal" ] || rm -f "$refusal"
    systemctl disable --now "${new[@]}" >/dev/null 2>&1 || true
    return "$outcome"
}

fetch_prometheus() {
    [ -z "$(prometheus_bin)" ] || return 0
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        die "no Prometheus was found, by which the alerts are tested: install it with Alertmanager, promtool and amtool (Debian: prometheus prometheus-alertmanager), or name their directory by PULSELAKE_TEST_PROMETHEUS_BIN"
    fi
    say "installing Prometheus and Alertmanager from Debian's packages (about 160 MB on disk); their services are not started"
    retry "the installation of Prometheus" install_prometheus
    [ -n "$(prometheus_bin)" ] || die "prometheus, promtool, Alertmanager and amtool are not in one directory of PATH, though Debian's packages are installed"
}

fetch_python() {
    is_venv_ready "$VENV" && return
    say "installing PyIceberg, DuckDB, the Kafka client and Playwright (about 800 MB on disk) into $VENV"
    install_venv "$VENV" -r "$TOOLS/python-requirements.txt" -r "$GRAFANA_REQUIREMENTS"
    "$TEST_PYTHON" -c 'import confluent_kafka, duckdb, pyiceberg.catalog.sql, psycopg2, pyarrow, duckdb_extension_iceberg, playwright.sync_api, axe_playwright_python, yaml, pytz, promql_parser' ||
        die "the Python packages are installed but can't be loaded: see the message above"
    touch "$VENV/compiled"
}

is_complete() {
    [ -d "$KAFKA_JARS" ] && [ -f "$(kafka_archive).tried" ] && is_venv_ready "$VENV" && [ -d "$REST_JARS" ] && [ -d "$REST_CLASSES" ] && [ -n "$(s3_server)" ] &&
        [ -n "$(postgres_bin)" ] && [ -d "$DEBEZIUM_JARS" ] && [ -d "$SCHEMA_REGISTRY" ] && [ -n "$(browser)" ] &&
        [ -n "$(prometheus_bin)" ]
}

tell() { say "ready in $TEST_CACHE (S3 server: $(s3_server); PostgreSQL: $(postgres_bin); Chromium: $(browser); Prometheus: $(prometheus_bin))"; }

check_programs
if is_complete; then
    tell
    exit 0
fi
check_versions
lock_cache
fetch_jars "the Kafka broker (about 50 MB)" "$TOOLS/kafka/pom.xml" "$KAFKA_JARS"
archive_kafka_classes
fetch_python
fetch_rest_catalog
fetch_s3_server
fetch_postgres
# 20 MB beyond what the broker has brought into Maven's own repository.
fetch_jars "Debezium on Kafka Connect (about 45 MB)" "$TOOLS/debezium/pom.xml" "$DEBEZIUM_JARS"
fetch_schema_registry
fetch_browser
fetch_prometheus
tell
