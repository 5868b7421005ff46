# What is typed often. `make check` is what a change must pass.
.PHONY: check test doc deny race

check:
	bash .ci/run

test:
	cargo test --release

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

deny:
	cargo deny check licenses bans sources

# Beside PyTorch: make race PYTHON=/path/to/python (one that has torch). RACE="--only nets --rounds 5" says what and how often.
race:
	OMP_WAIT_POLICY=passive python3 bench/race.py $(PYTHON) $(RACE)
