//! What is said of mistakes, word by word.
#[test]
fn mistakes_are_told_in_a_readable_paragraph() {
    let cases = trycmd::TestCases::new();
    cases.env("TWEEDIE_DATA", "").case("tests/cmd/*.trycmd");
}
