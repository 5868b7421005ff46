//! The identity of data: how many samples there are, and a digest of their content.
use crate::messages;
use serde::{Deserialize, Serialize};

/// A 64-bit digest of bytes (FNV-1a), the same on every machine and in every version. It recognizes data that changed; it does not
/// protect from data that were made to have the same digest.
///
/// Source: Fowler, Noll and Vo, "The FNV Non-Cryptographic Hash Algorithm",
/// <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>.
#[derive(Clone, Copy, Debug)]
pub struct Digest(u64);
impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}
impl Digest {
    /// The digest after further bytes.
    #[must_use]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |state, byte| (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)))
    }
    /// The digest after further numbers.
    #[must_use]
    pub fn numbers(self, numbers: impl IntoIterator<Item = u64>) -> Self {
        numbers.into_iter().fold(self, |digest, number| digest.bytes(&number.to_le_bytes()))
    }
    /// The digest after a text and its end.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes()).numbers([text.len() as u64])
    }
    /// The digest as 16 hexadecimal digits.
    pub fn hex(self) -> String {
        format!("{:016x}", self.0)
    }
}

/// One part of the data as a checkpoint remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub samples: usize,
    pub digest: String,
}
impl Part {
    /// What differs from an earlier part, as `1,621 samples, now 1,622`; `None` if nothing does.
    pub fn change(&self, earlier: &Self) -> Option<String> {
        let others = if self.samples == earlier.samples { " others" } else { "" };
        let [before, now] = [messages::count(earlier.samples, "sample"), messages::grouped(self.samples)];
        (self != earlier).then(|| format!("{before}, now {now}{others}"))
    }
}

/// The training data and the held-out data of a run, as the metadata of its checkpoints have them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    pub training: Part,
    /// `None` if the run does not evaluate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<Part>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_fnv_1a() {
        // The test vectors of the source.
        for (text, digest) in [("", "cbf29ce484222325"), ("a", "af63dc4c8601ec8c"), ("foobar", "85944171f73967e8")] {
            assert_eq!(Digest::default().bytes(text.as_bytes()).hex(), digest);
        }
        let pair = |a: &str, b: &str| Digest::default().text(a).text(b).hex();
        assert_ne!(pair("ab", "c"), pair("a", "bc"));
    }
}
