//! Vocabularies: characters, and byte-pair encoding.
use crate::Error;
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, fmt, sync::Arc};
use tokenizers::{
    Tokenizer, Trainer,
    models::bpe::{BPE, BpeTrainer},
    pre_tokenizers::byte_level::ByteLevel,
    tokenizer::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer},
};

/// The tokens of text, with ids from 0.
///
/// It is serialized as text, which is how a checkpoint stores it.
///
/// ```
/// use tweedie_data::Vocabulary;
/// let letters = Vocabulary::characters("banana");
/// assert_eq!(letters.encode("nab")?, [2, 0, 1]);
/// assert_eq!(letters.decode(&[2, 0, 1]), "nab");
/// assert_eq!(serde_json::to_string(&letters).unwrap(), r#"{"characters":"abn"}"#);
/// # Ok::<(), tweedie_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vocabulary {
    /// One token per character (Unicode scalar value), in the order of their code points.
    Characters(Characters),
    /// Byte-pair encoding.
    Bpe(Bpe),
}

impl Vocabulary {
    /// The characters of a text.
    pub fn characters(text: &str) -> Self {
        Self::of_characters(text.chars())
    }

    /// The different ones of these characters.
    pub(super) fn of_characters(all: impl Iterator<Item = char>) -> Self {
        Self::Characters(Characters::of(all))
    }

    /// The number of tokens.
    pub fn len(&self) -> usize {
        match self {
            Self::Characters(known) => known.0.len(),
            Self::Bpe(bpe) => bpe.pieces.len(),
        }
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Text as token ids.
    ///
    /// # Errors
    /// The first character that is not in the vocabulary, with its place. [`Bpe`] encodes every text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        self.tokens(text).map_err(|place| {
            let shown: String = text.chars().take(60).collect();
            let more = if text.chars().nth(60).is_some() { "…" } else { "" };
            let character = text.chars().nth(place).expect("it was found there");
            Error::invalid(format!(
                "{}, character {} of {shown:?}{more}, is not in the vocabulary of {self}",
                named(character),
                place + 1
            ))
            .with_remedy("use characters of the vocabulary only")
        })
    }

    /// Text as token ids, or the place, from 0, of the first character that is not in the vocabulary.
    pub(super) fn tokens(&self, text: &str) -> Result<Vec<u32>, usize> {
        match self {
            Self::Characters(known) => text
                .chars()
                .enumerate()
                .map(|(place, c)| known.0.binary_search(&c).map(|token| token as u32).map_err(|_| place))
                .collect(),
            Self::Bpe(bpe) => Ok(bpe.encode(text)),
        }
    }

    /// Token ids as text; ids beyond the vocabulary are shown as [`PLACEHOLDER`], bytes that are not UTF-8 as U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let mut bytes = Vec::new();
        for &token in tokens {
            let mut buffer = [0; 4];
            match (self, token as usize) {
                (Self::Characters(known), i) if i < known.0.len() => {
                    bytes.extend_from_slice(known.0[i].encode_utf8(&mut buffer).as_bytes());
                }
                (Self::Bpe(bpe), i) if i < bpe.pieces.len() => bytes.extend_from_slice(&bpe.pieces[i]),
                _ => bytes.extend_from_slice(PLACEHOLDER.encode_utf8(&mut buffer).as_bytes()),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The number of characters that start in a token: 1 for a character, and for bytes the number of those that start
    /// one. The sum over the tokens of a text is its number of characters.
    pub fn num_characters(&self, token: u32) -> usize {
        match self {
            Self::Characters(_) => 1,
            Self::Bpe(bpe) => bpe
                .pieces
                .get(token as usize)
                .map_or(0, |piece| piece.iter().filter(|byte| **byte & 0xc0 != 0x80).count()),
        }
    }
}

/// The character shown for a token id beyond the vocabulary, as that of a mask.
pub const PLACEHOLDER: char = '░';

impl fmt::Display for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Characters(known) => {
                let all: String = known.0.iter().flat_map(|c| c.escape_debug()).collect();
                write!(f, "{} characters: {all}", known.0.len())
            }
            Self::Bpe(bpe) => write!(f, "{} byte-pair tokens", bpe.pieces.len()),
        }
    }
}

/// A character with its code point, as `é` (U+00E9).
pub(super) fn named(character: char) -> String {
    let shown = if character.is_control() { character.escape_debug().to_string() } else { character.to_string() };
    format!("`{shown}` (U+{:04X})", u32::from(character))
}

/// Characters in the order of their code points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Characters(Vec<char>);

impl Characters {
    fn of(all: impl Iterator<Item = char>) -> Self {
        // One flag per code point: a text may be larger than the memory that a list of its characters would need.
        let mut seen = vec![false; char::MAX as usize + 1];
        let mut known = Vec::new();
        for character in all {
            if !std::mem::replace(&mut seen[character as usize], true) {
                known.push(character);
            }
        }
        known.sort_unstable();
        Self(known)
    }
}

impl From<String> for Characters {
    fn from(text: String) -> Self {
        Self::of(text.chars())
    }
}
impl From<Characters> for String {
    fn from(characters: Characters) -> Self {
        characters.0.into_iter().collect()
    }
}

