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

# Kernels and nets beside PyTorch: make race PYTHON=/path/to/python (one that has torch).
race:
	OMP_WAIT_POLICY=passive python3 bench/race.py $(PYTHON)
