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
