//! Output of `tweedie verify`: a table, a line per module, JSON, and an error that names the first law that failed.
use crate::{messages::count, output::console::say};
use serde_json::json;
use tweedie::{
    Error, Result,
    laws::{Check, Compared},
};

/// A module, by kind and name, and its checks.
pub(super) type Module = (&'static str, String, Vec<Check>);
/// All modules.
type Verified = [Module];

/// Every law of every module.
fn laws_of(verified: &Verified) -> impl Iterator<Item = (&str, &str, &Check)> {
    verified.iter().flat_map(|(kind, name, checks)| checks.iter().map(move |check| (*kind, &**name, check)))
}

pub(super) fn entries(verified: &Verified) -> serde_json::Value {
    laws_of(verified)
        .map(|(kind, name, check)| {
            let mut entry = json!({
                "kind": kind, "name": name, "law": check.law, "place": check.place, "measured": check.measured,
                "allowed": check.allowed, "holds": check.holds(),
            });
            if let Some(Compared { declared, found }) = check.compared {
                entry["declared"] = json!(declared);
                entry["found"] = json!(found);
            }
            entry
        })
        .collect()
}

/// Law, measured and allowed value, as they are printed.
struct Line {
    law: String,
    measured: String,
    allowed: String,
}
impl Line {
    fn of(check: &Check) -> Self {
        if let Some(Compared { declared, found }) = check.compared {
            // The bound may be below the declared value, for example for high orders, which double precision cannot resolve.
            let least = found + check.measured - check.allowed;
            let (law, allowed) = (format!("{}, {declared}", check.law), format!("≥ {least:.1}"));
            return Self { law, measured: format!("{found:.2}"), allowed };
        }
        let yes_or_no = check.allowed == 0.0;
        let measured = match check.measured {
            nan if nan.is_nan() => "NaN".into(),
            // A deviation below 0 is a margin: of what must decrease, by how much it does.
            below if below < 0.0 || yes_or_no && below == 0.0 => "passed".into(),
            0.0 => "0".into(),
            over => format!("{over:.1e}"),
        };
        let allowed = if yes_or_no { String::new() } else { format!("{:.1e}", check.allowed) };
        Self { law: check.law.into(), measured, allowed }
    }
}

fn module(kind: &str, name: &str) -> String {
    format!("{kind} {name}")
}

pub(super) fn table(verified: &Verified) {
    let lines: Vec<(String, Line, &Check)> =
        laws_of(verified).map(|(kind, name, check)| (module(kind, name), Line::of(check), check)).collect();
    let longest = |of: &dyn Fn(&(String, Line, &Check)) -> usize| lines.iter().map(of).max().unwrap_or(0);
    let (width, law) = (longest(&|line| line.0.chars().count()), longest(&|line| line.1.law.chars().count()));
    say(&format!("{:width$}  {:law$}   measured   allowed", "module", "law"));
    for (module, line, check) in &lines {
        let verdict = if check.holds() { String::new() } else { format!("  FAILED at {}", check.place) };
        let text = format!("{module:width$}  {:law$}  {:>9}  {:>8}{verdict}", line.law, line.measured, line.allowed);
        say(text.trim_end());
    }
    failed(verified);
    total(verified);
}

/// A line per module, and what failed.
pub(super) fn brief(verified: &Verified) {
    let width = verified.iter().map(|(kind, name, _)| module(kind, name).chars().count()).max().unwrap_or(0);
    for (kind, name, checks) in verified {
        let wrong = checks.iter().filter(|check| !check.holds()).count();
        let verdict = match (checks.len(), wrong) {
            (0, _) => "no laws of its own".into(),
            (all, 0) => format!("{} passed", count(all, "law")),
            (all, wrong) => format!("{wrong} of {} FAILED", count(all, "law")),
        };
        say(&format!("{:width$}  {verdict}", module(kind, name)));
    }
    failed(verified);
    total(verified);
}

/// Every law that failed, with its place.
fn failed(verified: &Verified) {
    for (kind, name, check) in laws_of(verified).filter(|(.., check)| !check.holds()) {
        let Line { law, measured, allowed } = Line::of(check);
        let allowed = if allowed.is_empty() { String::new() } else { format!(", {allowed} allowed") };
        say(&format!("FAILED {kind} {name}: {law}: {measured} at {}{allowed}", check.place));
    }
}

fn total(verified: &Verified) {
    let failed = laws_of(verified).filter(|(.., check)| !check.holds()).count();
    let (laws, modules) = (count(laws_of(verified).count(), "law"), count(verified.len(), "module"));
    say(&format!("{laws} of {modules}, {failed} failed"));
}

/// The first law that failed, as an error.
pub(super) fn verdict(verified: &Verified) -> Result<()> {
    let failed: Vec<_> = laws_of(verified).filter(|(.., check)| !check.holds()).collect();
    match failed.first() {
        None => Ok(()),
        Some((kind, name, check)) => Err(Error::invalid(format!(
            "{} of {} failed; the first is of {kind} `{name}`: {check}",
            failed.len(),
            count(laws_of(verified).count(), "law"),
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_law_that_failed_is_an_error_that_names_it() {
        let check = |measured| Check::new("α does not increase", "t = 0.5", measured, 0.1);
        assert!(verdict(&[("schedule", "mine".into(), vec![check(0.0), check(0.1)])]).is_ok());
        for wrong in [0.2, f64::NAN] {
            let error =
                verdict(&[("schedule", "mine".into(), vec![check(0.0), check(wrong)])]).unwrap_err().to_string();
            assert!(
                error.starts_with("1 of 2 laws failed; the first is of schedule `mine`: α does not increase"),
                "{error}"
            );
        }
    }

    #[test]
    fn orders_margins_and_deviations_are_printed_differently() {
        let printed = |check: Check| {
            let line = Line::of(&check);
            [line.law, line.measured, line.allowed]
        };
        let row = |law, place: &str, measured, allowed| printed(Check::new(law, place, measured, allowed));
        let compared = Some(Compared { declared: 2.0, found: 1.98 });
        let order = Check::new("the order of convergence is the declared one", "edm", 0.02, 0.1);
        let order = printed(Check { compared, ..order });
        assert_eq!(order, ["the order of convergence is the declared one, 2", "1.98", "≥ 1.9"]);
        assert_eq!(row("α does not increase", "t = 0", f64::NEG_INFINITY, 0.0)[1..], ["passed", ""]);
        assert_eq!(row("g² is not negative", "t = 0", -0.2, 1e-12)[1..], ["passed", "1.0e-12"]);
        assert_eq!(row("σ is small", "t = 0", -0.0, 0.05)[1..], ["0", "5.0e-2"]);
        assert_eq!(row("α does not increase", "t = 0", f64::NAN, 0.0)[1..], ["NaN", ""]);
        assert_eq!(row("α does not increase", "t = 0", 0.3, 0.0)[1..], ["3.0e-1", ""]);
    }
}
