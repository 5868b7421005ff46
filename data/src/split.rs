//! The two parts of a data set.

/// A part of a data set: for training, or held out for evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// The training part.
    Train,
    /// The held-out part.
    Test,
}

impl Split {
    /// "training" or "held-out".
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Train => "training",
            Self::Test => "held-out",
        }
    }
}
