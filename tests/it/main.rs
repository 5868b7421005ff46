//! The one test binary: laws, exact solutions, training.
mod book;
mod bounds;
mod broken;
mod checkpointing;
mod choices;
mod common;
mod components;
mod conditions;
mod coupling;
mod damaged;
mod definitions;
mod discrete;
mod embedding;
mod exact;
mod extremes;
mod fit;
mod frozen;
mod grids;
mod guidance;
mod memory;
mod nets;
mod networks;
mod planted;
mod precision;
mod probabilities;
mod processes;
mod purposes;
mod read;
mod renamed;
mod samplers;
mod seeded;
mod settings;
mod spacings;
mod spine;
mod stability;
mod steps;
mod tables;
mod tails;
mod training;
mod transformer;
mod uncertainty;
mod unmask;
mod verified;
mod weights;

/// What the README shows is what is compiled.
#[test]
fn the_program_in_the_readme_is_the_example() {
    let example = include_str!("../../examples/digits.rs");
    let program = &example[example.find("use tweedie").unwrap()..];
    assert!(include_str!("../../README.md").contains(program));
}
