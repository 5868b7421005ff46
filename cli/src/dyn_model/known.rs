//! What is given of samples of categories.

/// What is given of every sample.
pub(crate) struct Known {
    /// The token id of each place, −1 where it is sampled.
    pub tokens: Vec<f32>,
    /// The places of blanks: each is filled with one token of the vocabulary, never with the end of the sample.
    pub blanks: Vec<usize>,
    /// The end token, if there is one.
    pub end: Option<u32>,
}
impl Known {
    /// 1 for each category that a place can have, 0 for the others, of `k` categories; `None` if all are allowed.
    pub fn allowed(&self, k: usize) -> Option<Vec<f32>> {
        let end = self.end.filter(|_| !self.blanks.is_empty())? as usize;
        let mut allowed = vec![1.0; self.tokens.len() * k];
        self.blanks.iter().for_each(|place| allowed[place * k + end] = 0.0);
        Some(allowed)
    }
}
