//! What a sample is, which its shape alone does not say.
use std::fmt;

/// What samples are. It decides which networks there are for them, and how they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataKind {
    /// Points: `[batch, numbers]`.
    Points,
    /// Sequences of tokens or of vectors: `[batch, length, channels]`.
    Sequences,
    /// Signals, values over one axis: `[batch, channels, length]`.
    #[doc(alias = "time series")]
    Signals,
    /// Images: `[batch, channels, height, width]`.
    Images,
    /// Volumes: `[batch, channels, depth, height, width]`.
    #[doc(alias = "video")]
    Volumes,
}
impl DataKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Points, Self::Sequences, Self::Signals, Self::Images, Self::Volumes];

    /// The rank of a batch.
    pub fn rank(self) -> usize {
        match self {
            Self::Points => 2,
            Self::Sequences | Self::Signals => 3,
            Self::Images => 4,
            Self::Volumes => 5,
        }
    }
}
impl fmt::Display for DataKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Points => "points",
            Self::Sequences => "sequences",
            Self::Signals => "signals",
            Self::Images => "images",
            Self::Volumes => "volumes",
        })
    }
}
