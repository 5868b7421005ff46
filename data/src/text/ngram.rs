//! Models that look at the last few tokens: what a diffusion model of text is held against.
use super::Texts;
use std::collections::HashMap;

/// The frequency of a token after the `order − 1` before it, smoothed by interpolation with shorter contexts.
///
/// Witten and Bell's weights, for a context h of n tokens seen N(h) times with T(h) different tokens after it, and h′ the
/// same without its first:
///
/// ```text
/// p(x | h) = (N(h x) + T(h) p(x | h′)) / (N(h) + T(h)),   p(x | nothing seen) = 1/K
/// ```
///
/// Each of the shorter contexts gives a distribution that stands for itself, so the same counts serve where less is
/// known of the past, as at the beginning of a window. (Kneser and Ney's shorter contexts do not: they are made for
/// what the longer leave over.)
///
/// Witten and Bell, "The Zero-Frequency Problem" (1991), <https://doi.org/10.1109/18.87000>; Chen and Goodman,
/// "An Empirical Study of Smoothing Techniques for Language Modeling" (1998), section 2.5.
#[derive(Clone, Debug)]
pub struct NGram {
    order: usize,
    categories: usize,
    /// How often a token follows a context.
    pairs: HashMap<(Context, u32), u32>,
    /// How many tokens follow it, and how many different ones.
    contexts: HashMap<Context, [u32; 2]>,
}

/// The longest context, and a context: its length and its tokens.
const LONGEST: usize = 4;
type Context = (usize, [u32; LONGEST]);

fn context(tokens: &[u32]) -> Context {
    let mut packed = [0; LONGEST];
    packed[..tokens.len()].copy_from_slice(tokens);
    (tokens.len(), packed)
}

impl NGram {
    /// Counts the tokens of sequences, each from a place on; what is before it is context alone. Tokens are below
    /// `categories`.
    ///
    /// # Panics
    /// If `order` is not one of 1 to 5, or `categories` is 0.
    pub fn count<'a>(order: usize, categories: usize, sequences: impl IntoIterator<Item = (&'a [u32], usize)>) -> Self {
        assert!((1..=LONGEST + 1).contains(&order), "an n-gram of 1 to {} tokens, not {order}", LONGEST + 1);
        assert!(categories > 0, "tokens are of at least one category");
        let (mut pairs, mut contexts) = (HashMap::new(), HashMap::<Context, [u32; 2]>::new());
        for (sequence, from) in sequences {
            for i in from..sequence.len() {
                for before in 0..order.min(i + 1) {
                    let past = context(&sequence[i - before..i]);
                    let times = pairs.entry((past, sequence[i])).or_insert(0);
                    let [all, different] = contexts.entry(past).or_default();
                    *times += 1;
                    *all += 1;
                    *different += u32::from(*times == 1);
                }
            }
        }
        Self { order, categories, pairs, contexts }
    }

    /// p(token | past), of which the last `order − 1` tokens count.
    pub fn probability(&self, past: &[u32], token: u32) -> f64 {
        let mut p = 1.0 / self.categories as f64;
        for before in 0..self.order.min(past.len() + 1) {
            let past = context(&past[past.len() - before..]);
            // A context that was never seen says nothing, and neither do longer ones.
            let Some(&[all, different]) = self.contexts.get(&past) else { break };
            let times = self.pairs.get(&(past, token)).copied().unwrap_or(0);
            p = (f64::from(times) + f64::from(different) * p) / f64::from(all + different);
        }
        p
    }

    /// −log₂ of the probability of `sequence[from..]`, what comes before being given.
    pub fn bits(&self, sequence: &[u32], from: usize) -> f64 {
        (from..sequence.len()).map(|i| -self.probability(&sequence[..i], sequence[i]).log2()).sum()
    }
}

/// A mean over samples, and the standard error of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The mean.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

impl Mean {
    /// Σ a / Σ b over samples, as bits over characters, with the standard error of a ratio of sums:
    /// `√(n/(n−1) Σ (aᵢ − r bᵢ)²) / Σ b`.
    pub fn ratio(a: &[f64], b: &[f64]) -> Self {
        let (n, total) = (a.len() as f64, b.iter().sum::<f64>());
        let value = a.iter().sum::<f64>() / total;
        let square: f64 = a.iter().zip(b).map(|(a, b)| (a - value * b).powi(2)).sum();
        let error = if n > 1.0 { (square * n / (n - 1.0)).sqrt() / total } else { f64::INFINITY };
        Self { value, error }
    }
}

/// How an [`NGram`] of the training part describes the part held out.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// As in "bigram".
    pub name: &'static str,
    /// Bits a token, the end of a line counting as one.
    pub bits_per_token: Mean,
    /// Bits a character, the end of a line counting as one.
    pub bits_per_char: Mean,
}

/// Unigram, bigram and 5-gram of `train`, held against the samples `rows` of `test`.
///
/// They are asked what a model of samples is asked: a line is described from its beginning to its end, which are tokens
/// too; a window from its first token on, of which nothing before is known.
pub fn baselines(train: &Texts, test: &Texts, rows: &[usize]) -> Vec<Baseline> {
    let sequences = train.sequences();
    let part: Vec<(Vec<u32>, usize)> = rows.iter().map(|&row| test.sequence(row)).collect();
    let tokens: Vec<f64> = part.iter().map(|(sequence, from)| (sequence.len() - from) as f64).collect();
    let characters: Vec<f64> = rows.iter().map(|&row| test.characters(row) as f64).collect();
    [("unigram", 1), ("bigram", 2), ("5-gram", 5)]
        .into_iter()
        .map(|(name, order)| {
            let model =
                NGram::count(order, train.codec.categories(), sequences.iter().map(|(s, from)| (&s[..], *from)));
            let bits: Vec<f64> = part.iter().map(|(sequence, from)| model.bits(sequence, *from)).collect();
            let (bits_per_token, bits_per_char) = (Mean::ratio(&bits, &tokens), Mean::ratio(&bits, &characters));
            Baseline { name, bits_per_token, bits_per_char }
        })
        .collect()
}
