//! The kept corpus of the fuzz targets of the tool, and cases made of it, through the functions of the targets.
use std::{fs, path::Path};
use tweedie::Rng;

#[path = "../../../fuzz/src/tool.rs"]
mod tool;

/// The kept cases of a target.
fn kept(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// A stream of numbers below a bound.
struct Numbers {
    rng: Rng,
    known: Vec<f64>,
}
impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        if self.known.is_empty() {
            self.known = self.rng.uniforms(1, 64);
        }
        (self.known.pop().unwrap() * n as f64) as usize % n
    }
}

/// Pieces that texts of these kinds are made of.
const PIECES: [&str; 32] = [
    "=",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "\n",
    ".",
    ",",
    "#",
    "\\",
    "-1",
    "0",
    "1e999",
    "nan",
    "inf",
    "true",
    "99999999999999999999",
    "0.5",
    "name = ",
    "steps = ",
    "[[loss]]",
    "é",
    "😀",
    "\u{0}",
    "_",
    "1000000",
    "\"linear\"",
    "\"ddim\"",
    "\"absorbing\"",
    "sample.",
];

/// A case: a kept one, or two of them joined, with a few pieces inserted, removed, repeated or replaced.
fn mutated(cases: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut case = cases[numbers.below(cases.len())].clone();
    if numbers.below(4) == 0 {
        let other = &cases[numbers.below(cases.len())];
        let (a, b) = (numbers.below(case.len() + 1), numbers.below(other.len() + 1));
        case.truncate(a);
        case.extend_from_slice(&other[b..]);
    }
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(case.len() + 1);
        let length = numbers.below(12).min(case.len() - at);
        match numbers.below(5) {
            0 => drop(case.splice(at..at, PIECES[numbers.below(PIECES.len())].bytes())),
            1 => drop(case.drain(at..at + length)),
            2 => drop(case.splice(at..at + length, PIECES[numbers.below(PIECES.len())].bytes())),
            3 => {
                // A line from elsewhere in the case.
                let text = String::from_utf8_lossy(&case).into_owned();
                let lines: Vec<&str> = text.lines().collect();
                if !lines.is_empty() {
                    let line = format!("{}\n", lines[numbers.below(lines.len())]);
                    let starts: Vec<usize> = text.match_indices('\n').map(|(i, _)| i + 1).chain([0]).collect();
                    let start = starts[numbers.below(starts.len())].min(case.len());
                    case.splice(start..start, line.bytes());
                }
            }
            _ => {
                if let Some(byte) = case.get_mut(at) {
                    *byte = byte.wrapping_add(1 + numbers.below(255) as u8);
                }
            }
        }
    }
    case
}

/// Each kept case, and as many mutated ones per target as `TWEEDIE_FUZZ_CASES` says, of all targets or of that which
/// `TWEEDIE_FUZZ_TARGET` names. A failure names the case.
#[test]
fn the_corpus_and_cases_made_of_it_are_read_or_refused() {
    let cases = std::env::var("TWEEDIE_FUZZ_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    let chosen = std::env::var("TWEEDIE_FUZZ_TARGET").ok();
    for (name, target) in tool::TARGETS.into_iter().filter(|(name, _)| chosen.as_deref().is_none_or(|own| own == *name))
    {
        let corpus = kept(name);
        assert!(corpus.len() >= 10, "{name}");
        let mut numbers = Numbers { rng: Rng::new(cases).stream(name), known: vec![] };
        let made = (0..cases).map(|_| mutated(&corpus, &mut numbers));
        let mut failed = vec![];
        for case in corpus.iter().cloned().chain(made) {
            if std::panic::catch_unwind(|| target(&case)).is_err() {
                failed.push(String::from_utf8_lossy(&case).into_owned());
            }
        }
        assert!(failed.is_empty(), "{name}: {} cases panic; the first is:\n{:?}", failed.len(), failed[0]);
    }
    tool::run::clean();
}
