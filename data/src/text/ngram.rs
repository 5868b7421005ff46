//! n-gram language models, the baselines of diffusion models of text.
use super::texts::Texts;
use std::collections::HashMap;

/// n-gram language model, n = `order`: the probability of a token given the `order − 1` tokens before it, smoothed by
/// Witten–Bell interpolation with shorter contexts.
///
/// For a context h that occurs N(h) times and is followed by T(h) different tokens, h′ = h without its first token, and
/// K categories:
///
/// ```text
/// p(x | h) = (N(h x) + T(h) p(x | h′)) / (N(h) + T(h)),   p(x | no context) = 1/K
/// ```
///
/// Every shorter context gives a distribution that is valid by itself, so the same counts serve where fewer tokens come
/// before, as at the start of a window. (Kneser and Ney's lower orders are not valid by themselves: they are made for
/// what the higher orders leave over.)
///
/// Witten and Bell, "The Zero-Frequency Problem" (1991), <https://doi.org/10.1109/18.87000>; Chen and Goodman,
/// "An Empirical Study of Smoothing Techniques for Language Modeling" (1998), section 2.5.
#[derive(Clone, Debug)]
pub struct NGram {
    order: usize,
    categories: usize,
    /// N(h x): how often token x follows context h.
    pairs: HashMap<(Context, u32), u32>,
    /// N(h) and T(h): how many tokens, and how many different tokens, follow context h.
    contexts: HashMap<Context, [u32; 2]>,
}

/// Number of tokens of the longest context.
const LONGEST: usize = 4;
/// A context: its length and its tokens.
type Context = (usize, [u32; LONGEST]);

fn context(tokens: &[u32]) -> Context {
    let mut packed = [0; LONGEST];
    packed[..tokens.len()].copy_from_slice(tokens);
    (tokens.len(), packed)
}

impl NGram {
    /// Counts the tokens of sequences, each from an index on; the tokens before it are context alone. Token ids are
    /// below `categories`.
    ///
    /// # Panics
    /// If `order` is not one of 1 to 5, or `categories` is 0.
    pub fn count<'a>(order: usize, categories: usize, sequences: impl IntoIterator<Item = (&'a [u32], usize)>) -> Self {
        assert!((1..=LONGEST + 1).contains(&order), "`order` must be from 1 to {}, got {order}", LONGEST + 1);
        assert!(categories > 0, "`categories` must be 1 or more, got 0");
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

    /// The probability p(token | past), which depends on the last `order − 1` tokens of `past`.
    pub fn probability(&self, past: &[u32], token: u32) -> f64 {
        let mut p = 1.0 / self.categories as f64;
        for before in 0..self.order.min(past.len() + 1) {
            let past = context(&past[past.len() - before..]);
            // A context that does not occur has no counts, and neither have longer ones.
            let Some(&[all, different]) = self.contexts.get(&past) else { break };
            let times = self.pairs.get(&(past, token)).copied().unwrap_or(0);
            p = (f64::from(times) + f64::from(different) * p) / f64::from(all + different);
        }
        p
    }

    /// Negative log-likelihood in bits, `−log₂ p(sequence[from..] | sequence[..from])`.
    pub fn bits(&self, sequence: &[u32], from: usize) -> f64 {
        (from..sequence.len()).map(|i| -self.probability(&sequence[..i], sequence[i]).log2()).sum()
    }
}

/// A mean over samples with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The mean.
    pub value: f64,
    /// The standard error of the mean.
    pub error: f64,
}

impl Mean {
    /// The ratio r = Σ a / Σ b over n samples, as bits per character, with the standard error of a ratio of sums,
    /// `√(n/(n−1) Σ (aᵢ − r bᵢ)²) / Σ b`.
    pub fn ratio(a: &[f64], b: &[f64]) -> Self {
        let (n, total) = (a.len() as f64, b.iter().sum::<f64>());
        let value = a.iter().sum::<f64>() / total;
        let square: f64 = a.iter().zip(b).map(|(a, b)| (a - value * b).powi(2)).sum();
        let error = if n > 1.0 { (square * n / (n - 1.0)).sqrt() / total } else { f64::INFINITY };
        Self { value, error }
    }
}

/// The negative log-likelihood of held-out samples under an [`NGram`] of the training part.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// Name of the model, as "bigram".
    pub name: &'static str,
    /// Bits per token; the end of a line counts as one.
    pub bits_per_token: Mean,
    /// Bits per character; the end of a line counts as one.
    pub bits_per_char: Mean,
}

/// Unigram, bigram and 5-gram models of `train`, evaluated on the samples `rows` of `test`.
///
/// They model the same as a model of samples: a line together with its end token, given that a line starts; a window
/// from its first token on, without any context before it.
pub fn baselines(train: &Texts, test: &Texts, rows: &[usize]) -> Vec<Baseline> {
    let sequences = train.sequences();
    let part: Vec<(Vec<u32>, usize)> = rows.iter().map(|&row| test.sequence(row)).collect();
    let tokens: Vec<f64> = part.iter().map(|(sequence, from)| (sequence.len() - from) as f64).collect();
    let characters: Vec<f64> = rows.iter().map(|&row| test.num_characters(row) as f64).collect();
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