/// A byte-pair encoding (BPE): the 256 bytes, and merges of pairs of tokens in the order of a list. As in GPT-2, merges
/// do not cross the boundaries of words.
///
/// It is serialized as that list, one pair per line, in GPT-2's characters for bytes.
///
/// Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units" (2016),
/// <https://arxiv.org/abs/1508.07909>; Radford et al., "Language Models are Unsupervised Multitask Learners" (2019),
/// section 2.2.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bpe {
    tokenizer: Arc<Tokenizer>,
    merges: Vec<[String; 2]>,
    /// The bytes of each token.
    pieces: Vec<Vec<u8>>,
}

impl Bpe {
    /// Learns merges, most frequent pair first, until there are `size` tokens. The same texts give the same tokens.
    ///
    /// # Errors
    /// If `size` is not greater than 256, or too few pairs occur at least twice in the text.
    pub fn train<S: AsRef<str> + Send>(texts: impl Iterator<Item = S> + Send, size: usize) -> Result<Self, Error> {
        if size <= 256 {
            let problem = format!("must be more than 256, as the 256 bytes are tokens, got {size}");
            return Err(Error::invalid(problem)
                .with_field("vocabulary")
                .with_remedy("set 512 or more, or `tokens = \"characters\"`"));
        }
        let mut trainer = BpeTrainer::builder()
            .vocab_size(size)
            .min_frequency(2)
            .show_progress(false)
            .initial_alphabet(letters().into_iter().collect())
            .build();
        let words = |text: &str| {
            let mut split = PreTokenizedString::from(text);
            ByteLevel::new(false, false, true).pre_tokenize(&mut split)?;
            let words = split.get_splits(OffsetReferential::Original, OffsetType::None);
            Ok(words.into_iter().map(|(word, ..)| word.to_owned()).collect())
        };
        let mut model = BPE::default();
        let trained = trainer.feed(texts, words).and_then(|()| trainer.train(&mut model));
        trained.map_err(|error| {
            Error::invalid(format!("is \"bpe\", but merges could not be learned: {error}"))
                .with_field("tokens")
                .with_remedy("set `tokens = \"characters\"`")
        })?;
        let written = serde_json::to_value(&model).expect("a model of strings can be serialized");
        let merges: Vec<[String; 2]> =
            serde_json::from_value(written["merges"].clone()).expect("merges are pairs of strings");
        let bpe = Self::of(merges).expect("learned merges are valid");
        match bpe.pieces.len() {
            found if found < size => Err(Error::invalid(format!(
                "is too large for the text: pairs that occur at least twice give {found} tokens, got {size}"
            ))
            .with_field("vocabulary")
            .with_remedy(format!("set {found} or less"))),
            _ => Ok(bpe),
        }
    }

    fn of(merges: Vec<[String; 2]>) -> Result<Self, String> {
        let letters = letters();
        let bytes: HashMap<char, u8> = letters.iter().zip(0..=255).map(|(letter, byte)| (*letter, byte)).collect();
        let mut names: Vec<String> = letters.iter().map(char::to_string).collect();
        names.sort_unstable();
        let mut known: HashMap<String, u32> = names.iter().cloned().zip(0..).collect();
        for [a, b] in &merges {
            if let Some(part) = [a, b].into_iter().find(|part| !known.contains_key(*part)) {
                return Err(format!("the pair `{a} {b}` merges `{part}`, which is not an earlier token"));
            }
            let merged = format!("{a}{b}");
            if !known.contains_key(&merged) {
                known.insert(merged.clone(), names.len() as u32);
                names.push(merged);
            }
        }
        let pieces = names.iter().map(|name| name.chars().map(|letter| bytes[&letter]).collect()).collect();
        let pairs = merges.iter().map(|[a, b]| (a.clone(), b.clone())).collect();
        let vocabulary: Vec<(String, u32)> = known.into_iter().collect();
        let model = BPE::builder()
            .vocab_and_merges(vocabulary.into_iter().collect::<tokenizers::models::bpe::Vocab>(), pairs)
            // A cache would be the thread's, and stay when the vocabulary is dropped.
            .cache_capacity(0)
            .build()
            .map_err(|e| e.to_string())?;
        let mut tokenizer = Tokenizer::new(model);
        tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, false, true)));
        Ok(Self { tokenizer: Arc::new(tokenizer), merges, pieces })
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        let encoded = self.tokenizer.encode_fast(text, false).expect("every byte is a token");
        encoded.get_ids().to_vec()
    }
}

/// GPT-2's character for each byte: itself if it is printable, and 256, 257, … for the others in order.
fn letters() -> Vec<char> {
    let printed = |byte: u32| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let mut others = 256..;
    (0..256)
        .map(|byte| if printed(byte) { byte } else { others.next().expect("the range has no end") })
        .map(|code| char::from_u32(code).expect("below the surrogates"))
        .collect()
}

impl fmt::Debug for Bpe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bpe({} tokens)", self.pieces.len())
    }
}
impl PartialEq for Bpe {
    fn eq(&self, other: &Self) -> bool {
        self.merges == other.merges
    }
}
impl TryFrom<String> for Bpe {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let pair = |line: &str| match line.split_once(' ') {
            Some((a, b)) if !b.contains(' ') => Ok([a.to_owned(), b.to_owned()]),
            _ => Err(format!("`{line}` is not a pair of tokens")),
        };
        Self::of(text.lines().map(pair).collect::<Result<_, _>>()?)
    }
}
impl From<Bpe> for String {
    fn from(bpe: Bpe) -> Self {
        bpe.merges.iter().map(|[a, b]| format!("{a} {b}\n")).collect()
    }
}
