//! What `tweedie verify` says: a table, a line a module, JSON, and an error that names what is broken.
use crate::{output::console::say, output::messages::count};
use serde_json::json;
use tweedie::{Error, Result, laws::Check};

/// A module, by kind and name, and what was measured of it.
pub(super) type Module = (&'static str, String, Vec<Check>);
/// All of them.
type Verified = [Module];

/// Every law of every module.
fn laws_of(verified: &Verified) -> impl Iterator<Item = (&str, &str, &Check)> {
    verified.iter().flat_map(|(kind, name, checks)| checks.iter().map(move |check| (*kind, &**name, check)))
}

pub(super) fn entries(verified: &Verified) -> serde_json::Value {
    laws_of(verified)
        .map(|(kind, name, check)| {
            json!({
                "kind": kind, "name": name, "law": check.law, "place": check.place, "measured": check.measured,
                "allowed": check.allowed, "holds": check.holds(),
            })
        })
        .collect()
}

/// Law, measured and allowed, as they are read.
struct Line {
    law: String,
    measured: String,
    allowed: String,
}
impl Line {
    fn of(check: &Check) -> Self {
        if let Some((measured, declared)) = order(check) {
            // Of high orders less is asked: what was held against the measured one.
            let least = measured + check.measured - check.allowed;
            let (law, allowed) = (format!("{}, {declared}", check.law), format!("≥ {least:.1}"));
            return Self { law, measured: format!("{measured:.2}"), allowed };
        }
        let yes_or_no = check.allowed == 0.0;
        let measured = match check.measured {
            nan if nan.is_nan() => "no number".into(),
            // Less than nothing was wrong: of a thing that falls, say, by how much it does.
            below if below < 0.0 || yes_or_no && below == 0.0 => "holds".into(),
            0.0 => "0".into(),
            over => format!("{over:.1e}"),
        };
        let allowed = if yes_or_no { String::new() } else { format!("{:.1e}", check.allowed) };
        Self { law: check.law.into(), measured, allowed }
    }
}

/// The measured and the declared order, of the law that compares them: its place tells both, as in `edm: 2.01 for 2`.
fn order(check: &Check) -> Option<(f64, f64)> {
    let (measured, declared) = check.place.rsplit_once(": ")?.1.split_once(" for ")?;
    check.law.contains("order").then_some(())?;
    Some((measured.parse().ok()?, declared.parse().ok()?))
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
        let verdict = if check.holds() { String::new() } else { format!("  BROKEN at {}", check.place) };
        let text = format!("{module:width$}  {:law$}  {:>9}  {:>8}{verdict}", line.law, line.measured, line.allowed);
        say(text.trim_end());
    }
    broken(verified);
    total(verified);
}

/// A line a module, and what is broken.
pub(super) fn brief(verified: &Verified) {
    let width = verified.iter().map(|(kind, name, _)| module(kind, name).chars().count()).max().unwrap_or(0);
    for (kind, name, checks) in verified {
        let wrong = checks.iter().filter(|check| !check.holds()).count();
        let said = match (checks.len(), wrong) {
            (0, _) => "no laws of its own".into(),
            (all, 0) => format!("{} {}", count(all, "law"), if all == 1 { "holds" } else { "hold" }),
            (all, wrong) => format!("{wrong} of {} BROKEN", count(all, "law")),
        };
        say(&format!("{:width$}  {said}", module(kind, name)));
    }
    broken(verified);
    total(verified);
}

/// Every broken law with its place.
fn broken(verified: &Verified) {
    for (kind, name, check) in laws_of(verified).filter(|(.., check)| !check.holds()) {
        let Line { law, measured, allowed } = Line::of(check);
        let allowed = if allowed.is_empty() { String::new() } else { format!(", {allowed} allowed") };
        say(&format!("BROKEN {kind} {name}: {law}: {measured} at {}{allowed}", check.place));
    }
}

fn total(verified: &Verified) {
    let broken = laws_of(verified).filter(|(.., check)| !check.holds()).count();
    let (laws, modules) = (count(laws_of(verified).count(), "law"), count(verified.len(), "module"));
    say(&format!("{laws} of {modules}, {broken} broken"));
}

/// The first law that is broken, as an error.
pub(super) fn verdict(verified: &Verified) -> Result<()> {
    let broken: Vec<_> = laws_of(verified).filter(|(.., check)| !check.holds()).collect();
    match broken.first() {
        None => Ok(()),
        Some((kind, name, check)) => Err(Error::invalid(format!(
            "{} of {} {} not hold; the first is of {kind} `{name}`: {check}",
            broken.len(),
            count(laws_of(verified).count(), "law"),
            if broken.len() == 1 { "does" } else { "do" },
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_law_is_an_error_that_names_it() {
        let check = |measured| Check { law: "α does not rise", place: "t = 0.5".into(), measured, allowed: 0.1 };
        assert!(verdict(&[("schedule", "mine".into(), vec![check(0.0), check(0.1)])]).is_ok());
        for wrong in [0.2, f64::NAN] {
            let error =
                verdict(&[("schedule", "mine".into(), vec![check(0.0), check(wrong)])]).unwrap_err().to_string();
            assert!(
                error.starts_with("1 of 2 laws does not hold; the first is of schedule `mine`: α does not rise"),
                "{error}"
            );
        }
    }

    #[test]
    fn numbers_read_as_what_they_are() {
        let said = |law, place: &str, measured, allowed| {
            let line = Line::of(&Check { law, place: place.into(), measured, allowed });
            [line.law, line.measured, line.allowed]
        };
        let order = said("the order of convergence is the declared one", "edm: 1.98 for 2", 0.02, 0.1);
        assert_eq!(order, ["the order of convergence is the declared one, 2", "1.98", "≥ 1.9"]);
        assert_eq!(said("α does not rise", "t = 0", f64::NEG_INFINITY, 0.0)[1..], ["holds", ""]);
        assert_eq!(said("g² is not negative", "t = 0", -0.2, 1e-12)[1..], ["holds", "1.0e-12"]);
        assert_eq!(said("σ is small", "t = 0", -0.0, 0.05)[1..], ["0", "5.0e-2"]);
        assert_eq!(said("α does not rise", "t = 0", f64::NAN, 0.0)[1..], ["no number", ""]);
        assert_eq!(said("α does not rise", "t = 0", 0.3, 0.0)[1..], ["3.0e-1", ""]);
    }
}
