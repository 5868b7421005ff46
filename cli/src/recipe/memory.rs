//! The memory that is free, and fields that decide how much is needed.
use crate::{
    messages::grouped,
    recipe::file::{Part, Recipe},
};
use std::cell::Cell;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};
use tweedie::{Error, Result};

/// The environment variable that sets the memory that can be used, as in `8GB`, in place of what the system says is free.
const LIMIT: &str = "TWEEDIE_MEMORY";

thread_local! {
    /// The memory that commands of this thread may take, if it is set.
    static BOUND: Cell<Option<f64>> = const { Cell::new(None) };
}

/// Sets the memory that commands of this thread may take, in place of what the system says is free.
pub(crate) fn bound(bytes: f64) {
    BOUND.set(Some(bytes));
}

/// The memory that can be taken, in bytes; `None` if the system does not say.
///
/// # Errors
///
/// If `TWEEDIE_MEMORY` is not a size.
pub(crate) fn available() -> Result<Option<f64>> {
    if let Some(bytes) = BOUND.get() {
        return Ok(Some(bytes));
    }
    if let Some(text) = std::env::var_os(LIMIT) {
        let text = text.to_string_lossy();
        let size = size_of(&text).ok_or_else(|| {
            Error::invalid(format!("the environment variable {LIMIT} must be a size, as in 8GB or 500MB, got {text}"))
        });
        return size.map(Some);
    }
    let kind = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(kind);
    let free = system.available_memory() as f64;
    // A container may allow less than the machine has.
    let allowed = system.cgroup_limits().map(|limits| limits.total_memory.saturating_sub(limits.rss) as f64);
    let least = allowed.map_or(free, |allowed| allowed.min(free));
    Ok((least > 0.0).then_some(least))
}

/// The bytes of 8GB, 500 MB, 1.5e9.
fn size_of(text: &str) -> Option<f64> {
    let text = text.trim().to_uppercase();
    let units = [("GB", 1e9), ("MB", 1e6), ("KB", 1e3), ("G", 1e9), ("M", 1e6), ("B", 1.0)];
    let (number, unit) =
        units.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size))).unwrap_or((&text, 1.0));
    number.trim().parse().ok().map(|number: f64| number * unit).filter(|size| size.is_finite() && *size >= 0.0)
}

/// A number of bytes: 34.2 GB, 870 MB.
pub(crate) fn bytes(n: f64) -> String {
    match n / 1e9 {
        gb if gb >= 1e6 => format!("{:.0e} GB", gb),
        gb if gb >= 100.0 => format!("{} GB", grouped(gb.round() as usize)),
        gb if gb >= 1.0 => format!("{gb:.1} GB"),
        gb if gb >= 1e-3 => format!("{:.0} MB", 1e3 * gb),
        _ => "1 MB".into(),
    }
}

/// A field that decides how much memory is needed.
pub(crate) struct Field<'a> {
    /// Its path in the recipe.
    pub path: &'a str,
    pub value: usize,
    /// The bytes that are needed at a value of the field.
    pub bytes: &'a dyn Fn(usize) -> f64,
    /// What else can be done, after a semicolon.
    pub remedy: &'a str,
}
impl Field<'_> {
    /// The largest value, 1 or more, that needs at most so many bytes.
    fn largest(&self, available: f64) -> Option<usize> {
        let fits = |value: usize| (self.bytes)(value) <= available;
        if !fits(1) {
            return None;
        }
        let (mut low, mut high) = (1, self.value.max(1));
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if fits(middle) { low = middle } else { high = middle }
        }
        Some(low)
    }
    /// What is wrong, if it needs more than is available.
    pub fn problem(&self, available: Option<f64>) -> Option<String> {
        let available = available?;
        let needed = (self.bytes)(self.value);
        if needed <= available {
            return None;
        }
        let name = self.path.rsplit('.').next().unwrap_or(self.path);
        let given = |value: &str| match name.starts_with("--") {
            true => format!("{name} {value}"),
            false => format!("{name} = {value}"),
        };
        let remedy = match self.largest(available) {
            Some(most) => format!("at most {} fits{}", round(most), self.remedy),
            None => format!("not even `{}` fits{}", given("1"), self.remedy),
        };
        Some(format!(
            "`{}` needs about {} of memory, and {} are free: {remedy}",
            given(&grouped(self.value)),
            bytes(needed),
            bytes(available)
        ))
    }
    /// Checks it against the memory that is available.
    ///
    /// # Errors
    ///
    /// If it needs more: with the number, and the largest value that fits.
    pub fn check(&self, recipe: &Recipe, available: Option<f64>) -> Result<()> {
        match self.problem(available) {
            None => Ok(()),
            Some(problem) => Err(recipe.fail(self.path, Part::Value, &problem)),
        }
    }
}

/// The number, its digits after the second as zeros.
fn round(n: usize) -> String {
    let mut scale = 1;
    while n / scale >= 100 {
        scale *= 10;
    }
    grouped(n / scale * scale)
}

/// Checks `n` rows that are held at once against the memory that is free, for a flag.
///
/// # Errors
///
/// If they need more: with the number, and the largest value that fits.
pub(crate) fn check_flag(flag: &str, n: usize, bytes_of: &dyn Fn(usize) -> f64) -> Result<()> {
    let field = Field { path: flag, value: n, bytes: bytes_of, remedy: "" };
    field.problem(available()?).map_or(Ok(()), |problem| Err(Error::invalid(problem)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        assert_eq!(
            [size_of("8GB"), size_of("500 mb"), size_of("1.5e9"), size_of("2g")],
            [8e9, 5e8, 1.5e9, 2e9].map(Some)
        );
        assert_eq!([size_of("many"), size_of(""), size_of("-1GB"), size_of("infGB")], [None; 4]);
        assert_eq!(
            [bytes(34.24e9), bytes(8.7e8), bytes(1234.5e9), bytes(10.0)],
            ["34.2 GB", "870 MB", "1,235 GB", "1 MB"]
        );
        assert_eq!(bytes(3e20), "3e11 GB");
    }

    #[test]
    fn the_largest_value_that_fits_is_named() {
        let field = |value| Field { path: "train.batch", value, bytes: &|n| 1e9 + 1e6 * n as f64, remedy: "" };
        assert_eq!(field(100).problem(Some(2e9)), None);
        assert_eq!(field(100).problem(None), None);
        assert_eq!(
            field(5000).problem(Some(2e9)).unwrap(),
            "`batch = 5,000` needs about 6.0 GB of memory, and 2.0 GB are free: at most 1,000 fits"
        );
        assert_eq!(field(100_000_000).largest(2e9), Some(1000));
        assert!(field(5).problem(Some(1e9)).unwrap().ends_with("not even `batch = 1` fits"));
        assert_eq!([round(999), round(1234), round(99), round(123_456)], ["990", "1,200", "99", "120,000"]);
    }
}
