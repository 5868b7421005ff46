//! Stochastic matrices on the host, in double precision.
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// A stochastic matrix, as the entries of each row from the first to the last that is not zero.
#[derive(Clone, Debug)]
pub(super) struct Band(Vec<(usize, Vec<f64>)>);

impl Band {
    /// The matrix of these rows.
    pub(super) fn new(rows: Vec<Vec<f64>>) -> Result<Self> {
        let k = rows.len();
        if k == 0 {
            return Err(Error::invalid("a transition matrix must have one row or more"));
        }
        for (x, row) in rows.iter().enumerate() {
            if row.len() != k {
                return Err(Error::invalid(format!(
                    "a transition matrix must be square, but it has {k} rows and row {x} has {} entries",
                    row.len()
                )));
            }
            if let Some((y, p)) = row.iter().enumerate().find(|(_, p)| p.is_nan() || **p < -1e-12) {
                return Err(Error::invalid(format!(
                    "the rows of a transition matrix must be probabilities, 0 or more, but row {x} has {p} at column {y}"
                )));
            }
            let sum: f64 = row.iter().sum();
            if (sum - 1.0).abs() > 1e-9 {
                return Err(Error::invalid(format!(
                    "the rows of a transition matrix must sum to 1, but row {x} sums to {sum}"
                )));
            }
        }
        let trim = |row: Vec<f64>| {
            let first = row.iter().position(|p| *p > 0.0).unwrap_or(0);
            let last = row.iter().rposition(|p| *p > 0.0).unwrap_or(0);
            (first, row[first..=last].iter().map(|p| p.max(0.0)).collect())
        };
        Ok(Self(rows.into_iter().map(trim).collect()))
    }
    pub(super) fn k(&self) -> usize {
        self.0.len()
    }
}

/// A matrix K×K, row by row.
#[derive(Clone, Debug)]
pub(super) struct Dense {
    k: usize,
    values: Vec<f64>,
}

impl Dense {
    pub(super) fn identity(k: usize) -> Self {
        let mut values = vec![0.0; k * k];
        values.iter_mut().step_by(k + 1).for_each(|v| *v = 1.0);
        Self { k, values }
    }
    pub(super) fn row(&self, x: usize) -> &[f64] {
        &self.values[x * self.k..(x + 1) * self.k]
    }
    /// The entries row by row, or column by column.
    pub(super) fn values(&self, column: bool) -> Vec<f64> {
        if !column {
            return self.values.clone();
        }
        (0..self.k).flat_map(|y| (0..self.k).map(move |x| self.values[x * self.k + y])).collect()
    }
    pub(super) fn mean_row(&self) -> Vec<f64> {
        let scale = (self.k as f64).recip();
        (0..self.k).map(|y| (0..self.k).map(|x| self.values[x * self.k + y]).sum::<f64>() * scale).collect()
    }
    /// This matrix times the next step.
    pub(super) fn then(&self, step: &Band) -> Self {
        let mut values = vec![0.0; self.values.len()];
        values.par_chunks_mut(self.k).zip(self.values.par_chunks(self.k)).for_each(|(out, row)| {
            for (share, (first, to)) in row.iter().zip(&step.0).filter(|(share, _)| **share != 0.0) {
                out[*first..].iter_mut().zip(to).for_each(|(out, p)| *out += share * p);
            }
        });
        Self { k: self.k, values }
    }
    fn squared(&self) -> Self {
        // Read by columns it is the transpose, and its square is the transpose of the square.
        let matrix = nalgebra::DMatrix::from_column_slice(self.k, self.k, &self.values);
        let square = &matrix * &matrix;
        Self { k: self.k, values: square.as_slice().to_vec() }
    }
}

/// `exp(jumps (Q − I)) = Σ_n e^(−jumps) jumpsⁿ/n! Qⁿ`: all terms are positive, so nothing cancels.
pub(super) fn exponential(q: &Band, jumps: f64) -> Dense {
    // At 10⁹ jumps any chain that mixes has mixed.
    let jumps = jumps.min(1e9);
    let halvings = if jumps > 1.0 { jumps.log2().ceil() as i32 } else { 0 };
    let few = jumps / 2f64.powi(halvings);
    let mut power = Dense::identity(q.k());
    let mut weight = (-few).exp();
    let mut sum = Dense { k: q.k(), values: power.values.iter().map(|v| v * weight).collect() };
    // The weights of a Poisson distribution of mean 1 fall below 10⁻²⁰ after 22 terms.
    for n in 1..=22 {
        power = power.then(q);
        weight *= few / f64::from(n);
        sum.values.iter_mut().zip(&power.values).for_each(|(sum, p)| *sum += weight * p);
    }
    for _ in 0..halvings {
        sum = sum.squared();
        // The rounding error of the rows' sums would double with every square.
        sum.values.chunks_mut(q.k()).for_each(|row| {
            let total: f64 = row.iter().sum();
            row.iter_mut().for_each(|p| *p /= total);
        });
    }
    sum
}

/// Matrices computed once, up to a number of bytes.
#[derive(Debug)]
pub(super) struct Cache {
    made: Mutex<HashMap<(u64, u64), Arc<Dense>>>,
    budget: usize,
}

impl Cache {
    pub(super) fn new(budget: usize) -> Self {
        Self { made: Mutex::default(), budget }
    }
    pub(super) fn get(&self, key: (u64, u64), make: impl FnOnce() -> Dense) -> Arc<Dense> {
        let lock = || self.made.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(found) = lock().get(&key) {
            return found.clone();
        }
        let new = Arc::new(make());
        let mut made = lock();
        if (made.len() + 1) * new.values.len() * size_of::<f64>() > self.budget {
            made.clear();
        }
        made.insert(key, new.clone());
        new
    }
}
